//! What a proxy does to be like somebody's line, under a name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChaosConfig, Distribution, Latency, Normal, Pareto, TrafficShaping};
use crate::params::{Distribution as Spread, Profile};

/// What is done to traffic, under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChaosProfile {
    /// Its name: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it is like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words by which it is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What is done to traffic when it is applied.
    pub chaos_config: ChaosConfig,
}

/// A profile that every proxy has.
#[derive(Debug, Clone, Copy)]
pub struct KnownProfile {
    /// Its name.
    pub name: &'static str,
    /// What it is like.
    pub description: &'static str,
    /// What it is about.
    pub tags: &'static [&'static str],
    source: Source,
}

/// Where the values of a profile come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A [`ChaosConfig`] as JSON, with the values of seed 3's original.
    Text(&'static str),
    /// Those of the fault on packets that has this name.
    Line(Profile),
    /// Nothing is done.
    Nothing,
}

const fn line(name: &'static str, profile: Profile, description: &'static str) -> KnownProfile {
    KnownProfile {
        name,
        description,
        tags: &["network"],
        source: Source::Line(profile),
    }
}

/// All of them. Of the first five seed 3's original gives every value; it says how long a delay is twice, and this is the one that acts.
/// The others have the values of the fault `network_profile`: a request is held for its delay, lost by its share, where packets are lost in
/// bursts in bursts of as many, and its rate is that of all bodies together.
pub const PROFILES: &[KnownProfile] = &[
    KnownProfile {
        name: "slow_3g",
        description: "Slow 3G: 400 ms, 400 kB/s, 1 % lost",
        tags: &["mobile", "slow", "3g"],
        source: Source::Text(
            r#"{
                "latency": { "fixed_delay_ms": 400, "jitter_percent": 10 },
                "traffic_shaping": { "bandwidth_limit_bps": 400000, "packet_loss_percent": 1 }
            }"#,
        ),
    },
    KnownProfile {
        name: "fast_3g",
        description: "Fast 3G: 150 ms, 1.5 MB/s, 0.5 % lost",
        tags: &["mobile", "fast", "3g"],
        source: Source::Text(
            r#"{
                "latency": { "fixed_delay_ms": 150, "jitter_percent": 5 },
                "traffic_shaping": { "bandwidth_limit_bps": 1500000, "packet_loss_percent": 0.5 }
            }"#,
        ),
    },
    KnownProfile {
        name: "flaky_wifi",
        description: "Flaky Wi-Fi: 50 ms, 5 % lost, 5 % errors, 3 % of the connections fail",
        tags: &["wifi", "unstable", "wireless"],
        source: Source::Text(
            r#"{
                "latency": { "fixed_delay_ms": 50, "jitter_percent": 20 },
                "fault_injection": {
                    "http_errors": [500, 502, 503], "http_error_probability": 0.05,
                    "connection_errors": true, "connection_error_probability": 0.03,
                    "connection_error_kind": "tcp_reset"
                },
                "traffic_shaping": { "packet_loss_percent": 5 }
            }"#,
        ),
    },
    KnownProfile {
        name: "cable",
        description: "Cable: 20 ms, 10 MB/s",
        tags: &["broadband", "fast", "stable"],
        source: Source::Text(
            r#"{
                "latency": { "fixed_delay_ms": 20, "jitter_percent": 2 },
                "traffic_shaping": { "bandwidth_limit_bps": 10000000 }
            }"#,
        ),
    },
    KnownProfile {
        name: "dialup",
        description: "A modem: 2 s, 50 kB/s, 2 % lost",
        tags: &["dialup", "slow", "legacy"],
        source: Source::Text(
            r#"{
                "latency": { "fixed_delay_ms": 2000, "jitter_percent": 15 },
                "traffic_shaping": {
                    "bandwidth_limit_bps": 50000, "packet_loss_percent": 2, "connection_timeout_ms": 60000
                }
            }"#,
        ),
    },
    KnownProfile {
        name: "perfect",
        description: "Nothing is done",
        tags: &["network"],
        source: Source::Nothing,
    },
    line("5g", Profile::FifthGeneration, "5G: 20 ms, 100 Mbit/s"),
    line("4g", Profile::FourthGeneration, "4G: 50 ms, 50 Mbit/s"),
    line("3g", Profile::ThirdGeneration, "3G: 300 ms, 1.6 Mbit/s, 1 % lost"),
    line("2g", Profile::SecondGeneration, "2G: 800 ms, 280 kbit/s, 2 % lost"),
    line("edge", Profile::Edge, "EDGE: 840 ms, 240 kbit/s, 2 % lost"),
    line(
        "satellite_leo",
        Profile::SatelliteLeo,
        "A low satellite: 50 ms, 150 Mbit/s, 1 % lost in bursts of 3",
    ),
    line(
        "satellite_geo",
        Profile::SatelliteGeo,
        "A geostationary satellite: 600 ms, 20 Mbit/s, 1 % lost",
    ),
    line(
        "congested",
        Profile::Congested,
        "A line with too many on it: 200 ms and now and then far more, 2 Mbit/s, 3 % lost in bursts of 4",
    ),
    line("lossy", Profile::Lossy, "A line that loses: 20 ms, 10 % lost"),
    line("high_latency", Profile::HighLatency, "A long way: 500 ms"),
    line(
        "intermittent",
        Profile::Intermittent,
        "A line that is gone now and then: 100 ms, 20 % lost in bursts of 50",
    ),
    line(
        "extremely_poor",
        Profile::ExtremelyPoor,
        "Hardly a line: a second and now and then far more, 64 kbit/s, 20 % lost in bursts of 5",
    ),
];

