//! Which requests a block is about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::traffic::Network;

/// Which requests a block is about: those that meet all that is said here. An empty one is met by all.
///
/// The size of a body is the one that is known before it comes: its `content-length`, and 0 where there is no body. A body that comes in
/// chunks, or in HTTP/2 without a length, is passed on as it comes, so that nobody knows its size in time: it meets no bound of size,
/// neither a least nor a most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestMatcher {
    /// Whose requests: addresses and networks such as `10.0.0.0/8` or `2001:db8::7`, one of which must be that of the client. It is the
    /// address of the connection: what a header says of another is anybody's word. An IPv4 address that is mapped into IPv6 is one of IPv4.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_ips: Vec<Network>,
    /// Headers that the request must have, all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// The least size of the body, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_body_size_bytes: Option<u64>,
    /// The largest size of the body, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_size_bytes: Option<u64>,
    /// Only requests whose body comes without its length: in chunks, as HTTP/1.1 calls it.
    pub chunked_only: bool,
    /// To which listeners of the proxy requests must have come: `main` is that of `--listen`, others have the names that `--listener` gives
    /// them. A name of none is refused. Without it: to any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

/// A header that a request must have. In HTTP/2 the host is no header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderMatch {
    /// Its name, in capitals or not.
    pub name: String,
    /// What one of its values must be, to the letter. Without it any value will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}
