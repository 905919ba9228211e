//! Whether a person is looking.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcgetwinsize};

/// So many bytes a pipe takes at once that is writable: a page of it is free then (`PIPE_BUF`, pipe(7)).
pub const TAKEN_AT_ONCE: usize = 4096;

/// Whether standard input is a terminal: somebody can be asked.
pub fn stdin_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether standard error is a terminal: somebody sees the live view.
pub fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// The columns of the terminal behind standard error, or else behind standard output. `None`: neither is one, or it does not say
/// (a serial line says 0).
pub fn width() -> Option<u16> {
    said(|size| size.ws_col)
}

/// The rows of the same terminal.
pub fn height() -> Option<u16> {
    said(|size| size.ws_row)
}

/// Whether standard error takes [`TAKEN_AT_ONCE`] bytes now, or within so long (`None`: it is waited for without a limit). A pipe that is full
/// does not, nor a terminal that was stopped (Ctrl-S) or whose other end reads no more. What is written to one that is gone says so at once.
pub fn stderr_takes(within: Option<Duration>) -> bool {
    takes(std::io::stderr(), within)
}

fn takes(fd: impl AsFd, within: Option<Duration>) -> bool {
    let deadline = within.and_then(|within| Instant::now().checked_add(within));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], timeout.as_ref()) {
            Ok(count) => return count > 0,
            Err(Errno::INTR) => {}
            // Then nothing is known, and whoever writes is told what is wrong.
            Err(_) => return true,
        }
    }
}

fn said(of: fn(Winsize) -> u16) -> Option<u16> {
    one(std::io::stderr(), of).or_else(|| one(std::io::stdout(), of))
}

fn one(fd: impl AsFd, of: fn(Winsize) -> u16) -> Option<u16> {
    tcgetwinsize(fd).ok().map(of).filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_has_no_columns() {
        assert_eq!(one(File::open("/dev/null").unwrap(), |size| size.ws_col), None);
    }

    #[test]
    fn a_pipe_takes_what_it_has_room_for() {
        use std::io::Write as _;
        let (reader, mut writer) = std::io::pipe().unwrap();
        while takes(&writer, Some(Duration::ZERO)) {
            assert_eq!(writer.write(&[b'x'; TAKEN_AT_ONCE]).unwrap(), TAKEN_AT_ONCE);
        }
        let begun = Instant::now();
        let limit = Duration::from_millis(20);
        assert!(!takes(&writer, Some(limit)));
        assert!(begun.elapsed() >= limit);
        drop(reader);
        assert!(takes(&writer, None));
        assert!(takes(File::open("/dev/null").unwrap(), None));
    }

    #[test]
    fn a_width_needs_a_terminal() {
        assert!(width().is_none() || stderr_is_terminal() || stdout_is_terminal());
    }
}
