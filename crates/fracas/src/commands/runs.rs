//! `fracas runs`: what was run, and how it ended.

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::problem::Result;
use fracas_guardian::state::{Kept, State};
use fracas_report::plain;
use serde::Serialize;

use crate::cli::{Common, Format, Runs};
use crate::output::{print, print_json};
use crate::settings::Settings;

/// One run.
#[derive(Debug, Serialize)]
struct Run {
    run: String,
    /// The verdict in capitals, `RUNNING`, `LEFT` (needs `fracas recover`), `UNFINISHED` (its runner died, nothing is left) or
    /// `UNKNOWN` (its report is gone, or another run's is in its place).
    verdict: &'static str,
    dry_run: bool,
    started: Option<String>,
    duration_ms: Option<u64>,
    name: Option<String>,
    why: Option<String>,
}

pub(crate) fn command(common: &Common, runs: &Runs) -> Result<ExitCode> {
    let state = State::open(&Settings::load(common)?.state()?)?;
    let kept = state.runs()?;
    let skip = match runs.last {
        0 => 0,
        last => kept.len().saturating_sub(last),
    };
    let shown: Vec<Run> = kept.iter().skip(skip).map(|kept| look(&state, kept)).collect();
    match runs.format {
        Format::Json => print_json(&shown)?,
        Format::Text => print(&text(&shown))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn look(state: &State, kept: &Kept) -> Run {
    let report = state
        .report_directory(&kept.run)
        .and_then(|directory| fracas_report::load(&directory))
        .ok()
        // Two runs may have been given the same directory: the later one's report is there.
        .filter(|report| report.run.as_ref() == Some(&kept.run));
    let verdict = match &report {
        _ if kept.kept => "RUNNING",
        _ if kept.is_abandoned() => "LEFT",
        Some(report) => report.word(),
        None => "UNKNOWN",
    };
    Run {
        run: kept.run.to_string(),
        verdict,
        dry_run: report.as_ref().is_some_and(|report| report.dry_run),
        started: report.as_ref().map(|report| report.started.clone()),
        duration_ms: report.as_ref().map(|report| report.duration_ms),
        name: report.as_ref().map(|report| report.name.clone()),
        why: report.map(|report| report.why),
    }
}

fn text(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "there are no runs yet\n".to_owned();
    }
    let mut text = String::new();
    for run in runs {
        let name = run.name.as_deref().map_or_else(|| "no report".to_owned(), plain);
        let took = run
            .duration_ms
            .map_or_else(|| "-".to_owned(), |ms| format!("{}.{}s", ms / 1000, ms % 1000 / 100));
        let dry = if run.dry_run { " (dry run)" } else { "" };
        let why = run.why.as_deref().map(plain).filter(|why| !why.is_empty());
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let _ = writeln!(text, "{}  {:<12} {took:>9}  {name}{dry}{why}", run.run, run.verdict);
    }
    text
}
