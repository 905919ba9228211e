//! What is for people goes to standard error, what is asked for goes to standard output.

use std::io::Write;
use std::sync::OnceLock;

use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_report::plain_lines;
use serde::Serialize;

use crate::picture;

/// How a person, or a program, is told something. Set once, from the command line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Colours on standard error.
    pub(crate) colour: bool,
    /// One JSON object per line on standard error.
    pub(crate) json: bool,
}

static MANNER: OnceLock<Manner> = OnceLock::new();

/// Says how from now on everybody is told.
pub(crate) fn set_manner(manner: Manner) {
    // Only the first counts: there is one command line.
    let _ = MANNER.set(manner);
}

/// How everybody is told.
pub(crate) fn manner() -> Manner {
    MANNER.get().copied().unwrap_or_default()
}

/// Writes what was asked for. A reader that has gone away is no error of ours.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Problem::new(&codes::STATE_WRITE, "cannot write to standard output").because(&error))
        }
        _ => Ok(()),
    }
}

/// Writes what was asked for as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(&codes::INSIDE, "what was asked for has no JSON form").because(&error))?;
    print(&format!("{text}\n"))
}

/// Tells a person. Where standard error is closed, nobody listens.
pub(crate) fn tell(text: &str) {
    if manner().json {
        // An empty line is air between two texts, and says nothing to a program.
        if !text.is_empty() {
            picture::tell(&serde_json::json!({ "note": text }).to_string());
        }
    } else {
        picture::tell(text);
    }
}

/// Tells of an error.
pub(crate) fn tell_problem(problem: &Problem) {
    if manner().json {
        picture::tell(&serde_json::json!({ "error": Said::from(problem) }).to_string());
    } else {
        // What is wrong is often said in the words of a document or a server.
        tell(&painted(&plain_lines(&problem.to_string()), "error", 31));
    }
}

/// Tells of something that a person should know.
pub(crate) fn tell_warning(problem: &Problem) {
    if manner().json {
        picture::tell(&serde_json::json!({ "warning": Said::from(problem) }).to_string());
    } else {
        tell(&painted(&plain_lines(&warning(problem)), "warning", 33));
    }
}

/// A problem in the words of a warning.
pub(crate) fn warning(problem: &Problem) -> String {
    let text = problem.to_string();
    match text.strip_prefix("error") {
        Some(rest) => format!("warning{rest}"),
        None => text,
    }
}

/// The first word in a colour (console_codes(4)), where colours are wanted.
fn painted(text: &str, word: &str, colour: u8) -> String {
    match text.strip_prefix(word).filter(|_| manner().colour) {
        Some(rest) => format!("\u{1b}[1;{colour}m{word}\u{1b}[0m{rest}"),
        None => text.to_owned(),
    }
}
