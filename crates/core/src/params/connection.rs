//! Parameters of the faults on connections.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{one, second};
use crate::traffic::{Peer, Service};
use crate::units::{Percent, Span};

/// Does not let packets of the target through, all or some: they are dropped, or refused so that the sender knows at once.
///
/// Each packet is asked by itself: at a probability of 10% every tenth packet does not come through, in each direction, and TCP sends it
/// again. Chance is the kernel's own, and not drawn from the seed. `loss` loses what the target sends without telling the sender;
/// here the sender is the target itself, and the kernel tells it where it is no connection of TCP: sending a datagram fails with
/// `EPERM`.
///
/// Left alone are those who measure, as by `delay`, unless `include_observers` says otherwise. Names of hosts are looked for as by `delay`.
///
/// Undo: exact; the packet rules are the kernel's only as long as a worker of Fracas lives, and go with it. The target must have a
/// network namespace of its own. Connections that were open before are affected at once, unless `connections: new`. Multicast,
/// broadcast and link-local traffic, and how IPv6 finds its neighbours, is left alone. Unless `direction` is `ingress` it is refused (F001)
/// where routes are chosen by bits 20 to 29 of the marks of packets (`ip rule`): those that measure would go another way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionDrop {
    /// What happens to a packet that is not let through. Default `drop`.
    #[serde(default)]
    pub action: Refusal,
    /// How many of a hundred, more than 0% and up to 100%. Default 100%.
    #[serde(default = "whole")]
    pub probability: Percent,
    /// Which packets: all, or only those that open a connection of TCP. Default `all`.
    #[serde(default)]
    pub connections: Connections,
    /// In which direction packets go, seen from the target. Default `both`.
    #[serde(default)]
    pub direction: Ways,
    /// With whom: packets to and from these. Default: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Peer>,
    /// Packets to and from these are left alone, also if `to` names them. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Peer>,
    /// TCP and UDP ports of either side, such as `80`, `8000-8010` or `53/udp`. Default: all, and what has no ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Service>,
    /// The interface, as the target has it. Default: all but the loopback device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Also hits those who measure: the plan says who goes blind. Default false.
    #[serde(default)]
    pub include_observers: bool,
}

impl Default for ConnectionDrop {
    fn default() -> Self {
        Self {
            action: Refusal::default(),
            probability: whole(),
            connections: Connections::default(),
            direction: Ways::default(),
            to: Vec::new(),
            except: Vec::new(),
            ports: Vec::new(),
            device: None,
            include_observers: false,
        }
    }
}

fn whole() -> Percent {
    Percent(100.0)
}

/// Parts targets from the targets of another alias: no packet passes between the two sets, everything else does.
///
/// Each target of the fault gets rules against all addresses that the others have when the fault is put on. They stand in the targets of
/// the fault alone, and cut both directions: the others are only looked at. A datagram from a target of the fault to one of the others
/// fails with `EPERM`; the others send without an error, and get no answer. Others in the machine's own network have all addresses of the
/// machine. A container among the others that does not run then is a reason not to begin; a process that has ended is passed over.
///
/// Left alone are those who measure, as by `delay`.
///
/// Undo: exact; the packet rules are the kernel's only as long as a worker of Fracas lives, and go with it. The targets of the fault
/// must have network namespaces of their own, in which none of the others lives. Connections that were open before are cut at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The alias of the others; not that of the fault's own targets.
    pub from: String,
    /// Which direction is cut, seen from the targets of the fault. Default `both`.
    #[serde(default)]
    pub direction: Ways,
}

/// Resets open connections of TCP in the target's network namespace: the other side gets a reset, and the target's program an error
/// (`ECONNABORTED`).
///
/// All that are open and match are ended, whichever program holds them. Connections by loopback addresses are left alone.
///
/// Left alone are those who measure, as by `delay`, unless `include_observers` says otherwise. Names of hosts are looked for as by `delay`,
/// and again before each reset.
///
/// Undo: none; a connection that was reset does not come back, only a program can make a new one. Needs `allow_irreversible: true`. The
/// target must have a network namespace of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionReset {
    /// Connections with these. Default: everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Peer>,
    /// Connections with these are left alone, also if `to` names them. Default: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Peer>,
    /// Ports of either side, such as `80` or `8000-8010`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Service>,
    /// How often in all, from 1 to 1000; each time whatever is open then. Default 1.
    #[serde(default = "one")]
    pub count: u32,
    /// Time between two. Default 1s.
    #[serde(default = "second")]
    pub interval: Span,
    /// Also hits those who measure: the plan says who goes blind. Default false.
    #[serde(default)]
    pub include_observers: bool,
}

impl Default for ConnectionReset {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            except: Vec::new(),
            ports: Vec::new(),
            count: one(),
            interval: second(),
            include_observers: false,
        }
    }
}

/// What happens to a packet that is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It vanishes: whoever waits for it waits until a time-out.
    #[default]
    Drop,
    /// Its sender is told: a connection of TCP is reset, anything else is answered with ICMP's port unreachable.
    Reject,
}

/// Packets of which connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Connections {
    /// All packets.
    #[default]
    All,
    /// Those that open a connection of TCP: what was open before goes on.
    New,
}

/// In which directions packets go, seen from the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ways {
    /// What it sends and what it is sent.
    #[default]
    Both,
    /// What it sends.
    Egress,
    /// What it is sent.
    Ingress,
}
