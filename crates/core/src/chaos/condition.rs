//! What must hold for a step to begin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that holds or does not, when it is asked.
///
/// A text that is a number is compared as one: `5` equals `5.0`. What has a variable, a metric or a previous step that is not there does not
/// hold, but for `not_equals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Of `equals`, `not_equals`, `greater_than`, `less_than` and `exists`: the name of a variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// Of the first four: what it is compared with; a number for `greater_than` and `less_than`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Of `and` and `or`: at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Self>,
    /// Of `not`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Box<Self>>,
    /// Of `metric_threshold`: `requests`, `faults` or `error_rate` since the orchestration began, or what a hook recorded last by this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Of `metric_threshold`: how the metric is compared with the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// Of `metric_threshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
}

/// What a condition asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConditionKind {
    /// Whether a variable is this.
    Equals,
    /// Whether it is not, or is not there.
    NotEquals,
    /// Whether it is a number above this one.
    GreaterThan,
    /// Whether it is a number below this one.
    LessThan,
    /// Whether there is a variable of this name.
    Exists,
    /// Whether all `conditions` hold.
    And,
    /// Whether one of the `conditions` holds.
    Or,
    /// Whether its `condition` does not hold.
    Not,
    /// Whether the step that ended last in this iteration passed.
    PreviousStepSucceeded,
    /// Whether the step that ended last in this iteration failed.
    PreviousStepFailed,
    /// Whether a metric is above or below a threshold.
    MetricThreshold,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// `=`
    Equals,
    /// `≠`
    NotEquals,
    /// `>`
    GreaterThan,
    /// `≥`
    GreaterThanOrEqual,
    /// `<`
    LessThan,
    /// `≤`
    LessThanOrEqual,
}

/// What is known when a condition or an assertion is asked.
pub trait Facts {
    /// The variable of this name.
    fn variable(&self, name: &str) -> Option<&str>;
    /// The metric of this name.
    fn metric(&self, name: &str) -> Option<f64>;
    /// Whether the step that ended last passed.
    fn previous(&self) -> Option<bool>;
    /// Whether the step of this name passed when it ended last.
    fn step(&self, name: &str) -> Option<bool>;
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, facts: &dyn Facts) -> bool {
        let variable = || facts.variable(self.variable.as_deref()?);
        let value = || self.value.as_deref();
        let numbers = || Some((number(variable()?)?, number(value()?)?));
        match self.kind {
            ConditionKind::Equals => variable().zip(value()).is_some_and(|(one, other)| equal(one, other)),
            ConditionKind::NotEquals => !variable().zip(value()).is_some_and(|(one, other)| equal(one, other)),
            ConditionKind::GreaterThan => numbers().is_some_and(|(one, other)| one > other),
            ConditionKind::LessThan => numbers().is_some_and(|(one, other)| one < other),
            ConditionKind::Exists => variable().is_some(),
            ConditionKind::And => self.conditions.iter().all(|one| one.holds(facts)),
            ConditionKind::Or => self.conditions.iter().any(|one| one.holds(facts)),
            ConditionKind::Not => self.condition.as_ref().is_some_and(|one| !one.holds(facts)),
            ConditionKind::PreviousStepSucceeded => facts.previous() == Some(true),
            ConditionKind::PreviousStepFailed => facts.previous() == Some(false),
            ConditionKind::MetricThreshold => {
                let metric = self.metric.as_deref().and_then(|name| facts.metric(name));
                let all = metric.zip(self.threshold).zip(self.operator);
                all.is_some_and(|((metric, threshold), operator)| operator.holds(metric, threshold))
            }
        }
    }
}

impl Operator {
    #[expect(clippy::float_cmp, reason = "that is what is asked for")]
    fn holds(self, one: f64, other: f64) -> bool {
        match self {
            Self::Equals => one == other,
            Self::NotEquals => one != other,
            Self::GreaterThan => one > other,
            Self::GreaterThanOrEqual => one >= other,
            Self::LessThan => one < other,
            Self::LessThanOrEqual => one <= other,
        }
    }
}

