//! Scenarios that have a name, with the values that seed 3's original gives them.

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
}
