//! What a proxy does to the traffic that goes through it: one document, for files, for REST, and for whoever starts a proxy.
//!
//! A block that is present is on unless it says `enabled: false`. Keys and defaults are those of seed 3.

mod assertion;
mod breaker;
mod builder;
mod bulkhead;
mod condition;
mod graphql;
mod grpc;
mod hook;
mod listeners;
mod matcher;
mod mutation;
mod orchestration;
mod pattern;
mod plan;
mod predefined;
mod profile;
mod protocols;
mod route;
mod shaping;
mod websocket;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use assertion::{Assertion, AssertionKind, MEASURES};
pub use breaker::CircuitBreaker;
pub use bulkhead::Bulkhead;
pub use condition::{Condition, ConditionKind, Facts, Operator};
pub use graphql::Graphql;
pub use grpc::Grpc;
pub use hook::{CommandHook, Hook, HttpHook, LogHook, MetricHook, Retry, VariableHook};
pub use listeners::{MAIN, MOST_LISTENERS, is_listener};
pub use matcher::{HeaderMatch, RequestMatcher};
pub use mutation::{Anything, Field, MutationRule, Mutations, Operation, OperationKind, Stateful, Step as FieldStep};
pub use orchestration::{Orchestration, Scenario, Step, Unresolved, together};
pub use pattern::{ErrorPattern, PatternKind};
pub use plan::{Plan, Slot};
pub use predefined::{PREDEFINED, Predefined};
pub use profile::{ChaosProfile, KnownProfile, PROFILES};
pub use protocols::{CloseCodes, ErrorCodes, Probability, StatusCodes, Switch};
pub use route::{Route, RouteFault, RouteFaultKind, RouteFaults, Template};
pub use shaping::TrafficShaping;
pub use websocket::Websocket;

/// What the proxy does to requests and their answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChaosConfig {
    /// Whether anything is done at all. `false` lets everything pass, and keeps the rest for later.
    pub enabled: bool,
    /// Answers come later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Requests fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_injection: Option<FaultInjection>,
    /// Too many requests are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Less passes, and by fewer connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic_shaping: Option<TrafficShaping>,
    /// Requests are refused while too many fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Only so many requests pass at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulkhead: Option<Bulkhead>,
    /// Calls of gRPC fail, and their streams are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// Connections of WebSocket are closed, and their messages harmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<Websocket>,
    /// Requests of GraphQL fail, or lose a part of their data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graphql: Option<Graphql>,
    /// Requests for some paths are held, or fail, in another way. At most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The JSON in answers becomes another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutations: Option<Mutations>,
}

/// Holds a request before it goes on.
///
/// One of `fixed_delay_ms`, `random_delay_range_ms` and `distribution` says for how long. The answer says it in its headers
/// `x-fracas-latency-ms` and `x-fracas-jitter-ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Whether this block is on.
    pub enabled: bool,
    /// The same for each, in milliseconds; parts of one are kept. At most an hour, 3600000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_delay_ms: Option<f64>,
    /// Uniform between a least and a most, in milliseconds: `[100, 500]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_delay_range_ms: Option<[f64; 2]>,
    /// By another distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Uniform between nothing and this share of the delay, added or taken away with equal chance: 0 to 100 percent.
    pub jitter_percent: f64,
    /// Of how many requests, from 0 to 1.
    pub probability: f64,
    /// Which listeners of the proxy it is about; for requests that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl Latency {
    /// Whether it says how long anything is held.
    fn has_delay(&self) -> bool {
        // In the order in which they count.
        match (self.fixed_delay_ms, self.random_delay_range_ms) {
            (Some(fixed), _) => fixed > 0.0,
            (None, Some([_, most])) => most > 0.0,
            (None, None) => self.distribution.is_some(),
        }
    }
}

/// How delays are spread. What is drawn below zero is zero, and what is above an hour an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Distribution {
    /// The normal distribution.
    Normal(Normal),
    /// The exponential distribution.
    Exponential(Exponential),
    /// A Pareto distribution with the shape 3, as that of netem: most a little below the mean, few far above.
    Pareto(Pareto),
}

/// The normal distribution, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normal {
    /// Its mean.
    pub mean_ms: f64,
    /// Its standard deviation.
    pub std_dev_ms: f64,
}

/// The exponential distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// Its rate per millisecond: the mean delay is `1 / lambda` milliseconds.
    pub lambda: f64,
}

/// A Pareto distribution, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pareto {
    /// Its mean.
    pub mean_ms: f64,
    /// Its standard deviation.
    pub std_dev_ms: f64,
}

