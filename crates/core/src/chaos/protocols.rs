//! What REST changes of the blocks of protocols, by bodies that seed 3's original documents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Statuses of gRPC, and how many calls fail with one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusCodes {
    /// From 1 to 16.
    pub status_codes: Vec<u8>,
    /// From 0 to 1.
    pub probability: f64,
}

/// Codes with which connections of WebSocket are closed, and at how many messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseCodes {
    /// 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    pub close_codes: Vec<u16>,
    /// From 0 to 1.
    pub probability: f64,
}

/// Codes of errors of GraphQL, and how many requests fail with one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorCodes {
    /// Capital letters, digits and `_`.
    pub error_codes: Vec<String>,
    /// From 0 to 1.
    pub probability: f64,
}

/// How many meet a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probability {
    /// From 0 to 1.
    pub probability: f64,
}

/// Whether something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Whether it is.
    pub enabled: bool,
}
