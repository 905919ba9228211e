//! Two runs side by side. Only what both measured in the same way is compared; what is not is said.

mod text;

use std::collections::BTreeMap;

use fracas_core::event::{Hypothesis, Verdict};
use fracas_core::number::Number;
use fracas_core::probe::Moment;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::Landed;
use fracas_core::seed::Seed;
use fracas_core::statistics::{Comparison, compare};
use schemars::JsonSchema;
use serde::Serialize;

pub use text::text;

use crate::compared::{TestReport, corrected};
use crate::load::Measured;
use crate::model::{InjectionReport, Report};
use crate::undo::undos;

/// The version of this form.
pub const VERSION: u32 = 1;

/// Two runs side by side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Versus {
    /// The version of this form: 1.
    pub version: u32,
    /// The first run.
    pub first: RunFigures,
    /// The second run.
    pub second: RunFigures,
    /// Every moment of every probe that both runs measured.
    pub probes: Vec<ProbeVersus>,
    /// Every fault on every target of either run.
    pub faults: Vec<FaultVersus>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
}

/// One of the two runs in a few figures.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunFigures {
    /// Its id.
    pub run: Option<String>,
    /// The experiment's name.
    pub name: String,
    /// When it began, RFC 3339 in UTC.
    pub started: String,
    /// How it ended; absent if it did not say so.
    pub verdict: Option<Verdict>,
    /// Why.
    pub why: String,
    /// Whether the hypothesis held.
    pub hypothesis: Hypothesis,
    /// How long it took.
    pub duration_ms: u64,
    /// Its seed.
    pub seed: Option<Seed>,
    /// How many injections there were.
    pub injections: u64,
    /// How many of them landed whenever they were measured.
    pub landed: u64,
    /// From the start of the rollback to the last fault gone.
    pub rollback_ms: Option<u64>,
    /// From the breach, or else the request, to the last fault gone, where it was stopped.
    pub stop_ms: Option<u64>,
    /// How many injections are left in the system.
    pub left: u64,
}

/// One moment of one probe in both runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ProbeVersus {
    /// The probe.
    pub probe: String,
    /// The moment.
    pub moment: Moment,
    /// The median of the first run's readings.
    pub first_median: Option<Number>,
    /// The median of the second run's.
    pub second_median: Option<Number>,
    /// Independent samples of the first run.
    pub first_n: u64,
    /// Independent samples of the second run.
    pub second_n: u64,
    /// The test, corrected for all that are in this comparison; the shift is that of the second run against the first.
    pub test: Option<TestReport>,
    /// Why there is no test.
    pub why_not: Option<String>,
}

/// One fault on one target in both runs; absent where only the other run had it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FaultVersus {
    /// The fault's name.
    pub fault: String,
    /// The target.
    pub target: String,
    /// In the first run.
    pub first: Option<DoseFigures>,
    /// In the second run.
    pub second: Option<DoseFigures>,
}

/// What came of one injection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DoseFigures {
    /// What was asked; the planned change where nothing was measured.
    pub asked: String,
    /// What was delivered.
    pub delivered: Option<String>,
    /// Whether it landed.
    pub landed: Option<Landed>,
    /// From the start of its undo to its absence read from the system, in milliseconds.
    pub clean_ms: Option<u64>,
}

/// So many lines of one kind at most.
const MOST: usize = 10_000;

/// Compares two runs.
///
/// # Errors
/// `R005` if they have neither a probe nor a fault in common: there is nothing to put side by side.
pub fn versus(first: &Measured, second: &Measured) -> Result<Versus> {
    let mut notes = Vec::new();
    for (which, one) in [("first", first), ("second", second)] {
        notes.extend(one.torn.as_ref().map(|why| format!("the {which} run: {why}")));
    }
    let probes = probes(first, second, &mut notes);
    let faults = faults(&first.report, &second.report);
    let shared = faults.iter().any(|one| one.first.is_some() && one.second.is_some());
    let same_probe = first.report.probes.iter().any(|one| partner(one, second).is_some());
    if !shared && !same_probe {
        let names = |report: &Report| {
            let names: Vec<&str> = report.probes.iter().map(|probe| probe.name.as_str()).collect();
            if names.is_empty() {
                "no probes".to_owned()
            } else {
                names.join(", ")
            }
        };
        let problem = Problem::new(&codes::NOTHING_SHARED, "the two runs have nothing in common to compare");
        return Err(problem
            .since(format!("the first measures {}", names(&first.report)))
            .since(format!("the second measures {}", names(&second.report))));
    }
    Ok(Versus {
        version: VERSION,
        first: figures(&first.report),
        second: figures(&second.report),
        probes,
        faults,
        notes,
    })
}

