//! `fracas status`: what is running, what was left, whether the machine is frozen.

use std::process::ExitCode;

use fracas_core::problem::Result;
use fracas_core::record::State as InjectionState;
use fracas_guardian::state::{Kept, State};
use serde::Serialize;

use crate::cli::{Common, Status};
use crate::output::print;
use crate::settings::state_path;

/// Runs that are going on or were left.
#[derive(Debug, Serialize)]
struct Shown {
    frozen: Option<String>,
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Run {
    run: String,
    /// `running`, `stopped` (both its processes are: needs `fracas stop`), `left` (needs `fracas recover`) or `unreadable`.
    state: &'static str,
    injections: Vec<Injection>,
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Injection {
    fault: String,
    target: String,
    state: InjectionState,
}

pub(crate) fn command(common: &Common, status: &Status) -> Result<ExitCode> {
    let state = State::open(&state_path(common)?)?;
    let frozen = state.frozen()?.map(|why| why.trim().to_owned());
    let runs: Vec<Run> = state
        .runs()?
        .iter()
        .filter(|kept| kept.kept || kept.is_abandoned())
        .map(show)
        .collect();
    let left = runs.iter().any(|run| run.state != "running");
    let shown = Shown { frozen, runs };
    if status.json {
        print(&format!(
            "{}\n",
            serde_json::to_string_pretty(&shown).unwrap_or_default()
        ))?;
    } else {
        print(&text(&shown))?;
    }
    Ok(ExitCode::from(if left { 4 } else { 0 }))
}

fn show(kept: &Kept) -> Run {
    let (injections, problem) = match &kept.ledger {
        Some(Ok(contents)) => {
            let injection = |entry: &fracas_guardian::ledger::Entry| Injection {
                fault: entry.planned.fault.clone(),
                target: entry.planned.target.identity.clone(),
                state: entry.state,
            };
            (contents.open().map(injection).collect(), None)
        }
        Some(Err(problem)) => (Vec::new(), Some(problem.line())),
        None => (Vec::new(), None),
    };
    let state = match (kept.kept, &problem) {
        (true, _) if kept.is_stuck() => "stopped",
        (true, _) => "running",
        (false, None) => "left",
        (false, Some(_)) => "unreadable",
    };
    Run {
        run: kept.run.to_string(),
        state,
        injections,
        problem,
    }
}

fn text(shown: &Shown) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    if let Some(why) = &shown.frozen {
        let _ = writeln!(text, "frozen: {why}");
    }
    for run in &shown.runs {
        let what = match run.state {
            "running" => "is running",
            "stopped" => "is stopped, runner and guardian: `fracas stop` ends them and undoes it",
            "left" => "was left: `fracas recover` undoes it",
            _ => "cannot be read",
        };
        let _ = writeln!(text, "run {} {what}", run.run);
        if let Some(problem) = &run.problem {
            let _ = writeln!(text, "  {problem}");
        }
        for injection in &run.injections {
            let _ = writeln!(
                text,
                "  {:<8} {} on {}",
                injection.state.word(),
                injection.fault,
                injection.target
            );
        }
    }
    if text.is_empty() {
        text.push_str("nothing is running, nothing was left\n");
    }
    text
}
