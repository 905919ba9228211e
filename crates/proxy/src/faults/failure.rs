//! Whether and how a request fails.

use std::time::{Duration, Instant};

use fracas_core::chaos::{ConnectionErrorKind, FaultInjection, RouteFault, RouteFaultKind};

use crate::faults::pattern::Pattern;
use crate::identity::Chance;

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// With this status.
    Http(u16),
    /// With its connection.
    Connection(ConnectionErrorKind),
    /// After this time.
    Timeout(Duration),
}

impl Failure {
    /// Whether it ends the connection, so that there is no answer.
    pub(crate) fn is_an_end(self) -> bool {
        matches!(
            self,
            Self::Connection(ConnectionErrorKind::TcpReset | ConnectionErrorKind::TcpClose)
        )
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http(_) => "http_error",
            Self::Connection(ConnectionErrorKind::Http503) => "connection_error",
            Self::Connection(ConnectionErrorKind::TcpReset) => "tcp_reset",
            Self::Connection(ConnectionErrorKind::TcpClose) => "tcp_close",
            Self::Timeout(_) => "timeout",
        }
    }
}

/// Decides. `None`: it does not fail. The pattern is the one of the block, and takes the request for its next.
pub(crate) fn decide(
    block: &FaultInjection,
    pattern: Option<&Pattern>,
    chance: &Chance,
    now: Instant,
) -> Option<Failure> {
    let statuses = &block.http_errors;
    let happens = || chance.happens("proxy http_error", block.http_error_probability);
    let status = match pattern {
        Some(pattern) => pattern.next(statuses, chance, now),
        None if happens() => one_of(statuses, chance),
        None => None,
    };
    if let Some(status) = status {
        return Some(Failure::Http(status));
    }
    after_http(block, chance)
}

/// What happens to a request that meets no error of HTTP.
fn after_http(block: &FaultInjection, chance: &Chance) -> Option<Failure> {
    if block.connection_errors && chance.happens("proxy connection_error", block.connection_error_probability) {
        return Some(Failure::Connection(block.connection_error_kind));
    }
    if block.timeout_errors && chance.happens("proxy timeout", block.timeout_probability) {
        return Some(Failure::Timeout(Duration::from_millis(block.timeout_ms)));
    }
    None
}

/// How a request of a route fails by this. `None`: it is its answer that is harmed.
pub(crate) fn of_route(fault: &RouteFault) -> Option<Failure> {
    // What each kind needs was asked for when the configuration was read.
    match fault.kind {
        RouteFaultKind::HttpError => fault.status_code.map(Failure::Http),
        RouteFaultKind::ConnectionError => Some(Failure::Connection(fault.connection_error_kind.unwrap_or_default())),
        RouteFaultKind::Timeout => fault.duration_ms.map(Duration::from_millis).map(Failure::Timeout),
        RouteFaultKind::PartialResponse | RouteFaultKind::PayloadCorruption => None,
    }
}

/// As [`decide`], without a pattern: where the block has one, there are no errors of HTTP.
pub(crate) fn decide_alone(block: &FaultInjection, chance: &Chance) -> Option<Failure> {
    let statuses = &block.http_errors;
    if block.error_pattern.is_none()
        && chance.happens("proxy http_error", block.http_error_probability)
        && let Some(status) = one_of(statuses, chance)
    {
        return Some(Failure::Http(status));
    }
    after_http(block, chance)
}

/// One of these, each equally often. `None`: there is none.
pub(crate) fn one_of(statuses: &[u16], chance: &Chance) -> Option<u16> {
    chance.one_of("proxy http_error status", statuses).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn counts(block: &FaultInjection, seed: u64) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for n in 0..10_000 {
            let chance = Chance::named(seed, &format!("request {n}"));
            if let Some(failure) = decide(block, None, &chance, Instant::now()) {
                *counts.entry(format!("{failure:?}")).or_default() += 1;
            }
        }
        counts
    }

    // The draws are fixed by the seed: what holds here, holds always.
    #[test]
    fn statuses_come_equally_often() {
        let block = FaultInjection {
            http_error_probability: 0.4,
            ..FaultInjection::default()
        };
        let counts = counts(&block, 1);
        assert_eq!(counts.len(), 4, "{counts:?}");
        // Five standard deviations of 10000 times 0.1.
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn kinds_are_decided_apart_and_the_first_acts() {
        let block = FaultInjection {
            http_errors: vec![500],
            http_error_probability: 0.5,
            connection_errors: true,
            connection_error_probability: 0.5,
            timeout_errors: true,
            timeout_probability: 1.0,
            ..FaultInjection::default()
        };
        let counts = counts(&block, 2);
        assert!((4750..5250).contains(&counts["Http(500)"]), "{counts:?}");
        assert!((2280..2720).contains(&counts["Connection(Http503)"]), "{counts:?}");
        assert_eq!(counts.values().sum::<u32>(), 10_000);
    }

    #[test]
    fn a_kind_that_is_off_does_not_act() {
        let block = FaultInjection {
            http_errors: Vec::new(),
            http_error_probability: 1.0,
            connection_error_probability: 1.0,
            timeout_probability: 1.0,
            ..FaultInjection::default()
        };
        assert!(counts(&block, 3).is_empty());
    }
}
