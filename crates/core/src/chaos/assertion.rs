//! What must hold for a step, or an orchestration, to have passed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use super::condition::{Facts, equal};

/// What is measured of requests: how many were answered, how many faults they met, and how many were answered with a status of 500 or more,
/// of all, from 0 to 1. Without a request there is no such share, and what asks for it does not hold.
pub const MEASURES: [&str; 3] = ["requests", "faults", "error_rate"];

/// Of a text of a document in a failure, in characters: there may be many failures.
const SHOWN: usize = 100;

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
                    Some(value) => Some(format!(
                        "variable {} was {}, and must be {}",
                        shown(&name),
                        shown(value),
                        shown(&expected)
                    )),
                    None => Some(format!("there was no variable {}", shown(&name))),
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
                Some(format!("step {} {said}", shown(&name)))
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
            return Some(format!("{}: {why}", shown(name)));
        };
        let name = shown(name);
        if let Some(min) = self.min.filter(|min| value < *min) {
            return Some(format!("{name} was {value}, and must be at least {min}"));
        }
        let max = self.max.filter(|max| value > *max)?;
        Some(format!("{name} was {value}, and must be at most {max}"))
    }
}

/// The beginning of a text, if it is long.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where every variable is this, and nothing else is known.
    struct All<'v>(&'v str);

    impl Facts for All<'_> {
        fn variable(&self, _: &str) -> Option<&str> {
            Some(self.0)
        }

        fn metric(&self, _: &str) -> Option<f64> {
            None
        }

        fn previous(&self) -> Option<bool> {
            None
        }

        fn step(&self, _: &str) -> Option<bool> {
            None
        }
    }

    #[test]
    fn a_failure_shows_the_beginning_of_what_is_long() {
        let long = "ä".repeat(100_000);
        let about = |kind| Assertion {
            kind,
            metric: Some(long.clone()),
            variable: Some(long.clone()),
            expected: Some(format!("{long}.")),
            step: Some(long.clone()),
            ..Assertion::default()
        };
        let start = format!("{}…", "ä".repeat(100));
        for (kind, said) in [
            (AssertionKind::MetricInRange, format!("{start}: nothing was recorded")),
            (AssertionKind::StepFailed, format!("step {start} did not end")),
            (
                AssertionKind::VariableEquals,
                format!("variable {start} was {start}, and must be {start}"),
            ),
        ] {
            assert_eq!(about(kind).failure(&All(&long)), Some(said));
        }
        assert_eq!(shown(&"ä".repeat(100)), "ä".repeat(100));
    }
}
