//! `fracas doctor`: what is possible here, what is not, why, and what to do.

mod checks;
mod possible;

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::problem::Result;
use fracas_report::plain;
use serde::Serialize;

use crate::cli::{Common, Doctor};
use crate::output::{print, print_json};
use crate::settings::Settings;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It is there.
    Ok,
    /// Something does not work without it.
    Limited,
    /// Nothing works without it.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// What.
    name: String,
    /// How it ended.
    status: Status,
    /// What was found, or why not.
    found: String,
    /// What to do.
    next: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status: Status::Ok,
            found: found.into(),
            next: None,
        }
    }

    fn not(status: Status, name: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status,
            found: found.into(),
            next: Some(next.into()),
        }
    }
}

/// One fault, and whether it can be done here.
#[derive(Debug, Serialize)]
pub(super) struct Possible {
    fault: String,
    possible: bool,
    /// Why not.
    why: Option<String>,
    /// What it is limited to for want of a privilege.
    only: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
struct Shown {
    /// Whether the basics work: runs can be made.
    ok: bool,
    version: &'static str,
    checks: Vec<Check>,
    faults: Vec<Possible>,
}

pub(crate) fn command(common: &Common, doctor: &Doctor) -> Result<ExitCode> {
    let settings = Settings::load(common)?;
    let (checks, machine) = super::runtime()?.block_on(checks::all(&settings));
    let faults = possible::all(&machine)?;
    let shown = Shown {
        ok: checks.iter().all(|check| check.status != Status::Missing),
        version: env!("CARGO_PKG_VERSION"),
        checks,
        faults,
    };
    if doctor.json {
        print_json(&shown)?;
    } else {
        print(&text(&shown))?;
    }
    Ok(ExitCode::from(if shown.ok { 0 } else { 2 }))
}

fn text(shown: &Shown) -> String {
    let mut text = String::new();
    for check in &shown.checks {
        let mark = match check.status {
            Status::Ok => '✓',
            Status::Limited => '!',
            Status::Missing => '✗',
        };
        let _ = writeln!(text, "{mark} {:<22} {}", check.name, plain(&check.found));
        if let Some(next) = &check.next {
            let _ = writeln!(text, "  {:<22} next: {}", "", plain(next));
        }
    }
    text.push_str("\nfaults\n");
    for fault in &shown.faults {
        let (mark, word) = match (&fault.why, &fault.only) {
            (Some(why), _) => ('✗', why.as_str()),
            (None, Some(only)) => ('!', only.as_str()),
            (None, None) => ('✓', ""),
        };
        let line = format!("{mark} {:<22} {}", fault.fault, plain(word));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(
        text,
        "\n{}",
        if shown.ok {
            "runs are possible here"
        } else {
            "no run is possible here: see what is marked ✗"
        }
    );
    text
}
