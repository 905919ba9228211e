//! How what protects is: one circuit breaker and one bulkhead, for the whole proxy. The original has one of each for every method with its
//! path, which whoever sends requests can make as many as he likes.

use fracas_core::chaos;
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::{self, Body};
use crate::faults::circuit::Phase;
use crate::service::Shared;

/// The name of both.
const NAME: &str = "proxy";

/// How the circuit breaker is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CircuitBreakerState")]
pub(super) struct Breaker {
    name: &'static str,
    enabled: bool,
    /// `closed`, `open` or `half_open`. Also while it is off: it goes on from there.
    state: &'static str,
    /// What it goes by; `null`: nobody has configured it.
    config: Option<chaos::CircuitBreaker>,
}

/// How the bulkhead is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "BulkheadState")]
pub(super) struct Bulkhead {
    name: &'static str,
    enabled: bool,
    /// Requests that have a place. Also those that came while it was on, when it is off.
    concurrent_requests: usize,
    /// Requests that wait for one.
    queued_requests: usize,
    /// What it goes by; `null`: nobody has configured it.
    config: Option<chaos::Bulkhead>,
}

impl Breaker {
    pub(super) fn of(shared: &Shared) -> Self {
        let active = shared.live.now();
        Self {
            name: NAME,
            enabled: active.config.circuit_breaker().is_some(),
            state: phase(shared),
            config: active.config.circuit_breaker.clone(),
        }
    }
}

impl Bulkhead {
    pub(super) fn of(shared: &Shared) -> Self {
        let active = shared.live.now();
        let [concurrent_requests, queued_requests] = shared.live.places().counts();
        Self {
            name: NAME,
            enabled: active.config.bulkhead().is_some(),
            concurrent_requests,
            queued_requests,
            config: active.config.bulkhead.clone(),
        }
    }
}

/// The word for the state of the circuit breaker.
pub(super) fn phase(shared: &Shared) -> &'static str {
    match shared.live.breaker().phase() {
        Phase::Closed => "closed",
        Phase::Open => "open",
        Phase::HalfOpen => "half_open",
    }
}

/// Does something, if this is the name of ours.
pub(super) fn named(name: &str, does: impl FnOnce() -> Response<Body>) -> Response<Body> {
    if name == NAME {
        does()
    } else {
        answer::problem(StatusCode::NOT_FOUND, "there is one for the whole proxy, named `proxy`")
    }
}
