//! Parameters of the faults on networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cuts the target off its networks, as if its cables were pulled: its ports of their Linux bridges are disabled, and drop every frame in
/// both directions.
///
/// Interfaces, addresses, routes and open connections stay, and neither the engine nor the target is told; who has a retry finds
/// everything again. Whoever shares the target's network namespace is cut off with it. A target without such a port is refused in the
/// plan: in the machine's own namespace, without a network, with an interface that goes past every bridge (macvlan), or on a bridge
/// that speaks a spanning tree protocol and decides about its ports itself.
///
/// Undo: exact. The port never leaves its bridge, so that nothing that it is or has there is lost. Should it lose its carrier, or its
/// bridge go down, the kernel undoes the fault by itself when they come back.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkDisconnect {
    /// Only this one: the name of a network of the container, as `docker inspect` has it, or of the bridge. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}
