//! What must hold for a step, or an orchestration, to have passed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use super::condition::{Facts, equal};

/// What is measured of requests: how many were answered, how many faults they met, and how many were answered with a status of 500 or more,
/// of all, from 0 to 1. Without a request there is no such share, and what asks for it does not hold.
pub const MEASURES: [&str; 3] = ["requests", "faults", "error_rate"];

/// Something that must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Assertion {
    /// What must hold.
    #[serde(rename = "type")]
    pub kind: AssertionKind,
    /// Of `metric_in_range`: `requests`, how many were answered; `faults`, how many faults they met; `error_rate`, how many were answered
    /// with a status of 500 or more, of all, from 0 to 1, which does not hold without a request; or what a hook recorded last by this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Of `metric_in_range`: it must be at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Of `metric_in_range`: it must be at most this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Of `variable_equals`: the name of a variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Of `variable_equals`: what it must be; a text that is a number is compared as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Of `step_succeeded` and `step_failed`: the name of a step. Of several of that name, each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Of `condition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// What an assertion is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssertionKind {
    /// That a metric is within bounds.
    #[default]
    MetricInRange,
    /// That a variable is this.
    VariableEquals,
    /// That a step passed when it ended last.
    StepSucceeded,
    /// That a step failed when it ended last.
    StepFailed,
    /// That a condition holds.
    Condition,
}

impl Assertion {
    /// Why it does not hold.
    pub fn failure(&self, facts: &dyn Facts) -> Option<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match self.kind {
            AssertionKind::MetricInRange => self.out_of_range(facts),
            AssertionKind::VariableEquals => {
                let (name, expected) = (text(&self.variable), text(&self.expected));
                match facts.variable(&name) {
                    Some(value) if equal(value, &expected) => None,
                    Some(value) => Some(format!("variable {name} was {value}, and must be {expected}")),
                    None => Some(format!("there was no variable {name}")),
                }
            }
            AssertionKind::StepSucceeded | AssertionKind::StepFailed => {
                let (name, wanted) = (text(&self.step), self.kind == AssertionKind::StepSucceeded);
                let said = match facts.step(&name) {
                    Some(passed) if passed == wanted => return None,
                    Some(true) => "passed",
                    Some(false) => "failed",
                    None => "did not end",
                };
                Some(format!("step {name} {said}"))
            }
            AssertionKind::Condition => {
                let holds = self.condition.as_ref().is_some_and(|condition| condition.holds(facts));
                (!holds).then(|| "the condition did not hold".to_owned())
            }
        }
    }

    fn out_of_range(&self, facts: &dyn Facts) -> Option<String> {
        let name = self.metric.as_deref().unwrap_or_default();
        let Some(value) = facts.metric(name) else {
            let why = if name == MEASURES[2] {
                "no request was answered"
            } else {
                "nothing was recorded"
            };
            return Some(format!("{name}: {why}"));
        };
        if let Some(min) = self.min.filter(|min| value < *min) {
            return Some(format!("{name} was {value}, and must be at least {min}"));
        }
        let max = self.max.filter(|max| value > *max)?;
        Some(format!("{name} was {value}, and must be at most {max}"))
    }
}
