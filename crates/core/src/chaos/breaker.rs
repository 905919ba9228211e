//! When a circuit breaker opens, and when it closes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers 503 to all requests while too many fail: a circuit breaker, one for the whole proxy, or for all `listeners` that it names.
///
/// A request fails if its answer is a 5xx, whoever gave it, also as a fault that stands behind the breaker, if its connection is broken off
/// by one, or if its answer is a 2xx that breaks off before its end. It succeeds if its answer is a 2xx and came whole. Anything else, and a
/// client that goes away, counts for neither. What `fault_injection` does to the body of an answer is no failure: the answer succeeds as far
/// as it was asked for.
///
/// *Closed*, the breaker lets all pass, and opens after `failure_threshold` failures in a row, or by the share of those in the last
/// `rolling_window_ms`. *Open*, it refuses all for `timeout_ms`, and says in `retry-after` for how long yet. *Half-open*, from the first
/// request behind that on, it lets a few pass as trials: the first failure opens it again, and `success_threshold` successes close it. What
/// was let pass before the last change of all that counts no more.
///
/// It is one for as long as the proxy lives. A scenario that has a name does its harm behind the breaker that is configured: what opened while
/// the scenario acted stays open when the scenario is stopped, for its time, as behind any other failures. So it is with a scenario that has a
/// breaker of its own where that is the same; where it is not, the breaker is closed, and knows nothing of before, at the start and at the stop.
/// It is so, too, when an orchestration begins and when it ends, and when another breaker is configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Whether this block is on.
    pub enabled: bool,
    /// After how many failures in a row it opens. At least 1.
    pub failure_threshold: u32,
    /// After how many successes it closes, once half-open. At least 1.
    pub success_threshold: u32,
    /// How long it stays open, in milliseconds. At most an hour; 0: the next request is a trial.
    pub timeout_ms: u64,
    /// How many trials there are at a time. A trial lasts until the head of its answer. At least 1.
    pub half_open_max_requests: u32,
    /// At which share of failures it opens, too: more than 0, up to 100 percent.
    pub failure_rate_threshold: f64,
    /// How many requests must have failed or succeeded for that. At least 1.
    pub min_requests_for_rate: u32,
    /// Of how long that share is, in milliseconds, from 1 up to an hour. What is older is forgotten in steps of a 64th of it.
    pub rolling_window_ms: u64,
    /// Which listeners of the proxy it is about; for requests that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            enabled: true,
            failure_threshold: 5,
            success_threshold: 2,
            timeout_ms: 60_000,
            half_open_max_requests: 3,
            failure_rate_threshold: 50.0,
            min_requests_for_rate: 10,
            rolling_window_ms: 10_000,
            listeners: Vec::new(),
        }
    }
}