/// Whether two texts are the same, or the same number.
pub(super) fn equal(one: &str, other: &str) -> bool {
    let same = |(one, other)| Operator::Equals.holds(one, other);
    one == other || number(one).zip(number(other)).is_some_and(same)
}

/// What a text is as a number; a finite one.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    #[derive(Default)]
    struct Known {
        variables: BTreeMap<&'static str, &'static str>,
        previous: Option<bool>,
    }

    impl Facts for Known {
        fn variable(&self, name: &str) -> Option<&str> {
            self.variables.get(name).copied()
        }
        fn metric(&self, name: &str) -> Option<f64> {
            (name == "requests").then_some(10.0)
        }
        fn previous(&self) -> Option<bool> {
            self.previous
        }
        fn step(&self, _: &str) -> Option<bool> {
            None
        }
    }

    fn holds(known: &Known, condition: Value) -> bool {
        serde_json::from_value::<Condition>(condition).unwrap().holds(known)
    }

    #[test]
    fn each_kind_asks_its_question() {
        let known = Known {
            variables: BTreeMap::from([("a", "x"), ("n", "5")]),
            previous: Some(true),
        };
        let (yes, no) = (
            json!({ "type": "exists", "variable": "a" }),
            json!({ "type": "exists", "variable": "b" }),
        );
        let of = |kind: &str, name: &str, value: &str| json!({ "type": kind, "variable": name, "value": value });
        let list = |kind: &str, conditions: &[&Value]| json!({ "type": kind, "conditions": conditions });
        for (condition, expected) in [
            (yes.clone(), true),
            (no.clone(), false),
            (of("equals", "a", "x"), true),
            (of("equals", "a", "y"), false),
            (of("equals", "n", "5.0"), true),
            (of("equals", "b", "x"), false),
            (of("not_equals", "a", "y"), true),
            (of("not_equals", "a", "x"), false),
            (of("not_equals", "b", "x"), true),
            (of("greater_than", "n", "4.5"), true),
            (of("greater_than", "n", "5"), false),
            (of("greater_than", "a", "1"), false),
            (of("less_than", "n", "5.5"), true),
            (of("less_than", "n", "5"), false),
            (list("and", &[&yes, &yes]), true),
            (list("and", &[&yes, &no]), false),
            (list("or", &[&no, &yes]), true),
            (list("or", &[&no, &no]), false),
            (json!({ "type": "not", "condition": no }), true),
            (json!({ "type": "not", "condition": yes }), false),
            (json!({ "type": "previous_step_succeeded" }), true),
            (json!({ "type": "previous_step_failed" }), false),
        ] {
            assert_eq!(holds(&known, condition.clone()), expected, "{condition}");
        }
        // Before the first step there is none that passed, and none that failed.
        for kind in ["previous_step_succeeded", "previous_step_failed"] {
            assert!(!holds(&Known::default(), json!({ "type": kind })));
        }
    }

    #[test]
    fn a_metric_is_compared_as_it_is_said() {
        for (operator, below, same, above) in [
            ("equals", false, true, false),
            ("not_equals", true, false, true),
            ("greater_than", true, false, false),
            ("greater_than_or_equal", true, true, false),
            ("less_than", false, false, true),
            ("less_than_or_equal", false, true, true),
        ] {
            for (threshold, expected) in [(9, below), (10, same), (11, above)] {
                let of = |metric: &str| json!({ "type": "metric_threshold", "metric": metric, "operator": operator, "threshold": threshold });
                assert_eq!(
                    holds(&Known::default(), of("requests")),
                    expected,
                    "10 {operator} {threshold}"
                );
                assert!(!holds(&Known::default(), of("nobody recorded it")));
            }
        }
    }
}
