//! The faults: each a decision about one request, in a file of its own.

pub(crate) mod bandwidth;
pub(crate) mod bodies;
pub(crate) mod breaker;
pub(crate) mod bulkhead;
pub(crate) mod circuit;
pub(crate) mod connections;
pub(crate) mod corruption;
pub(crate) mod failure;
pub(crate) mod latency;
pub(crate) mod loss;
pub(crate) mod matcher;
pub(crate) mod mutation;
pub(crate) mod partial;
pub(crate) mod pattern;
pub(crate) mod rate_limit;
pub(crate) mod routes;
#[cfg(test)]
pub(crate) mod shares;
pub(crate) mod truncation;
pub(crate) mod verdict;
mod window;

/// The names of all faults, as they stand in headers and metrics.
pub const NAMES: &[&str] = &[
    "bandwidth_throttle",
    "bulkhead",
    "circuit_breaker",
    "connection_error",
    "connection_limit",
    "connection_timeout",
    "graphql_error",
    "graphql_partial_data",
    "graphql_resolver_latency",
    "grpc_status",
    "grpc_stream_interruption",
    "http_error",
    "json_mutation",
    "latency",
    "packet_loss",
    "partial_response",
    "payload_corruption",
    "rate_limit",
    "tcp_close",
    "tcp_reset",
    "timeout",
    "websocket_close",
    "websocket_message_corruption",
    "websocket_message_delay",
    "websocket_message_drop",
];
