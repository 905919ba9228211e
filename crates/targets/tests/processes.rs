//! Discovery and following on real processes.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use fracas_core::experiment::{BlastRadius, ProcessSelector, Selector, TargetSpec};
use fracas_core::seed::Seed;
use fracas_core::target::Kind;
use fracas_lab::{TestGroup, TestProcess, eventually, skip};
use fracas_linux::cgroup::Controller;
use fracas_linux::process;
use fracas_targets::{Chosen, Followed, discover, follow};

const SOON: Duration = Duration::from_secs(10);

async fn find(selector: ProcessSelector) -> fracas_core::problem::Result<Chosen> {
    let spec = TargetSpec {
        alias: "it".into(),
        selector: Selector::Process(selector),
        blast_radius: BlastRadius::default(),
    };
    let found = discover(&[spec], &[], None, Seed(1)).await?;
    Ok(found.chosen.into_iter().next().expect("one alias, one choice"))
}

fn pids(chosen: &Chosen) -> Vec<u32> {
    let mut pids: Vec<u32> = chosen.targets.iter().map(|target| target.process().pid).collect();
    pids.sort_unstable();
    pids
}

/// A process whose command line no other test has. Ready: it runs its own program, not yet ours between fork and exec.
fn marked(mark: &str) -> TestProcess {
    let process = TestProcess::run(["log", mark, "60000"]).unwrap();
    eventually(SOON, "the program runs", || {
        process::status(process.pid())
            .unwrap()
            .is_some_and(|now| now.command.contains(mark))
    });
    process
}

fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

