//! Which requests meet an error of HTTP, where chance alone is not to say it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests meet an error of HTTP, in the place of `http_error_probability`. Only requests that the block is about are looked at.
///
/// `burst` and `sequential` go by the order in which requests come: no identity has a place in it. A pattern that is not changed goes on
/// where it was when other keys are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorPattern {
    /// What chooses the requests.
    #[serde(rename = "type")]
    pub kind: PatternKind,
    /// Of `burst`: how many requests of an interval, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Of `burst`: how long an interval is, in milliseconds, from 1 up to an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Of `random`: how many requests, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Of `sequential`: one status for each request, from 400 to 599, or 200 for a request that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Vec<u16>>,
}

/// What chooses the requests that meet an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PatternKind {
    /// The first `count` requests of each interval of `interval_ms`, with one of `http_errors`. An interval begins with the first request
    /// behind the end of the last one.
    Burst,
    /// Chance, with `probability`, and one of `http_errors`: by seed and identity, as `http_error_probability` does it.
    Random,
    /// The next status of `sequence` for each request, and behind the last one the first again. `http_errors` is not asked.
    Sequential,
}

impl PatternKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Burst => "burst",
            Self::Random => "random",
            Self::Sequential => "sequential",
        }
    }
}
