//! Programs of the user (a `command` probe, a `script` fault), with every bound there is.

mod dial;
mod starter;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal, setsid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::cgroup::Cgroup;
use crate::child;
use crate::error::Context;
use crate::process::Process;

pub use dial::{Dialed, dial};

/// How long after the kill of its group a program's pipes may stay open, or the program itself stay.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code. `None`: a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The beginning of its standard output.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// Whether it was killed because the limit was over.
    pub timed_out: bool,
    /// Whether it wrote more to one of the two than was kept.
    pub truncated: bool,
}

/// Where and as what a program runs that is not simply a child of ours.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Its working directory.
    pub directory: PathBuf,
    /// The whole of its environment: it gets nothing of ours.
    pub environment: Vec<(String, String)>,
    /// The groups that it joins before it begins.
    pub cgroups: Vec<Cgroup>,
}

/// Runs a program by its argument vector; there is no shell. It gets the null device as standard input and a process group of its
/// own, and nothing of the group outlives this call: not when the program ends by itself, not when `limit` is over, and not when
/// the future is dropped. (What leaves the group with setsid(2) leaves our reach, too.) When our process is killed, the kernel kills
/// the program itself (`PR_SET_PDEATHSIG`, see prctl(2)), whichever thread called this; not what it started, and no program that
/// gains privileges at exec, for which that setting is cleared.
///
/// Of each output stream at most `max_output` bytes are kept; the rest is read and thrown away, so that the program never waits.
///
/// # Errors
/// An empty vector, a program that cannot be started, or one that a SIGKILL did not end within two seconds.
pub async fn run_bounded(argv: &[String], limit: Duration, max_output: usize) -> io::Result<Finished> {
    run(argv, None, limit, max_output).await
}

/// As [`run_bounded`], in other surroundings and in a session of its own. The kernel kills the program, too, when the *thread* that
/// called this ends (`PR_SET_PDEATHSIG`, see prctl(2)): call it from a thread that lives as long as the process. What keeps our
/// process from the kernel's memory killer does not keep the program.
///
/// # Errors
/// As [`run_bounded`]; also a directory that is not there, or a group that cannot be joined.
pub async fn run_in(
    argv: &[String],
    surroundings: &Surroundings,
    limit: Duration,
    max_output: usize,
) -> io::Result<Finished> {
    run(argv, Some(surroundings), limit, max_output).await
}

async fn run(
    argv: &[String],
    surroundings: Option<&Surroundings>,
    limit: Duration,
    max_output: usize,
) -> io::Result<Finished> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "there is no program to run: the list is empty",
        ));
    };
    let run = || format!("cannot run {program}");
    let mut child = spawn(program.as_ref(), arguments, surroundings).context(run)?;
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    // Declared after the child, so dropped before it: the group is killed while the unreaped child still keeps its number.
    let mut group = Group(pid);
    let process = Process::find(child.id().unwrap_or(0)).context(run)?;
    let process = process
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .context(run)?;
    let (mut stdout, mut stderr) = (Kept::new(max_output), Kept::new(max_output));
    let timed_out;
    {
        let mut reading = pin!(read_both(
            child.stdout.take(),
            &mut stdout,
            child.stderr.take(),
            &mut stderr
        ));
        let mut read = false;
        let ended = timeout(limit, async {
            let mut ended = pin!(process.ended());
            loop {
                tokio::select! {
                    result = &mut ended => return result,
                    result = &mut reading, if !read => { result?; read = true; }
                }
            }
        });
        timed_out = match ended.await {
            Ok(result) => {
                result.context(run)?;
                false
            }
            Err(_) => true,
        };
        group.kill();
        // All writers are gone now, but for those that left the group: they are not waited for beyond a moment.
        if !read && let Ok(result) = timeout(AFTER_KILL, &mut reading).await {
            result.context(run)?;
        }
    }
    let status = timeout(AFTER_KILL, child.wait()).await.map_err(|_| {
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{program} did not end although it was killed: it is frozen, or waits inside the kernel"),
        )
    })?;
    group.0 = None;
    let status = status.context(run)?;
    Ok(Finished {
        code: status.code(),
        signal: status.signal(),
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.bytes,
        stderr: stderr.bytes,
        timed_out,
    })
}

#[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
fn spawn(
    program: &OsStr,
    arguments: &[String],
    surroundings: Option<&Surroundings>,
) -> io::Result<tokio::process::Child> {
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let entry = surroundings.map(Entry::of).transpose()?;
    if let Some(surroundings) = surroundings {
        command
            .current_dir(&surroundings.directory)
            .env_clear()
            .envs(surroundings.environment.iter().map(|(name, value)| (name, value)));
    }
    let Some(entry) = entry else {
        // A leader of a group may not begin a session, see setsid(2).
        command.process_group(0);
        let parent = getpid();
        child::before_exec(&mut command, move || {
            die_with(parent)?;
            child::close_at_exec()
        });
        return starter::start(command);
    };
    child::before_exec(&mut command, move || {
        entry.enter()?;
        child::close_at_exec()
    });
    tokio::process::Command::from(command).kill_on_drop(true).spawn()
}

/// To be called in the child: the kernel is to kill it when the thread ends that started it.
fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // Had the parent ended before that call, nobody would ever send the signal.
    if getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

/// What the child does between fork and exec; all that allocates is done before the fork.
struct Entry {
    doors: Vec<OwnedFd>,
    parent: Pid,
    /// Whether our `oom_score_adj` is one that the program must not have.
    favoured: bool,
}

impl Entry {
    fn of(surroundings: &Surroundings) -> io::Result<Self> {
        let score = std::fs::read_to_string("/proc/self/oom_score_adj")
            .context(|| "cannot read /proc/self/oom_score_adj".into())?;
        Ok(Self {
            doors: surroundings
                .cgroups
                .iter()
                .map(Cgroup::door)
                .collect::<io::Result<_>>()?,
            parent: getpid(),
            favoured: score.trim_start().starts_with('-'),
        })
    }

    fn enter(&self) -> io::Result<()> {
        // 0 is the process that writes, see cgroups(7).
        for door in &self.doors {
            rustix::io::write(door, b"0")?;
        }
        if self.favoured {
            let file = open(
                c"/proc/self/oom_score_adj",
                OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            rustix::io::write(&file, b"0")?;
        }
        setsid()?;
        die_with(self.parent)
    }
}

/// A process group of ours, killed when this is dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(pid) = self.0 {
            // ESRCH: all of it is gone already. Nothing else can be answered to a group of our own children.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The beginning of a stream.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            truncated: false,
        }
    }

    async fn read(&mut self, stream: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut stream) = stream else {
            return Ok(());
        };
        let mut buffer = [0; 4096];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            let room = length.min(self.limit - self.bytes.len());
            self.bytes.extend_from_slice(&buffer[..room]);
            self.truncated |= room < length;
        }
    }
}

async fn read_both(
    stdout: Option<impl AsyncRead + Unpin>,
    out: &mut Kept,
    stderr: Option<impl AsyncRead + Unpin>,
    err: &mut Kept,
) -> io::Result<()> {
    tokio::try_join!(out.read(stdout), err.read(stderr)).map(drop)
}

#[cfg(test)]
mod tests;
