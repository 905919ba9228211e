//! The report: what is in `report.json`. Its fields are public, in the sense that scripts depend on them; [`VERSION`] changes when
//! one of them is taken away or changes its meaning.

use std::collections::{BTreeMap, BTreeSet};

use fracas_core::event::{Candidate, Environment, Hypothesis, Judgement, Outcome, Phase, StopCause, Verdict};
use fracas_core::experiment::{Format, Written};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::number::Number;
use fracas_core::probe::{Expect, Moment, Source, When};
use fracas_core::problem::Said;
use fracas_core::record::{Certificate, Dose, Landed, State, UndoClass};
use fracas_core::seed::Seed;
use fracas_core::target::Target;
use fracas_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compared::ComparisonReport;
use crate::logs::LogReport;
use crate::series::Point;
use crate::stats::Stats;

/// The version of the report's form.
pub const VERSION: u32 = 1;

/// Everything that is to be said of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this form: 1.
    pub version: u32,
    /// The id of the run; absent if the record has lost its beginning.
    pub run: Option<RunId>,
    /// The version of Fracas that ran it.
    pub fracas: String,
    /// The kind of document.
    pub format: Format,
    /// The experiment's name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// The document's own version.
    pub document_version: Option<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Wall-clock time of the first event, RFC 3339 in UTC.
    pub started: String,
    /// Wall-clock time of the last event.
    pub ended: String,
    /// From the first to the last event, by a clock that never steps.
    pub duration_ms: u64,
    /// How it ended; absent while it runs, and if the runner died before it could say.
    pub verdict: Option<Verdict>,
    /// Why, in a sentence.
    pub why: String,
    /// The exit code that goes with the verdict.
    pub exit_code: Option<u8>,
    /// Whether the hypothesis held while the faults were on.
    pub hypothesis: Hypothesis,
    /// Whether nothing was applied.
    pub dry_run: bool,
    /// The seed, drawn or given.
    pub seed: Option<Seed>,
    /// What was left to chance.
    pub decisions: Decisions,
    /// The machine that it ran on.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// The phases, in the order in which they began.
    pub phases: Vec<PhaseReport>,
    /// The targets, by alias.
    pub targets: BTreeMap<String, TargetsReport>,
    /// The faults of the document, in its order.
    pub faults: Vec<FaultReport>,
    /// The injections, by number.
    pub injections: Vec<InjectionReport>,
    /// The probes, in the order of the document.
    pub probes: Vec<ProbeReport>,
    /// The recorded metrics, by query, and in each moment.
    pub metrics: BTreeMap<String, Vec<MomentReport>>,
    /// What stopped the run before its end, if anything did.
    pub stop: Option<StopReport>,
    /// From the start of the rollback to the last fault gone, where every fault is gone.
    pub rollback_ms: Option<u64>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// How many further notes were left out: only the first 1000 are kept.
    pub notes_left_out: u64,
    /// What went wrong with the run itself.
    pub problems: Vec<Said>,
    /// What is left in the system; absent until it was looked at.
    pub certificate: Option<Certificate>,
    /// What the targets logged around a failure.
    #[serde(default)]
    pub logs: Vec<LogReport>,
}

impl Report {
    /// Takes the proof of a guardian that outlived its runner, or what the ledger says where both died.
    pub fn take_certificate(&mut self, certificate: Certificate) {
        if self.verdict.is_none() {
            let rest = if certificate.is_clean() {
                "everything was undone"
            } else {
                "something is left"
            };
            self.why = format!("the runner died before it could say how the run ended; {rest}");
        }
        for line in &certificate.lines {
            if let Some(injection) = self.injections.iter_mut().find(|one| one.number == line.injection) {
                injection.state = line.state;
            }
        }
        self.certificate = Some(certificate);
    }

    /// The verdict in capitals, or `UNFINISHED`.
    pub fn word(&self) -> &'static str {
        self.verdict.map_or("UNFINISHED", Verdict::word)
    }

    /// How many injections were ever on.
    pub fn applied(&self) -> usize {
        self.injections
            .iter()
            .filter(|injection| injection.applied.is_some())
            .count()
    }

    /// How many targets were chosen. One that is under two aliases is one.
    pub fn chosen(&self) -> usize {
        let chosen = self.targets.values().flat_map(|targets| &targets.chosen);
        chosen.map(|target| &target.identity).collect::<BTreeSet<_>>().len()
    }

    /// Among how many. One that is under two aliases is one.
    pub fn candidates(&self) -> usize {
        let candidates = self.targets.values().flat_map(|targets| &targets.candidates);
        candidates
            .map(|candidate| &candidate.identity)
            .collect::<BTreeSet<_>>()
            .len()
    }
}

/// What was left to chance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Decisions {
    /// How many decisions there were.
    pub count: u64,
    /// Their digest: the same seed over the same targets gives the same.
    pub digest: String,
}

/// A moment in the run, by both clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// Wall-clock time, RFC 3339 in UTC.
    pub time: String,
    /// Milliseconds since the run began.
    pub elapsed_ms: u64,
}

/// A phase that the run went through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseReport {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub start: At,
    /// How long it was expected to take.
    pub expected: Option<Span>,
    /// How long it took; absent if it never ended.
    pub duration_ms: Option<u64>,
    /// How it ended; absent if it never did.
    pub outcome: Option<Outcome>,
}

