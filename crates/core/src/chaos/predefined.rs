//! Scenarios that have a name, with the values that seed 3's original gives them.

use super::{ChaosConfig, Scenario, Unresolved};

/// A scenario that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predefined {
    /// Its name, as an orchestration calls it.
    pub name: &'static str,
    /// What it is like.
    pub description: &'static str,
    /// What it is about.
    pub tags: &'static [&'static str],
    /// A [`ChaosConfig`](super::ChaosConfig), as JSON.
    pub(super) config: &'static str,
}

/// All of them.
pub const PREDEFINED: &[Predefined] = &[
    Predefined {
        name: "network_degradation",
        description: "A bad network: answers come late, and some requests never arrive",
        tags: &["network", "latency"],
        config: r#"{
            "latency": { "fixed_delay_ms": 500, "jitter_percent": 20, "probability": 0.8 },
            "traffic_shaping": { "packet_loss_percent": 5, "bandwidth_limit_bps": 100000 }
        }"#,
    },
    Predefined {
        name: "service_instability",
        description: "A service that fails now and then, or does not answer in time",
        tags: &["service", "errors"],
        config: r#"{
            "fault_injection": {
                "http_errors": [500, 502, 503, 504], "http_error_probability": 0.2,
                "timeout_errors": true, "timeout_ms": 5000, "timeout_probability": 0.1
            }
        }"#,
    },
    Predefined {
        name: "cascading_failure",
        description: "A service that breaks down: slow, full of errors, and with little room",
        tags: &["critical", "cascading"],
        config: r#"{
            "latency": { "random_delay_range_ms": [1000, 5000], "jitter_percent": 30, "probability": 0.7 },
            "fault_injection": {
                "http_errors": [500, 503], "http_error_probability": 0.3,
                "timeout_errors": true, "timeout_probability": 0.2,
                "connection_errors": true, "connection_error_probability": 0.1
            },
            "rate_limit": { "requests_per_second": 10, "burst_size": 2, "per_ip": true }
        }"#,
    },
    Predefined {
        name: "peak_traffic",
        description: "More requests than each path takes",
        tags: &["traffic", "load"],
        config: r#"{ "rate_limit": { "requests_per_second": 50, "burst_size": 10, "per_endpoint": true } }"#,
    },
    Predefined {
        name: "slow_backend",
        description: "A server that takes two seconds for everything",
        tags: &["latency", "performance"],
        config: r#"{ "latency": { "fixed_delay_ms": 2000, "jitter_percent": 10, "probability": 1.0 } }"#,
    },
];

impl Predefined {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PREDEFINED.iter().find(|one| one.name == name)
    }

    /// The keys of the blocks that it lays over what is configured.
    pub fn blocks(&self) -> Vec<String> {
        // A test reads them all.
        let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(self.config).unwrap_or_default();
        all.into_iter().map(|(key, _)| key).collect()
    }

    /// What it does.
    ///
    /// # Errors
    /// Never: a test reads them all.
    pub fn chaos_config(&self) -> Result<ChaosConfig, Unresolved> {
        let scenario = Scenario {
            name: Some(self.name.to_owned()),
            ..Scenario::default()
        };
        scenario.resolved()
    }
}

impl ChaosConfig {
    /// This with others laid over it, in their order: of two that have the same block, the later counts. A block that is off says nothing, and
    /// neither does a configuration that is off.
    #[must_use]
    pub fn beneath<'c>(&self, over: impl IntoIterator<Item = &'c Self>) -> Self {
        let mut whole = self.clone();
        for config in over {
            if !whole.enabled {
                whole = Self::default();
            }
            whole.take(config);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::PREDEFINED;
    use super::*;

    fn config(value: serde_json::Value) -> ChaosConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn it_is_known_what_each_does() {
        for one in PREDEFINED {
            let config = one.chaos_config().unwrap();
            assert_ne!(config, ChaosConfig::default(), "{}", one.name);
            assert!(!one.blocks().is_empty(), "{}", one.name);
        }
    }

    #[test]
    fn what_lies_over_a_configuration_counts_and_the_rest_stays() {
        let base = config(json!({
            "latency": { "fixed_delay_ms": 1 }, "rate_limit": {}, "bulkhead": { "enabled": false },
        }));
        assert_eq!(base.beneath([]), base);
        let one = config(json!({ "latency": { "fixed_delay_ms": 2 } }));
        let two = config(json!({ "latency": { "fixed_delay_ms": 3 }, "rate_limit": { "enabled": false } }));
        let whole = base.beneath([&one, &two]);
        assert_eq!((&whole.latency, &whole.rate_limit), (&two.latency, &base.rate_limit));
        assert_eq!(whole.bulkhead, base.bulkhead);
        // What is off as a whole does not act beneath another, either.
        let off = ChaosConfig { enabled: false, ..base };
        assert_eq!(off.beneath([]), off);
        assert_eq!(off.beneath([&one]), one);
    }
}
