//! How much passes, and by how many connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes the way narrow, lossy and short of connections. A `0` is no limit, and no loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficShaping {
    /// Whether this block is on.
    pub enabled: bool,
    /// How many bytes pass in a second, in both directions of all connections together: those of the bodies of requests and answers, and of
    /// connections that went over to another protocol. Heads, and answers of the proxy's own, pass besides. All that pass at the same time
    /// take turns of a fiftieth of a second, so that whoever takes or sends nothing holds up nobody. A change acts at once on what is
    /// passing. An answer names it, as `bandwidth_throttle`, if it or its request has a body, or it goes over to
    /// another protocol, and the limit is on by then.
    pub bandwidth_limit_bps: u64,
    /// How many requests are lost, from 0 to 100 percent: the answer is 408, and they never reach the upstream. Drawn by the seed.
    pub packet_loss_percent: f64,
    /// How many requests in a row are lost on average where one is, from 1 to 1000: a Gilbert model, as of the fault `loss`. At 90 percent it is
    /// at least 9, for one that is not lost parts two rows. It goes by the order in which requests come, of all connections together: no
    /// identity has a place in it, and with the same seed the same places are lost. Default: each request by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_loss_burst: Option<f64>,
    /// How many connections of clients may have requests. A connection counts from its first request to its end, however many it has at a
    /// time, also as a tunnel; those of the API do not. What comes by another is answered 503, and in HTTP/1 its connection is closed. A
    /// change leaves their places to those that count already.
    pub max_connections: u32,
    /// How long a connection may be without a request, in milliseconds, once it had one; then it is closed in order,
    /// and counted. At most an hour. One that had its last request to the API is left alone. Of HTTP/1 the proxy itself closes connections that
    /// have none for 30 seconds, and counts nothing.
    pub connection_timeout_ms: u64,
}

impl TrafficShaping {
    /// Whether so many in a row can be lost on average of [`Self::packet_loss_percent`]: something is lost, and one that is not parts two rows.
    pub fn has_room_for(&self, burst: f64) -> bool {
        let percent = self.packet_loss_percent;
        percent > 0.0 && (percent >= 100.0 || percent <= burst * (100.0 - percent))
    }
}

impl Default for TrafficShaping {
    fn default() -> Self {
        Self {
            enabled: true,
            bandwidth_limit_bps: 0,
            packet_loss_percent: 0.0,
            packet_loss_burst: None,
            max_connections: 0,
            connection_timeout_ms: 30_000,
        }
    }
}
