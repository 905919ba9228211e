//! The chaos proxy: HTTP/1.1 and HTTP/2 in, HTTP out, and between the two the faults that a [`ChaosConfig`] asks for.
//!
//! Bodies stream in both directions, as fast as the slower side takes them. Every fault is decided by seed and identity of the request, so
//! that the same request meets the same fault whoever comes before it; it is named in a header of the answer and counted. The configuration
//! changes while requests pass, from the next request on, by the API beneath `/api/chaos/`, which no fault hits.
//!
//! The proxy has sockets of its own alone, so there is nothing to be undone but its own end.

mod answer;
mod api;
mod connection;
mod faults;
mod forward;
mod headers;
mod identity;
mod live;
mod responder;
mod serve;
mod service;
mod timer;
mod tunnel;
mod upload;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use fracas_core::chaos::ChaosConfig;
use fracas_core::seed::Seed;

pub use faults::NAMES;
pub use forward::Upstream;
pub use serve::{Drained, Proxy};

/// What a proxy is to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where clients come to. Of port 0 the kernel chooses a free one.
    pub listen: SocketAddr,
    /// Where requests go. `None`: the proxy answers them itself.
    pub upstream: Option<Upstream>,
    /// Where the API is. `None`: where clients come to, beneath `/api/chaos/`, and only for those of this machine.
    pub api_listen: Option<SocketAddr>,
    /// The root of every decision.
    pub seed: Seed,
    /// What is done to traffic at first.
    pub config: ChaosConfig,
    /// How long clients may take.
    pub limits: Limits,
}

/// How long clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the head of a request, and between two requests of HTTP/1.1. A silent connection of HTTP/2 is asked so often whether anybody is
    /// there, and has as long to answer.
    pub head: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
        }
    }
}