fn by_command(mark: &str) -> ProcessSelector {
    ProcessSelector {
        command: Some(format!(".* log {mark} .*")),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_command_finds_its_processes_oldest_first_and_one_that_ended_is_gone() {
    let mark = mark("command");
    let first = marked(&mark);
    // Starts are counted in ticks of 10 ms: the second waits for another tick.
    eventually(SOON, "another tick", || {
        let probe = TestProcess::sleep().unwrap();
        probe.identity().start > first.identity().start
    });
    let second = marked(&mark);
    let chosen = find(by_command(&mark)).await.unwrap();
    assert_eq!(chosen.targets.len(), 2);
    for (target, process, rank) in [(&chosen.targets[0], &first, 1), (&chosen.targets[1], &second, 2)] {
        assert_eq!(target.process(), process.identity());
        assert!(
            target.identity.ends_with(&format!(" log {mark} 60000 #{rank}")),
            "{}",
            target.identity
        );
        assert!(matches!(&target.kind, Kind::Process(found) if found.command.ends_with(&format!("log {mark} 60000"))));
    }
    // The whole command line must match, not a part of it.
    let part = ProcessSelector {
        command: Some(mark.clone()),
        ..Default::default()
    };
    assert_eq!(find(part).await.unwrap_err().code.id, "T001");

    let target = &chosen.targets[0];
    assert_eq!(follow(target, None).await.unwrap(), Followed::Same);
    drop(first);
    assert_eq!(follow(target, None).await.unwrap(), Followed::Gone);
    assert_eq!(follow(&chosen.targets[1], None).await.unwrap(), Followed::Same);
}

#[tokio::test]
async fn a_name_must_match_with_everything_else() {
    let mark = mark("name");
    let process = marked(&mark);
    let named = |name: &str| ProcessSelector {
        name: Some(name.into()),
        ..by_command(&mark)
    };
    // Names are cut after 15 bytes by the kernel.
    assert_eq!(pids(&find(named("fracas-lab-app")).await.unwrap()), [process.pid()]);
    assert_eq!(find(named("fracas")).await.unwrap_err().code.id, "T001");
}

#[tokio::test]
async fn a_port_finds_who_listens_on_it() {
    let (server, port) = TestProcess::serve().unwrap();
    let on = |port| ProcessSelector {
        port: Some(port),
        ..Default::default()
    };
    assert_eq!(pids(&find(on(port)).await.unwrap()), [server.pid()]);
    drop(server);
    let problem = find(on(port)).await.unwrap_err();
    assert_eq!(problem.code.id, "T001");
    assert!(
        problem.line().contains(&format!("nobody listens on port {port}")),
        "{}",
        problem.line()
    );
}

#[tokio::test]
async fn a_pid_file_finds_its_process_and_names_it_outright() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.pid");
    let process = TestProcess::sleep().unwrap();
    let selector = ProcessSelector {
        pid_file: Some(path.to_str().unwrap().into()),
        ..Default::default()
    };
    std::fs::write(&path, format!("{}\n", process.pid())).unwrap();
    assert_eq!(pids(&find(selector.clone()).await.unwrap()), [process.pid()]);

    for (protected, why) in [(1, "first process"), (std::process::id(), "Fracas itself")] {
        std::fs::write(&path, protected.to_string()).unwrap();
        let problem = find(selector.clone()).await.unwrap_err();
        assert_eq!(problem.code.id, "T002");
        assert!(problem.line().contains(why), "{}", problem.line());
    }
    let pid = process.pid();
    drop(process);
    std::fs::write(&path, pid.to_string()).unwrap();
    let problem = find(selector.clone()).await.unwrap_err();
    assert_eq!(problem.code.id, "T001", "{}", problem.line());
    std::fs::write(&path, "nobody").unwrap();
    assert_eq!(find(selector).await.unwrap_err().code.id, "T003");
}

#[tokio::test]
async fn a_control_group_and_a_unit_are_found_by_path() {
    let Some(group) = TestGroup::new(&[Controller::Pids]).unwrap() else {
        return skip("no control group can be made");
    };
    let process = TestProcess::sleep().unwrap();
    let _outside = TestProcess::sleep().unwrap();
    group.add(&process).unwrap();
    let in_group = |path: String| ProcessSelector {
        cgroup: Some(path),
        ..Default::default()
    };
    // Where the machine is itself a container, groups lie below its own.
    let root = fracas_linux::cgroup::of(process.pid(), Controller::Pids)
        .unwrap()
        .unwrap();
    assert_eq!(root.identity(), group.group(Controller::Pids).unwrap().identity());
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", process.pid())).unwrap();
    let path = groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .find(|path| path.ends_with(group.name()))
        .unwrap();
    assert_eq!(pids(&find(in_group(path.to_owned())).await.unwrap()), [process.pid()]);
    assert_eq!(
        pids(&find(in_group(format!("{path}/"))).await.unwrap()),
        [process.pid()]
    );
    let shorter = path[..path.len() - 1].to_owned();
    assert_eq!(find(in_group(shorter)).await.unwrap_err().code.id, "T001");

    // A unit is a part of the path with the unit's name.
    let unit = ProcessSelector {
        systemd_unit: Some(format!("{}.service", group.name())),
        ..Default::default()
    };
    assert_eq!(find(unit.clone()).await.unwrap_err().code.id, "T001");
    let below = group.group(Controller::Pids).unwrap();
    let name = format!("{}.service", group.name());
    let service = below.child(&name).unwrap();
    service.add(process.pid()).unwrap();
    assert_eq!(pids(&find(unit).await.unwrap()), [process.pid()]);
    let short = ProcessSelector {
        systemd_unit: Some(group.name().to_owned()),
        ..Default::default()
    };
    assert_eq!(pids(&find(short).await.unwrap()), [process.pid()]);
    below.add(process.pid()).unwrap();
    below.remove_child(&name).unwrap();
}

#[tokio::test]
async fn a_stopped_process_is_left_out() {
    let mark = mark("stopped");
    let process = marked(&mark);
    let held = process::Process::open(process.identity()).unwrap().unwrap();
    held.signal(19).unwrap();
    eventually(SOON, "it is stopped", || {
        process::status(process.pid()).unwrap().unwrap().state == 'T'
    });
    let problem = find(by_command(&mark)).await.unwrap_err();
    assert_eq!(problem.code.id, "T001");
    assert!(problem.line().contains("stopped"), "{}", problem.line());
}

#[tokio::test]
async fn the_ancestors_of_fracas_are_protected() {
    let parent = process::status(std::process::id()).unwrap().unwrap().parent;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("parent.pid");
    std::fs::write(&path, parent.to_string()).unwrap();
    let selector = ProcessSelector {
        pid_file: Some(path.to_str().unwrap().into()),
        ..Default::default()
    };
    let problem = find(selector).await.unwrap_err();
    assert_eq!(problem.code.id, "T002", "{}", problem.line());
}
