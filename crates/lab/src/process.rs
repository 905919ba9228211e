//! Processes for tests: children of the test that run the lab's program.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use fracas_core::target::ProcessIdentity;
use fracas_linux::process;

use crate::app;

/// A child process, killed with all of its descendants and waited for when dropped.
#[derive(Debug)]
pub struct TestProcess {
    child: Child,
    identity: ProcessIdentity,
}

impl TestProcess {
    /// A process that does nothing.
    pub fn sleep() -> io::Result<Self> {
        Self::run(["sleep"])
    }

    /// A process of another user that does nothing. Needs root.
    #[expect(clippy::disallowed_methods, reason = "targets of tests are started by tests only")]
    pub fn sleep_of(user: u32) -> io::Result<Self> {
        // The way to the build may be closed to others: the program is copied, and not needed any more once it runs.
        let copy = std::env::temp_dir().join(crate::unique("fracas-lab-app"));
        std::fs::copy(app(), &copy)?;
        let child = std::process::Command::new(&copy)
            .arg("sleep")
            .current_dir("/")
            .uid(user)
            .gid(user)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let removed = std::fs::remove_file(&copy);
        let process = Self::of(child?)?;
        removed.map(|()| process)
    }

    /// A web server on a free port of loopback, and the port. It accepts connections when this returns.
    pub fn serve() -> io::Result<(Self, u16)> {
        let (process, out) = Self::spawn(["serve", "0"], Stdio::piped())?;
        let mut line = String::new();
        if let Some(out) = out {
            BufReader::new(out).read_line(&mut line)?;
        }
        let port = line
            .trim()
            .parse()
            .map_err(|_| io::Error::other(format!("the server said {line:?} in place of its port")))?;
        Ok((process, port))
    }

    /// The lab's program in any mode; its output goes nowhere. It may not yet have begun when this returns.
    pub fn run<S: AsRef<str>>(mode: impl IntoIterator<Item = S>) -> io::Result<Self> {
        Self::spawn(mode, Stdio::null()).map(|(process, _)| process)
    }

    #[expect(clippy::disallowed_methods, reason = "targets of tests are started by tests only")]
    fn spawn<S: AsRef<str>>(
        mode: impl IntoIterator<Item = S>,
        out: Stdio,
    ) -> io::Result<(Self, Option<std::process::ChildStdout>)> {
        let mut command = std::process::Command::new(app());
        command.args(mode.into_iter().map(|word| word.as_ref().to_owned()));
        let mut child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn()?;
        let out = child.stdout.take();
        Self::of(child).map(|process| (process, out))
    }

    fn of(mut child: Child) -> io::Result<Self> {
        // A child that was not waited for keeps its pid, so this is it.
        match process::identity(child.id()) {
            Ok(Some(identity)) => Ok(Self { child, identity }),
            other => {
                child.kill()?;
                child.wait()?;
                Err(other
                    .err()
                    .unwrap_or_else(|| io::Error::other("the child has no identity")))
            }
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Which process it is, exactly.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// Whether it has ended; a child that ended is waited for, and its pid is free then.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        self.child.try_wait().map(|status| status.is_some())
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // The tree while its root still holds it together. What a drop cannot do, nobody can: errors have no reader here.
        let below = process::descendants(self.identity.pid).unwrap_or_default();
        let _gone = self.child.kill();
        for process in below {
            if let Ok(Some(process)) = process::Process::open(&process.identity) {
                let _gone = process.signal(9);
            }
        }
        let _reaped = self.child.wait();
    }
}
