//! Network profiles: several impairments of the same packets under one name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Delay, Distribution, Inject, Loss, RateLimit};
use crate::traffic::{Direction, Peer, Service};
use crate::units::{Percent, Rate, Span};

/// Makes a target's network as that of somebody with such a line: a delay, and with most profiles a rate and a loss.
///
/// A set of `delay`, `loss` and `rate` with the same packets: each is an injection of its own, with its undo and its dose, and is named
/// after the fault and itself (`mobile-delay`). Not with `execution: sequential`, in which they would follow each other, and without a
/// ramp: a profile has more than one number.
///
/// A probe that plays the customer needs `include_observers: true`, as it is left alone otherwise. All parts need the packet queue, for an
/// interface has one kernel queue at a time; and a network namespace has one profile at a time: a second one, also of the other
/// `direction`, is refused (F004).
///
/// Undo: exact; that of its parts, see `delay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkProfile {
    /// Which.
    pub name: Profile,
    /// Which packets: `egress` are those that the target sends, `ingress` those that it is sent. Default `egress`.
    #[serde(default)]
    pub direction: Direction,
    /// The other side: packets to these, or with `ingress` from these. Default: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Peer>,
    /// Packets to these, or from these, are left alone, also if `to` names them. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Peer>,
    /// TCP and UDP ports of either side, such as `80`, `8000-8010` or `53/udp`. Default: all, and what has no ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Service>,
    /// The interface, as the target has it. Default: all but the loopback device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Also hits those who measure: the plan says who goes blind. Default false.
    #[serde(default)]
    pub include_observers: bool,
}

/// The profiles. Delays with a jitter are uniform unless it is said. The first five have the values of the proxy whose names they are.
///
/// Of the others only the names were given. Their delay is that of a whole round trip, for a fault stands in one direction; the rates of
/// `4g` are Apple's Network Link Conditioner's (LTE), those of `3g`, `2g` and `edge` WebPageTest's with its round trips, `satellite_leo`
/// is what Michel et al. measured ("A First Look at Starlink Performance", IMC 2022), and the round trip of `satellite_geo` is that of RFC
/// 2488, section 2, with what networks on the ground add. The last five are made up: what people fear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// 400ms ± 40ms, 3.2mbit, loss of 1%.
    #[serde(rename = "slow_3g")]
    Slow3g,
    /// 150ms, 12mbit, loss of 0.5%.
    #[serde(rename = "fast_3g")]
    Fast3g,
    /// 50ms ± 10ms, loss of 5%.
    FlakyWifi,
    /// 20ms, 80mbit.
    Cable,
    /// 2s, 400kbit, loss of 2%.
    Dialup,
    /// 20ms ± 5ms, 100mbit.
    #[serde(rename = "5g")]
    FifthGeneration,
    /// 50ms ± 10ms, 50mbit.
    #[serde(rename = "4g")]
    FourthGeneration,
    /// 300ms ± 30ms, 1.6mbit, loss of 1%.
    #[serde(rename = "3g")]
    ThirdGeneration,
    /// 800ms ± 80ms, 280kbit, loss of 2%.
    #[serde(rename = "2g")]
    SecondGeneration,
    /// 840ms ± 80ms, 240kbit, loss of 2%.
    Edge,
    /// 50ms ± 10ms normal, 150mbit, loss of 1% in bursts of 3.
    SatelliteLeo,
    /// 600ms ± 20ms normal, 20mbit, loss of 1%.
    SatelliteGeo,
    /// 200ms ± 50ms pareto, 2mbit, loss of 3% in bursts of 4.
    Congested,
    /// 20ms, loss of 10%.
    Lossy,
    /// 500ms ± 50ms normal.
    HighLatency,
    /// 100ms ± 30ms, loss of 20% in bursts of 50. Probes are few for so long bursts: whether it
    /// landed may be told by the target's own packets alone.
    Intermittent,
    /// 1s ± 200ms pareto, 64kbit, loss of 20% in bursts of 5.
    ExtremelyPoor,
}

