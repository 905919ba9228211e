//! An orchestration that began: which of its steps are on, and what is known of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fracas_core::chaos::{Assertion, ChaosConfig, Orchestration, Plan, together};
use fracas_telemetry::proxy::{Open, Totals};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Notify;

use super::facts::Known;
use super::record::{Record, Status};
use crate::NAMES;
use crate::service::Shared;

/// So many lines of a log are kept.
const LINES: usize = 100;

/// An orchestration that began.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) stopped: Stopped,
    pub(super) orchestration: Arc<Orchestration>,
    configs: Vec<ChaosConfig>,
    total: Duration,
    /// How long it goes on, if only its time ends it.
    bound: Option<Duration>,
    begun: Instant,
    /// When the first step could begin.
    stepped: Option<Instant>,
    pub(super) started_at: Timestamp,
    /// What had been counted by then.
    before: Totals,
    /// From 0 on.
    pub(super) iteration: u32,
    /// How much of its plan is over, unless its steps are beside each other.
    pub(super) done: Duration,
    /// From when on it goes on with that, and for how long.
    moving: Option<(Instant, Duration)>,
    /// How much of the plan was over at most, before a step was to be tried again.
    reached: Duration,
    pub(super) steps: Vec<Record>,
    /// Whether what is on is not done to traffic yet.
    is_changed: bool,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) log: VecDeque<Line>,
    /// Whether the step that ended last in this iteration passed.
    previous: Option<bool>,
    /// Why it failed.
    pub(super) failures: Vec<String>,
    /// Where its report is, or why there is none.
    pub(super) report: Option<String>,
    /// It is counted as one that runs.
    counted: Option<Open>,
    /// How it is about to end, as its report says.
    decided: Option<Ended>,
    /// `None`: it goes on.
    pub(super) ended: Option<Ended>,
}

/// A line of a log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "LogLine")]
pub(super) struct Line {
    #[schemars(with = "String")]
    at: Timestamp,
    message: String,
}

/// Said to whoever carries a run out when it is over before its time. Copies are of the same run.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopped(Arc<Notify>);

/// How one ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) how: How,
    pub(super) at: Timestamp,
    pub(super) progress: f64,
}

/// How one may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Its time was over.
    Completed,
    /// Somebody asked for it.
    Stopped,
    /// A step, a hook or an assertion failed, or it was not over in time.
    Failed,
}

impl How {
    /// As it is told.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl Stopped {
    /// It is over.
    pub(super) fn say(&self) {
        self.0.notify_one();
    }

    /// When it is.
    pub(super) async fn heard(&self) {
        self.0.notified().await;
    }

    pub(super) fn is_of(&self, run: &Run) -> bool {
        Arc::ptr_eq(&self.0, &run.stopped.0)
    }
}

impl Run {
    pub(super) fn new(orchestration: Arc<Orchestration>, plan: &Plan, shared: &Shared) -> Self {
        Self {
            stopped: Stopped::default(),
            configs: plan.slots().iter().map(|slot| slot.config.clone()).collect(),
            total: plan.total(),
            bound: plan.bound().filter(|_| plan.iterations().is_none()),
            begun: Instant::now(),
            stepped: None,
            started_at: Timestamp::now(),
            before: shared.metrics.totals(NAMES),
            iteration: 0,
            done: Duration::ZERO,
            moving: None,
            reached: Duration::ZERO,
            steps: orchestration.steps.iter().map(Record::new).collect(),
            // Nothing is on, and what was configured waits.
            is_changed: true,
            variables: orchestration.variables.clone(),
            metrics: BTreeMap::new(),
            log: VecDeque::new(),
            previous: None,
            failures: Vec::new(),
            report: None,
            counted: Some(shared.metrics.orchestrations().runs()),
            decided: None,
            ended: None,
            orchestration,
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.ended.is_none()
    }

    /// From 0 to 1, and never less than before. By time, if only its time ends it. Else by the time of the plan: hooks before it take none of
    /// that, and neither do those of steps, nor pauses between attempts, unless the steps are beside each other; what is skipped is over.
    pub(super) fn progress(&self) -> f64 {
        let (over, whole) = match self.bound {
            Some(bound) => (self.begun.elapsed(), bound),
            None if self.orchestration.parallel => {
                let over = self.stepped.map_or(Duration::ZERO, |since| since.elapsed());
                (over, self.total)
            }
            None => (self.over().max(self.reached), self.total),
        };
        (over.as_secs_f64() / whole.as_secs_f64()).clamp(0.0, 1.0)
    }

    /// How much of the plan is over, if its steps follow one another.
    fn over(&self) -> Duration {
        let moved = self
            .moving
            .map_or(Duration::ZERO, |(since, span)| since.elapsed().min(span));
        self.done.saturating_add(moved)
    }

    /// What is before its steps is over.
    pub(super) fn steps_begin(&mut self) {
        self.stepped = Some(Instant::now());
    }

    /// So much of the plan passes from now on, up to this time.
    pub(super) fn moves(&mut self, until: Instant, span: Duration) {
        self.moving = until.checked_sub(span).map(|since| (since, span));
    }

    /// So much of the plan is over.
    pub(super) fn is_at(&mut self, done: Duration) {
        self.reached = self.reached.max(self.over());
        self.done = done;
        self.moving = None;
    }

    /// The names of the scenarios that act.
    pub(super) fn scenarios(&self) -> Vec<String> {
        let steps = self.orchestration.steps.iter().zip(&self.steps);
        let on = steps.filter(|(_, record)| record.is_running()).map(|(step, _)| step);
        let names = on.filter_map(|step| {
            let scenario = step.scenario.as_ref()?;
            Some(scenario.name.clone().unwrap_or_else(|| step.name.clone()))
        });
        names.collect()
    }

    /// Another iteration begins.
    pub(super) fn iterate(&mut self, iteration: u32) {
        self.iteration = iteration;
        self.previous = None;
    }

    /// Does to traffic what is on.
    pub(super) fn settle(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.is_changed) {
            let on = self
                .steps
                .iter()
                .zip(&self.configs)
                .filter(|(step, _)| step.is_running());
            shared.live.cover(Some(together(on.map(|(_, config)| config))));
        }
    }

