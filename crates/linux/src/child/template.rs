//! A worker that becomes others: of many that do the same, one program start for all.
//!
//! A start takes milliseconds, most of them for a large program to be read in and relocated. A template has that behind it, has one thread
//! and no work of its own: a copy of it (clone(2)) is a worker that waits for its order. The copy is a child of whoever started the
//! template (`CLONE_PARENT`), who holds, reaps and outlives it as if it had been started by itself, and it joins its groups before it
//! does anything else.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg,
};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};

use super::WorkerOptions;
use super::worker::{Worker, join};
use crate::cgroup::Cgroup;
use crate::error::{Context, invalid};
use crate::process::Process;

/// A socket and the doors of as many groups as there are hierarchies with room to spare.
const DESCRIPTORS: usize = 24;
/// How long a copy may take: it is one system call.
const LIMIT: Duration = Duration::from_secs(1);
/// An order: the `oom_score_adj`.
const ORDER: usize = 4;

/// A worker that is at its [`multiply`], or on its way there. Dropping it ends it.
#[derive(Debug)]
pub struct Template {
    worker: Worker,
    /// What it says when it waits for orders; empty when it has said it.
    awaited: &'static [u8],
}

impl Template {
    /// Of a worker that was told to be one, and says this word as soon as it waits for orders.
    ///
    /// # Errors
    /// Its socket is of no use.
    pub fn of(worker: Worker, word: &'static [u8]) -> io::Result<Self> {
        let what = || "cannot talk to a template".to_owned();
        worker.socket.set_read_timeout(Some(LIMIT)).context(what)?;
        worker.socket.set_write_timeout(Some(LIMIT)).context(what)?;
        Ok(Self { worker, awaited: word })
    }

    /// Starts a worker with these groups and this `oom_score_adj`, which may not be lower than the template's. It is in a session of its
    /// own, and the kernel kills it when the thread ends that started the template; all else it has from the template. `None`: the
    /// template is not ready yet, which is not waited for.
    ///
    /// # Errors
    /// The template does not answer, or the kernel does not let it: then it is of no use any more. A copy that it should have made
    /// all the same finds its socket closed, and ends.
    pub fn start(&mut self, options: &WorkerOptions) -> io::Result<Option<Worker>> {
        if !self.is_ready()? {
            return Ok(None);
        }
        let start = || "cannot start a worker by its template".to_owned();
        let (ours, theirs) = UnixStream::pair().context(start)?;
        let doors: Vec<OwnedFd> = options
            .cgroups
            .iter()
            .map(Cgroup::door)
            .collect::<io::Result<_>>()
            .context(start)?;
        let sent: Vec<BorrowedFd<'_>> = std::iter::once(theirs.as_fd())
            .chain(doors.iter().map(AsFd::as_fd))
            .collect();
        if sent.len() > DESCRIPTORS {
            return Err(invalid(format!("{} groups for one worker", doors.len()))).context(start);
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        if !along.push(SendAncillaryMessage::ScmRights(&sent)) {
            return Err(invalid("no room for descriptors")).context(start);
        }
        let order = options.oom_score_adj.unwrap_or_default().to_ne_bytes();
        rustix::io::retry_on_intr(|| {
            sendmsg(
                &self.worker.socket,
                &[IoSlice::new(&order)],
                &mut along,
                SendFlags::NOSIGNAL,
            )
        })
        .context(start)?;
        let mut pid = [0; 4];
        self.worker.socket.read_exact(&mut pid).context(start)?;
        // Our child, not reaped yet, so its pid is its own.
        let pid = i32::from_ne_bytes(pid);
        if pid < 0 {
            return Err(io::Error::from_raw_os_error(-pid)).context(start);
        }
        let process = Process::find(pid.cast_unsigned())
            .and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .context(start)?;
        Worker::of(process, ours).map(Some).context(start)
    }

    fn is_ready(&mut self) -> io::Result<bool> {
        if self.awaited.is_empty() {
            return Ok(true);
        }
        let mut said = vec![0; self.awaited.len()];
        match recv(&self.worker.socket, said.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((length, _)) if said.get(..length) == Some(self.awaited) => {
                self.awaited = &[];
                Ok(true)
            }
            Ok(_) => Err(invalid("a template that does not wait for orders")),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error).context(|| "cannot hear a template".into()),
        }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        const SIGKILL: i32 = 9;
        // Nobody is left to whom an error could matter: it ends with its socket, too.
        let _killed = self.worker.process.signal(SIGKILL);
        let _reaped = self.worker.reap(LIMIT);
    }
}

