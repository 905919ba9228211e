//! The faults: each a decision about one request, in a file of its own.

pub(crate) mod failure;
pub(crate) mod latency;
pub(crate) mod matcher;
pub(crate) mod pattern;
pub(crate) mod rate_limit;

/// The names of all faults, as they stand in headers and metrics.
pub const NAMES: &[&str] = &[
    "connection_error",
    "http_error",
    "latency",
    "rate_limit",
    "tcp_close",
    "tcp_reset",
    "timeout",
];