impl KnownProfile {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|one| one.name == name)
    }

    /// What is done when it is applied.
    pub fn config(&self) -> ChaosConfig {
        match self.source {
            // Each can be read: a test reads them all.
            Source::Text(text) => serde_json::from_str(text).unwrap_or_default(),
            Source::Line(profile) => of_line(profile),
            Source::Nothing => ChaosConfig::default(),
        }
    }

    /// As one of somebody's own.
    pub fn profile(&self) -> ChaosProfile {
        ChaosProfile {
            name: self.name.to_owned(),
            description: Some(self.description.to_owned()),
            tags: self.tags.iter().map(ToString::to_string).collect(),
            chaos_config: self.config(),
        }
    }
}

fn of_line(profile: Profile) -> ChaosConfig {
    let line = profile.line();
    let millis = |span: crate::units::Span| span.0.as_secs_f64() * 1000.0;
    let (mean_ms, std_dev_ms) = (millis(line.mean), millis(line.jitter));
    let latency = match line.distribution {
        Spread::Uniform => Latency {
            fixed_delay_ms: Some(mean_ms),
            jitter_percent: std_dev_ms / mean_ms * 100.0,
            ..Latency::default()
        },
        Spread::Normal => Latency {
            distribution: Some(Distribution::Normal(Normal { mean_ms, std_dev_ms })),
            ..Latency::default()
        },
        Spread::Pareto => Latency {
            distribution: Some(Distribution::Pareto(Pareto { mean_ms, std_dev_ms })),
            ..Latency::default()
        },
    };
    let shaping = TrafficShaping {
        bandwidth_limit_bps: line.rate.map_or(0, |rate| rate.0 / 8),
        packet_loss_percent: line.loss.map_or(0.0, |loss| loss.0),
        packet_loss_burst: line.burst,
        ..TrafficShaping::default()
    };
    ChaosConfig {
        latency: Some(latency),
        traffic_shaping: (line.rate.is_some() || line.loss.is_some()).then_some(shaping),
        ..ChaosConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(name: &str) -> ChaosConfig {
        KnownProfile::named(name).unwrap().config()
    }

    #[test]
    fn the_first_five_have_the_values_of_the_original() {
        for (name, delay, jitter, rate, loss) in [
            ("slow_3g", 400.0, 10.0, 400_000, 1.0),
            ("fast_3g", 150.0, 5.0, 1_500_000, 0.5),
            ("flaky_wifi", 50.0, 20.0, 0, 5.0),
            ("cable", 20.0, 2.0, 10_000_000, 0.0),
            ("dialup", 2000.0, 15.0, 50_000, 2.0),
        ] {
            let config = of(name);
            let (latency, shaping) = (config.latency.unwrap(), config.traffic_shaping.unwrap());
            assert_eq!(latency.fixed_delay_ms, Some(delay), "{name}");
            assert_eq!((latency.jitter_percent, latency.probability), (jitter, 1.0), "{name}");
            assert_eq!(
                (shaping.bandwidth_limit_bps, shaping.packet_loss_percent),
                (rate, loss),
                "{name}"
            );
            assert_eq!(config.fault_injection.is_some(), name == "flaky_wifi", "{name}");
            assert_eq!(
                shaping.connection_timeout_ms,
                if name == "dialup" { 60_000 } else { 30_000 },
                "{name}"
            );
        }
        let faults = of("flaky_wifi").fault_injection.unwrap();
        assert_eq!(
            (faults.http_error_probability, faults.connection_error_probability),
            (0.05, 0.03)
        );
        assert!(faults.connection_errors && !faults.timeout_errors);
    }

    // Whoever changes one of the two is told that the other differs.
    #[test]
    fn the_fault_of_the_same_name_has_the_same_delay_rate_and_loss() {
        for (name, profile) in [
            ("slow_3g", Profile::Slow3g),
            ("fast_3g", Profile::Fast3g),
            ("flaky_wifi", Profile::FlakyWifi),
            ("cable", Profile::Cable),
            ("dialup", Profile::Dialup),
        ] {
            let (ours, its) = (of(name), of_line(profile));
            assert_eq!(json!(name), serde_json::to_value(profile).unwrap());
            let values = |config: ChaosConfig| {
                let shaping = config.traffic_shaping.unwrap();
                let delay = config.latency.unwrap().fixed_delay_ms;
                (delay, shaping.bandwidth_limit_bps, shaping.packet_loss_percent)
            };
            assert_eq!(values(ours), values(its), "{name}");
        }
    }

    #[test]
    fn the_others_are_the_faults_of_their_names() {
        for one in PROFILES {
            if let Source::Line(profile) = one.source {
                assert_eq!(json!(one.name), serde_json::to_value(profile).unwrap());
                let burst = profile.line().burst;
                let shaping = one.config().traffic_shaping;
                assert_eq!(shaping.and_then(|block| block.packet_loss_burst), burst, "{}", one.name);
                let said = burst.map_or_else(String::new, |burst| format!("% lost in bursts of {burst}"));
                assert!(one.description.ends_with(&said), "{}", one.name);
                assert_eq!(one.description.contains("bursts"), burst.is_some(), "{}", one.name);
            }
        }
        assert_eq!(of("perfect"), ChaosConfig::default());
        let latency = |name: &str| serde_json::to_value(of(name).latency).unwrap();
        assert_eq!(latency("3g")["fixed_delay_ms"], json!(300.0));
        assert_eq!(latency("3g")["jitter_percent"], json!(10.0));
        let normal = json!({ "normal": { "mean_ms": 600.0, "std_dev_ms": 20.0 } });
        assert_eq!(latency("satellite_geo")["distribution"], normal);
        let pareto = json!({ "pareto": { "mean_ms": 1000.0, "std_dev_ms": 200.0 } });
        assert_eq!(latency("extremely_poor")["distribution"], pareto);
        let shaping = of("extremely_poor").traffic_shaping.unwrap();
        assert_eq!((shaping.bandwidth_limit_bps, shaping.packet_loss_percent), (8000, 20.0));
        assert_eq!(of("high_latency").traffic_shaping, None);
        assert_eq!(of("lossy").traffic_shaping.unwrap().bandwidth_limit_bps, 0);
    }
}