/// The probe of the other run that measures the same.
fn partner<'a>(probe: &crate::model::ProbeReport, other: &'a Measured) -> Option<&'a crate::model::ProbeReport> {
    let found = other.report.probes.iter().find(|one| one.name == probe.name)?;
    (found.source == probe.source).then_some(found)
}

fn probes(first: &Measured, second: &Measured, notes: &mut Vec<String>) -> Vec<ProbeVersus> {
    let seed = first.report.seed.unwrap_or(Seed(0));
    let mut compared: Vec<(ProbeVersus, Comparison)> = Vec::new();
    for probe in &first.report.probes {
        let Some(other) = partner(probe, second) else {
            let known = second.report.probes.iter().any(|one| one.name == probe.name);
            notes.push(if known {
                format!(
                    "probe {} is not compared: the runs ask different things by this name",
                    probe.name
                )
            } else {
                format!("probe {} is only in the first run", probe.name)
            });
            continue;
        };
        if probe.expect != other.expect {
            let text =
                |expect: Option<fracas_core::probe::Expect>| expect.map_or("nothing".to_owned(), |one| one.to_string());
            let (a, b) = (text(probe.expect), text(other.expect));
            notes.push(format!(
                "probe {}: the first run expects {a}, the second {b}",
                probe.name
            ));
        }
        for moment in [Moment::Before, Moment::During, Moment::After] {
            let median = |probe: &crate::model::ProbeReport| {
                probe
                    .moments
                    .iter()
                    .find(|one| one.moment == moment)
                    .and_then(|one| one.stats.median)
            };
            let (first_median, second_median) = (median(probe), median(other));
            let samples = |of: &Measured| of.samples(&probe.name, moment);
            let (a, b) = (samples(first), samples(second));
            if first_median.is_none() && second_median.is_none() && a.is_empty() && b.is_empty() {
                continue;
            }
            let comparison = compare(&a, &b, seed, &format!("runs: {}: {moment}", probe.name));
            let one = ProbeVersus {
                probe: probe.name.clone(),
                moment,
                first_median,
                second_median,
                first_n: comparison.first as u64,
                second_n: comparison.second as u64,
                test: None,
                why_not: comparison.why_not.clone(),
            };
            compared.push((one, comparison));
        }
    }
    for probe in &second.report.probes {
        if !first.report.probes.iter().any(|one| one.name == probe.name) {
            notes.push(format!("probe {} is only in the second run", probe.name));
        }
    }
    let comparisons: Vec<&Comparison> = compared.iter().map(|(_, one)| one).collect();
    let tests = corrected(&comparisons);
    let with_test = compared
        .into_iter()
        .zip(tests)
        .map(|((one, _), test)| ProbeVersus { test, ..one });
    with_test.take(MOST).collect()
}

fn faults(first: &Report, second: &Report) -> Vec<FaultVersus> {
    let mut by_target: BTreeMap<(String, String), FaultVersus> = BTreeMap::new();
    for (report, is_first) in [(first, true), (second, false)] {
        for one in &report.injections {
            let key = (one.fault.clone(), one.target.clone());
            let entry = by_target.entry(key).or_insert_with(|| FaultVersus {
                fault: one.fault.clone(),
                target: one.target.clone(),
                first: None,
                second: None,
            });
            let figures = Some(dose(report, one));
            if is_first {
                entry.first = figures;
            } else {
                entry.second = figures;
            }
        }
    }
    by_target.into_values().take(MOST).collect()
}

fn dose(report: &Report, one: &InjectionReport) -> DoseFigures {
    let mut lines = report.certificate.iter().flat_map(|certificate| &certificate.lines);
    let line = lines.find(|line| line.injection == one.number);
    DoseFigures {
        asked: one
            .dose
            .as_ref()
            .map_or_else(|| one.change.clone(), |dose| dose.asked.clone()),
        delivered: one.dose.as_ref().map(|dose| dose.delivered.clone()),
        landed: one.dose.as_ref().map(|dose| dose.landed.clone()),
        clean_ms: line.filter(|line| line.state.is_over()).map(|line| line.millis),
    }
}

fn figures(report: &Report) -> RunFigures {
    RunFigures {
        run: report.run.as_ref().map(ToString::to_string),
        name: report.name.clone(),
        started: report.started.clone(),
        verdict: report.verdict,
        why: report.why.clone(),
        hypothesis: report.hypothesis,
        duration_ms: report.duration_ms,
        seed: report.seed,
        injections: report.injections.len() as u64,
        landed: report.injections.iter().filter(|one| one.landed()).count() as u64,
        rollback_ms: report.rollback_ms,
        stop_ms: report.stop.as_ref().and_then(|stop| stop.took_ms),
        left: undos(report).iter().filter(|undo| !undo.over).count() as u64,
    }
}

#[cfg(test)]
mod tests;
