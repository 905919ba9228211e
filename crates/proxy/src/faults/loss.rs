//! Requests that are lost.

use fracas_core::chaos::TrafficShaping;

use crate::identity::Chance;

/// Whether this request is.
pub(crate) fn happens(block: &TrafficShaping, chance: &Chance) -> bool {
    chance.happens("proxy packet_loss", block.packet_loss_percent / 100.0)
}
