//! A hold on one process that can never point to another: a pidfd, see `pidfd_open(2)`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use fracas_core::target::ProcessIdentity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::{Context, invalid};

/// One process, held by a pidfd. The process may end, but the hold never passes to another with the same pid.
#[derive(Debug)]
pub struct Process {
    fd: OwnedFd,
    identity: ProcessIdentity,
}

impl Process {
    /// Takes hold of exactly this process. `None`: it is gone, the identity is of another boot, or the pid belongs to another now.
    ///
    /// A zombie that nobody has waited for can still be held; [`Self::has_ended`] says so.
    pub fn open(id: &ProcessIdentity) -> io::Result<Option<Self>> {
        if id.boot != super::boot_id()? {
            return Ok(None);
        }
        // The descriptor first, the comparison after it: when the start time read now is the one we look for, then the pid has
        // not changed hands before the descriptor was opened, for a start time never comes back.
        let Some(fd) = open_fd(id.pid)? else {
            return Ok(None);
        };
        if super::identity(id.pid)?.as_ref() != Some(id) {
            return Ok(None);
        }
        Ok(Some(Self {
            fd,
            identity: id.clone(),
        }))
    }

    /// Takes hold of whoever has this pid now. `None`: nobody.
    pub fn find(pid: u32) -> io::Result<Option<Self>> {
        match super::identity(pid)? {
            Some(identity) => Self::open(&identity),
            None => Ok(None),
        }
    }

    /// Which process this is.
    pub fn identity(&self) -> &ProcessIdentity {
        &self.identity
    }

    /// Sends a signal, by number: 1 to 31; others, also the real-time ones, are refused. `false`: the process has ended and was
    /// waited for.
    ///
    /// To a zombie the kernel delivers nothing and says success.
    pub fn signal(&self, signal: i32) -> io::Result<bool> {
        let named = Signal::from_named_raw(signal).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{signal} is not a signal's number"),
            )
        })?;
        match pidfd_send_signal(&self.fd, named) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error).context(|| format!("cannot send signal {signal} to {}", self.identity)),
        }
    }

    /// Whether the process has ended. A zombie has: a pidfd is readable from the moment its process exits, see `pidfd_open(2)`.
    pub fn has_ended(&self) -> io::Result<bool> {
        self.wait(Duration::ZERO)
    }

    /// Waits for the end, at most for `limit`, and blocks the thread. `true`: it has ended.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Instant::now().checked_add(limit);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // A limit beyond what the clock can say is no limit; a Duration beyond Timespec waits as long as there is.
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context(|| format!("cannot wait for {}", self.identity)),
            }
        }
    }

    /// Ends when the process ends. Needs a tokio runtime with its I/O driver.
    pub async fn ended(&self) -> io::Result<()> {
        let wait = || format!("cannot wait for {}", self.identity);
        let fd = self.fd.try_clone().context(wait)?;
        #[expect(unsafe_code, reason = "registering a descriptor wants a promise about its life")]
        // SAFETY: the AsyncFd owns this duplicate; nobody else closes or replaces it while it is registered.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }
            .map_err(io::Error::from)
            .context(wait)?;
        fd.readable().await.map(drop).context(wait)
    }

    /// The pid as rustix wants it.
    pub(crate) fn raw(&self) -> io::Result<Pid> {
        raw(self.identity.pid).ok_or_else(|| invalid(format!("{} is no pid", self.identity.pid)))
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A pid that the kernel could have given.
fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// `None`: no such process. The kernel says `ESRCH`; for the id of a thread that leads no process `EINVAL`, since 6.16 `ENOENT`
/// (kernel/fork.c, `pidfd_prepare`).
fn open_fd(pid: u32) -> io::Result<Option<OwnedFd>> {
    let Some(raw) = raw(pid) else {
        return Ok(None);
    };
    match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot open a pidfd of pid {pid}")),
    }
}
