//! Workers, for real: this test binary starts itself, as the binary of Fracas does. It has its own `main`, for a worker must not
//! be a test. It understands as much of a test runner's command line as `cargo test` and nextest use.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a test, though one with its own main"
)]

mod own_main;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fracas_linux::cgroup::{self, Controller};
use fracas_linux::child::{self, Stderr, WorkerOptions, start_worker};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule, Table, Version};
use fracas_linux::netlink::Netlink;
use fracas_linux::process::{self, Process};
use fracas_linux::queue::{self, Queue};
use fracas_linux::{guard, limits, privileges, signals};

const LIMIT: Duration = Duration::from_secs(10);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, name, rest @ ..] = &arguments[..]
        && word == "worker"
    {
        return match rest {
            [] => worker(name),
            [number] => inner(number),
            _ => panic!("no worker has so many arguments"),
        };
    }
    let tests: [(&str, fn()); 14] = [
        ("packet_rules_and_queues_go_with_a_killed_process", packet_rules),
        ("who_moves_apart_keeps_what_listens_outside", apart),
        ("a_listener_is_taken_only_if_it_was_handed_over", not_handed_over),
        ("a_worker_has_its_socket_and_nothing_else", nothing_else),
        (
            "a_worker_is_in_its_group_and_session_from_the_beginning",
            group_and_session,
        ),
        ("a_worker_ends_with_the_thread_that_started_it", dies_with_parent),
        ("a_worker_is_reaped", reaped),
        ("a_program_that_is_not_there_is_an_error", not_there),
        ("standard_error_and_environment_are_what_was_asked_for", stderr_and_env),
        ("a_worker_can_be_the_first_to_go", oom_score),
        ("a_guardian_is_in_groups_of_its_own_until_it_leaves", entrenched),
        ("the_groups_of_a_killed_guardian_are_swept", swept),
        ("a_group_can_be_written_without_a_free_descriptor", starved),
        ("requests_to_stop_are_heard_and_a_terminal_can_be_ignored", signals),
    ];
    own_main::run(&tests);
}

/// What the workers of these tests do: they say something, and end when their socket ends.
fn worker(name: &str) {
    let mut socket = child::parent_socket().expect("a socket");
    child::set_name("fracas-test").unwrap();
    assert!(child::parent_socket().is_err(), "only once");
    let say = match name {
        "descriptors" => {
            let mut open: Vec<String> = std::fs::read_dir("/proc/self/fd")
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter_map(|path| std::fs::read_link(path).ok())
                .map(|link| link.display().to_string())
                .map(|link| link.split(':').next().unwrap_or_default().to_owned())
                .collect();
            open.sort();
            open.join(" ")
        }
        "variable" => {
            eprintln!("to standard error");
            std::env::var("FRACAS_TEST").unwrap_or_default()
        }
        "oom" => std::fs::read_to_string("/proc/self/oom_score_adj").unwrap(),
        "guardian" => return guardian(socket),
        "apart" => return stage(socket),
        "ignores" => {
            signals::ignore_terminal().unwrap();
            "here".to_owned()
        }
        "restores" => {
            signals::ignore_terminal().unwrap();
            signals::restore().unwrap();
            "here".to_owned()
        }
        "listens" => return listens(socket),
        "rules" => return holds_rules(socket),
        "starved" => {
            write_without_descriptors();
            "written".to_owned()
        }
        _ => "here".to_owned(),
    };
    writeln!(socket, "{}", say.trim()).unwrap();
    // Until the other end closes.
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
}

/// Moves apart and starts the init of its pid namespace with a listener from outside.
fn stage(mut socket: UnixStream) {
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    fracas_linux::apart::move_apart().unwrap();
    let arguments = ["inner".to_owned(), child::number(&outside).to_string()];
    let mut init = child::start_inner(&arguments, Stdio::null(), Some(&outside), &[]).unwrap();
    assert!(init.try_reap().unwrap().is_none());
    writeln!(socket, "{port} {}", init.pid()).unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
}

/// Tells whoever connects from outside what it is inside.
fn inner(number: &str) {
    let number = number.parse().unwrap();
    let outside = child::take_listener(number).unwrap();
    assert!(child::take_listener(number).is_err(), "only once");
    // Loopback of the new network namespace is up.
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(inside.local_addr().unwrap()).is_ok();
    let (mut peer, _) = outside.accept().unwrap();
    write!(peer, "{} {here}", std::process::id()).unwrap();
    drop(peer);
    // Until it is killed.
    let _ = inside.accept().unwrap();
    let _ = inside.accept();
}

/// Where a worker finds the namespace that the test made.
const NAMESPACE: &str = "FRACAS_TEST_NAMESPACE";

