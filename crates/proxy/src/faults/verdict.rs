//! What a request is to meet, decided when it comes: for all requests, or for those of its route.

use std::time::Instant;

use fracas_core::chaos::{FaultInjection, RouteFaults};

use crate::faults::bodies::Harm;
use crate::faults::failure::{self, Failure};
use crate::faults::pattern::Pattern;
use crate::identity::Chance;

/// What a request is to meet.
#[derive(Debug, Default)]
pub(crate) struct Verdict<'c> {
    pub(crate) failure: Option<Failure>,
    /// What the answer says of it.
    pub(crate) says: Option<&'c str>,
    /// Where it does not fail.
    pub(crate) harm: Harm,
}

impl<'c> Verdict<'c> {
    /// By the block for all requests.
    pub(crate) fn of(block: &FaultInjection, pattern: Option<&Pattern>, chance: &Chance, now: Instant) -> Self {
        Self {
            failure: failure::decide(block, pattern, chance, now),
            says: None,
            harm: Harm::decide(block, chance),
        }
    }

    /// As [`Verdict::of`] without a pattern, which goes by the order in which requests come.
    pub(crate) fn alone(block: &FaultInjection, chance: &Chance) -> Self {
        Self {
            failure: failure::decide_alone(block, chance),
            says: None,
            harm: Harm::decide(block, chance),
        }
    }

    /// By the block of a route: at most one of its faults.
    pub(crate) fn of_route(block: &'c RouteFaults, chance: &Chance) -> Self {
        if !block.enabled || !chance.happens("proxy route fault", block.probability) {
            return Self::default();
        }
        let faults = &block.fault_types;
        let index = (chance.uniform("proxy route fault type") * faults.len() as f64) as usize;
        faults.get(index).map_or_else(Self::default, |fault| Self {
            failure: failure::of_route(fault),
            says: fault.message.as_deref(),
            harm: Harm::of_route(fault),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn block(text: &str) -> RouteFaults {
        serde_json::from_str(text).unwrap()
    }

    fn counts(block: &RouteFaults) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for n in 0..10_000 {
            let verdict = Verdict::of_route(block, &Chance::named(5, &format!("request {n}")));
            let met = verdict.failure.map(|failure| format!("{failure:?}"));
            *counts.entry(met.unwrap_or_default()).or_default() += 1;
        }
        counts
    }

    // The draws are fixed by the seed: what holds here, holds always. The bounds are five standard deviations.
    #[test]
    fn a_share_meets_one_of_the_faults_and_each_equally_often() {
        let some = block(
            r#"{ "probability": 0.6, "fault_types": [{ "type": "http_error", "status_code": 503 },
                 { "type": "timeout", "duration_ms": 7 }, { "type": "connection_error" }] }"#,
        );
        let counts = counts(&some);
        assert_eq!(counts.len(), 4, "{counts:?}");
        assert!((3750..4250).contains(&counts[""]), "{counts:?}");
        for met in ["Http(503)", "Timeout(7ms)", "Connection(Http503)"] {
            assert!((1800..2200).contains(&counts[met]), "{counts:?}");
        }
    }

    #[test]
    fn what_is_off_or_empty_does_nothing() {
        for text in [
            r#"{ "enabled": false, "fault_types": [{ "type": "http_error", "status_code": 503 }] }"#,
            r#"{ "probability": 0, "fault_types": [{ "type": "http_error", "status_code": 503 }] }"#,
            r#"{ "enabled": false }"#,
        ] {
            assert_eq!(counts(&block(text)).keys().collect::<Vec<_>>(), [""], "{text}");
        }
    }
}
