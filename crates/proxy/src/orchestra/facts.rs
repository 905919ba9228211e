//! What conditions and assertions may ask.

use std::collections::BTreeMap;

use fracas_core::chaos::{Facts, MEASURES};
use fracas_telemetry::proxy::Totals;

use super::record::Record;

/// What is known of a run.
#[derive(Debug)]
pub(super) struct Known<'r> {
    pub(super) variables: &'r BTreeMap<String, String>,
    /// What hooks recorded.
    pub(super) metrics: &'r BTreeMap<String, f64>,
    /// What was counted of the requests that are asked about.
    pub(super) during: Totals,
    pub(super) previous: Option<bool>,
    pub(super) steps: &'r [Record],
}

impl Facts for Known<'_> {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let [requests, faults, error_rate] = MEASURES;
        let count = self.during.requests as f64;
        match name {
            _ if name == requests => Some(count),
            _ if name == faults => Some(self.during.faults as f64),
            _ if name == error_rate => (count > 0.0).then(|| self.during.server_errors as f64 / count),
            _ => self.metrics.get(name).copied(),
        }
    }

    fn previous(&self) -> Option<bool> {
        self.previous
    }

    fn step(&self, name: &str) -> Option<bool> {
        let named = self.steps.iter().filter(|step| step.is_named(name));
        let outcomes: Vec<Option<bool>> = named.map(Record::outcome).collect();
        // Of several each must have ended in the same way.
        let first = *outcomes.first()?;
        first.filter(|_| outcomes.iter().all(|outcome| *outcome == first))
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::chaos::Assertion;

    use super::*;

    #[test]
    fn an_assertion_is_judged_by_what_was_counted() {
        let failure = |metric: &str, min, max, during| {
            let assertion = Assertion {
                metric: Some(metric.to_owned()),
                min,
                max,
                ..Assertion::default()
            };
            assertion.failure(&Known {
                variables: &BTreeMap::new(),
                metrics: &BTreeMap::from([("mine".to_owned(), 7.0)]),
                during,
                previous: None,
                steps: &[],
            })
        };
        let during = Totals {
            requests: 10,
            server_errors: 3,
            faults: 4,
        };
        for (metric, value) in [("requests", 10.0), ("faults", 4.0), ("error_rate", 0.3), ("mine", 7.0)] {
            assert_eq!(failure(metric, Some(value), Some(value), during), None);
            assert!(failure(metric, Some(value + 0.1), None, during).is_some());
            assert!(failure(metric, None, Some(value - 0.1), during).is_some());
        }
        assert!(failure("error_rate", None, Some(1.0), Totals::default()).is_some());
        assert!(failure("other", None, Some(1.0), during).is_some());
    }
}
