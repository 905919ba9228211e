//! A demo that runs, and what there is of it in the system.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fracas_lab::{eventually, skip};
use fracas_linux::process::Process;

/// A user without a privilege: `nobody` of most systems.
const NOBODY: u32 = 65534;
/// A line of the demo comes at least so often.
const SILENCE: Duration = Duration::from_secs(30);

/// Who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    Nobody,
}

/// What was seen of a demo in the system.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) processes: usize,
    pids: BTreeSet<u32>,
    namespaces: BTreeSet<String>,
}

/// A demo. Killed when dropped.
pub(crate) struct Demo {
    child: Child,
    who: Who,
    /// In the environment of every process of this demo.
    mark: String,
    lines: Receiver<String>,
    text: String,
    home: tempfile::TempDir,
}

impl Demo {
    /// Starts it, if this test may become that user.
    pub(crate) fn start(who: Who) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !fracas_linux::privileges::is_root() {
            skip("the test of the demo becomes root and nobody, for which it needs root");
            return None;
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("FRACAS_TEST_MARK=demo-{}-{count}", std::process::id());
        let home = tempfile::tempdir().unwrap();
        // The way to the build may be closed to others.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = home.path().join("fracas");
        fs::copy(env!("CARGO_BIN_EXE_fracas"), &program).unwrap();
        for directory in ["state", "here"] {
            let path = home.path().join(directory);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            if who == Who::Nobody {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let mut child = command(&program, home.path(), who)
            .arg("demo")
            .envs(mark.split_once('='))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Some(Self {
            child,
            who,
            mark,
            lines,
            text: String::new(),
            home,
        })
    }

    /// Reads its output until a line holds this.
    pub(crate) fn read_until(&mut self, part: &str) -> Result<(), String> {
        loop {
            match self.lines.recv_timeout(SILENCE) {
                Ok(line) => {
                    let found = line.contains(part);
                    self.text.push_str(&line);
                    self.text.push('\n');
                    if found {
                        return Ok(());
                    }
                }
                Err(error) => return Err(format!("{error}: no {part:?} in:\n{}", self.text)),
            }
        }
    }

    /// Sends a signal to the demo itself, and to nobody else.
    pub(crate) fn signal(&self, number: i32) {
        let demo = Process::find(self.child.id()).unwrap().expect("it runs");
        assert!(demo.signal(number).unwrap());
    }

    /// Its exit code; `None` if a signal ended it.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        eventually(limit, "the demo ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // What it still said; the pipe ends with the last process that holds it.
        while let Ok(line) = self.lines.recv_timeout(SILENCE) {
            self.text.push_str(&line);
            self.text.push('\n');
        }
        status.unwrap().code()
    }

    /// Its output so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What there is of it in the system.
    pub(crate) fn look(&self) -> Seen {
        let mut seen = Seen::default();
        for pid in self.processes() {
            seen.processes += 1;
            seen.pids.insert(pid);
            seen.namespaces.extend(namespaces(pid));
        }
        // Those of this test are not the demo's.
        for ours in namespaces(std::process::id()) {
            seen.namespaces.remove(&ours);
        }
        assert_eq!(
            seen.namespaces.len(),
            if self.who == Who::Root { 2 } else { 3 },
            "{seen:?}"
        );
        seen
    }

    /// The processes with the mark.
    fn processes(&self) -> Vec<u32> {
        pids()
            .filter(|pid| {
                let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environ.split(|byte| *byte == 0).any(|one| one == self.mark.as_bytes())
            })
            .collect()
    }

    /// Nothing of what was seen is there any more, and the next command finds nothing to clean.
    pub(crate) fn assert_nothing_left(&self, seen: &Seen) {
        eventually(Duration::from_secs(10), "all processes of the demo are gone", || {
            self.processes().is_empty()
        });
        // A namespace ends with its last process, but for one that is mounted somewhere (namespaces(7)). Its number says nothing
        // then: the kernel gives it to the next.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let left: Vec<_> = seen.namespaces.iter().filter(|one| mounts.contains(*one)).collect();
        assert!(left.is_empty(), "namespaces: {left:?}");
        let groups: Vec<_> = groups()
            .into_iter()
            .filter(|name| {
                seen.pids
                    .iter()
                    .any(|pid| name.starts_with("fracas") && name.contains(&format!("-{pid}")))
            })
            .collect();
        assert!(groups.is_empty(), "control groups: {groups:?}");
        assert_eq!(
            fs::read_dir(self.home.path().join("here")).unwrap().count(),
            0,
            "files where it was started"
        );
        let status = command(&self.home.path().join("fracas"), self.home.path(), self.who)
            .arg("status")
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&status.stdout),
            "nothing is running, nothing was left\n",
            "{}",
            String::from_utf8_lossy(&status.stderr)
        );
        assert!(status.status.success());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It was waited for in a test that went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn command(program: &Path, home: &Path, who: Who) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(home.join("here"))
        .env_remove("FRACAS_STATE")
        .env("HOME", home.join("here"));
    match who {
        Who::Root => command.env("FRACAS_STATE", home.join("state")),
        Who::Nobody => command
            .env("XDG_STATE_HOME", home.join("state"))
            .gid(NOBODY)
            .uid(NOBODY),
    };
    command
}

fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The namespaces of a process that a demo makes; none when it is gone.
fn namespaces(pid: u32) -> Vec<String> {
    ["pid", "net", "user"]
        .iter()
        .filter_map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok())
        .filter_map(|link| link.to_str().map(str::to_owned))
        .collect()
}

/// The names of the control groups below every root.
fn groups() -> Vec<String> {
    let mut names = Vec::new();
    for mount in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        names.push(mount.file_name().to_string_lossy().into_owned());
        for group in fs::read_dir(mount.path()).into_iter().flatten().flatten() {
            names.push(group.file_name().to_string_lossy().into_owned());
        }
    }
    names
}
