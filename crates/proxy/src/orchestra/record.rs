//! What is known of the steps of an orchestration, and in which form it is told.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use fracas_core::chaos::Step;
use fracas_telemetry::proxy::Totals;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::run::{Ended, Line, Run};

/// What is known of a step, of all iterations together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "StepStatus")]
pub(super) struct Record {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<Called>,
    state: State,
    /// How often it ran to its end, and nothing of it failed.
    passed: u32,
    /// How often an attempt failed.
    failed: u32,
    /// How often its condition did not hold.
    skipped: u32,
    /// How often it began.
    attempts: u32,
    requests: u64,
    server_errors: u64,
    faults: u64,
    /// Why it failed the last time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
    /// What had been counted when it began, while it is on.
    #[serde(skip)]
    before: Option<(Totals, Instant)>,
}

/// What a scenario is called by.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ScenarioStatus")]
struct Called {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "StepState")]
enum State {
    /// It has not begun.
    Pending,
    /// Its hooks run, or it is about to be tried again.
    Waiting,
    /// It is on.
    Running,
    /// It ended by itself, and nothing of it failed.
    Passed,
    /// One of its assertions did not hold, one of its hooks failed, or it was not over in time.
    Failed,
    /// Its condition did not hold.
    Skipped,
    /// It was on, or about to be, when the orchestration ended.
    Cut,
}

/// How an orchestration is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "OrchestrationStatus")]
pub(crate) struct Status {
    is_running: bool,
    name: Option<String>,
    description: Option<String>,
    tags: Vec<String>,
    /// From 0 to 1, by time.
    progress: f64,
    state: &'static str,
    /// From 1 on.
    iteration: u32,
    #[schemars(with = "Option<String>")]
    started_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    variables: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metrics: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    log: VecDeque<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    steps: Vec<Record>,
}

impl Record {
    pub(super) fn new(step: &Step) -> Self {
        Self {
            name: step.name.clone(),
            scenario: step.scenario.as_ref().map(|scenario| Called {
                name: scenario.name.clone(),
                description: scenario.description.clone(),
                tags: scenario.tags.clone(),
            }),
            state: State::Pending,
            passed: 0,
            failed: 0,
            skipped: 0,
            attempts: 0,
            requests: 0,
            server_errors: 0,
            faults: 0,
            failures: Vec::new(),
            before: None,
        }
    }

    /// Its condition does not hold.
    pub(super) fn skip(&mut self) {
        self.skipped = self.skipped.saturating_add(1);
        self.state = State::Skipped;
    }

    /// It is about to begin.
    pub(super) fn attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::Waiting;
    }

    /// It is on from now on.
    pub(super) fn begin(&mut self, totals: Totals) {
        self.before = Some((totals, Instant::now()));
        self.state = State::Running;
    }

    /// It was on until now. Gives what was counted meanwhile, and how long that was.
    pub(super) fn off(&mut self, totals: Totals) -> (Totals, Duration) {
        self.state = State::Waiting;
        let (before, begun) = self.before.take().unwrap_or_else(|| (totals, Instant::now()));
        let during = Totals {
            requests: totals.requests - before.requests,
            server_errors: totals.server_errors - before.server_errors,
            faults: totals.faults - before.faults,
        };
        self.requests += during.requests;
        self.server_errors += during.server_errors;
        self.faults += during.faults;
        (during, begun.elapsed())
    }

    /// An attempt is over, and these are the reasons why it failed. It may be tried again.
    pub(super) fn judge(&mut self, failures: Vec<String>, again: bool) {
        if failures.is_empty() {
            self.passed = self.passed.saturating_add(1);
            self.state = State::Passed;
        } else {
            self.failed = self.failed.saturating_add(1);
            self.state = if again { State::Waiting } else { State::Failed };
        }
        self.failures = failures;
    }

    /// The orchestration is over, and it is not on.
    pub(super) fn cut(&mut self) {
        if self.state == State::Waiting {
            self.state = State::Cut;
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == State::Running
    }

    pub(super) fn is_named(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether it passed, once it has ended.
    pub(super) fn outcome(&self) -> Option<bool> {
        match self.state {
            State::Passed => Some(true),
            State::Failed => Some(false),
            State::Pending | State::Waiting | State::Running | State::Skipped | State::Cut => None,
        }
    }
}

impl Status {
    /// Of none.
    pub(super) fn none() -> Self {
        Self {
            is_running: false,
            name: None,
            description: None,
            tags: Vec::new(),
            progress: 0.0,
            state: "none",
            iteration: 0,
            started_at: None,
            ended_at: None,
            failures: Vec::new(),
            variables: BTreeMap::new(),
            metrics: BTreeMap::new(),
            log: VecDeque::new(),
            report: None,
            steps: Vec::new(),
        }
    }

    pub(super) fn of(run: &Run) -> Self {
        Self::with(run, run.ended.as_ref())
    }

    /// As it is when it has ended so.
    pub(super) fn ended(run: &Run, ended: &Ended) -> Self {
        Self::with(run, Some(ended))
    }

    fn with(run: &Run, ended: Option<&Ended>) -> Self {
        Self {
            is_running: ended.is_none(),
            name: Some(run.orchestration.name.clone()),
            description: run.orchestration.description.clone(),
            tags: run.orchestration.tags.clone(),
            progress: ended.map_or_else(|| run.progress(), |ended| ended.progress),
            state: ended.map_or("running", |ended| ended.how.name()),
            iteration: run.iteration.saturating_add(1),
            started_at: Some(run.started_at),
            ended_at: ended.map(|ended| ended.at),
            failures: run.failures.clone(),
            variables: run.variables.clone(),
            metrics: run.metrics.clone(),
            log: run.log.clone(),
            report: run.report.clone(),
            steps: run.steps.clone(),
        }
    }
}
