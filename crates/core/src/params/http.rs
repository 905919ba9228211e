//! Parameters of the fault on requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chaos::ChaosConfig;

/// Stands in front of a TCP port of the target and does to the HTTP requests that come there what a configuration of the proxy says.
///
/// Connections that are opened while it is on come to a worker of Fracas in the target's network, which passes their requests on to the
/// port itself: over IPv4 and IPv6, from outside, from other containers, and from inside the target. Those that were open before are left
/// alone until they end; a client that keeps its connections meets nothing before it opens a new one. No address is translated and
/// nothing of the target is changed; a request comes to its program as its client sent it, without headers of Fracas, but by a
/// connection from the address that the client called. HTTP/1.1, HTTP/2 without TLS, gRPC and WebSocket pass; what does not begin like a
/// request, as TLS does not, passes byte by byte and meets nothing. What is done to an answer is named in its header `x-fracas-fault`.
///
/// To the target's program everybody comes from its own address while the fault is on: where it trusts that address, it trusts everybody.
/// Probes of the experiment that ask the port are hit as well.
///
/// A share of requests is decided by the run's seed and by who a request is: its `x-request-id`, else its `traceparent`, else its place in
/// its connection.
///
/// Undo: exact. The rule that takes connections and the worker that holds them go together, also when all of Fracas is killed: then what
/// is in them is cut off. When the fault ends new connections come to the target's own program at once, and those that were taken meet
/// nothing more; requests that are under way have 10 s to end, and what is then still open is reset. Of a worker that is stopped or hangs
/// new connections are kept away within a second, and it is killed.
///
/// Refused (F001) where the target shares the machine's network, where its loopback device is down, by which the worker reaches the port,
/// where routes are chosen by bits 20 to 27 of the marks of packets (`ip rule`), and where the kernel cannot divert connections (nft_tproxy,
/// nft_fib). Two on one port are a conflict; others compose, also with faults on packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The port at which requests arrive at the target, from 1 to 65535. Behind a published port of a container that is the container's own.
    pub port: u16,
    /// What is done to them: the configuration of `fracas proxy`. At least one of its blocks.
    pub chaos: Box<ChaosConfig>,
}

impl Http {
    /// The longest time that requests which are under way have to end, in seconds.
    pub const DRAIN: u64 = 10;
}