/// Makes requests fail, and harms the bodies of answers.
///
/// Each kind is decided by itself. Of those that make the same request fail the first acts: an error of HTTP, one of the connection, a
/// time-out. What is done to a body is done to what the upstream answered, to the bytes as they travel: what is compressed stays so, and who
/// unpacks it finds it broken. An answer without a body, and one to `HEAD`, meets nothing. Of a body of unknown length that is to be harmed
/// the head waits for the first byte, five seconds at most; one that does not come in time is not harmed. The answer names what it met in its header
/// `x-fracas-fault`; what ends a connection has no answer, and is counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FaultInjection {
    /// Whether this block is on.
    pub enabled: bool,
    /// The statuses of errors, from 400 to 599; each comes equally often. Empty: no errors of HTTP.
    pub http_errors: Vec<u16>,
    /// How many requests are answered with one of `http_errors` and never reach the upstream, from 0 to 1.
    pub http_error_probability: f64,
    /// Whether connections fail.
    pub connection_errors: bool,
    /// How many requests meet a failing connection, from 0 to 1.
    pub connection_error_probability: f64,
    /// How they fail.
    pub connection_error_kind: ConnectionErrorKind,
    /// Whether requests time out.
    pub timeout_errors: bool,
    /// After how many milliseconds: the answer is then 504. At most an hour.
    pub timeout_ms: u64,
    /// How many requests time out, from 0 to 1.
    pub timeout_probability: f64,
    /// Whether answers break off within their body. The client sees fewer bytes than `Content-Length` says, or no last chunk, no trailers in
    /// either case, and the end of its connection; in HTTP/2 a reset of the stream. Each place is equally likely, from behind the first byte
    /// to before the last. A body of unknown length breaks off behind 1 to 16384 bytes, or where it would have ended. What has one byte, or
    /// no length in HTTP/1.0, cannot end early.
    pub partial_responses: bool,
    /// How many answers do, from 0 to 1.
    pub partial_response_probability: f64,
    /// Whether the bodies of answers are corrupted; `corruption_type` says how.
    pub payload_corruption: bool,
    /// How many bodies are, from 0 to 1.
    pub payload_corruption_probability: f64,
    /// How bodies are corrupted. Which bytes are hit is decided by their places, in whatever parts they come. Other headers stay as they
    /// are, also a digest of the body. If the same answer is to break off, it is what was corrupted that breaks off.
    pub corruption_type: CorruptionType,
    /// Which requests meet an error of HTTP, in the place of `http_error_probability`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_pattern: Option<ErrorPattern>,
    /// Which requests this block is about. Others meet none of its faults. Without it: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_matcher: Option<RequestMatcher>,
}

/// How a body is corrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CorruptionType {
    /// Not at all; `payload_corruption` wants one of the others.
    #[default]
    None,
    /// Its first byte, and one of each ten behind, becomes another one. The length stays.
    RandomBytes,
    /// It ends in order behind half to nine tenths of its bytes, and without its trailers. `Content-Length` says so, which makes it another
    /// thing than a partial response: the message is whole. What has no length ends behind 1 to 16384 bytes, before its last, or where it pauses
    /// for a second.
    Truncate,
    /// One bit of its first byte, and of one of each ten behind, is turned. The length stays.
    BitFlip,
}

/// How a connection fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ConnectionErrorKind {
    /// Not at all: the answer is 503.
    #[default]
    #[serde(rename = "http_503")]
    Http503,
    /// By a reset (RST), with all that goes on in the same connection.
    #[serde(rename = "tcp_reset")]
    TcpReset,
    /// By its end (FIN), with all that goes on in the same connection.
    #[serde(rename = "tcp_close")]
    TcpClose,
}

