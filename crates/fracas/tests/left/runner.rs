//! The runner is struck while a fault is on.

use std::time::{Duration, Instant};

use fracas_core::record::State;

use crate::support::{Bench, Blow, LIMIT, Target, Trap, certificate, memory_limit, of, read, soon};

/// From the death of the runner to the former limit.
const BOUND: Duration = Duration::from_secs(1);
/// From SIGSTOP on: 0.6 s without a heartbeat, a tick of 50 ms, and the bound.
const BOUND_STOPPED: Duration = Duration::from_millis(1650);

/// A process that is killed closes its sockets before its pidfd says that it ended (`do_exit` in kernel/exit.c): the guardian may see
/// either first.
const DIED: &[&str] = &["the runner died", "the runner hung up"];

fn struck(blow: Blow, bound: Duration, reasons: &[&str]) {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let trap = (blow == Blow::Oom).then(|| Trap::set().unwrap().expect("a group was made for the target, too"));
    let mut run = bench.run(&memory_limit(&target));
    if let Some(trap) = &trap {
        trap.take(&run);
    }
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    assert_eq!(read(target.memory_limit()).unwrap(), (64 << 20).to_string());
    if trap.is_some() {
        let group = read(format!("/proc/{}/cgroup", guardian.identity().pid)).unwrap();
        let own = format!("fracas-guardian-{}", guardian.identity().pid);
        assert!(
            group.contains(&own),
            "the guardian has left the runner's group: {group}"
        );
    }
    let began = Instant::now();
    blow.strike(&run, &guardian, trap.as_ref());
    if blow == Blow::Oom {
        // What the kernel's killer takes its time for is not ours.
        assert!(run.process().wait(LIMIT).unwrap());
    }
    let died = if blow == Blow::Oom { Instant::now() } else { began };
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    let took = died.elapsed();
    assert!(took <= bound, "{}: {took:?}, more than {bound:?}", blow.name());
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian goes when all is done");
    assert_eq!(run.wait(LIMIT).code, 128 + 9, "the runner never acts again");
    let certificate = certificate(&directory).expect("there is a certificate");
    assert!(
        certificate.is_clean() && certificate.lines.len() == 1,
        "{certificate:?}"
    );
    assert_eq!(certificate.lines[0].state, State::Clean);
    let log = read(directory.join("guardian.log")).unwrap();
    let told = reasons.iter().any(|reason| log.contains(reason));
    assert!(told && log.contains("everything is undone"), "{log}");
    assert_eq!(target.look(), before);
    assert_eq!(bench.fracas(&["status"]).code, 0);
    bench.finish();
}

#[test]
fn a_runner_that_is_killed_leaves_the_limit_as_it_was() {
    struck(Blow::Kill, BOUND, DIED);
}

#[test]
fn a_runner_that_is_stopped_is_killed_before_anything_is_undone() {
    struck(Blow::Stop, BOUND_STOPPED, &["the runner was unheard for too long"]);
}

#[test]
fn a_runner_that_has_no_memory_leaves_the_limit_as_it_was() {
    struck(Blow::Oom, BOUND, DIED);
}

/// The engine is asked to stop a container that takes its whole grace; the guardian waits until that call is over. The limit on
/// another target must not wait with it.
#[test]
fn a_call_to_the_engine_that_is_under_way_keeps_no_other_fault_on() {
    let Some(target) = Target::process() else { return };
    let Some(stubborn) = Target::container_in("no", &["--ignore-term", "sleep"]) else {
        return;
    };
    let bench = Bench::new();
    let before = target.look();
    let document = format!(
        "apiVersion: fracas.dev/v1\n\
         kind: Experiment\n\
         metadata: {{ name: kill }}\n\
         hypothesis: {{ interval: 100ms, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
         targets:\n  - {{ alias: it, {} }}\n  - {{ alias: stubborn, {} }}\n\
         faults:\n\
         \x20 - {{ name: limit, target: it, inject: {{ memory_limit: {{ limit: 64MiB }} }} }}\n\
         \x20 - {{ name: stop, target: stubborn, start: 300ms, inject: {{ container_stop: {{ grace: 6s }} }} }}\n\
         duration: 60s\n",
        target.selector, stubborn.selector
    );
    let run = bench.run(&document);
    let (directory, guardian) = run.begun();
    soon(LIMIT, "the engine is asked", || {
        of(&directory).filter(|contents| contents.entries.len() == 2)
    });
    assert_eq!(read(target.memory_limit()).unwrap(), (64 << 20).to_string());
    let began = Instant::now();
    Blow::Kill.strike(&run, &guardian, None);
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    assert!(began.elapsed() <= BOUND, "{:?}, more than {BOUND:?}", began.elapsed());
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian goes when all is done");
    let certificate = certificate(&directory).expect("there is a certificate");
    assert!(
        certificate.is_clean() && certificate.lines.len() == 2,
        "{certificate:?}"
    );
    drop(run);
    bench.finish();
}

#[test]
fn a_run_that_is_not_disturbed_keeps_its_guardian_to_the_end() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut run = bench.run(&memory_limit(&target).replace("60s", "2s"));
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        !said.err.contains("recover"),
        "no other guardian was needed: {}",
        said.err
    );
    assert_eq!(target.look(), before);
    bench.finish();
}

/// The program of a probe is nothing that a guardian undoes: the kernel ends it with the runner.
#[test]
fn the_program_of_a_probe_goes_with_the_runner_that_is_killed() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let started = bench.place().join("started");
    let probe = format!(
        "hypothesis: {{ probes: [ {{ name: slow, command: {{ argv: [/bin/sh, -c, 'echo $$ > {0}.new && mv {0}.new {0} && exec sleep 777'], \
         timeout: 60s }}, expect: '== 0' }} ],",
        started.display()
    );
    let document = memory_limit(&target).replace("hypothesis: {", &probe);
    let mut run = bench.run(&document);
    let pid: u32 = soon(LIMIT, "the probe's program runs", || {
        assert!(!run.process().has_ended().unwrap(), "it said: {}", run.err());
        read(&started)?.trim().parse().ok()
    });
    let program = fracas_linux::process::Process::find(pid).unwrap().expect("it runs");
    Blow::Kill.strike(&run, run.process(), None);
    assert_eq!(run.wait(LIMIT).code, 128 + 9);
    let gone = program.wait(LIMIT).unwrap();
    if !gone {
        program.signal(9).unwrap();
    }
    assert!(gone, "the program of the probe goes on without its runner");
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    bench.finish();
}