/// The targets of one alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetsReport {
    /// All that matched, with the reason where one was left out.
    pub candidates: Vec<Candidate>,
    /// The sum behind the number of chosen.
    pub sum: String,
    /// The chosen.
    pub chosen: Vec<Target>,
}

/// A fault of the document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultReport {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The alias of its targets.
    pub target: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its parameters, every default filled in.
    pub parameters: serde_json::Value,
    /// Type and parameters in the document's own words, where these are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
}

/// One fault on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InjectionReport {
    /// Its number.
    pub number: InjectionId,
    /// The fault's name in the document.
    pub fault: String,
    /// The fault's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The target's identity.
    pub target: String,
    /// How it is undone.
    pub undo: UndoClass,
    /// The change and its way back, in words.
    pub change: String,
    /// When it was to start, after the first injection could begin.
    pub planned_start: Span,
    /// How long it was to stay; absent if until the rollback.
    pub planned_duration: Option<Span>,
    /// Since when it was on; absent if it never was.
    pub applied: Option<At>,
    /// When it was seen to be gone.
    pub gone: Option<At>,
    /// Where it stands.
    pub state: State,
    /// Every state it came into.
    pub states: Vec<StateChange>,
    /// The last measurement of its dose.
    pub dose: Option<Dose>,
    /// How many measurements of the dose there were.
    pub dose_measurements: u64,
    /// In how many of them it had not landed.
    pub dose_missed: u64,
    /// What failed.
    pub problems: Vec<Said>,
    /// How often its target restarted while it was on, and it was put on again.
    pub restarts: u32,
}

impl InjectionReport {
    /// Whether it was on and was not seen to be gone since.
    pub fn is_on(&self) -> bool {
        self.applied.is_some() && self.gone.is_none()
    }

    /// Whether it was never seen to be on, and still there was something to undo: it was cut off while it was being applied.
    pub fn took_effect(&self) -> bool {
        // What the guardian says of an undo that found nothing.
        const NOTHING: &str = "nothing was left to undo";
        let undone =
            |change: &StateChange| !matches!(change.state, State::Planned | State::Applied) && change.how != NOTHING;
        self.applied.is_none() && self.states.iter().any(undone)
    }

    /// Whether it was on and landed whenever it was measured.
    pub fn landed(&self) -> bool {
        let landed = |dose: &Dose| dose.landed == Landed::Yes;
        self.applied.is_some() && self.dose.as_ref().is_some_and(landed) && self.dose_missed == 0
    }
}

/// A change of an injection's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateChange {
    /// Into what.
    pub state: State,
    /// When.
    pub at: At,
    /// What led to it, in words.
    pub how: String,
}

/// A probe, with all that it gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeReport {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What is measured.
    pub source: Source,
    /// The hypothesis.
    pub expect: Option<Expect>,
    /// Danger.
    pub abort: Option<Expect>,
    /// At which moments it is judged, and over which readings.
    pub when: Vec<When>,
    /// Whether a violation changes the verdict.
    pub critical: bool,
    /// Figures for each moment in which it was read.
    pub moments: Vec<MomentReport>,
    /// How it was judged.
    pub judgements: Vec<JudgementReport>,
    /// Baseline against the time of the faults, and against the recovery.
    #[serde(default)]
    pub comparisons: Vec<ComparisonReport>,
    /// What it gave over time, thinned to at most 480 points for a picture; the extremes are kept.
    #[serde(default)]
    pub series: Vec<Point>,
}

impl ProbeReport {
    /// Whether it was judged, and held every time.
    pub fn passed(&self) -> bool {
        !self.judgements.is_empty() && self.judgements.iter().all(|one| one.judgement.passed)
    }

    /// The judgement that decided: the first that failed, else the last.
    pub fn decided(&self) -> Option<&JudgementReport> {
        let failed = self.judgements.iter().find(|one| !one.judgement.passed);
        failed.or_else(|| self.judgements.last())
    }
}

/// Figures of one moment. Of a reading with several series, the one that is hardest on the expectation counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MomentReport {
    /// Which.
    pub moment: Moment,
    /// How many readings were taken.
    pub readings: u64,
    /// How many of them gave no value: an error or no data.
    pub missing: u64,
    /// How many were too old to be believed; they are not in the figures.
    pub stale: u64,
    /// How many violated the expectation.
    pub violations: u64,
    /// How many were danger.
    pub dangers: u64,
    /// The figures.
    pub stats: Stats,
    /// The value that was hardest on the expectation, or nearest to danger.
    pub worst: Option<Number>,
    /// The last reason for a missing value.
    pub error: Option<String>,
}

/// A judgement, with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JudgementReport {
    /// When it was made.
    pub at: At,
    /// What it says.
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// What stopped a run, and how long that took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopReport {
    /// The first cause.
    pub cause: StopCause,
    /// The cause in words.
    pub words: String,
    /// When the run was asked to stop.
    pub asked: At,
    /// For an abort: when the first of the readings was taken that showed the danger, without a safe one since.
    pub breach: Option<At>,
    /// From the breach, or else from the request, to the last fault gone. Absent if no fault was on, and while one still is.
    pub took_ms: Option<u64>,
    /// Of these, at most so much was spent waiting for the container engine.
    pub engine_ms: u64,
    /// Whatever asked for a stop after the first.
    pub later: Vec<StopCause>,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// When it was said.
    pub at: At,
    /// In a sentence.
    pub text: String,
}