/// Holds a table of packet rules and the queue that it gives packets to.
fn holds_rules(mut socket: UnixStream) {
    let file = std::fs::File::open(std::env::var(NAMESPACE).unwrap()).unwrap();
    let namespace = NetNamespace::from_file(file.into()).unwrap();
    let _held = namespace
        .within(|| {
            let queue = Queue::open(1, &queue::Options::default())?;
            let chain = Chain {
                name: "output".to_owned(),
                hook: Hook::Output,
                priority: 0,
                rules: vec![Rule {
                    matches: vec![Match::Version(Version::V4)],
                    action: Action::Queue(1),
                    counted: true,
                }],
            };
            Ok((queue, Table::make("killed", &[chain])?))
        })
        .unwrap();
    writeln!(socket, "here").unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
}

fn packet_rules() {
    if !privileges::missing(&[privileges::Capability::SysAdmin, privileges::Capability::NetAdmin])
        .unwrap()
        .is_empty()
    {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true forbids to skip");
        return println!("skipped: no privileges for network namespaces");
    }
    let namespace = NetNamespace::make().unwrap();
    let file = std::os::fd::AsFd::as_fd(&namespace);
    let path = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        std::os::fd::AsRawFd::as_raw_fd(&file)
    );
    let options = WorkerOptions {
        env: vec![(NAMESPACE.to_owned(), path)],
        ..WorkerOptions::default()
    };
    let mut worker = start_worker("rules", options).unwrap();
    assert_eq!(line(&mut worker), "here");
    let left = || {
        let look = || Ok((Netlink::netfilter()?.has_table("killed")?, queue::listeners()?.len()));
        namespace.within(look).unwrap()
    };
    assert_eq!(left(), (true, 1));
    worker.process.signal(libc::SIGKILL).unwrap();
    assert_eq!(worker.reap(LIMIT).unwrap().unwrap().signal(), Some(libc::SIGKILL));
    // Whoever has seen it end sees nothing else of it: its descriptors are closed before.
    assert_eq!(left(), (false, 0));
}

fn apart() {
    let mut worker = start_worker("apart", WorkerOptions::default()).unwrap();
    let said = line(&mut worker);
    let (port, pid) = said.trim().split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    let init = Process::find(pid).unwrap().expect("it waits for a connection");
    let mut text = String::new();
    let mut peer = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "1 true", "the first process of its namespace, with a loopback");
    assert_eq!(process::in_same_pid_namespace(pid).unwrap(), Some(false));
    // Killed, its parent cannot end it: the kernel does.
    worker.process.signal(libc::SIGKILL).unwrap();
    assert!(worker.reap(LIMIT).unwrap().is_some());
    assert!(init.wait(LIMIT).unwrap());
}

fn not_handed_over() {
    for number in [-1, 0, 1, 2, 1_000_000] {
        assert!(child::take_listener(number).is_err(), "{number}");
    }
    let own = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(child::take_listener(child::number(&own)).is_err(), "ours already");
}

/// Entrenches itself, says how, and leaves when it is asked to.
fn guardian(mut socket: UnixStream) {
    let mut spare = guard::Spare::keep(8).unwrap();
    let entrenched = guard::entrench();
    let groups = entrenched
        .own_cgroup
        .as_ref()
        .map(|made| made.iter().map(|group| group.path.clone()).collect::<Vec<_>>());
    let session = entrenched.session.is_ok();
    let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let score_is_told = match &entrenched.oom_score_adj {
        Ok(value) => *value == -1000 && score.trim() == "-1000",
        Err(text) => text.contains(&format!("stays at {} ", score.trim())),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let locked: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:")?.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap();
    let locked_is_told = entrenched.mlocked.is_ok() == (locked > 0);
    let said = groups.map_or_else(|error| format!("ERROR {error}"), |groups| groups.join(" "));
    writeln!(socket, "{session} {score_is_told} {locked_is_told} {said}").unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    spare.release();
    guard::leave(entrenched).unwrap();
}

/// Uses up all descriptors, then writes a file of a group with what was kept in hand.
fn write_without_descriptors() {
    let root = cgroup::root(Controller::Pids).unwrap().unwrap();
    let name = format!("fracas-test-starved-{}", std::process::id());
    let group = root.child(&name).unwrap();
    let mut spare = guard::Spare::keep(2).unwrap();
    assert!(limits::set_descriptor_soft_limit(std::process::id(), 40).unwrap());
    let mut taken = Vec::new();
    let refused = loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => break error,
        }
    };
    let write = group.write("pids.max", "7");
    spare.release();
    let again = group.write("pids.max", "8");
    let value = group.read("pids.max");
    drop(taken);
    assert!(root.remove_child(&name).unwrap());
    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
    assert_eq!(fracas_linux::error::errno(&write.unwrap_err()), Some(libc::EMFILE));
    again.unwrap();
    assert_eq!(value.unwrap(), "8");
}

