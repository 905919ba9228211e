//! Children that may live in other namespaces than ours, where neither their pid nor `/proc` says the same to both sides.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{FileType, fstat};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::worker::{before_exec, close_at_exec};
use crate::cgroup::Cgroup;
use crate::error::{Context, invalid};

/// A child, killed and waited for when dropped. The kernel kills it, too, when the thread that started it ends (prctl(2)).
#[derive(Debug)]
pub struct Inner(Child);

impl Inner {
    /// Its pid, as this process has it.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, and reaps it. `None`: it still runs. May be asked again.
    pub fn try_reap(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait().context(|| format!("cannot reap pid {}", self.0.id()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Errors: it was reaped before. A SIGKILL ends even what is stopped, so the wait is short; the init of a pid namespace
        // takes the others along, and is not reaped before they are gone (zap_pid_ns_processes() in kernel/pid_namespace.c).
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts this program as `worker ARGUMENTS…`. It gets `input` as descriptor 0, the null device as 1, our standard error, and the
/// listener under the number that [`number`] says. It joins the groups before it begins.
///
/// Unlike [`super::start_worker`] this looks nothing up by pid.
#[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
pub fn start_inner(
    arguments: &[String],
    input: Stdio,
    listener: Option<&TcpListener>,
    cgroups: &[Cgroup],
) -> io::Result<Inner> {
    let start = || format!("cannot start {}", arguments.join(" "));
    let doors: Vec<OwnedFd> = cgroups
        .iter()
        .map(Cgroup::door)
        .collect::<io::Result<_>>()
        .context(start)?;
    // The borrow keeps it open until the child has begun.
    let shown = listener.map(number);
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("fracas")
        .arg("worker")
        .args(arguments)
        .stdin(input)
        .stdout(Stdio::null());
    before_exec(&mut command, move || {
        for door in &doors {
            rustix::io::write(door, b"0")?;
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        close_at_exec()?;
        shown.map_or(Ok(()), keep)
    });
    command.spawn().map(Inner).context(start)
}

/// The number by which a child knows a listener that [`start_inner`] hands over.
pub fn number(listener: &TcpListener) -> RawFd {
    listener.as_raw_fd()
}

fn keep(number: RawFd) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the number is all that crosses a fork")]
    // SAFETY: the parent holds the listener open over the fork, so the number is that of the child's copy.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl_setfd(fd, FdFlags::empty())?;
    Ok(())
}

/// In a child: takes the listener of this number. Once: from then on it is closed at exec like all others.
///
/// # Errors
/// The number is not that of a socket that was handed over.
pub fn take_listener(number: RawFd) -> io::Result<TcpListener> {
    let wrong = || invalid(format!("descriptor {number} is no listener that was handed over"));
    if number <= 2 {
        return Err(wrong());
    }
    #[expect(unsafe_code, reason = "a descriptor from before exec has no owner in Rust")]
    // SAFETY: only asked what it is; an unused number is answered with EBADF.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let stat = fstat(fd).map_err(|_| wrong())?;
    // All that this process opens itself is close-on-exec: without the flag it is inherited, and nobody has taken it yet.
    let flags = fcntl_getfd(fd).map_err(|_| wrong())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket || flags.contains(FdFlags::CLOEXEC) {
        return Err(wrong());
    }
    fcntl_setfd(fd, FdFlags::CLOEXEC).context(|| format!("cannot take descriptor {number}"))?;
    #[expect(unsafe_code, reason = "a descriptor from before exec has no owner in Rust")]
    // SAFETY: it is open, and with the flag set now no second call takes it.
    Ok(TcpListener::from(unsafe { OwnedFd::from_raw_fd(number) }))
}
