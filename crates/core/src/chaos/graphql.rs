//! What is done to requests of GraphQL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChaosConfig;

/// Makes requests of GraphQL fail as GraphQL says it, in a body of JSON. A request is a POST with a body of JSON to `path`, or a GET with a
/// `query` in its address.
///
/// What is done to data is done to an answer of JSON that is not compressed, has at most 1 MiB and comes within five seconds; any
/// other, as a subscription, passes as it is. A list of requests in one body gets one error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Graphql {
    /// Whether this block is on.
    pub enabled: bool,
    /// The path of the requests, without a query.
    pub path: String,
    /// The codes of errors, as `UNAUTHENTICATED`, of at most 64 capital letters, digits and `_`; each comes equally often. Empty: none
    /// fails. The answer is 200 with `data: null` and one error, whose `extensions.code` this is; the request never reaches the
    /// upstream.
    pub error_codes: Vec<String>,
    /// How many requests fail with one of `error_codes`, from 0 to 1.
    pub error_probability: f64,
    /// Of how many answers one field of `data`, which is not null, becomes null, with an error that has its path and the code
    /// `INTERNAL_SERVER_ERROR`, from 0 to 1. All else stays byte by byte.
    pub partial_data_probability: f64,
    /// Whether answers come later the more fields their `data` has.
    pub resolver_latency: bool,
    /// By how much for each field, in milliseconds; parts of one are kept. At most an hour, for all of them together, too.
    pub resolver_latency_ms: f64,
    /// Which listeners of the proxy it is about; for requests that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl Graphql {
    /// Whether any request meets it.
    pub fn does_anything(&self) -> bool {
        let fails = !self.error_codes.is_empty() && self.error_probability > 0.0;
        let is_late = self.resolver_latency && self.resolver_latency_ms > 0.0;
        self.enabled && (fails || is_late || self.partial_data_probability > 0.0)
    }

    /// Whether this is a code.
    pub fn is_code(code: &str) -> bool {
        let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=64).contains(&code.len()) && code.bytes().all(known)
    }
}

impl Default for Graphql {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/graphql".to_owned(),
            error_codes: Vec::new(),
            error_probability: 0.1,
            partial_data_probability: 0.0,
            resolver_latency: false,
            resolver_latency_ms: 10.0,
            listeners: Vec::new(),
        }
    }
}

impl ChaosConfig {
    /// The block of GraphQL, if it acts.
    pub fn graphql(&self) -> Option<&Graphql> {
        self.graphql.as_ref().filter(|block| self.enabled && block.enabled)
    }
}