/// What a profile is made of.
pub(crate) struct Line {
    pub(crate) mean: Span,
    pub(crate) jitter: Span,
    pub(crate) distribution: Distribution,
    pub(crate) rate: Option<Rate>,
    pub(crate) loss: Option<Percent>,
    pub(crate) burst: Option<f64>,
}

impl Profile {
    /// What it is made of.
    pub(crate) fn line(self) -> Line {
        let line = |mean, jitter, kbit: Option<u64>, loss: Option<f64>| Line {
            mean: Span::millis(mean),
            jitter: Span::millis(jitter),
            distribution: Distribution::Uniform,
            burst: None,
            rate: kbit.map(|kbit| Rate(kbit * 1000)),
            loss: loss.map(Percent),
        };
        match self {
            Self::Slow3g => line(400, 40, Some(3200), Some(1.0)),
            Self::Fast3g => line(150, 0, Some(12_000), Some(0.5)),
            Self::FlakyWifi => line(50, 10, None, Some(5.0)),
            Self::Cable => line(20, 0, Some(80_000), None),
            Self::Dialup => line(2000, 0, Some(400), Some(2.0)),
            Self::FifthGeneration => line(20, 5, Some(100_000), None),
            Self::FourthGeneration => line(50, 10, Some(50_000), None),
            Self::ThirdGeneration => line(300, 30, Some(1600), Some(1.0)),
            Self::SecondGeneration => line(800, 80, Some(280), Some(2.0)),
            Self::Edge => line(840, 80, Some(240), Some(2.0)),
            Self::SatelliteLeo => line(50, 10, Some(150_000), Some(1.0))
                .in_bursts(3.0)
                .spread(Distribution::Normal),
            Self::SatelliteGeo => line(600, 20, Some(20_000), Some(1.0)).spread(Distribution::Normal),
            Self::Congested => line(200, 50, Some(2000), Some(3.0))
                .in_bursts(4.0)
                .spread(Distribution::Pareto),
            Self::Lossy => line(20, 0, None, Some(10.0)),
            Self::HighLatency => line(500, 50, None, None).spread(Distribution::Normal),
            Self::Intermittent => line(100, 30, None, Some(20.0)).in_bursts(50.0),
            Self::ExtremelyPoor => line(1000, 200, Some(64), Some(20.0))
                .in_bursts(5.0)
                .spread(Distribution::Pareto),
        }
    }
}

impl Line {
    fn in_bursts(self, of: f64) -> Self {
        Self {
            burst: Some(of),
            ..self
        }
    }

    fn spread(self, distribution: Distribution) -> Self {
        Self { distribution, ..self }
    }
}

impl NetworkProfile {
    /// The faults that it is made of.
    pub fn parts(&self) -> Vec<Inject> {
        // They have the same keys for which packets, and no type in common.
        macro_rules! about {
            ($part:expr) => {{
                let mut part = $part;
                part.direction = self.direction;
                part.to.clone_from(&self.to);
                part.except.clone_from(&self.except);
                part.ports.clone_from(&self.ports);
                part.device.clone_from(&self.device);
                part.include_observers = self.include_observers;
                part
            }};
        }
        let line = self.name.line();
        let mut parts = vec![Inject::Delay(about!(Delay {
            mean: line.mean,
            jitter: line.jitter,
            distribution: line.distribution,
            ..Delay::default()
        }))];
        parts.extend(line.loss.map(|percent| {
            Inject::Loss(about!(Loss {
                percent,
                burst: line.burst,
                ..Loss::default()
            }))
        }));
        parts.extend(line.rate.map(|rate| {
            Inject::RateLimit(about!(RateLimit {
                rate,
                ..RateLimit::default()
            }))
        }));
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str) -> serde_json::Value {
        let profile: NetworkProfile = serde_json::from_value(serde_json::json!({
            "name": name, "direction": "ingress", "to": ["10.0.0.0/8"], "except": ["10.0.0.1"], "ports": [80],
            "device": "eth0", "include_observers": true
        }))
        .unwrap();
        serde_json::to_value(profile.parts()).unwrap()
    }

