//! Two runs side by side on a terminal.

use fracas_core::event::Verdict;
use fracas_core::record::Landed;

use super::{DoseFigures, ProbeVersus, RunFigures, Versus};
use crate::compared::{ComparisonReport, METHOD};
use crate::figure::figure;
use crate::plain::{plain, shortened};
use crate::{duration, summary};

/// The width of a column.
const COLUMN: usize = 34;

/// Several lines, each ended. Every text from outside is made harmless.
pub fn text(versus: &Versus) -> String {
    let mut lines = Vec::new();
    let mut row = |name: &str, of: &dyn Fn(&RunFigures) -> String| {
        let (first, second) = (of(&versus.first), of(&versus.second));
        lines.push(format!("{name:<14}{first:<COLUMN$}  {second}"));
    };
    row("Run", &|one| one.run.clone().unwrap_or_else(|| "unknown".to_owned()));
    row("Experiment", &|one| shortened(&one.name, COLUMN - 1));
    row("Verdict", &|one| {
        one.verdict.map_or("UNFINISHED", Verdict::word).to_owned()
    });
    row("Hypothesis", &|one| summary::hypothesis(one.hypothesis).to_owned());
    row("Duration", &|one| duration::go(one.duration_ms));
    row("Landed", &|one| format!("{} of {}", one.landed, one.injections));
    let millis = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    row("Rollback", &|one| millis(one.rollback_ms));
    row("Time to stop", &|one| millis(one.stop_ms));
    row("Left", &|one| match one.left {
        0 => "nothing".to_owned(),
        1 => "1 injection".to_owned(),
        n => format!("{n} injections"),
    });
    if !versus.probes.is_empty() {
        lines.push("Probes".to_owned());
        lines.extend(versus.probes.iter().map(probe));
        if versus.probes.iter().any(|one| one.test.is_some()) {
            lines.push(format!("  {METHOD}"));
        }
    }
    if !versus.faults.is_empty() {
        lines.push("Faults".to_owned());
    }
    for fault in &versus.faults {
        lines.push(format!("  {} on {}", plain(&fault.fault), plain(&fault.target)));
        lines.push(format!("    first   {}", dose(fault.first.as_ref())));
        lines.push(format!("    second  {}", dose(fault.second.as_ref())));
    }
    if !versus.notes.is_empty() {
        lines.push("Notes".to_owned());
        lines.extend(versus.notes.iter().map(|note| format!("  {}", plain(note))));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn probe(one: &ProbeVersus) -> String {
    let number = |value: Option<fracas_core::number::Number>| {
        value.map_or_else(|| "none".to_owned(), |value| figure(value.0, 4))
    };
    let (first, second) = (number(one.first_median), number(one.second_median));
    let words = ComparisonReport {
        first: one.moment,
        second: one.moment,
        first_n: one.first_n,
        second_n: one.second_n,
        test: one.test.clone(),
        why_not: one.why_not.clone(),
    };
    let [samples, shift, p, says] = words.words();
    let test = if one.test.is_some() {
        format!("shift {shift}, p {p}: {says}")
    } else {
        says
    };
    let name = plain(&one.probe);
    format!(
        "  {name} {}: median {first} to {second}; {test} ({samples} samples)",
        one.moment
    )
}

fn dose(dose: Option<&DoseFigures>) -> String {
    let Some(dose) = dose else {
        return "not in this run".to_owned();
    };
    let landed = match &dose.landed {
        Some(Landed::Yes) => "landed".to_owned(),
        Some(Landed::No(why)) => format!("did not land: {}", plain(why)),
        Some(Landed::Unmeasured(why)) => format!("unmeasured: {}", plain(why)),
        None => "never measured".to_owned(),
    };
    let delivered = dose
        .delivered
        .as_ref()
        .map_or_else(String::new, |text| format!(", delivered {}", plain(text)));
    let clean = dose
        .clean_ms
        .map_or_else(|| "not seen to be gone".to_owned(), |ms| format!("gone in {ms} ms"));
    format!("asked {}{delivered}; {landed}; {clean}", plain(&dose.asked))
}
