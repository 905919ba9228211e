//! The signals by which a person or a service manager asks us to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Context;

/// Somebody asks us to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a service manager, or `kill`.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
}

/// The requests to stop, as they come. From the moment this is made, none of them ends the process by itself any more, also not
/// after this is dropped.
#[derive(Debug)]
pub struct Stops {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stops {
    /// Begins to listen. Needs a tokio runtime with its I/O driver.
    pub fn listen() -> io::Result<Self> {
        let one = |kind, name| signal(kind).context(|| format!("cannot listen for {name}"));
        Ok(Self {
            interrupt: one(SignalKind::interrupt(), "SIGINT")?,
            terminate: one(SignalKind::terminate(), "SIGTERM")?,
            hangup: one(SignalKind::hangup(), "SIGHUP")?,
        })
    }

    /// The next request. The same signal twice in quick succession may be one. Cancel safe.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.hangup.recv() => Stop::Hangup,
        }
    }
}

/// Ignores what a terminal or a closed pipe sends: SIGINT, SIGQUIT, SIGHUP, SIGTSTP, SIGPIPE. For the guardian, whose end is the
/// runner's business. Ignored signals stay ignored in what this process executes, until [`restore`].
pub fn ignore_terminal() -> io::Result<()> {
    for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTSTP, libc::SIGPIPE] {
        dispose(number, libc::SIG_IGN)?;
    }
    Ok(())
}

/// Gives SIGINT, SIGQUIT, SIGHUP, SIGTSTP and SIGTERM their default effect again: for a worker, which may have inherited that
/// they are ignored (signal(7): dispositions survive exec as far as they are "ignored").
pub fn restore() -> io::Result<()> {
    for number in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTSTP, libc::SIGTERM] {
        dispose(number, libc::SIG_DFL)?;
    }
    Ok(())
}

/// Ignores SIGPIPE, so that writing to a closed pipe or socket is an error and not the end. Rust does so at the start of `main`;
/// a program that was entered in another way says it again.
pub fn ignore_pipe() -> io::Result<()> {
    dispose(libc::SIGPIPE, libc::SIG_IGN)
}

fn dispose(number: i32, disposition: libc::sighandler_t) -> io::Result<()> {
    #[expect(unsafe_code, reason = "neither std nor rustix sets dispositions")]
    // SAFETY: SIG_IGN and SIG_DFL run no code of ours.
    let before = unsafe { libc::signal(number, disposition) };
    if before == libc::SIG_ERR {
        return Err(io::Error::last_os_error()).context(|| format!("cannot set what signal {number} does"));
    }
    Ok(())
}
