//! What targets logged around a failure, as files beside the report.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fracas_core::event::Verdict;
use fracas_core::problem::{Problem, Result, codes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::files::{make, replace};
use crate::model::Report;
use crate::plain::command;

/// So many lines of each target are kept, the newest, as in seed 0.
pub const LINES: usize = 300;
/// And so many bytes of them.
const BYTES: usize = 256 << 10;
/// So long before the failure they begin.
const BEFORE_MS: u64 = 30_000;

/// The lines of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetLog {
    /// The target's identity.
    pub target: String,
    /// The name of its service; the identity where it has none.
    pub service: String,
    /// The lines, oldest first, or why they could not be read.
    pub lines: std::result::Result<Vec<String>, String>,
}

/// A log that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogReport {
    /// The target's identity.
    pub target: String,
    /// The file, from the directory of the report; absent if there was nothing to keep.
    pub file: Option<String>,
    /// How many lines it has.
    pub lines: u64,
    /// Why the log could not be read.
    pub error: Option<String>,
}

/// From when on a target's log says something of the failure, in seconds since 1970: shortly before the breach, or else before the
/// first reading that violated its expectation, or else before the end. `None`: the run did not fail, or touched nothing.
pub fn since(report: &Report) -> Option<i64> {
    if report.dry_run || matches!(report.verdict, Some(Verdict::Passed)) || report.injections.is_empty() {
        return None;
    }
    let breach = report
        .stop
        .as_ref()
        .map(|stop| stop.breach.as_ref().unwrap_or(&stop.asked).elapsed_ms);
    let first_on = report
        .injections
        .iter()
        .filter_map(|one| Some(one.applied.as_ref()?.elapsed_ms))
        .min();
    let violations = report.probes.iter().filter_map(|probe| {
        let expect = probe.expect?;
        let bad = probe.series.iter().find(|point| {
            let violates = [point.min, point.max]
                .into_iter()
                .flatten()
                .any(|value| !expect.holds(value.0));
            first_on.is_some_and(|on| point.elapsed_ms >= on) && violates
        });
        bad.map(|point| point.elapsed_ms)
    });
    let failure = breach.into_iter().chain(violations).min().unwrap_or(report.duration_ms);
    let started: jiff::Timestamp = report.started.parse().ok()?;
    let from = i64::try_from(failure.saturating_sub(BEFORE_MS) / 1000).ok()?;
    started.as_second().checked_add(from)
}

/// Writes `logs/<target>.log` into the directory of a report, and says what there is.
///
/// # Errors
/// `S002` if a file cannot be written; those before it are there.
pub fn write_logs(out: &Path, logs: &[TargetLog]) -> Result<Vec<LogReport>> {
    let mut names = Names::default();
    let mut reports = Vec::new();
    for log in logs {
        let mut report = LogReport {
            target: log.target.clone(),
            file: None,
            lines: 0,
            error: log.lines.as_ref().err().cloned(),
        };
        if let Some(lines) = log.lines.as_ref().ok().filter(|lines| !lines.is_empty()) {
            let kept = newest(lines);
            let name = format!("{}.log", names.of(&log.target));
            replace(&own(&out.join("logs"))?, &name, text(&kept).as_bytes())?;
            report.file = Some(format!("logs/{name}"));
            report.lines = kept.len() as u64;
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Writes seed 0's `logs/<test id>/<service>.tail.log` and, with the lines that speak of an error, `<service>.errors.log` into the
/// directory of test reports. Returns the new files.
///
/// # Errors
/// `S002` if a file cannot be written; those before it are there.
pub fn write_scenario_logs(reports: &Path, report: &Report, logs: &[TargetLog]) -> Result<Vec<PathBuf>> {
    let Some(run) = &report.run else { return Ok(Vec::new()) };
    let mut names = Names::default();
    let mut written = Vec::new();
    for log in logs {
        let Some(lines) = log.lines.as_ref().ok().filter(|lines| !lines.is_empty()) else {
            continue;
        };
        let directory = own(&own(&reports.join("logs"))?.join(run.as_str()))?;
        let (name, tail) = (names.of(&log.service), newest(lines));
        let errors: Vec<&String> = tail.iter().copied().filter(|line| speaks_of_an_error(line)).collect();
        written.push(replace(
            &directory,
            &format!("{name}.tail.log"),
            text(&tail).as_bytes(),
        )?);
        written.push(replace(
            &directory,
            &format!("{name}.errors.log"),
            text(&errors).as_bytes(),
        )?);
    }
    Ok(written)
}

/// Makes a directory, or takes it if it is one: a link in its place leads elsewhere.
fn own(path: &Path) -> Result<PathBuf> {
    make(path)?;
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(path.to_owned()),
        Ok(_) => Err(
            Problem::new(&codes::STATE_WRITE, format!("cannot write into {}", path.display()))
                .since("it is a symbolic link")
                .next("remove the link"),
        ),
        Err(error) => {
            Err(Problem::new(&codes::STATE_WRITE, format!("cannot write into {}", path.display())).because(&error))
        }
    }
}

/// The newest lines within the bounds.
fn newest(lines: &[String]) -> Vec<&String> {
    let mut bytes = 0;
    let fitting = lines.iter().rev().take(LINES).take_while(|line| {
        bytes += line.len() + 1;
        bytes <= BYTES
    });
    let mut kept: Vec<&String> = fitting.collect();
    kept.reverse();
    kept
}

/// The lines, harmless for a terminal.
fn text(lines: &[&String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&command(line));
        text.push('\n');
    }
    text
}

/// Whether one of seed 0's words stands in a line: `\b(error|crit|panic|fatal)\b`, in capitals or not.
fn speaks_of_an_error(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| {
        ["error", "crit", "panic", "fatal"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    })
}

/// Names of files, made of names that others chose.
#[derive(Debug, Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn of(&mut self, text: &str) -> String {
        let harmless = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let mut name: String = text.chars().take(100).map(harmless).collect();
        if name.is_empty() || name.starts_with('.') {
            name.insert(0, '_');
        }
        let mut free = name.clone();
        let mut number = 1;
        while !self.0.insert(free.clone()) {
            number += 1;
            free = format!("{name}-{number}");
        }
        free
    }
}

#[cfg(test)]
mod tests;
