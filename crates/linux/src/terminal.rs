//! Whether a person is looking.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

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
    columns(std::io::stderr()).or_else(|| columns(std::io::stdout()))
}

fn columns(fd: impl AsFd) -> Option<u16> {
    tcgetwinsize(fd)
        .ok()
        .map(|size| size.ws_col)
        .filter(|&columns| columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_no_columns() {
        assert_eq!(columns(std::fs::File::open("/dev/null").unwrap()), None);
    }

    #[test]
    fn a_width_needs_a_terminal() {
        assert!(width().is_none() || stderr_is_terminal() || stdout_is_terminal());
    }
}