/// In a worker with a single thread: becomes a template. Returns in each copy, with the socket of that one; and in the template itself,
/// with `None`, when whoever started it hangs up.
///
/// # Errors
/// There are several threads, of which a copy would have but one; the kernel refuses something. In a copy: it cannot be where it
/// should be, which whoever waits for it reads from its socket.
pub fn multiply(mut socket: UnixStream) -> io::Result<Option<UnixStream>> {
    let what = || "cannot be a template".to_owned();
    if std::fs::read_dir("/proc/self/task").context(what)?.count() != 1 {
        return Err(invalid("there are several threads")).context(what);
    }
    let parent = getppid();
    loop {
        let Some((order, mut received)) = receive(&socket).context(what)? else {
            return Ok(None);
        };
        if received.is_empty() {
            return Err(invalid("an order without a socket")).context(what);
        }
        let own = UnixStream::from(received.remove(0));
        match copy() {
            Ok(None) => {
                drop(socket);
                return match settle(&received, i32::from_ne_bytes(order), parent) {
                    Ok(()) => Ok(Some(own)),
                    Err(error) => {
                        // Nobody may be left to hear it.
                        let _unheard = (&own).write_all(error.to_string().as_bytes());
                        Err(error)
                    }
                };
            }
            Ok(Some(pid)) => socket.write_all(&pid.to_ne_bytes()).context(what)?,
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                socket.write_all(&(-number).to_ne_bytes()).context(what)?;
            }
        }
    }
}

/// What a copy does before it is a worker.
fn settle(doors: &[OwnedFd], oom_score_adj: i32, parent: Option<Pid>) -> io::Result<()> {
    join(doors, Some(&oom_score_adj.to_string())).context(|| "cannot join its groups".into())?;
    setsid().context(|| "cannot have a session".into())?;
    set_parent_process_death_signal(Some(Signal::KILL)).context(|| "cannot end with its parent".into())?;
    if getppid() == parent {
        Ok(())
    } else {
        // It ended before that call.
        Err(io::Error::from_raw_os_error(libc::ESRCH))
    }
}

/// The next order with its descriptors. `None`: nobody is there any more.
fn receive(socket: &UnixStream) -> io::Result<Option<([u8; ORDER], Vec<OwnedFd>)>> {
    let mut order = [0; ORDER];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut order)],
            &mut along,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    match received.bytes {
        0 => return Ok(None),
        ORDER => {}
        length => return Err(invalid(format!("an order of {length} bytes"))),
    }
    let rights = along.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok(Some((order, rights.flatten().collect())))
}

/// Copies this process; the copy has the same parent. The pid of the copy; `None` in the copy itself.
fn copy() -> io::Result<Option<i32>> {
    #[expect(unsafe_code, reason = "fork(2) of the C library has another parent")]
    // SAFETY: no memory is shared and no stack given: as with fork(2), the copy goes on with a stack of its own. This process has a single
    // thread, so nobody holds a lock in the copy. All other arguments are 0, in whichever order an architecture wants them.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_PARENT | libc::SIGCHLD, 0, 0, 0, 0) };
    match pid {
        0 => Ok(None),
        1.. => i32::try_from(pid).map(Some).map_err(|_| invalid("a pid that is none")),
        _ => Err(io::Error::last_os_error()),
    }
}
