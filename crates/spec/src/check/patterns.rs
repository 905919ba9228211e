//! Regular expressions, compiled now so that none fails half-way.

use fracas_core::experiment::Pattern;
use fracas_core::problem::codes;

use super::Check;
use crate::place::quoted;

/// Compiled size of one expression, in bytes.
const LARGEST: usize = 1 << 20;

impl Check<'_, '_> {
    /// Checks a regular expression.
    pub(super) fn regex(&mut self, path: &str, pattern: &str) {
        if pattern.is_empty() {
            return self.wrong(path, "must not be empty: that matches everything");
        }
        let Err(error) = regex::RegexBuilder::new(pattern).size_limit(LARGEST).build() else {
            return;
        };
        // The crate's message repeats the pattern over several lines; its last line says what is wrong.
        let text = error.to_string();
        let why = text
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned();
        let spot = self.spot(path);
        let what = format!("`{path}` is not a regular expression: {}: {why}", quoted(pattern));
        let next = "mend the expression; `\\` before a character takes away its meaning";
        self.problems.error_next(&codes::WRONG_VALUE, spot, what, next);
    }

    /// Checks a pattern of any kind.
    pub(super) fn pattern(&mut self, path: &str, pattern: &Pattern) {
        match pattern {
            Pattern::Whole(regex) | Pattern::Anywhere(regex) => self.regex(path, regex),
            Pattern::Contains(_) => {}
        }
    }
}
