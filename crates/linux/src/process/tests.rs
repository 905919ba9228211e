use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::Duration;

use super::*;

/// A child that sleeps, ended and waited for when the test is over, however it ends.
struct Sleeper(Child);

impl Sleeper {
    #[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
    fn start() -> Self {
        Self(Command::new("/bin/sleep").arg("1000").spawn().expect("/bin/sleep"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn end(&mut self) {
        // Both may say that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_process_is_held_until_it_ends_and_not_beyond() {
    let mut sleeper = Sleeper::start();
    let id = identity(sleeper.pid()).unwrap().expect("it runs");
    let process = Process::open(&id).unwrap().expect("it runs");
    assert_eq!(process.identity(), &id);
    assert!(!process.has_ended().unwrap());
    assert!(!process.wait(Duration::from_millis(10)).unwrap());
    assert!(process.signal(libc::SIGKILL).unwrap());
    assert!(process.wait(Duration::from_secs(10)).unwrap(), "a zombie has ended");
    sleeper.end();
    assert!(process.has_ended().unwrap());
    assert!(
        !process.signal(libc::SIGTERM).unwrap(),
        "nobody is left to be signalled"
    );
    assert!(Process::open(&id).unwrap().is_none());
    assert_eq!(identity(id.pid).unwrap(), None);
}

#[test]
fn another_start_or_another_boot_is_another_process() {
    let sleeper = Sleeper::start();
    let id = identity(sleeper.pid()).unwrap().expect("it runs");
    let mut reused = id.clone();
    reused.start -= 1;
    assert!(Process::open(&reused).unwrap().is_none());
    let mut rebooted = id.clone();
    rebooted.boot = "00000000-0000-0000-0000-000000000000".into();
    assert!(Process::open(&rebooted).unwrap().is_none());
    assert!(Process::open(&id).unwrap().is_some());
}

#[test]
fn pids_that_cannot_be_are_nobody() {
    for pid in [0, u32::MAX, i32::MAX as u32] {
        assert!(Process::find(pid).unwrap().is_none(), "{pid}");
        assert_eq!(status(pid).unwrap(), None);
    }
}

#[test]
fn a_number_that_is_no_signal_is_refused() {
    let sleeper = Sleeper::start();
    let process = Process::find(sleeper.pid()).unwrap().unwrap();
    assert_eq!(process.signal(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(process.signal(-9).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn the_end_can_be_awaited() {
    let sleeper = Sleeper::start();
    let process = Process::find(sleeper.pid()).unwrap().unwrap();
    runtime().block_on(async {
        let early = tokio::time::timeout(Duration::from_millis(20), process.ended()).await;
        assert!(early.is_err(), "it still runs");
        process.signal(libc::SIGKILL).unwrap();
        tokio::time::timeout(Duration::from_secs(10), process.ended())
            .await
            .expect("in time")
            .unwrap();
        // And again, after the end.
        process.ended().await.unwrap();
    });
}

#[test]
fn a_status_says_who_it_is_and_descendants_come_after_their_parents() {
    let sleeper = Sleeper::start();
    let process = Process::find(sleeper.pid()).unwrap().unwrap();
    // Between fork and exec the child still looks like us: the name and the arguments change at exec, one after the other.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let seen = loop {
        let seen = status(sleeper.pid()).unwrap().expect("it runs");
        if seen.command == "/bin/sleep 1000" || std::time::Instant::now() > deadline {
            break seen;
        }
        process.wait(Duration::from_millis(1)).unwrap();
    };
    assert_eq!(
        (seen.command.as_str(), seen.comm.as_str()),
        ("/bin/sleep 1000", "sleep")
    );
    assert_eq!((seen.parent, seen.threads), (std::process::id(), 1));
    assert_eq!(seen.uid, rustix::process::geteuid().as_raw());
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get() as u32;
    let family = descendants(parent).unwrap();
    let place = |pid| {
        family
            .iter()
            .position(|process| process.identity.pid == pid)
            .expect("in the family")
    };
    assert!(place(std::process::id()) < place(sleeper.pid()));
    assert!(all().unwrap().iter().any(|process| process.identity == seen.identity));
}

#[test]
fn the_name_of_a_process_cannot_lie_about_the_other_fields() {
    let line = "7 (a) R 1 (b) S 42 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 3 0 9876 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 95 0";
    let stat = status::parse_stat(line).unwrap();
    assert_eq!(stat.comm, "a) R 1 (b");
    assert_eq!((stat.state, stat.parent, stat.threads, stat.start), ('S', 42, 3, 9876));
    assert!(!stat.has_empty_environment);
    assert!(status::parse_stat("7 (a) S 42").is_none());
    let reaped = "7 (a) X 0 -1 -1 0 -1 4227084 821 0 0 0 0 0 0 0 20 0 0 0 1921204 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 9";
    let stat = status::parse_stat(reaped).unwrap();
    assert_eq!(
        (stat.state, stat.parent, stat.session, stat.start),
        ('X', 0, -1, 1_921_204)
    );
    assert!(status::parse_stat("").is_none());
}

#[test]
fn command_lines_are_joined_by_spaces() {
    assert_eq!(
        status::join(b"/bin/sleep\x001000\0").as_deref(),
        Some("/bin/sleep 1000")
    );
    assert_eq!(status::join(b"a\0\0b\0").as_deref(), Some("a  b"));
    assert_eq!(status::join(b"title \xff").as_deref(), Some("title \u{fffd}"));
    assert_eq!(status::join(b"\0\0"), None);
    assert_eq!(status::join(b""), None);
}

#[test]
fn descriptors_are_counted() {
    let sleeper = Sleeper::start();
    assert_eq!(
        open_descriptors(sleeper.pid()).unwrap().map(|count| count > 0),
        Some(true)
    );
    assert_eq!(open_descriptors(0x7fff_fff0).unwrap(), None);
}

#[test]
fn we_are_in_our_own_pid_namespace() {
    assert_eq!(in_same_pid_namespace(std::process::id()).unwrap(), Some(true));
    assert_eq!(pid_namespace(0x7fff_fff0).unwrap(), None);
}

#[test]
fn listeners_on_both_families_are_found() {
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = four.local_addr().unwrap().port();
    assert!(listeners(port).unwrap().contains(&std::process::id()));
    drop(four);
    if let Ok(six) = TcpListener::bind("[::1]:0") {
        let port = six.local_addr().unwrap().port();
        assert!(listeners(port).unwrap().contains(&std::process::id()));
    }
}

#[test]
fn only_listening_sockets_of_the_port_count() {
    let line = |local: &str, state: &str| {
        format!("  0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0  0 4711 1 0 100 0")
    };
    assert_eq!(
        listeners::listening_inode(&line("0100007F:1F90", "0A"), 8080),
        Some(4711)
    );
    assert_eq!(
        listeners::listening_inode(&line("00000000000000000000000001000000:1F90", "0A"), 8080),
        Some(4711)
    );
    assert_eq!(listeners::listening_inode(&line("0100007F:1F90", "01"), 8080), None);
    assert_eq!(listeners::listening_inode(&line("0100007F:1F91", "0A"), 8080), None);
    assert_eq!(listeners::listening_inode("nonsense", 8080), None);
}
