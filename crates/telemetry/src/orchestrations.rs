//! What a proxy counts of orchestrations. Their names and those of their steps are labels, so many of them as a page can have.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::Described;
use crate::proxy::Open;

/// Upper bounds in seconds, for steps from a tenth of a second to a day.
const BUCKETS: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0];
/// So many steps have labels of their own, and as many orchestrations; those that come later share one.
const MOST: usize = 100;
/// In characters; what is longer is cut off there.
const LONGEST: usize = 64;
/// The label of those that have none of their own.
const OTHER: &str = "other";

/// Every family, in the order in which they are served.
pub(crate) const ALL: [Described; 5] = [
    Described {
        name: "fracas_proxy_orchestration_executions_total",
        kind: "counter",
        labels: "orchestration, status",
        help: "Orchestrations that ended, by how: completed, failed or stopped; behind the hundredth name all are `other`",
    },
    Described {
        name: "fracas_proxy_orchestration_step_duration_seconds",
        kind: "histogram",
        labels: "orchestration, step",
        help: "For how long steps were on, attempt by attempt; behind the hundredth step all are `other`",
    },
    Described {
        name: "fracas_proxy_active_orchestrations",
        kind: "gauge",
        labels: "",
        help: "Orchestrations that run: one or none",
    },
    Described {
        name: "fracas_proxy_orchestration_assertion_results_total",
        kind: "counter",
        labels: "result",
        help: "Assertions of orchestrations and their steps that were judged, by whether they held or failed",
    },
    Described {
        name: "fracas_proxy_orchestration_hook_executions_total",
        kind: "counter",
        labels: "hook, result",
        help: "Hooks of orchestrations that ran, by whether they did what they should or failed",
    },
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    orchestration: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStep {
    orchestration: String,
    step: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAssertion {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfHook {
    hook: &'static str,
    result: &'static str,
}

/// What is counted of orchestrations.
#[derive(Debug)]
pub struct Orchestrations {
    executions: Family<OfEnd, Counter>,
    durations: Family<OfStep, Histogram>,
    active: Gauge,
    assertions: Family<OfAssertion, Counter>,
    hooks: Family<OfHook, Counter>,
    names: Mutex<BTreeSet<String>>,
    steps: Mutex<BTreeSet<(String, String)>>,
}

impl Orchestrations {
    /// With nothing counted.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let all = Self {
            executions: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            active: Gauge::default(),
            assertions: Family::default(),
            hooks: Family::default(),
            names: Mutex::default(),
            steps: Mutex::default(),
        };
        let [executions, durations, active, assertions, hooks] = ALL.map(|one| one.help);
        registry.register("orchestration_executions", executions, all.executions.clone());
        registry.register_with_unit(
            "orchestration_step_duration",
            durations,
            Unit::Seconds,
            all.durations.clone(),
        );
        registry.register("active_orchestrations", active, all.active.clone());
        registry.register("orchestration_assertion_results", assertions, all.assertions.clone());
        registry.register("orchestration_hook_executions", hooks, all.hooks.clone());
        all
    }

    /// One runs, until this is dropped.
    pub fn runs(&self) -> Open {
        Open::new(self.active.clone())
    }

    /// One has ended in this way.
    pub fn ended(&self, name: &str, status: &'static str) {
        let name = short(name);
        let orchestration = if is_known(&self.names, name.clone()) {
            name
        } else {
            OTHER.to_owned()
        };
        self.executions.get_or_create(&OfEnd { orchestration, status }).inc();
    }

    /// A step was on for so long.
    pub fn was_on(&self, name: &str, step: &str, duration: Duration) {
        let (name, step) = (short(name), short(step));
        let (orchestration, step) = if is_known(&self.steps, (name.clone(), step.clone())) {
            (name, step)
        } else {
            (OTHER.to_owned(), OTHER.to_owned())
        };
        let of_step = OfStep { orchestration, step };
        self.durations.get_or_create(&of_step).observe(duration.as_secs_f64());
    }

    /// So many assertions held, and so many did not.
    pub fn judged(&self, held: usize, failed: usize) {
        for (result, count) in [("held", held), ("failed", failed)] {
            self.assertions
                .get_or_create(&OfAssertion { result })
                .inc_by(count as u64);
        }
    }

    /// A hook of this kind ran.
    pub fn hooked(&self, hook: &'static str, failed: bool) {
        let result = if failed { "failed" } else { "done" };
        self.hooks.get_or_create(&OfHook { hook, result }).inc();
    }
}

fn short(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

/// Whether it has a label of its own, now and from now on.
fn is_known<T: Ord>(all: &Mutex<BTreeSet<T>>, one: T) -> bool {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.contains(&one) || all.len() < MOST && all.insert(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Form, Page};

    #[test]
    fn names_are_labels_within_a_bound() {
        let mut registry = Registry::with_prefix("fracas_proxy");
        let all = Orchestrations::register(&mut registry);
        for n in 0..1000 {
            all.ended(&format!("o{n}"), "completed");
            all.was_on("o", &format!("s{n}"), Duration::from_secs(2));
        }
        all.ended("o7", "completed");
        all.ended(&"é".repeat(500), "failed");
        let text = Page::new(registry).text(Form::Text).unwrap();
        for sample in [
            "executions_total{orchestration=\"o7\",status=\"completed\"} 2\n",
            "executions_total{orchestration=\"other\",status=\"completed\"} 900\n",
            "executions_total{orchestration=\"other\",status=\"failed\"} 1\n",
            "step_duration_seconds_count{orchestration=\"o\",step=\"s99\"} 1\n",
            "step_duration_seconds_count{orchestration=\"other\",step=\"other\"} 900\n",
        ] {
            assert!(text.contains(sample), "{sample}: {text}");
        }
        assert_eq!(text.matches("executions_total{").count(), MOST + 2);
    }
}