/// Answers 429 to what is too much. A bucket holds `burst_size` tokens, gets `requests_per_second` of them in a second, and gives one to
/// each request. All requests share one, unless each address or each path has one; with both, a request needs a token of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Whether this block is on.
    pub enabled: bool,
    /// How many requests pass in a second, in the long run. At least 1.
    pub requests_per_second: u32,
    /// How many pass at once after a silence. At least 1.
    pub burst_size: u32,
    /// Whether each address of a client has a bucket of its own.
    pub per_ip: bool,
    /// Whether each path, without its query, has a bucket of its own.
    pub per_endpoint: bool,
    /// Which listeners of the proxy it is about; for requests that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl ChaosConfig {
    /// Takes over every block of another that acts. Of routes, and of rules for JSON, those that are
    /// known by the same key or name are taken over, and others added: a route before one that covers it.
    pub fn take(&mut self, other: &Self) {
        fn put<T: Clone>(under: &mut Option<T>, over: Option<&T>) {
            if let Some(block) = over {
                *under = Some(block.clone());
            }
        }
        // Who adds a block is told here that it would be forgotten.
        let Self {
            enabled: _,
            latency,
            fault_injection,
            rate_limit,
            traffic_shaping,
            circuit_breaker,
            bulkhead,
            grpc,
            websocket,
            graphql,
            routes,
            mutations,
        } = self;
        put(latency, other.latency());
        put(fault_injection, other.fault_injection());
        put(rate_limit, other.rate_limit());
        put(traffic_shaping, other.traffic_shaping());
        put(circuit_breaker, other.circuit_breaker());
        put(bulkhead, other.bulkhead());
        put(grpc, other.grpc());
        put(websocket, other.websocket());
        put(graphql, other.graphql());
        route::put(routes, other.routes());
        match (mutations, other.mutations()) {
            (Some(under), Some(over)) if under.enabled => under.put(over),
            (under, over) => put(under, over),
        }
    }

    /// Whether anything is done by any of its blocks.
    pub fn does_anything(&self) -> bool {
        self.latency().is_some()
            || self.fault_injection().is_some()
            || self.rate_limit().is_some()
            || self.traffic_shaping().is_some()
            || self.circuit_breaker().is_some()
            || self.bulkhead().is_some()
            || self.grpc().is_some_and(Grpc::does_anything)
            || self.websocket().is_some_and(Websocket::does_anything)
            || self.graphql().is_some_and(Graphql::does_anything)
            || self.routes().iter().any(Route::does_anything)
            || self.mutations().is_some_and(Mutations::does_anything)
    }

    /// The latency block, if it acts.
    pub fn latency(&self) -> Option<&Latency> {
        self.latency.as_ref().filter(|block| self.enabled && block.enabled)
    }

    /// The block of faults, if it acts.
    pub fn fault_injection(&self) -> Option<&FaultInjection> {
        self.fault_injection
            .as_ref()
            .filter(|block| self.enabled && block.enabled)
    }

    /// The block of the rate limit, if it acts.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.rate_limit.as_ref().filter(|block| self.enabled && block.enabled)
    }

    /// The block that shapes traffic, if it acts.
    pub fn traffic_shaping(&self) -> Option<&TrafficShaping> {
        self.traffic_shaping
            .as_ref()
            .filter(|block| self.enabled && block.enabled)
    }

    /// The block of the bulkhead, if it acts.
    pub fn bulkhead(&self) -> Option<&Bulkhead> {
        self.bulkhead.as_ref().filter(|block| self.enabled && block.enabled)
    }

    /// The block of rules for JSON, if it acts.
    pub fn mutations(&self) -> Option<&Mutations> {
        self.mutations.as_ref().filter(|block| self.enabled && block.enabled)
    }

    /// The routes, if they act.
    pub fn routes(&self) -> &[Route] {
        if self.enabled { &self.routes } else { &[] }
    }

    /// The block of the circuit breaker, if it acts.
    pub fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.circuit_breaker
            .as_ref()
            .filter(|block| self.enabled && block.enabled)
    }
}

impl Default for ChaosConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            latency: None,
            fault_injection: None,
            rate_limit: None,
            traffic_shaping: None,
            circuit_breaker: None,
            bulkhead: None,
            grpc: None,
            websocket: None,
            graphql: None,
            routes: Vec::new(),
            mutations: None,
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            enabled: true,
            fixed_delay_ms: None,
            random_delay_range_ms: None,
            distribution: None,
            jitter_percent: 0.0,
            probability: 1.0,
            listeners: Vec::new(),
        }
    }
}

impl Default for FaultInjection {
    fn default() -> Self {
        Self {
            enabled: true,
            http_errors: vec![500, 502, 503, 504],
            http_error_probability: 0.1,
            connection_errors: false,
            connection_error_probability: 0.05,
            connection_error_kind: ConnectionErrorKind::default(),
            timeout_errors: false,
            timeout_ms: 5000,
            timeout_probability: 0.05,
            partial_responses: false,
            partial_response_probability: 0.05,
            payload_corruption: false,
            payload_corruption_probability: 0.05,
            corruption_type: CorruptionType::default(),
            error_pattern: None,
            request_matcher: None,
        }
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            requests_per_second: 100,
            burst_size: 10,
            per_ip: false,
            per_endpoint: false,
            listeners: Vec::new(),
        }
    }
}
