//! A report in every form that it has, as one text.

use std::fmt;
use std::str::FromStr;

use fracas_core::event::Event;
use fracas_core::problem::{Problem, Result, codes};
use serde::Serialize;

use crate::html::html;
use crate::junit::junit;
use crate::markdown::markdown;
use crate::model::Report;
use crate::scenario::TestReport;
use crate::summary::{Style, summary};

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a terminal; in seed 0's words for a `ChaosScenario`.
    Text,
    /// `report.json`.
    Json,
    /// `report.html`: one file, for a browser.
    Html,
    /// `report.md`.
    Markdown,
    /// `junit.xml`.
    Junit,
    /// `events.ndjson`: one event per line.
    Ndjson,
    /// Seed 0's `test-….json`.
    ChaosScenario,
}

impl Format {
    /// All, in the order in which help shows them.
    pub const ALL: [Self; 7] = [
        Self::Text,
        Self::Json,
        Self::Html,
        Self::Markdown,
        Self::Junit,
        Self::Ndjson,
        Self::ChaosScenario,
    ];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Html => "html",
            Self::Markdown => "markdown",
            Self::Junit => "junit",
            Self::Ndjson => "ndjson",
            Self::ChaosScenario => "chaos-scenario",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Format {
    type Err = Box<Problem>;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|format| format.word() == text);
        found.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|format| format.word()).collect();
            Problem::new(&codes::USAGE, format!("{text:?} is no form of a report"))
                .next(format!("use one of {}", words.join(", ")))
        })
    }
}

/// The report in a form, ended by a line break. `events` are those that it was made of; only [`Format::Ndjson`] shows them.
pub fn render(report: &Report, events: &[Event], format: Format) -> Result<String> {
    Ok(match format {
        Format::Text => summary(report, Style::from(report.format)),
        Format::Json => json(report)?,
        Format::Html => html(report),
        Format::Markdown => markdown(report),
        Format::Junit => ended(junit(report)?),
        Format::Ndjson => {
            let mut lines = String::new();
            for event in events {
                lines.push_str(&ndjson(event)?);
            }
            lines
        }
        Format::ChaosScenario => json(&TestReport::from(report))?,
    })
}

fn ended(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(ended)
        .or_else(|error| no_json(&error))
}

/// One event as a line.
pub(crate) fn ndjson(event: &Event) -> Result<String> {
    serde_json::to_string(event).map(ended).or_else(|error| no_json(&error))
}

fn no_json<T>(error: &serde_json::Error) -> Result<T> {
    Err(Problem::new(&codes::INSIDE, "what is to be reported has no JSON form").because(error))
}

#[cfg(test)]
mod tests;
