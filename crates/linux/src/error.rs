//! Errors of the kernel with the name of what they happened to.

use std::io;

/// What was tried, and the kernel's answer.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
struct Described {
    what: String,
    source: io::Error,
}

/// Adds to an error what was tried. The kind of the error stays.
pub(crate) trait Context<T> {
    /// `what` is a fragment such as "cannot read /proc/1/stat".
    fn context(self, what: impl FnOnce() -> String) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> io::Result<T> {
        self.map_err(|error| {
            let source: io::Error = error.into();
            io::Error::new(source.kind(), Described { what: what(), source })
        })
    }
}

/// The kernel's error number (`EBUSY` …) behind an error of this crate; `None` when the error did not come from the kernel.
pub fn errno(error: &io::Error) -> Option<i32> {
    let mut error = error;
    loop {
        if let Some(number) = error.raw_os_error() {
            return Some(number);
        }
        error = &error.get_ref()?.downcast_ref::<Described>()?.source;
    }
}

/// The file or process is not there: `ENOENT` of a path in /proc, `ESRCH` of a read after the process has ended (see proc(5)).
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(errno(error), Some(libc::ENOENT | libc::ESRCH))
}

/// Input that contradicts itself.
pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_failed_and_the_number_stays() {
        let refused = Err::<(), _>(io::Error::from_raw_os_error(libc::EBUSY));
        let error = refused
            .context(|| "cannot remove a".into())
            .context(|| "cannot clean".into())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot clean: cannot remove a: Device or resource busy (os error 16)"
        );
        assert_eq!(errno(&error), Some(libc::EBUSY));
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(errno(&invalid("x")), None);
    }
}