fn listens(mut socket: UnixStream) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut stops = signals::Stops::listen().unwrap();
        writeln!(socket, "here").unwrap();
        for expected in [
            signals::Stop::Terminate,
            signals::Stop::Interrupt,
            signals::Stop::Hangup,
        ] {
            assert_eq!(stops.next().await, expected);
            writeln!(socket, "{expected:?}").unwrap();
        }
    });
}

/// The line that a worker says.
fn line(worker: &mut child::Worker) -> String {
    worker.socket.set_read_timeout(Some(LIMIT)).unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while worker.socket.read(&mut byte).expect("an answer in time") == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Closes the socket and expects a good end.
fn finish(mut worker: child::Worker) {
    worker.socket.shutdown(std::net::Shutdown::Both).unwrap();
    let status = worker.reap(LIMIT).unwrap().expect("it ends with its socket");
    assert!(status.success(), "{status}");
}

fn nothing_else() {
    // A descriptor without close-on-exec, as a library might leave one.
    let leak = std::fs::File::open("/proc/self/stat").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let options = WorkerOptions {
        stderr: Stderr::Null,
        ..WorkerOptions::default()
    };
    let mut worker = start_worker("descriptors", options).unwrap();
    let open = line(&mut worker);
    // 0, 1 and 2, the socket, and the directory that is being listed.
    let listed = format!(
        "/dev/null /dev/null /dev/null /proc/{}/fd socket",
        worker.process.identity().pid
    );
    assert_eq!(open, listed);
    let status = process::status(worker.process.identity().pid).unwrap().unwrap();
    assert_eq!(
        (status.comm.as_str(), status.command.as_str()),
        ("fracas-test", "fracas worker descriptors")
    );
    finish(worker);
}

fn group_and_session() {
    let Some(root) = cgroup::root(Controller::Pids)
        .unwrap()
        .filter(|_| rustix::process::geteuid().is_root())
    else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "CI must be able to make groups"
        );
        println!("skipped: no root, or no pids controller");
        return;
    };
    let name = format!("fracas-test-worker-{}", std::process::id());
    let group = root.child(&name).unwrap();
    let options = WorkerOptions {
        own_session: true,
        cgroups: vec![root.find_child(&name).unwrap().unwrap()],
        ..WorkerOptions::default()
    };
    let mut worker = start_worker("group", options).unwrap();
    let pid = worker.process.identity().pid;
    let seen = group.processes().unwrap();
    line(&mut worker);
    let raw = rustix::process::Pid::from_raw(pid as i32).unwrap();
    assert_eq!(rustix::process::getsid(Some(raw)).unwrap(), raw);
    finish(worker);
    assert!(root.remove_child(&name).unwrap());
    assert_eq!(seen, [pid]);
}

fn dies_with_parent() {
    let start = || {
        let options = WorkerOptions {
            die_with_parent: true,
            ..WorkerOptions::default()
        };
        let mut worker = start_worker("child", options).unwrap();
        assert_eq!(line(&mut worker), "here");
        assert!(!worker.process.has_ended().unwrap());
        worker
    };
    let mut worker = std::thread::spawn(start).join().unwrap();
    let status = worker.reap(LIMIT).unwrap().expect("killed by the kernel");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

fn reaped() {
    let mut worker = start_worker("plain", WorkerOptions::default()).unwrap();
    line(&mut worker);
    assert!(worker.try_reap().unwrap().is_none());
    let id = worker.process.identity().clone();
    worker.process.signal(libc::SIGTERM).unwrap();
    assert_eq!(worker.reap(LIMIT).unwrap().unwrap().signal(), Some(libc::SIGTERM));
    assert!(worker.try_reap().unwrap().is_some(), "may be asked again");
    assert!(Process::open(&id).unwrap().is_none(), "no zombie is left");

    let mut worker = start_worker("plain", WorkerOptions::default()).unwrap();
    line(&mut worker);
    let id = worker.process.identity().clone();
    worker.process.signal(libc::SIGKILL).unwrap();
    assert!(worker.process.wait(LIMIT).unwrap());
    drop(worker);
    assert!(Process::open(&id).unwrap().is_none(), "no zombie is left by a drop");
}

fn not_there() {
    let options = WorkerOptions {
        program: Some("/nowhere/fracas".into()),
        ..WorkerOptions::default()
    };
    let error = start_worker("plain", options).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("cannot start the worker plain"), "{error}");
}

