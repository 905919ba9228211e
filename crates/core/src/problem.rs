//! What went wrong, in the form in which a person gets it: what failed, where, why, and what to do next.
//!
//! One type crosses every boundary of Fracas, because every error ends at a person or in a report. Its [`Code`] is stable: scripts
//! may depend on it, and `fracas explain CODE` tells more.

pub mod codes;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of problem, with what can be said about it once and for all.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable name: a letter for the part of Fracas and three digits. Never used again once given.
    pub id: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it exists and how it comes about.
    pub explanation: &'static str,
    /// What to do next.
    pub next: &'static str,
}

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file as it was named on the command line.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// How many characters from the column are meant; at least 1.
    pub length: usize,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: &'static Code,
    /// What failed, in a sentence with its names and figures, without a full stop.
    pub what: String,
    /// Where in a document.
    pub place: Option<Box<Place>>,
    /// Why: the chain of causes, outermost first.
    pub causes: Vec<String>,
    /// What to do next, where it is more exact than the code's own advice.
    pub next: Option<String>,
}

/// The result of whatever can go wrong for a person.
pub type Result<T, E = Box<Problem>> = std::result::Result<T, E>;

impl Problem {
    /// A problem of this kind. Boxed at once: errors are rare and results travel far.
    pub fn new(code: &'static Code, what: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            code,
            what: what.into(),
            place: None,
            causes: Vec::new(),
            next: None,
        })
    }

    /// Adds a cause and the causes behind it.
    #[must_use]
    pub fn because(mut self: Box<Self>, cause: &(dyn std::error::Error + 'static)) -> Box<Self> {
        for text in causes(cause) {
            if self.causes.last().is_none_or(|last| !last.contains(&text)) {
                self.causes.push(text);
            }
        }
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn since(mut self: Box<Self>, cause: impl Into<String>) -> Box<Self> {
        self.causes.push(cause.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self: Box<Self>, advice: impl Into<String>) -> Box<Self> {
        self.next = Some(advice.into());
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self: Box<Self>, place: Place) -> Box<Self> {
        self.place = Some(Box::new(place));
        self
    }

    /// The problem as one line, for a report or a log.
    pub fn line(&self) -> String {
        let mut line = format!("{}: {}", self.code.id, self.what);
        for cause in &self.causes {
            line.push_str(": ");
            line.push_str(cause);
        }
        line
    }
}

/// An error and what is behind it, outermost first. Many errors repeat their source in their own text: that is said once.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut source = Some(error);
    while let Some(error) = source {
        let text = error.to_string();
        if all.last().is_none_or(|last| !last.contains(&text)) {
            all.push(text);
        }
        source = error.source();
    }
    all
}

/// The form in which a person reads it on a terminal: several lines, without colours.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code.id, self.what)?;
        if let Some(place) = &self.place {
            let gutter = " ".repeat(place.line.to_string().len());
            write!(f, "\n{gutter}--> {}:{}:{}", place.file, place.line, place.column)?;
            write!(f, "\n{gutter} |\n{} | {}\n{gutter} | ", place.line, place.text)?;
            write!(
                f,
                "{}{}",
                " ".repeat(place.column.saturating_sub(1)),
                "^".repeat(place.length.max(1))
            )?;
        }
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        let next = self.next.as_deref().unwrap_or(self.code.next);
        write!(f, "\n  next: {next}")
    }
}

impl std::error::Error for Problem {}

/// A problem as it stands in ledgers, reports and between our processes: the code's id in place of the code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The code's id.
    pub code: String,
    /// [`Problem::what`].
    pub what: String,
    /// [`Problem::causes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do next.
    pub next: String,
    /// [`Problem::place`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl From<&Problem> for Said {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.code.id.to_owned(),
            what: problem.what.clone(),
            causes: problem.causes.clone(),
            next: problem.next.clone().unwrap_or_else(|| problem.code.next.to_owned()),
            place: problem.place.as_deref().cloned(),
        }
    }
}

impl From<Said> for Box<Problem> {
    fn from(said: Said) -> Self {
        let code = codes::find(&said.code).unwrap_or(&codes::UNKNOWN);
        Box::new(Problem {
            code,
            what: said.what,
            place: said.place.map(Box::new),
            causes: said.causes,
            next: Some(said.next),
        })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.what)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_why_and_what_next() {
        let place = Place {
            file: "a.yaml".into(),
            line: 12,
            column: 5,
            text: "    durration: 5s".into(),
            length: 9,
        };
        let problem = Problem::new(&codes::UNKNOWN_KEY, "unknown key `durration`")
            .at(place)
            .since("a fault has no such key")
            .next("did you mean `duration`?");
        assert_eq!(
            problem.to_string(),
            "error[D003]: unknown key `durration`\n  --> a.yaml:12:5\n   |\n12 |     durration: 5s\n   |     ^^^^^^^^^\n  because: a fault has no such key\n  next: did you mean `duration`?"
        );
    }

    #[test]
    fn a_cause_that_repeats_its_source_is_said_once() {
        let inner = std::io::Error::other("disk on fire");
        let outer = std::io::Error::other(format!("cannot write: {inner}"));
        let problem = Problem::new(&codes::STATE_WRITE, "cannot write").because(&outer);
        assert_eq!(problem.causes, ["cannot write: disk on fire"]);
    }

    #[test]
    fn a_problem_survives_the_way_between_processes() {
        let problem = Problem::new(&codes::UNKNOWN_KEY, "x").since("y");
        let back: Box<Problem> = Said::from(&*problem).into();
        assert_eq!(
            (back.code, &back.what, &back.causes),
            (problem.code, &problem.what, &problem.causes)
        );
    }
}