    #[test]
    fn some_lose_in_bursts_and_delay_as_queues_do() {
        let of = |name: &str, fault: &str, key: &str| {
            let parts = parts(name);
            let mut all = parts.as_array().unwrap().iter();
            all.find_map(|part| part.get(fault)?.get(key).cloned())
        };
        for (name, distribution, burst) in [
            ("slow_3g", "uniform", None),
            ("satellite_leo", "normal", Some(3.0)),
            ("satellite_geo", "normal", None),
            ("congested", "pareto", Some(4.0)),
            ("high_latency", "normal", None),
            ("intermittent", "uniform", Some(50.0)),
            ("extremely_poor", "pareto", Some(5.0)),
        ] {
            assert_eq!(of(name, "delay", "distribution"), Some(distribution.into()), "{name}");
            assert_eq!(
                of(name, "loss", "burst").and_then(|burst| burst.as_f64()),
                burst,
                "{name}"
            );
        }
    }

    #[test]
    fn every_profile_has_its_values() {
        for (name, delay, loss, rate) in [
            ("slow_3g", ("400ms", "40ms"), Some("1%"), Some("3.2mbit")),
            ("fast_3g", ("150ms", "0s"), Some("0.5%"), Some("12mbit")),
            ("flaky_wifi", ("50ms", "10ms"), Some("5%"), None),
            ("cable", ("20ms", "0s"), None, Some("80mbit")),
            ("dialup", ("2s", "0s"), Some("2%"), Some("400kbit")),
            ("5g", ("20ms", "5ms"), None, Some("100mbit")),
            ("4g", ("50ms", "10ms"), None, Some("50mbit")),
            ("3g", ("300ms", "30ms"), Some("1%"), Some("1.6mbit")),
            ("2g", ("800ms", "80ms"), Some("2%"), Some("280kbit")),
            ("edge", ("840ms", "80ms"), Some("2%"), Some("240kbit")),
            ("satellite_leo", ("50ms", "10ms"), Some("1%"), Some("150mbit")),
            ("satellite_geo", ("600ms", "20ms"), Some("1%"), Some("20mbit")),
            ("congested", ("200ms", "50ms"), Some("3%"), Some("2mbit")),
            ("lossy", ("20ms", "0s"), Some("10%"), None),
            ("high_latency", ("500ms", "50ms"), None, None),
            ("intermittent", ("100ms", "30ms"), Some("20%"), None),
            ("extremely_poor", ("1s", "200ms"), Some("20%"), Some("64kbit")),
        ] {
            let parts = parts(name);
            let of = |fault: &str, key: &str| {
                let mut all = parts.as_array().unwrap().iter();
                let found = all.find_map(|part| part.get(fault))?;
                assert_eq!(found["direction"], "ingress");
                assert_eq!(found["to"], serde_json::json!(["10.0.0.0/8"]));
                assert_eq!(found["except"], serde_json::json!(["10.0.0.1"]));
                assert_eq!(found["ports"], serde_json::json!(["80"]));
                assert_eq!(found["device"], "eth0");
                assert_eq!(found["include_observers"], true);
                Some(found[key].as_str().unwrap().to_owned())
            };
            assert_eq!(of("delay", "mean").as_deref(), Some(delay.0), "{name}");
            assert_eq!(of("delay", "jitter").as_deref(), Some(delay.1), "{name}");
            assert_eq!(of("loss", "percent").as_deref(), loss, "{name}");
            let bits = |text: &str| text.parse::<Rate>().unwrap();
            assert_eq!(of("rate", "rate").map(|text| bits(&text)), rate.map(bits), "{name}");
        }
    }
}
