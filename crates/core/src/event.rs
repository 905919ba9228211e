//! Everything that happens in a run. Terminal, NDJSON, reports and metrics are folds of the same events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::ids::{InjectionId, RunId};
use crate::probe::{Moment, Reading};
use crate::problem::Said;
use crate::record::{Certificate, Dose, State, UndoClass};
use crate::seed::Seed;
use crate::target::Target;
use crate::units::Span;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Number within the run, from 0, without gaps.
    pub seq: u64,
    /// Wall-clock time, RFC 3339 in UTC.
    pub at: String,
    /// Milliseconds since the run began, by a clock that never steps.
    pub elapsed_ms: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The run began. Always the first event.
    RunStarted {
        /// Its id.
        run: RunId,
        /// The version of Fracas.
        version: String,
        /// What it does.
        experiment: Box<Experiment>,
        /// The seed, drawn or given.
        seed: Seed,
        /// Whether nothing is applied.
        dry_run: bool,
        /// The process that runs it.
        pid: u32,
    },
    /// Where the run goes on.
    Surrounded(Environment),
    /// A phase began.
    PhaseEntered {
        /// Which.
        phase: Phase,
        /// How long it will take, where that is known.
        expected: Option<Span>,
    },
    /// A phase ended.
    PhaseLeft {
        /// Which.
        phase: Phase,
        /// How.
        outcome: Outcome,
    },
    /// The targets of an alias were chosen.
    TargetsChosen {
        /// The alias.
        alias: String,
        /// All that matched, by identity, with the reason where one was left out.
        candidates: Vec<Candidate>,
        /// The sum behind the number, as a person would write it.
        sum: String,
        /// The chosen.
        chosen: Vec<Target>,
    },
    /// Something was decided by chance.
    Decided {
        /// What was decided.
        purpose: String,
        /// About what.
        identity: String,
        /// How often before.
        ordinal: u64,
        /// How.
        chosen: String,
    },
    /// An injection was planned.
    Planned {
        /// Its number.
        injection: InjectionId,
        /// The fault's name in the document.
        fault: String,
        /// The fault's type.
        kind: String,
        /// The target's identity.
        target: String,
        /// How it will be undone.
        undo: UndoClass,
        /// The change and its way back, in words.
        change: String,
        /// When it starts.
        start: Span,
        /// How long it stays.
        duration: Option<Span>,
    },
    /// An injection came into a state.
    Injection {
        /// Which.
        injection: InjectionId,
        /// Into what.
        state: State,
        /// What led to it, in words.
        how: String,
        /// Where it was undone: from the start of the undo to what was seen then, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took_ms: Option<u64>,
    },
    /// An injection failed.
    InjectionFailed {
        /// Which.
        injection: InjectionId,
        /// Why.
        problem: Said,
    },
    /// The dose of an injection was measured.
    DoseMeasured {
        /// Which.
        injection: InjectionId,
        /// What was found.
        dose: Dose,
    },
    /// A target restarted, and the fault was put on it again.
    TargetRestarted {
        /// The target's identity.
        target: String,
        /// How often by now.
        times: u32,
    },
    /// A probe was read.
    ProbeRead {
        /// Its name.
        probe: String,
        /// In which moment; `None` between two faults, where only danger is looked for.
        moment: Option<Moment>,
        /// What it gave.
        reading: Reading,
        /// Why it violates its expectation, if it does.
        violation: Option<String>,
        /// Why it is danger, if it is.
        danger: Option<String>,
    },
    /// A metric of the document was recorded.
    MetricRead {
        /// The query.
        metric: String,
        /// What it gave.
        reading: Reading,
    },
    /// A probe was judged over a moment.
    Judged(Judgement),
    /// Something asked the run to stop.
    StopAsked {
        /// What.
        cause: StopCause,
    },
    /// The guardian is gone or does not answer. Another one recovers from the ledger.
    GuardianLost {
        /// How that was noticed, in words.
        why: String,
    },
    /// Something that a person should know; changes nothing.
    Note {
        /// In a sentence.
        text: String,
    },
    /// The run failed.
    Failed {
        /// Why.
        problem: Said,
    },
    /// What is left of the run in the system.
    Certified {
        /// The proof.
        certificate: Certificate,
    },
    /// The run is over. Always the last event.
    RunEnded {
        /// How it ended.
        verdict: Verdict,
        /// Why, in a sentence.
        why: String,
        /// Whether the hypothesis held.
        hypothesis: Hypothesis,
        /// How many decisions were made by chance, and their digest.
        decisions: (u64, String),
    },
}

/// The machine of a run, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Its name.
    pub host: Option<String>,
    /// The release of its kernel, as `uname -r` prints it.
    pub kernel: Option<String>,
    /// What its processor understands, e.g. `x86_64`.
    pub architecture: String,
    /// The container engine with its version and that of its control groups, where one is needed.
    pub engine: Option<String>,
}

