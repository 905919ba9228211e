//! What a fault in front of a port was about, and what of that it hit: for each of its parts, and of what others do alone.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use fracas_core::chaos::{ChaosConfig, Route};

/// So many requests, or messages, a part was about, and so many faults of it were met.
#[derive(Debug, Default)]
pub(crate) struct Count {
    came: AtomicU64,
    hit: AtomicU64,
}

/// Of each part of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    latency: Count,
    faults: Count,
    /// In their order.
    routes: Vec<OfRoute>,
    pub(crate) grpc: Count,
    pub(crate) graphql: Count,
    /// Of messages.
    pub(crate) websocket: Count,
}

#[derive(Debug, Default)]
struct OfRoute {
    latency: Count,
    faults: Count,
}

/// Whose latency and whose faults a request meets: those of the route at this place, or those for all requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Whose {
    latency: Option<usize>,
    faults: Option<usize>,
}

impl Count {
    /// One that it is about.
    pub(crate) fn came(&self) {
        self.came.fetch_add(1, Ordering::Relaxed);
    }

    /// One of them meets it.
    pub(crate) fn hit(&self) {
        self.hit.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self, name: &str, text: &mut String) {
        let (came, hit) = (self.came.load(Ordering::Relaxed), self.hit.load(Ordering::Relaxed));
        // A String takes all that is written.
        let _written = writeln!(text, "{name} {came} {hit}");
    }
}

impl Parts {
    pub(crate) fn new(config: &ChaosConfig) -> Self {
        Self {
            routes: config.routes().iter().map(|_| OfRoute::default()).collect(),
            ..Self::default()
        }
    }

    /// A request is of this route, or of none; `faults` is whether the block of faults for all requests is about it.
    pub(crate) fn came(&self, route: Option<(usize, &Route)>, faults: bool) -> Whose {
        let own = |has: fn(&Route) -> bool| route.filter(|(_, route)| has(route)).map(|(at, _)| at);
        let whose = Whose {
            latency: own(|route| route.latency.is_some()),
            faults: own(|route| route.fault_injection.is_some()),
        };
        self.latency(whose).came();
        if faults || whose.faults.is_some() {
            self.faults(whose).came();
        }
        whose
    }

    /// It is a call of gRPC, or a request of GraphQL, and there is a block for it.
    pub(crate) fn asked(&self, call: bool, query: bool) {
        for (part, is_about) in [(&self.grpc, call), (&self.graphql, query)] {
            if is_about {
                part.came();
            }
        }
    }

    /// It meets this fault.
    pub(crate) fn hit(&self, fault: &str, whose: Whose) {
        match fault {
            "latency" => self.latency(whose).hit(),
            "http_error" | "connection_error" | "tcp_reset" | "tcp_close" | "timeout" | "partial_response"
            | "payload_corruption" => self.faults(whose).hit(),
            // What cuts a stream is counted where it is cut.
            "grpc_status" => self.grpc.hit(),
            "graphql_error" | "graphql_partial_data" | "graphql_resolver_latency" => self.graphql.hit(),
            // Rules for JSON count for themselves, and what counts requests is no part that could miss all.
            _ => {}
        }
    }

    /// Each in a line: its name, how many came, and how many were hit.
    pub(crate) fn tell(&self, text: &mut String) {
        self.latency.tell("latency", text);
        self.faults.tell("faults", text);
        for (at, route) in self.routes.iter().enumerate() {
            route.latency.tell(&format!("route.{at}.latency"), text);
            route.faults.tell(&format!("route.{at}.faults"), text);
        }
        self.grpc.tell("grpc", text);
        self.graphql.tell("graphql", text);
        self.websocket.tell("websocket", text);
    }

    fn latency(&self, whose: Whose) -> &Count {
        let own = whose.latency.and_then(|at| self.routes.get(at));
        own.map_or(&self.latency, |route| &route.latency)
    }

    fn faults(&self, whose: Whose) -> &Count {
        let own = whose.faults.and_then(|at| self.routes.get(at));
        own.map_or(&self.faults, |route| &route.faults)
    }
}
