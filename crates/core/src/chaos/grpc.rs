//! What is done to calls of gRPC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChaosConfig;

/// Makes calls of gRPC fail, and cuts their streams. A call is a POST of HTTP/2 whose `content-type` begins with `application/grpc`; gRPC-Web
/// is none.
///
/// Whatever else the proxy answers to a call by itself, as an error of `fault_injection` or a refusal of `rate_limit`, is said as gRPC says it,
/// also without this block: 400 is the status 3, 401 is 16, 403 is 7, 404 is 5, 429 is 8, 500 is 13, 501 is 12, 502 and 503 are 14, 504 is 4,
/// and any other 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    /// Whether this block is on.
    pub enabled: bool,
    /// The statuses with which calls fail, from 1 to 16; each comes equally often. Empty: none fails. The answer has no message, and says it in
    /// `grpc-status` and `grpc-message`; the call never reaches the upstream.
    pub status_codes: Vec<u8>,
    /// How many calls fail with one of `status_codes`, from 0 to 1.
    pub status_code_probability: f64,
    /// Of how many calls the stream of messages to the client is cut, from 0 to 1. The head of the answer names it, for nobody knows by then
    /// how many messages there will be; counted is what was cut.
    pub stream_interruption_probability: f64,
    /// Behind how many messages it is cut, as soon as the last of them is whole. A stream that ends before ends as ever. 0: behind the head.
    pub interrupt_after_messages: u32,
    /// With which status it ends, in its trailers, from 1 to 16. Without this key, and without `reset_code`, with 14, `UNAVAILABLE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt_status_code: Option<u8>,
    /// It ends by a reset (`RST_STREAM`) with this error code of HTTP/2 in the place of a status, from 0 to 13: 2 is `INTERNAL_ERROR`, 7
    /// `REFUSED_STREAM`, 8 `CANCEL`, 11 `ENHANCE_YOUR_CALM`. What was sent before is with the client by then, but a client may
    /// forget what nobody has taken of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_code: Option<u32>,
    /// Which listeners of the proxy it is about; for calls that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl Grpc {
    /// Whether any call meets it.
    pub fn does_anything(&self) -> bool {
        let fails = !self.status_codes.is_empty() && self.status_code_probability > 0.0;
        self.enabled && (fails || self.stream_interruption_probability > 0.0)
    }

    /// The status of a stream that was cut, unless something else is said.
    pub const UNAVAILABLE: u8 = 14;
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            enabled: true,
            status_codes: Vec::new(),
            status_code_probability: 0.1,
            stream_interruption_probability: 0.0,
            interrupt_after_messages: 1,
            interrupt_status_code: None,
            reset_code: None,
            listeners: Vec::new(),
        }
    }
}

impl ChaosConfig {
    /// The block of gRPC, if it acts.
    pub fn grpc(&self) -> Option<&Grpc> {
        self.grpc.as_ref().filter(|block| self.enabled && block.enabled)
    }
}