impl Environment {
    /// What is known of it, in a line.
    pub fn words(&self) -> String {
        let engine = self.engine.as_ref().map(|engine| format!("container engine {engine}"));
        let parts = [
            self.host.clone(),
            self.kernel.clone(),
            Some(self.architecture.clone()),
            engine,
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A candidate for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// What is stable about it.
    pub identity: String,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why not, or why it could not be: `protected: container engine`, `blast radius`.
    pub why: Option<String>,
}

/// A probe judged over one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The probe.
    pub probe: String,
    /// The moment.
    pub moment: Moment,
    /// Whether the expectation held.
    pub passed: bool,
    /// Whether that counts for the verdict.
    pub critical: bool,
    /// The value that decided. In JSON, NaN and infinity are texts.
    #[serde(default, with = "crate::number::optional")]
    #[schemars(with = "Option<crate::number::Number>")]
    pub value: Option<f64>,
    /// In words: `value 1 meets threshold == 1`.
    pub message: String,
}

/// A stage of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Document, overrides, validation.
    Parse,
    /// Candidates, blast radius, protection.
    Discover,
    /// Every injection planned, guardian ready.
    Prepare,
    /// The probes before anything is broken.
    Baseline,
    /// Until the faults with the earliest start are on.
    Inject,
    /// Until the end of the experiment.
    Monitor,
    /// What was measured during the faults is judged.
    Detect,
    /// A `ChaosScenario` keeps its faults through it.
    Cooldown,
    /// Everything is undone.
    Rollback,
    /// Until the system is stable again.
    Recovery,
    /// Verdict, certificate, files.
    Report,
}

impl Phase {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::Parse,
        Self::Discover,
        Self::Prepare,
        Self::Baseline,
        Self::Inject,
        Self::Monitor,
        Self::Detect,
        Self::Cooldown,
        Self::Rollback,
        Self::Recovery,
        Self::Report,
    ];

    /// The word in files and on the terminal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Discover => "discover",
            Self::Prepare => "prepare",
            Self::Baseline => "baseline",
            Self::Inject => "inject",
            Self::Monitor => "monitor",
            Self::Detect => "detect",
            Self::Cooldown => "cooldown",
            Self::Rollback => "rollback",
            Self::Recovery => "recovery",
            Self::Report => "report",
        }
    }

    /// The state's name in seed 0, where it has one.
    pub fn seed_zero(self) -> Option<&'static str> {
        Some(match self {
            Self::Parse => "PARSE",
            Self::Discover => "DISCOVER",
            Self::Prepare => "PREPARE",
            Self::Baseline => "WARMUP",
            Self::Inject => "INJECT",
            Self::Monitor => "MONITOR",
            Self::Detect => "DETECT",
            Self::Cooldown => "COOLDOWN",
            Self::Rollback => "TEARDOWN",
            Self::Report => "REPORT",
            Self::Recovery => return None,
        })
    }
}

/// How a phase ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Done,
    /// Cut short by a stop.
    Stopped,
    /// It failed.
    Failed,
}

/// What asked a run to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// A probe crossed its abort threshold, or could not be read.
    Abort {
        /// The probe.
        probe: String,
        /// What was found.
        why: String,
    },
    /// The baseline did not hold.
    Baseline {
        /// The probe.
        probe: String,
        /// What was found.
        why: String,
    },
    /// A signal to the runner: `SIGINT`, `SIGTERM`.
    Signal(String),
    /// A stop file appeared.
    StopFile(String),
    /// `fracas stop` or `fracas freeze`.
    Asked(String),
    /// The maximum duration is over.
    MaxDuration,
    /// A fault could not be applied.
    ApplyFailed,
    /// The guardian is gone.
    GuardianLost,
    /// A defect in Fracas.
    Panic(String),
}

impl StopCause {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Abort { probe, why } => format!("abort: {probe}: {why}"),
            Self::Baseline { probe, why } => format!("baseline: {probe}: {why}"),
            Self::Signal(name) => format!("{name} received"),
            Self::StopFile(path) => format!("stop file {path}"),
            Self::Asked(who) => format!("{who} asked for it"),
            Self::MaxDuration => "max_duration is over".to_owned(),
            Self::ApplyFailed => "a fault could not be applied".to_owned(),
            Self::GuardianLost => "the guardian is gone".to_owned(),
            Self::Panic(text) => format!("a defect in Fracas: {text}"),
        }
    }
}

/// Whether the hypothesis held while the faults were on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hypothesis {
    /// Every expectation held.
    Maintained,
    /// One did not.
    Violated,
    /// It was never put to the test.
    NotEvaluated,
}

/// How a run ended. The order is the order of precedence, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Something is left in the system.
    Residue,
    /// Something failed that is not the system's fault.
    Error,
    /// It was stopped before its end.
    Aborted,
    /// Nothing can be concluded: a fault did not land, or was not measured.
    Inconclusive,
    /// The hypothesis does not hold.
    Failed,
    /// The hypothesis holds.
    Passed,
}

impl Verdict {
    /// The exit code of `fracas run`. Public: scripts depend on it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Error => 2,
            Self::Aborted => 3,
            Self::Residue => 4,
            Self::Inconclusive => 5,
        }
    }

    /// In capitals, as it ends every report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Residue => "RESIDUE",
            Self::Error => "ERROR",
            Self::Aborted => "ABORTED",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Failed => "FAILED",
            Self::Passed => "PASSED",
        }
    }
}