fn stderr_and_env() {
    let mut file = tempfile::tempfile().unwrap();
    let options = WorkerOptions {
        stderr: Stderr::File(file.try_clone().unwrap()),
        env: vec![("FRACAS_TEST".into(), "yes".into())],
        ..WorkerOptions::default()
    };
    let mut worker = start_worker("variable", options).unwrap();
    assert_eq!(line(&mut worker), "yes");
    finish(worker);
    let mut said = String::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_string(&mut said).unwrap();
    assert_eq!(said, "to standard error\n");
}

fn oom_score() {
    let begin = Instant::now();
    let options = WorkerOptions {
        oom_score_adj: Some(1000),
        ..WorkerOptions::default()
    };
    let mut worker = start_worker("oom", options).unwrap();
    assert_eq!(line(&mut worker), "1000");
    finish(worker);
    assert!(begin.elapsed() < LIMIT);
}

/// A worker that has entrenched itself, and the paths of its groups. `None`, after a line that says so, where that is impossible.
fn start_guardian() -> Option<(child::Worker, Vec<std::path::PathBuf>)> {
    if !privileges::is_root() || cgroup::layout().unwrap().controllers.is_empty() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "CI must be able to make groups"
        );
        println!("skipped: no root, or no control groups");
        return None;
    }
    let mut worker = start_worker("guardian", WorkerOptions::default()).unwrap();
    let said = line(&mut worker);
    let paths = said.strip_prefix("true true true ").unwrap_or_else(|| panic!("{said}"));
    assert!(!paths.starts_with("ERROR") && !paths.is_empty(), "{said}");
    Some((worker, paths.split(' ').map(Into::into).collect()))
}

fn entrenched() {
    let Some((worker, groups)) = start_guardian() else {
        return;
    };
    let pid = worker.process.identity().pid;
    for group in &groups {
        assert!(
            group.ends_with(format!("{}{pid}", guard::GROUP_PREFIX)),
            "{}",
            group.display()
        );
        assert_eq!(
            std::fs::read_to_string(group.join("cgroup.procs")).unwrap().trim(),
            pid.to_string()
        );
    }
    let memory = cgroup::of(pid, Controller::Memory).unwrap();
    assert!(memory.is_none_or(|memory| groups.iter().any(|group| group == memory.path())));
    guard::sweep().unwrap();
    assert!(
        groups.iter().all(|group| group.exists()),
        "a living guardian keeps its groups"
    );
    // Also one that it has made and not yet joined.
    let root = cgroup::root(Controller::Pids).unwrap().unwrap();
    let own = root
        .find_child(&format!("{}{pid}", guard::GROUP_PREFIX))
        .unwrap()
        .unwrap();
    root.add(pid).unwrap();
    assert_eq!(own.processes().unwrap(), Vec::<u32>::new());
    guard::sweep().unwrap();
    assert!(own.path().exists(), "an empty group of a living guardian is left");
    own.add(pid).unwrap();
    finish(worker);
    assert!(!groups.iter().any(|group| group.exists()), "nothing is left");
}

fn swept() {
    let Some((mut worker, groups)) = start_guardian() else {
        return;
    };
    worker.process.signal(libc::SIGKILL).unwrap();
    assert!(worker.reap(LIMIT).unwrap().is_some());
    assert!(groups.iter().all(|group| group.exists()));
    guard::sweep().unwrap();
    assert!(!groups.iter().any(|group| group.exists()), "nothing is left");
}

fn starved() {
    if !privileges::is_root() || cgroup::root(Controller::Pids).unwrap().is_none() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "CI must be able to make groups"
        );
        println!("skipped: no root, or no pids controller");
        return;
    }
    let mut worker = start_worker("starved", WorkerOptions::default()).unwrap();
    assert_eq!(line(&mut worker), "written");
    finish(worker);
}

fn signals() {
    let mut worker = start_worker("listens", WorkerOptions::default()).unwrap();
    assert_eq!(line(&mut worker), "here");
    for (signal, heard) in [
        (libc::SIGTERM, "Terminate"),
        (libc::SIGINT, "Interrupt"),
        (libc::SIGHUP, "Hangup"),
    ] {
        worker.process.signal(signal).unwrap();
        assert_eq!(line(&mut worker), heard);
    }
    assert!(worker.reap(LIMIT).unwrap().unwrap().success());

    let mut worker = start_worker("ignores", WorkerOptions::default()).unwrap();
    line(&mut worker);
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP] {
        worker.process.signal(signal).unwrap();
    }
    finish(worker);

    let mut worker = start_worker("restores", WorkerOptions::default()).unwrap();
    line(&mut worker);
    worker.process.signal(libc::SIGHUP).unwrap();
    assert_eq!(worker.reap(LIMIT).unwrap().unwrap().signal(), Some(libc::SIGHUP));
}