    /// Whether a step may begin; else it is skipped.
    pub(super) fn admits(&mut self, index: usize, shared: &Shared) -> bool {
        let condition = self.orchestration.steps[index].condition.as_ref();
        let holds = condition.is_none_or(|condition| condition.holds(&self.known(self.since(shared))));
        if !holds {
            self.steps[index].skip();
        }
        holds
    }

    /// A step is about to begin.
    pub(super) fn attempt(&mut self, index: usize) {
        let set = &self.orchestration.steps[index].variables;
        self.variables
            .extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.steps[index].attempt();
    }

    /// A step is on from now on.
    pub(super) fn begin(&mut self, index: usize, shared: &Shared) {
        self.steps[index].begin(shared.metrics.totals(NAMES));
        self.is_changed = true;
    }

    /// A step is on no longer. Gives what was counted meanwhile.
    fn off(&mut self, index: usize, shared: &Shared) -> Totals {
        let (during, lasted) = self.steps[index].off(shared.metrics.totals(NAMES));
        let (name, step) = (&self.orchestration.name, &self.orchestration.steps[index].name);
        shared.metrics.orchestrations().was_on(name, step, lasted);
        self.is_changed = true;
        during
    }

    /// A step was on until now. Tells what of its assertions does not hold.
    pub(super) fn end_step(&mut self, index: usize, shared: &Shared) -> Vec<String> {
        let during = self.off(index, shared);
        self.judge(&self.orchestration.steps[index].assertions, during, shared)
    }

    /// An attempt of a step is over, and these are the reasons why it failed. It may be tried again.
    pub(super) fn judged(&mut self, index: usize, failures: Vec<String>, again: bool, shared: &Shared) {
        if self.steps[index].is_running() {
            self.off(index, shared);
        }
        self.previous = Some(failures.is_empty());
        self.steps[index].judge(failures, again);
    }

    /// What of the assertions of all does not hold.
    pub(super) fn judge_all(&mut self, shared: &Shared) -> bool {
        let failures = self.judge(&self.orchestration.assertions, self.since(shared), shared);
        let holds = failures.is_empty();
        self.failures.extend(failures);
        holds
    }

    /// What of these does not hold.
    fn judge(&self, assertions: &[Assertion], during: Totals, shared: &Shared) -> Vec<String> {
        let known = self.known(during);
        let failures: Vec<String> = assertions.iter().filter_map(|one| one.failure(&known)).collect();
        let held = assertions.len() - failures.len();
        shared.metrics.orchestrations().judged(held, failures.len());
        failures
    }

    fn known(&self, during: Totals) -> Known<'_> {
        Known {
            variables: &self.variables,
            metrics: &self.metrics,
            during,
            previous: self.previous,
            steps: &self.steps,
        }
    }

    /// What was counted since it began.
    fn since(&self, shared: &Shared) -> Totals {
        let now = shared.metrics.totals(NAMES);
        Totals {
            requests: now.requests - self.before.requests,
            server_errors: now.server_errors - self.before.server_errors,
            faults: now.faults - self.before.faults,
        }
    }

    /// Adds a line to its log.
    pub(super) fn says(&mut self, message: &str) {
        if self.log.len() == LINES {
            self.log.pop_front();
        }
        self.log.push_back(Line {
            at: Timestamp::now(),
            message: message.to_owned(),
        });
    }

    /// All steps are over. What was configured is back.
    pub(super) fn restore(&mut self, shared: &Shared) {
        for index in 0..self.steps.len() {
            if self.steps[index].is_running() {
                self.off(index, shared);
            }
            self.steps[index].cut();
        }
        shared.live.cover(None);
        self.is_changed = false;
    }

    /// All is done but for its report. Gives what that says; whatever happens meanwhile, it ends so.
    pub(super) fn decide(&mut self, how: How, report: String) -> Status {
        let ended = self.ends(how);
        self.decided = Some(ended.clone());
        let status = Status::ended(self, &ended);
        self.report = Some(report);
        status
    }

    fn ends(&self, how: How) -> Ended {
        Ended {
            how,
            at: Timestamp::now(),
            progress: if how == How::Completed { 1.0 } else { self.progress() },
        }
    }

    pub(super) fn end(&mut self, shared: &Shared, how: How) {
        self.restore(shared);
        self.counted = None;
        let ended = self.decided.take().unwrap_or_else(|| self.ends(how));
        shared
            .metrics
            .orchestrations()
            .ended(&self.orchestration.name, ended.how.name());
        self.ended = Some(ended);
    }
}
