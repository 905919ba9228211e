//! Several scenarios in an order: what is done to traffic, and when.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Assertion, ChaosConfig, Condition, Hook, Predefined, Retry};

/// An order of steps. While it runs, what its steps say is done to traffic and nothing else; when it ends, in whatever way, what was
/// configured before is back, with a circuit breaker that is closed and buckets that are full.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Orchestration {
    /// Its name, for those who read its results. At most 1000 characters.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words by which it is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The steps, from 1 to 1000.
    #[schemars(length(min = 1))]
    pub steps: Vec<Step>,
    /// Whether all steps begin at once, each after its own delay. What they do is then put together, block by block: of two that have the same
    /// block, such as `latency`, the later in the file counts while both are on. Of `routes` it is those with the same method and path, and of
    /// `mutations` the rules with the same name; others are put behind.
    #[serde(default)]
    pub parallel: bool,
    /// Whether it begins again after its last step.
    #[serde(default)]
    pub loop_orchestration: bool,
    /// How often it runs if it does, the first time included. 0, or not said: until `max_duration_seconds` are over.
    #[serde(default)]
    pub max_iterations: u32,
    /// It ends after so many seconds, wherever it is then. From 0.001 to 30 days, 2592000; what takes longer by itself needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_seconds: Option<f64>,
    /// It has failed if it is not over within so many seconds, and ends then. From 0.001 to 30 days, 2592000. Of this and
    /// `max_duration_seconds`, which is no failure, the shorter one acts: so one that is longer says nothing, as when `--max-duration` of `fracas
    /// orchestrate start` ends sooner what the file lets go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// Texts by their names, for conditions and assertions. At most 100, and hooks and steps may set others; a name or a text has at most
    /// 1000 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// What happens before its first step, at most 20. The first that fails ends it, before anything is done to traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_hooks: Vec<Hook>,
    /// What happens after its last step, at most 20, also if it failed, and not if it was stopped; what was configured is back by then. One
    /// that fails makes it fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_hooks: Vec<Hook>,
    /// What must hold at its end, of all requests that were answered since it began. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    /// Whether its results are written to `report_path`; without this key they are if that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_reporting: Option<bool>,
    /// To which file of the proxy's machine its results are written at its end, as JSON, unless it was stopped. A file that was there is
    /// written over; what is no regular file, such as a link or a device, is left alone, and nothing is written. Only from a file that was
    /// given to the proxy itself, or with `--allow-exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_path: Option<String>,
}

/// A time in which something is done to traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, for those who read its results. At most 1000 characters.
    pub name: String,
    /// What is done. Without it nothing is, for the time of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<Scenario>,
    /// For how many seconds; 0: for as long as its scenario says. Of steps one after the other each needs it. A step beside others that
    /// does not say it ends with the last that does, or after ten minutes if none does. From 0.001 to 30 days, 2592000.
    #[serde(default)]
    pub duration_seconds: f64,
    /// How many seconds pass before it begins, in which nothing is done by this step. At most 30 days, 2592000.
    #[serde(default)]
    pub delay_before_seconds: f64,
    /// Whether the orchestration goes on when this step fails. A step fails when one of its `assertions` does not hold, one of its hooks
    /// fails, or its time is over.
    #[serde(default)]
    pub continue_on_failure: bool,
    /// What must hold of the requests that were answered while the step was on. At most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    /// What must hold when it would begin; else it is skipped, and takes no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Variables that are set when it begins, before its hooks. At most 100, within the same bounds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// What happens before it is on, at most 20. The first that fails keeps it from being on, and makes it fail. Their time is none of the
    /// step's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_hooks: Vec<Hook>,
    /// What happens after it was on, at most 20, also if an assertion did not hold. The first that fails makes it fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub post_hooks: Vec<Hook>,
    /// It fails if it is not over within so many seconds, with its hooks; each attempt has as many. From 0.001 to 30 days, 2592000. If the
    /// orchestration ends before by its `max_duration_seconds`, so does the step, and that is no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// How often it is tried again if it fails. Without it: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// What is done in a step. A text in its place is its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// One of the scenarios that have a name; or, with a `config`, any name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is done, key by key: what it says counts before what the scenario of that name says.
    #[schemars(with = "Option<ChaosConfig>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Value>,
    /// What it is like, for those who read the results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words by which it is found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// For how many seconds, if its step does not say it; 0: it does not say it either. From 0.001 to 30 days, 2592000.
    pub duration_seconds: f64,
}

/// Why it is not known what a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unresolved {
    /// No scenario has this name, and there is no `config`.
    Unknown(String),
    /// This is wrong with the `config`. What was read from a document has no such thing.
    Wrong(String),
}

impl Step {
    /// What is done.
    ///
    /// # Errors
    /// If that is not known.
    pub fn config(&self) -> Result<ChaosConfig, Unresolved> {
        self.scenario
            .as_ref()
            .map_or_else(|| Ok(ChaosConfig::default()), Scenario::resolved)
    }

