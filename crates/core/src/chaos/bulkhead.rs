//! How many requests pass at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lets only so many requests pass at a time, and answers 503 to those that find no place in time.
///
/// A request has its place until its answer has ended, with its body, or its client has gone; one that goes over to another protocol, until
/// that has ended. That a client of HTTP/1 has gone is not seen while its request waits, or is held, with a body that nobody reads: it keeps
/// its place for so long. Who finds no place waits in a queue, and the first there is the first that gets one.
///
/// A change leaves their places to those who have one. Those who wait go on as soon as there is room for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bulkhead {
    /// Whether this block is on.
    pub enabled: bool,
    /// How many requests have a place. At least 1.
    pub max_concurrent_requests: u32,
    /// How many more may wait for one. 0: none, whoever finds no place is refused at once.
    pub max_queue_size: u32,
    /// How long a request waits, in milliseconds. At most an hour.
    pub queue_timeout_ms: u64,
    /// Which listeners of the proxy it is about; for requests that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl Default for Bulkhead {
    fn default() -> Self {
        Self {
            enabled: true,
            max_concurrent_requests: 100,
            max_queue_size: 10,
            queue_timeout_ms: 5000,
            listeners: Vec::new(),
        }
    }
}
