//! What is known of the steps of an orchestration, and in which form it is told.

use fracas_core::chaos::{Assertion, Measure, Step};
use fracas_telemetry::proxy::Totals;
use jiff::Timestamp;
use serde::Serialize;

use super::{How, Run};

/// What is known of a step, of all iterations together.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Record {
    name: String,
    state: State,
    /// How often it ran to its end, and its assertions held.
    passed: u32,
    /// How often one did not.
    failed: u32,
    requests: u64,
    server_errors: u64,
    faults: u64,
    /// Why it failed the last time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<String>,
    /// What had been counted when it began, while it is on.
    #[serde(skip)]
    before: Option<Totals>,
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It has not begun.
    Pending,
    /// It is on.
    Running,
    /// It ended by itself, and its assertions held.
    Passed,
    /// One of its assertions did not hold.
    Failed,
    /// It was on when the orchestration ended.
    Cut,
}

/// How an orchestration is.
#[derive(Debug, Serialize)]
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
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    steps: Vec<Record>,
}

impl Record {
    pub(super) fn new(step: &Step) -> Self {
        Self {
            name: step.name.clone(),
            state: State::Pending,
            passed: 0,
            failed: 0,
            requests: 0,
            server_errors: 0,
            faults: 0,
            failures: Vec::new(),
            before: None,
        }
    }

    /// It is on from now on.
    pub(super) fn begin(&mut self, totals: Totals) {
        self.before = Some(totals);
        self.state = State::Running;
    }

    /// It was on until now. Tells whether its assertions held.
    pub(super) fn end(&mut self, step: &Step, totals: Totals) -> bool {
        let during = self.count(totals);
        self.failures = step.assertions.iter().filter_map(|one| failure(one, during)).collect();
        let held = self.failures.is_empty();
        if held {
            self.passed += 1;
            self.state = State::Passed;
        } else {
            self.failed += 1;
            self.state = State::Failed;
        }
        held
    }

    /// The orchestration is over.
    pub(super) fn cut(&mut self, totals: Totals) {
        if self.is_running() {
            self.count(totals);
            self.state = State::Cut;
        }
    }

    /// Adds what was counted since it began, and gives it.
    fn count(&mut self, totals: Totals) -> Totals {
        let before = self.before.take().unwrap_or(totals);
        let during = Totals {
            requests: totals.requests - before.requests,
            server_errors: totals.server_errors - before.server_errors,
            faults: totals.faults - before.faults,
        };
        self.requests += during.requests;
        self.server_errors += during.server_errors;
        self.faults += during.faults;
        during
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == State::Running
    }
}

/// Why an assertion does not hold.
fn failure(assertion: &Assertion, during: Totals) -> Option<String> {
    let (name, value) = match assertion.metric {
        Measure::Requests => ("requests", during.requests as f64),
        Measure::Faults => ("faults", during.faults as f64),
        Measure::ErrorRate if during.requests == 0 => return Some("error_rate: no request was answered".to_owned()),
        Measure::ErrorRate => ("error_rate", during.server_errors as f64 / during.requests as f64),
    };
    if let Some(min) = assertion.min.filter(|min| value < *min) {
        return Some(format!("{name} was {value}, and must be at least {min}"));
    }
    let max = assertion.max.filter(|max| value > *max)?;
    Some(format!("{name} was {value}, and must be at most {max}"))
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
            steps: Vec::new(),
        }
    }

    pub(super) fn of(run: &Run) -> Self {
        let state = match run.ended.as_ref().map(|ended| ended.how) {
            None => "running",
            Some(How::Completed) => "completed",
            Some(How::Stopped) => "stopped",
            Some(How::Failed) => "failed",
        };
        Self {
            is_running: run.ended.is_none(),
            name: Some(run.orchestration.name.clone()),
            description: run.orchestration.description.clone(),
            tags: run.orchestration.tags.clone(),
            progress: run
                .ended
                .as_ref()
                .map_or_else(|| run.progress(), |ended| ended.progress),
            state,
            iteration: run.within().0.saturating_add(1),
            started_at: Some(run.started_at),
            ended_at: run.ended.as_ref().map(|ended| ended.at),
            steps: run.steps.clone(),
        }
    }

    /// The names of the steps that are on.
    pub(crate) fn active(&self) -> Vec<String> {
        let on = self.steps.iter().filter(|step| step.is_running());
        on.map(|step| step.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_judged_by_what_was_counted_while_the_step_was_on() {
        let assertion = |metric, min, max| Assertion { metric, min, max };
        let during = Totals {
            requests: 10,
            server_errors: 3,
            faults: 4,
        };
        for (metric, value) in [
            (Measure::Requests, 10.0),
            (Measure::Faults, 4.0),
            (Measure::ErrorRate, 0.3),
        ] {
            assert_eq!(failure(&assertion(metric, Some(value), Some(value)), during), None);
            assert!(failure(&assertion(metric, Some(value + 0.1), None), during).is_some());
            assert!(failure(&assertion(metric, None, Some(value - 0.1)), during).is_some());
        }
        let none = assertion(Measure::ErrorRate, None, Some(1.0));
        assert!(failure(&none, Totals::default()).is_some());
    }
}