    /// For how many seconds, or 0.
    pub fn length(&self) -> f64 {
        match &self.scenario {
            Some(scenario) if self.duration_seconds == 0.0 => scenario.duration_seconds,
            _ => self.duration_seconds,
        }
    }
}

impl Scenario {
    /// What is done: the scenario of that name, with the keys of `config` put over it.
    pub(super) fn resolved(&self) -> Result<ChaosConfig, Unresolved> {
        let wrong = |error: serde_json::Error| Unresolved::Wrong(error.to_string());
        let known = self.name.as_deref().and_then(Predefined::named);
        let mut whole = match (known, &self.name) {
            (Some(known), _) => serde_json::from_str(known.config).map_err(wrong)?,
            (None, Some(name)) if self.config.is_none() => return Err(Unresolved::Unknown(name.clone())),
            (None, _) => Value::Object(Map::new()),
        };
        if let Some(config) = &self.config {
            overlay(&mut whole, config);
        }
        serde_json::from_value(whole).map_err(wrong)
    }
}

/// The keys of `latency` that say how long a delay is: one of them alone can be there.
const KINDS: [&str; 3] = ["fixed_delay_ms", "random_delay_range_ms", "distribution"];

/// Puts the keys of one configuration over those of another.
fn overlay(under: &mut Value, over: &Value) {
    let (Value::Object(below), Value::Object(above)) = (&mut *under, over) else {
        under.clone_from(over);
        return;
    };
    if KINDS.iter().any(|kind| above.contains_key(*kind)) {
        below.retain(|key, _| !KINDS.contains(&key.as_str()));
    }
    for (key, value) in above {
        match below.get_mut(key) {
            Some(known) => overlay(known, value),
            None => drop(below.insert(key.clone(), value.clone())),
        }
    }
}

/// What several configurations do together, in their order: of two that have the same block, the later counts. What is off says nothing.
pub fn together<'c>(all: impl IntoIterator<Item = &'c ChaosConfig>) -> ChaosConfig {
    let mut whole = ChaosConfig::default();
    for config in all {
        whole.take(config);
    }
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(name: Option<&str>, config: Option<Value>) -> Result<Value, Unresolved> {
        let scenario = Scenario {
            name: name.map(str::to_owned),
            config,
            ..Scenario::default()
        };
        scenario.resolved().map(|config| serde_json::to_value(config).unwrap())
    }

    #[test]
    fn every_predefined_scenario_is_a_configuration_that_does_something() {
        for one in super::super::PREDEFINED {
            let whole = resolved(Some(one.name), None).unwrap();
            assert!(whole.as_object().unwrap().len() > 1, "{}: {whole}", one.name);
        }
    }

    #[test]
    fn a_name_gives_the_rest_of_a_configuration() {
        let whole = resolved(
            Some("slow_backend"),
            Some(json!({ "latency": { "jitter_percent": 0 } })),
        )
        .unwrap();
        assert_eq!(whole["latency"]["fixed_delay_ms"], json!(2000.0));
        assert_eq!(whole["latency"]["jitter_percent"], json!(0.0));
        // How long a delay is, is said once.
        let whole = resolved(
            Some("slow_backend"),
            Some(json!({ "latency": { "random_delay_range_ms": [1, 2] } })),
        )
        .unwrap();
        assert_eq!(whole["latency"].get("fixed_delay_ms"), None);
        assert_eq!(whole["latency"]["jitter_percent"], json!(10.0));
    }

    #[test]
    fn any_name_will_do_for_a_configuration_of_its_own() {
        assert_eq!(
            resolved(Some("mine"), None),
            Err(Unresolved::Unknown("mine".to_owned()))
        );
        let whole = resolved(Some("mine"), Some(json!({ "rate_limit": {} }))).unwrap();
        assert_eq!(whole["rate_limit"]["requests_per_second"], json!(100));
        assert_eq!(resolved(None, None).unwrap(), json!({ "enabled": true }));
    }

    #[test]
    fn of_two_that_say_the_same_the_later_counts_and_one_that_is_off_says_nothing() {
        let config = |value| serde_json::from_value::<ChaosConfig>(value).unwrap();
        let slow = config(json!({ "latency": { "fixed_delay_ms": 1 } }));
        let slower = config(json!({ "latency": { "fixed_delay_ms": 2 } }));
        let limit = config(json!({ "rate_limit": {} }));
        let off = config(json!({ "enabled": false, "latency": { "fixed_delay_ms": 3 } }));
        let whole = together([&slow, &slower, &limit, &off]);
        assert_eq!(whole.latency, slower.latency);
        assert_eq!(whole.rate_limit, limit.rate_limit);
        assert!(whole.enabled);
        assert_eq!(together([&off]), ChaosConfig::default());
        let block_off = config(json!({ "latency": { "enabled": false, "fixed_delay_ms": 3 } }));
        assert_eq!(together([&slow, &block_off]), slow);
    }
}
