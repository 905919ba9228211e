//! Starting a worker, and taking note of its end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};

use super::{Stderr, WorkerOptions};
use crate::error::Context;
use crate::process::Process;

/// A worker that was started.
///
/// Dropping it lets the worker run on (it sees the end of its socket); one that has ended is reaped.
#[derive(Debug)]
pub struct Worker {
    /// The hold on its process.
    pub process: Process,
    /// Our end of its socket, blocking.
    pub socket: UnixStream,
    child: Reaped,
}

/// A child that does not stay as a zombie if it has ended by the time it is dropped.
#[derive(Debug)]
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Nobody is left to whom an error could matter: the worst is a zombie until we end.
        drop(self.0.try_wait());
    }
}

impl Worker {
    /// How it ended, and reaps it. `None`: it still runs. May be asked again.
    pub fn try_reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let process = &self.process;
        self.child
            .0
            .try_wait()
            .context(|| format!("cannot reap {}", process.identity()))
    }

    /// Waits for its end, at most for `limit`, and reaps it. `None`: it still runs.
    pub fn reap(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        if self.process.wait(limit)? {
            self.try_reap()
        } else {
            Ok(None)
        }
    }
}

/// What the child does between fork and exec. Everything is opened and formatted before the fork: after it, in a copy of a
/// process that may have threads, nothing may allocate or lock (signal-safety(7)).
struct Entry {
    doors: Vec<OwnedFd>,
    own_session: bool,
    parent: Option<Pid>,
    oom_score_adj: Option<String>,
}

impl Entry {
    fn enter(&self) -> io::Result<()> {
        // 0 is the process that writes, see cgroups(7).
        for door in &self.doors {
            rustix::io::write(door, b"0")?;
        }
        if let Some(value) = &self.oom_score_adj {
            let file = open(
                c"/proc/self/oom_score_adj",
                OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            rustix::io::write(&file, value.as_bytes())?;
        }
        if self.own_session {
            setsid()?;
        }
        if let Some(parent) = self.parent {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // Had the parent ended before that call, nobody would ever send the signal.
            if getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
        }
        close_at_exec()
    }
}

/// Closes all descriptors from 3 on, at exec: by then what Rust still needs of them to tell of a failed exec has done its work.
/// Ours are all close-on-exec anyway; this is for those of libraries and of whoever started us.
pub(crate) fn close_at_exec() -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix has no close_range")]
    // SAFETY: CLOSE_RANGE_CLOEXEC only sets a flag on descriptors; no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Before Linux 5.11: there is no such call or flag, and close-on-exec of each descriptor has to do.
        Some(libc::ENOSYS | libc::EINVAL) => Ok(()),
        _ => Err(error),
    }
}

/// Runs `entry` in the child of this command, between fork and exec.
pub(crate) fn before_exec(command: &mut Command, entry: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    #[expect(unsafe_code, reason = "there is no other way to do something between fork and exec")]
    // SAFETY: the closures given here only make system calls on values prepared before the fork: they neither allocate nor lock.
    unsafe {
        command.pre_exec(entry);
    }
}

/// Starts a worker: this program (or [`WorkerOptions::program`]) with the arguments `worker NAME`.
///
/// It is this very program also when the file was replaced or removed meanwhile: `/proc/self/exe` leads to what runs.
#[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
pub fn start_worker(name: &str, options: WorkerOptions) -> io::Result<Worker> {
    let start = || format!("cannot start the worker {name}");
    let program = options.program.as_deref().unwrap_or(Path::new("/proc/self/exe"));
    let (ours, theirs) = UnixStream::pair().context(start)?;
    let entry = Entry {
        doors: options
            .cgroups
            .iter()
            .map(crate::cgroup::Cgroup::door)
            .collect::<io::Result<_>>()
            .context(start)?,
        own_session: options.own_session,
        parent: options.die_with_parent.then(rustix::process::getpid),
        oom_score_adj: options.oom_score_adj.map(|value| value.to_string()),
    };
    let mut command = Command::new(program);
    command
        .arg0("fracas")
        .args(["worker", name])
        .args(options.arguments)
        .envs(options.env)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(match options.stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::Null => Stdio::null(),
            Stderr::File(file) => file.into(),
        });
    before_exec(&mut command, move || entry.enter());
    let mut child = command.spawn().context(start)?;
    // Not reaped yet, so its pid is its own.
    match Process::find(child.id()).and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into())) {
        Ok(process) => Ok(Worker {
            process,
            socket: ours,
            child: Reaped(child),
        }),
        Err(error) => {
            // A worker that cannot be held must not run.
            child.kill().and_then(|()| child.wait()).context(start)?;
            Err(error).context(start)
        }
    }
}
