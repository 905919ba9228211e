//! The chaos proxy: HTTP/1.1 and HTTP/2 in, HTTP out, and between the two the faults that a [`ChaosConfig`] asks for.
//!
//! Bodies stream in both directions, as fast as the slower side takes them. Every fault is decided by seed and identity of the request, so
//! that the same request meets the same fault whoever comes before it; it is named in a header of the answer and counted. The configuration
//! changes while requests pass, from the next request on, by the API beneath `/api/chaos/`, which no fault hits.
//!
//! The proxy has sockets of its own alone, so there is nothing to be undone but its own end.

mod accept;
mod ahead;
mod answer;
mod api;
mod body;
pub mod client;
mod connection;
mod control;
mod destination;
mod egress;
mod extended;
mod faults;
mod forward;
mod front;
mod graphql;
mod grpc;
mod guarded;
mod head;
mod headers;
mod identity;
mod lent;
mod link;
mod listeners;
mod live;
mod measures;
mod orchestra;
mod past;
mod pool;
mod profiles;
mod progress;
mod responder;
mod scenarios;
mod serve;
mod service;
mod shaped;
mod stream;
mod tcp;
mod timer;
mod tls;
mod toxiproxy;
mod traced;
mod tunnel;
mod upload;
mod upstream;
mod watch;
mod websocket;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use fracas_core::chaos::{ChaosConfig, Predefined};
use fracas_core::seed::Seed;

pub use api::openapi;
pub use control::{Configured, Control};
pub use egress::Egress;
pub use faults::NAMES;
pub use faults::mutation::is_changed;
pub use front::{ABOUT, CANARY, FrontOrder, Pardon, REPORT, Secret};
pub use listeners::Listener;
pub use orchestra::{Orchestrations, Running};
pub use serve::{Drained, Proxy};
pub use tls::Tls;
pub use tls::certificate::{Certificate, SelfSigned};
pub use tls::hello::fuzz_client_hello;
pub use tls::place::{Name, Passthrough, Place};
pub use tls::trust::{Identity, Trust};
pub use toxiproxy::{Toxiproxy, ToxiproxyOrder};
pub use traced::Tracing;
pub use upstream::Upstream;
pub use watch::{Look, Watch};

/// Reads whatever it is as frames of WebSocket, as messages of gRPC and as an answer of GraphQL. For the fuzzer.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    websocket::frames::fuzz(bytes);
    grpc::messages::fuzz(bytes);
    graphql::fuzz(bytes);
}

/// What a proxy is to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where clients come to. Of port 0 the kernel chooses a free one.
    pub listen: SocketAddr,
    /// Where requests go. `None`: the proxy answers them itself.
    pub upstream: Option<Upstream>,
    /// Where else clients come to, and where their requests go from there.
    pub listeners: Vec<Listener>,
    /// What of it is TLS; of clients, at all listeners.
    pub tls: Tls,
    /// Whom tunnels may lead to that clients ask for. `None`: there are none.
    pub egress: Option<Egress>,
    /// Where the API is, without TLS. `None`: where clients come to, beneath `/api/chaos/`, and only for those of this machine whose requests nobody
    /// passed on.
    pub api_listen: Option<SocketAddr>,
    /// The root of every decision.
    pub seed: Seed,
    /// What is done to traffic at first.
    pub config: ChaosConfig,
    /// What is laid over that at first, until somebody stops it.
    pub scenarios: Vec<&'static Predefined>,
    /// Who is told of each request. `None`: nobody.
    pub tracing: Option<Tracing>,
    /// How long others may take.
    pub limits: Limits,
    /// What orchestrations may do, and the first of them.
    pub orchestrations: Orchestrations,
}

impl Order {
    /// A proxy that answers requests itself, and does nothing to them.
    pub fn new(listen: SocketAddr, seed: Seed) -> Self {
        Self {
            listen,
            upstream: None,
            listeners: Vec::new(),
            tls: Tls::default(),
            egress: None,
            api_listen: None,
            seed,
            config: ChaosConfig::default(),
            scenarios: Vec::new(),
            tracing: None,
            limits: Limits::default(),
            orchestrations: Orchestrations::default(),
        }
    }
}

/// How long others may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the head of a request, and between two requests of HTTP/1.1. A silent connection of HTTP/2 is asked so often whether anybody is
    /// there, and has as long to answer.
    pub head: Duration,
    /// How long a client may send nothing of a body that it has begun, and take nothing of what is there for it. It is five minutes unless
    /// something else is said.
    pub silence: Duration,
    /// For the head of the upstream's answer, from the last part of the request on that it took. It is five minutes unless something else is
    /// said.
    pub answer: Duration,
    /// For a name and a connection, where one is passed through or a tunnel leads. Several addresses of a name share it.
    pub connect: Duration,
    /// How long a connection to an upstream of HTTP/1.1 that nobody needs may meet another request; in twice that time it is closed. Servers of
    /// Node.js close theirs after five seconds, and a request that crosses that is lost.
    pub unused: Duration,
    /// How long an upstream of TLS is believed to want HTTP/1.1 that chose it once. Then it has the choice again: behind one address may be several
    /// servers.
    pub choice: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            silence: Duration::from_mins(5),
            answer: Duration::from_mins(5),
            connect: Duration::from_secs(10),
            unused: Duration::from_secs(4),
            choice: Duration::from_secs(30),
        }
    }
}
