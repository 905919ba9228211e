//! The lab's processes and groups do what they say and leave nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use fracas_lab::{TestGroup, TestProcess, eventually, skip};
use fracas_linux::cgroup::{self, Controller};
use fracas_linux::process;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_process_is_killed_and_reaped_with_its_children_when_dropped() {
    let parent = TestProcess::run(["fork", "3"]).unwrap();
    eventually(SOON, "the children run their program", || {
        let children = process::descendants(parent.pid()).unwrap();
        children.len() == 3 && children.iter().all(|child| child.command.ends_with(" sleep"))
    });
    let identity = parent.identity().clone();
    let children = process::descendants(parent.pid()).unwrap();
    drop(parent);
    assert_eq!(process::identity(identity.pid).unwrap(), None);
    for child in children {
        eventually(SOON, "a child is gone", || {
            process::status(child.identity.pid)
                .unwrap()
                .is_none_or(|now| now.identity != child.identity || now.state == 'Z')
        });
    }
}

#[test]
fn sigterm_ends_a_process_at_once_unless_it_ignores_it() {
    let mut polite = TestProcess::sleep().unwrap();
    let stubborn = TestProcess::run(["--ignore-term", "sleep"]).unwrap();
    // SigCgt in proc_pid_status(5): bit 14 is SIGTERM, number 15.
    let catches = |pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0
    };
    for pid in [polite.pid(), stubborn.pid()] {
        eventually(SOON, "the handler is there", || catches(pid));
        process::Process::find(pid).unwrap().unwrap().signal(15).unwrap();
    }
    eventually(SOON, "the polite one has ended", || polite.has_ended().unwrap());
    let now = process::status(stubborn.pid()).unwrap().unwrap();
    assert_eq!((&now.identity, now.state != 'Z'), (stubborn.identity(), true));
}

#[test]
fn a_server_shows_the_value_that_it_was_told() {
    let (_server, port) = TestProcess::serve().unwrap();
    let get = |path: &str| {
        let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(peer, "GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
        let mut text = String::new();
        peer.read_to_string(&mut text).unwrap();
        text
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get("/metrics").contains("\napp_value 1\n"));
    get("/set?value=0");
    let metrics = get("/metrics");
    assert!(metrics.contains("\napp_value 0\n"), "{metrics}");
    assert!(metrics.contains("\napp_requests_total 4\n"), "{metrics}");
}

#[test]
fn a_group_holds_a_process_and_goes_with_the_test() {
    let controllers = [Controller::Memory, Controller::Pids];
    let Some(group) = TestGroup::new(&controllers).unwrap() else {
        return skip("no control group can be made");
    };
    let process = TestProcess::sleep().unwrap();
    group.add(&process).unwrap();
    let mut paths = Vec::new();
    for controller in controllers {
        let found = cgroup::of(process.pid(), controller).unwrap().unwrap();
        let ours = group.group(controller).unwrap();
        assert_eq!(found.identity(), ours.identity());
        paths.push(ours.path().to_owned());
    }
    drop(group);
    assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
}
