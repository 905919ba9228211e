//! What is done to messages of WebSocket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChaosConfig;

/// Closes connections of WebSocket, and drops, corrupts and delays their messages, in both directions.
///
/// Each message is decided about by itself, by its connection, its direction and how many there were before it; a change acts from the next
/// message on, also in connections that are open. Pings, pongs and what the two sides close with pass as they are. There is no header that
/// could name what a message met: it is counted.
///
/// Of messages that are compressed (`permessage-deflate`) it is the compressed bytes that are hit, and who unpacks them finds them broken;
/// where a message refers to those before it, so may be one behind a message that was dropped.
///
/// WebSocket in a stream of HTTP/2 (RFC 8441) is the same, with upstreams of HTTP/1.1, to which it goes by an upgrade, and of HTTP/2
/// without TLS that take it. To all that is about a request its handshake is a GET, as in HTTP/1.1. In front of somebody else's port, and
/// without an upstream, it is not offered: clients take HTTP/1.1 there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Websocket {
    /// Whether this block is on.
    pub enabled: bool,
    /// The codes with which connections are closed: 1000 to 1003, 1007 to 1014, or 3000 to 4999; each comes equally often. Empty: none is
    /// closed. Both sides get a close frame with the code.
    pub close_codes: Vec<u16>,
    /// At how many messages the connection is closed in the place of passing them on, from 0 to 1.
    pub close_probability: f64,
    /// How many messages are dropped, whole, from 0 to 1.
    pub message_drop_probability: f64,
    /// How many messages are corrupted, from 0 to 1. One bit of the first byte, and of one of each ten behind, is turned; the frames stay
    /// valid, and as long as they are. Of a text it is one of the low four bits of a byte that begins no character of several bytes, so
    /// that it stays UTF-8 and reaches the application; of what is compressed any bit. A message without a byte meets nothing.
    pub message_corruption_probability: f64,
    /// For how long messages are held, in milliseconds; parts of one are kept. At most an hour. What comes behind one in the same
    /// direction waits, too. 0: none is held.
    pub message_delay_ms: f64,
    /// How many messages are held, from 0 to 1.
    pub message_delay_probability: f64,
    /// Which listeners of the proxy it is about; for messages in connections that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

impl Websocket {
    /// Whether any message meets it.
    pub fn does_anything(&self) -> bool {
        let closes = !self.close_codes.is_empty() && self.close_probability > 0.0;
        let is_late = self.message_delay_ms > 0.0 && self.message_delay_probability > 0.0;
        let is_harmed = self.message_drop_probability > 0.0 || self.message_corruption_probability > 0.0;
        self.enabled && (closes || is_late || is_harmed)
    }

    /// Whether an endpoint may close a connection with this code (RFC 6455, 7.4; the registry of IANA up to 1014).
    pub fn may_close(code: u16) -> bool {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl Default for Websocket {
    fn default() -> Self {
        Self {
            enabled: true,
            close_codes: Vec::new(),
            close_probability: 0.1,
            message_drop_probability: 0.0,
            message_corruption_probability: 0.0,
            message_delay_ms: 0.0,
            message_delay_probability: 1.0,
            listeners: Vec::new(),
        }
    }
}

impl ChaosConfig {
    /// The block of WebSocket, if it acts.
    pub fn websocket(&self) -> Option<&Websocket> {
        self.websocket.as_ref().filter(|block| self.enabled && block.enabled)
    }
}
