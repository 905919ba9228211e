//! Workers: processes of our own binary, each with a socket to the one that started it.
//!
//! A worker inherits nothing but its socket (as descriptor 0), the null device (1), and what it shall have as descriptor 2. It
//! joins its control groups and gets its session before the new program begins, so there is no moment at which it runs elsewhere.

mod inner;
mod worker;

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tokio::net::unix::pipe;

use crate::cgroup::Cgroup;
use crate::error::{Context, invalid};

pub use inner::{Inner, number, start_inner, take_listener};
pub use worker::{Worker, start_worker};
pub(crate) use worker::{before_exec, close_at_exec};

/// Where a worker's standard error goes.
#[derive(Debug, Default)]
pub enum Stderr {
    /// Where ours goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// Into this file.
    File(File),
}

/// How a worker is started. The default is a plain child.
#[derive(Debug, Default)]
pub struct WorkerOptions {
    /// In a session of its own: signals of the terminal and of our process group do not reach it.
    pub own_session: bool,
    /// The kernel kills it when the *thread* that started it ends (`PR_SET_PDEATHSIG`, see prctl(2)): start such workers from a
    /// thread that lives as long as the process, never from a pool.
    pub die_with_parent: bool,
    /// The groups that it joins before the program begins.
    pub cgroups: Vec<Cgroup>,
    /// Its `oom_score_adj`; otherwise it inherits ours, and a guardian's is the lowest there is. Raising is always allowed.
    pub oom_score_adj: Option<i32>,
    /// Where its standard error goes.
    pub stderr: Stderr,
    /// Variables of its environment besides ours.
    pub env: Vec<(String, String)>,
    /// What stands after its name on its command line.
    pub arguments: Vec<String>,
    /// Another program than this one.
    pub program: Option<PathBuf>,
}

/// In a worker: takes the socket to the one that started it, and puts the null device in its place as descriptor 0.
///
/// An error when descriptor 0 is no socket: then nobody of ours started this process, or the socket was taken already.
pub fn parent_socket() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    let stat = fstat(&stdin).context(|| "cannot look at descriptor 0".into())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(invalid(
            "descriptor 0 is no socket: a worker is started by Fracas only, and takes its socket once",
        ));
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3).context(|| "cannot take descriptor 0".into())?;
    let null =
        open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).context(|| "cannot open /dev/null".into())?;
    #[expect(unsafe_code, reason = "descriptor 0 has no owner in Rust")]
    // SAFETY: descriptor 0 is open, for it was just duplicated, and ManuallyDrop never closes it.
    let mut stdin = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
    rustix::io::dup2(&null, &mut stdin).context(|| "cannot replace descriptor 0".into())?;
    Ok(UnixStream::from(socket))
}

/// The pipes that a container engine gives a program as its standard input and output. Needs a tokio runtime with its I/O driver.
///
/// # Errors
/// They are no pipes: then no engine started this process.
pub fn standard_pipes() -> io::Result<(pipe::Receiver, pipe::Sender)> {
    let taken = |fd: BorrowedFd<'_>| {
        rustix::io::fcntl_dupfd_cloexec(fd, 3).context(|| "cannot take the standard streams".into())
    };
    let from = pipe::Receiver::from_owned_fd(taken(io::stdin().as_fd())?);
    let to = pipe::Sender::from_owned_fd(taken(io::stdout().as_fd())?);
    let no_pipe = || "the standard streams are no pipes: a sidecar is started by a container engine only".to_owned();
    Ok((from.context(no_pipe)?, to.context(no_pipe)?))
}

/// Says something by a socket without waiting for anybody to hear it. Whether there was room for all of it; nothing is said otherwise.
pub fn say_now(socket: &UnixStream, words: &[u8]) -> io::Result<bool> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match rustix::io::retry_on_intr(|| send(socket, words, flags)) {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error).context(|| "nobody listens any more".into()),
    }
}

/// In a worker: the name by which `ps` and `/proc/PID/comm` know it; the kernel keeps 15 bytes. Without it the name is `exe`, for
/// workers are started by `/proc/self/exe`.
pub fn set_name(name: &str) -> io::Result<()> {
    let short: Vec<u8> = name.bytes().take(15).collect();
    let name = std::ffi::CString::new(short).map_err(io::Error::from)?;
    rustix::thread::set_name(&name).context(|| "cannot set the name of the process".into())
}
