//! Short ways to say what failed.

use std::fmt::Display;
use std::io;

use fracas_core::problem::{Code, Problem, Result, codes};
use fracas_core::record::{Dose, Landed};
use fracas_core::target::Target;

/// Turns the kernel's answer into a problem.
pub(crate) trait OrSay<T> {
    /// `what` failed, in a sentence without a full stop.
    fn or_say(self, code: &'static Code, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> OrSay<T> for io::Result<T> {
    fn or_say(self, code: &'static Code, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Problem::new(code, what()).because(&error))
    }
}

/// The fault cannot be put on this target.
#[expect(clippy::unnecessary_box_returns, reason = "problems travel boxed")]
pub(crate) fn refuse(fault: &str, target: &Target, why: impl Display) -> Box<Problem> {
    Problem::new(&codes::FAULT_PLAN, format!("{fault} on {target}: {why}"))
}

/// The target ended before anything was done to it.
#[expect(clippy::unnecessary_box_returns, reason = "problems travel boxed")]
pub(crate) fn gone(fault: &str, what: impl Display) -> Box<Problem> {
    Problem::new(&codes::TARGET_GONE, format!("{fault}: {what} is gone"))
}

/// A dose whose fault did not reach its target.
pub(crate) fn missed(asked: String, why: impl Into<String>) -> Dose {
    let why = why.into();
    Dose {
        asked,
        delivered: why.clone(),
        landed: Landed::No(why),
        effect: None,
    }
}

/// A word as a shell reads it back.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// So many processes.
pub(crate) fn processes(number: usize) -> String {
    if number == 1 {
        "1 process".to_owned()
    } else {
        format!("{number} processes")
    }
}

/// An amount of bytes, for people who compare it with others.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1}MiB", bytes as f64 / 1_048_576.0)
}
