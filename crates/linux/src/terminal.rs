//! Whether a person is looking.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use rustix::termios::{Winsize, tcgetwinsize};

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

fn said(of: fn(Winsize) -> u16) -> Option<u16> {
    one(std::io::stderr(), of).or_else(|| one(std::io::stdout(), of))
}

fn one(fd: impl AsFd, of: fn(Winsize) -> u16) -> Option<u16> {
    tcgetwinsize(fd).ok().map(of).filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_no_columns() {
        assert_eq!(one(std::fs::File::open("/dev/null").unwrap(), |size| size.ws_col), None);
    }

    #[test]
    fn a_width_needs_a_terminal() {
        assert!(width().is_none() || stderr_is_terminal() || stdout_is_terminal());
    }
}
