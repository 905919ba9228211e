//! Something happens to the target while a fault is on.

use fracas_core::record::State;

use crate::support::{Bench, LIMIT, Made, Target, certificate, memory_limit, read, signal, soon};

#[test]
fn a_target_that_dies_takes_its_fault_with_it() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let mut run = bench.run(&memory_limit(&target).replace("60s", "2s"));
    let (directory, _) = run.begun();
    run.until(&directory, State::Applied);
    let Target {
        made: Made::Process(process, group),
        ..
    } = target
    else {
        panic!("the target is a process");
    };
    drop(process);
    drop(group);
    let said = run.wait(LIMIT);
    let certificate = certificate(&directory).expect("there is a certificate");
    assert!(certificate.is_clean(), "{certificate:?}");
    assert!(certificate.lines[0].seen.contains("gone"), "{certificate:?}");
    // Passed or not: what must not be said of a fault that ended early is that it was on as asked.
    assert_eq!(said.code, 5, "{said:?}");
    bench.finish();
}

#[test]
fn a_group_outlives_its_process_and_is_restored() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let limit = target.memory_limit();
    let before = read(&limit).unwrap();
    let mut run = bench.run(&memory_limit(&target).replace("60s", "1s"));
    let (directory, _) = run.begun();
    run.until(&directory, State::Applied);
    let Target {
        made: Made::Process(process, _group),
        ..
    } = target
    else {
        panic!("the target is a process");
    };
    drop(process);
    run.wait(LIMIT);
    let certificate = certificate(&directory).expect("there is a certificate");
    assert!(certificate.is_clean(), "{certificate:?}");
    assert_eq!(read(&limit).unwrap(), before);
    bench.finish();
}

#[test]
fn a_container_that_restarts_is_followed_and_left_clean() {
    let Some(target) = Target::container("always") else {
        return;
    };
    let bench = Bench::new();
    let before = target.look();
    let mut run = bench.run(&memory_limit(&target).replace("60s", "6s"));
    let (directory, _) = run.begun();
    run.until(&directory, State::Applied);
    let init = target.pid().expect("it runs");
    let process = fracas_linux::process::Process::find(init).unwrap().expect("it runs");
    signal(&process, 9);
    soon(LIMIT, "the fault is on the new process", || {
        let pid = target.pid().filter(|pid| *pid != init)?;
        let limit = ["memory.limit_in_bytes", "memory.max"]
            .iter()
            .find_map(|name| crate::support::cgroup_file(pid, name))?;
        (read(limit)? == (64 << 20).to_string()).then_some(())
    });
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 0, "{said:?}");
    let report = read(directory.join("report.json")).unwrap();
    assert!(report.contains("restart"), "restarts are counted: {report}");
    assert!(said.out.contains("restart"), "and told: {}", said.out);
    assert!(certificate(&directory).expect("there is a certificate").is_clean());
    assert_eq!(target.look(), before);
    bench.finish();
}

#[test]
fn a_container_whose_runner_is_killed_is_as_before_also_for_its_engine() {
    let Some(target) = Target::container("no") else { return };
    let bench = Bench::new();
    let before = target.look();
    let run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    assert_ne!(target.look(), before);
    signal(run.process(), 9);
    assert!(guardian.wait(LIMIT).unwrap());
    assert_eq!(target.look(), before);
    assert!(certificate(&directory).expect("there is a certificate").is_clean());
    drop(run);
    bench.finish();
}
