//! What an engine's refusals and nonsense mean to a person.

#![expect(
    clippy::unnecessary_box_returns,
    reason = "problems travel boxed, see `fracas_core::problem::Result`"
)]

use std::error::Error as _;
use std::io;

use bollard::errors::Error;
use fracas_core::problem::codes::{ENGINE_ANSWER, ENGINE_REFUSED, ENGINE_UNREACHABLE};
use fracas_core::problem::{Code, Problem};

use crate::address::Address;
use crate::transport::TooLong;

/// As much of an engine's text as goes into a message.
const SHOWN: usize = 300;

/// A failed call as a problem: `doing` is what was asked, e.g. `pause container web`.
pub(crate) fn problem(address: &Address, doing: &str, error: &Error) -> Box<Problem> {
    let (code, why) = judge(error);
    let what = if code == &ENGINE_UNREACHABLE {
        format!("the container engine at {address} cannot be reached to {doing}")
    } else if code == &ENGINE_REFUSED {
        format!("the container engine at {address} refused to {doing}")
    } else {
        format!("{address} did not answer like a container engine when asked to {doing}")
    };
    Problem::new(code, what).since(why)
}

/// A call that took too long.
pub(crate) fn late(address: &Address, doing: &str, limit: std::time::Duration) -> Box<Problem> {
    Problem::new(
        &ENGINE_UNREACHABLE,
        format!("the container engine at {address} did not {doing} within {limit:?}"),
    )
    .since("no answer in time")
}

/// Nonsense that bollard did not notice.
pub(crate) fn nonsense(address: &Address, doing: &str, why: impl Into<String>) -> Box<Problem> {
    Problem::new(
        &ENGINE_ANSWER,
        format!("{address} did not answer like a container engine when asked to {doing}"),
    )
    .since(why)
}

fn judge(error: &Error) -> (&'static Code, String) {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            let shown = shown(message);
            // An engine says why in JSON, of which bollard leaves the message; a web server sends a page.
            if message.trim_start().starts_with('<') {
                (&ENGINE_ANSWER, format!("status {status_code} with a page: {shown}"))
            } else {
                (&ENGINE_REFUSED, format!("status {status_code}: {shown}"))
            }
        }
        Error::RequestTimeoutError => (&ENGINE_UNREACHABLE, "no answer in time".to_owned()),
        Error::IOError { err } => (io_code(err), err.to_string()),
        Error::HyperResponseError { err } => {
            let mut source = err.source();
            while let Some(cause) = source {
                if let Some(err) = cause.downcast_ref::<io::Error>() {
                    return (io_code(err), err.to_string());
                }
                source = cause.source();
            }
            if err.is_incomplete_message() {
                (&ENGINE_ANSWER, "the answer broke off".to_owned())
            } else if err.is_parse() {
                (&ENGINE_ANSWER, format!("not HTTP: {err}"))
            } else {
                (&ENGINE_UNREACHABLE, err.to_string())
            }
        }
        Error::DockerStreamError { error } => (&ENGINE_REFUSED, shown(error)),
        other => (&ENGINE_ANSWER, shown(&other.to_string())),
    }
}

fn io_code(err: &io::Error) -> &'static Code {
    let unexpected = err
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooLong>)
        // One that does not believe us, or that we do not, is out of reach.
        || !err.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
            && matches!(err.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    if unexpected {
        &ENGINE_ANSWER
    } else {
        &ENGINE_UNREACHABLE
    }
}

/// The beginning of a text from outside, on one line and without control characters: it ends on a terminal.
fn shown(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = clean.take(SHOWN).collect::<String>().trim().to_owned();
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    if out.is_empty() { "no message".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_drive_a_terminal_or_fill_it() {
        assert_eq!(shown("a\u{1b}[31mb\r\nc"), "a [31mb  c");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN + 1);
        assert_eq!(shown("\n"), "no message");
    }
}
