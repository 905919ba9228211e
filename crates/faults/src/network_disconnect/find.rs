//! Which ports are the target's: from its interfaces to the other ends of their pairs, and from there to the bridges.

use std::io;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::namespace::{self, NetNamespace};
use fracas_linux::netlink::{Link, Netlink, PortState};

use super::port::Port;
use crate::say::gone;
use crate::{Context, members};

/// A network that is asked for by name.
#[derive(Debug)]
pub(super) struct Wanted {
    name: String,
    /// The hardware address that the engine gave the container in the network of this name.
    address: Option<Vec<u8>>,
    /// The names of the container's networks.
    known: Vec<String>,
}

/// Why there is nothing to be done, and what would help.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) why: String,
    pub(super) next: String,
}

/// The links here and in the target's namespace.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) host: u64,
    pub(super) inside: u64,
    /// Links of this namespace.
    pub(super) here: Vec<Link>,
    /// Links of the target's.
    pub(super) there: Vec<Link>,
    /// The number that the target's namespace has for this one; the kernel gives one when a link has its other end there.
    pub(super) here_from_there: Option<i32>,
    /// The number that this namespace has for the target's.
    pub(super) there_from_here: Option<i32>,
    /// Whether Fracas itself, or who started it, lives in the target's namespace.
    pub(super) around_us: bool,
}

impl Ground {
    /// Looks at it. `None`: the target is gone.
    pub(super) fn look(process: &ProcessIdentity) -> io::Result<Option<Self>> {
        let ours = NetNamespace::ours()?;
        let Some(theirs) = NetNamespace::of(process)? else {
            return Ok(None);
        };
        let mut here = Netlink::route()?;
        let mut there = theirs.within(Netlink::route)?;
        Ok(Some(Self {
            host: ours.inode(),
            inside: theirs.inode(),
            there: there.links()?,
            here: here.links()?,
            here_from_there: there.namespace_number(&ours)?,
            there_from_here: here.namespace_number(&theirs)?,
            around_us: namespace::is_around_us(&theirs)?,
        }))
    }
}

impl Wanted {
    /// What this name means for the target: the engine is asked for the networks of a container.
    pub(super) async fn by_name(name: &str, target: &Target, cx: &Context) -> Result<Self> {
        let mut wanted = Self {
            name: name.to_owned(),
            address: None,
            known: Vec::new(),
        };
        let Some(container) = target.container() else {
            return Ok(wanted);
        };
        let engine = cx.engines.at(&container.engine).await?;
        let found = engine.inspect(&container.id).await?;
        let found = found.ok_or_else(|| gone("network_disconnect", target))?;
        if members::open(target.process())?.is_none() {
            return Err(gone("network_disconnect", target));
        }
        let networks = found
            .raw
            .pointer("/NetworkSettings/Networks")
            .and_then(|all| all.as_object());
        for (known, network) in networks.into_iter().flatten() {
            wanted.known.push(known.clone());
            if known == name {
                let text = network
                    .get("MacAddress")
                    .and_then(|address| address.as_str())
                    .unwrap_or_default();
                let address = hardware_address(text).ok_or_else(|| {
                    Problem::new(
                        &codes::FAULT_PLAN,
                        format!(
                            "network_disconnect on {target}: the engine tells no hardware address in network {name:?}"
                        ),
                    )
                    .next("give the name of the network's bridge instead, as `ip link` has it")
                })?;
                wanted.address = Some(address);
            }
        }
        Ok(wanted)
    }
}

/// Six bytes as `02:42:ac:11:00:02`.
fn hardware_address(text: &str) -> Option<Vec<u8>> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.filter(|bytes| bytes.len() == 6)
}

/// The target's ports, all or those in the network that is asked for.
pub(super) fn ports(ground: &Ground, wanted: Option<&Wanted>) -> Result<Vec<Port>, Refused> {
    if ground.host == ground.inside {
        return refused(
            "it shares the network namespace of Fracas and of the machine: it has no cable of its own",
            "choose a container with a network of its own",
        );
    }
    if ground.around_us {
        return refused(
            "Fracas, or the session that started it, runs in its network namespace",
            "start Fracas from outside of the target",
        );
    }
    let ways: Vec<&Link> = ground.there.iter().filter(|link| link.up && !link.loopback).collect();
    let Some(wanted) = wanted else {
        if let Some(past) = ways.iter().find(|link| goes_past(link)) {
            let kind = past.kind.as_deref().unwrap_or("hardware");
            return refused(
                format!(
                    "its interface {} ({kind}) goes past every bridge of this namespace",
                    past.name
                ),
                "give `network:` to disable the port of one network alone",
            );
        }
        let pairs: Vec<_> = ways.into_iter().filter(|link| is_pair(link)).collect();
        if pairs.is_empty() {
            return refused(
                "it has no interface that is up and leads out",
                "choose a target with a network",
            );
        }
        return pairs.into_iter().map(|link| port(ground, link)).collect();
    };
    let mut names: Vec<&str> = wanted.known.iter().map(String::as_str).collect();
    for link in ways.into_iter().filter(|link| is_pair(link)) {
        let bridge = bridge_of(ground, link).map_or("", |bridge| bridge.name.as_str());
        if wanted.name == bridge || wanted.address.as_ref() == Some(&link.address) {
            return port(ground, link).map(|port| vec![port]);
        }
        if !bridge.is_empty() {
            names.push(bridge);
        }
    }
    let names = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    refused(
        format!(
            "it is in no network, and on no bridge, by the name of {:?}",
            wanted.name
        ),
        format!("those that there are: {names}"),
    )
}

/// Whether a link goes to another namespace or to hardware, and not by a pair.
fn goes_past(link: &Link) -> bool {
    !link.is("veth") && (link.kind.is_none() || link.other_namespace.is_some())
}

/// Whether a link is the near end of a pair whose other end is in another namespace.
fn is_pair(link: &Link) -> bool {
    link.is("veth") && link.other_namespace.is_some()
}

/// The other end of a pair, if it is in this namespace; both ends must say so.
fn other_end<'a>(ground: &'a Ground, link: &Link) -> Option<&'a Link> {
    let there = ground.there_from_here;
    let is_here = ground.here_from_there.is_some() && link.other_namespace == ground.here_from_there;
    let mut here = ground.here.iter().filter(|_| is_here);
    here.find(|end| {
        end.is("veth") && Some(end.index) == link.other && end.other == Some(link.index) && end.other_namespace == there
    })
}

fn bridge_of<'a>(ground: &'a Ground, link: &Link) -> Option<&'a Link> {
    let master = other_end(ground, link)?.master?;
    ground.here.iter().find(|link| link.index == master)
}

fn port(ground: &Ground, link: &Link) -> Result<Port, Refused> {
    const CHOOSE: &str = "give `network:` to disable the port of another network alone";
    let inside = &link.name;
    let Some(end) = other_end(ground, link) else {
        return refused(
            format!("the other end of its interface {inside} is not in the network namespace of Fracas"),
            "run Fracas in the namespace of the bridge",
        );
    };
    let name = &end.name;
    let master = end
        .master
        .and_then(|master| ground.here.iter().find(|link| link.index == master));
    let Some(master) = master else {
        return refused(
            format!("{name}, the other end of its interface {inside}, is in no bridge"),
            CHOOSE,
        );
    };
    let (Some(bridge), Some(state)) = (master.bridge, end.state) else {
        let kind = master.kind.as_deref().unwrap_or("unknown kind");
        return refused(
            format!(
                "{name}, the other end of its interface {inside}, is in {} ({kind}), which is no Linux bridge",
                master.name
            ),
            CHOOSE,
        );
    };
    let master = &master.name;
    if bridge.stp {
        return refused(
            format!("bridge {master} speaks a spanning tree protocol, which decides about the states of its ports"),
            CHOOSE,
        );
    }
    if bridge.mst {
        return refused(
            format!("bridge {master} keeps a state of each port for each VLAN (mst)"),
            CHOOSE,
        );
    }
    if state != PortState::Forwarding {
        return refused(
            format!("port {name} of bridge {master} is {state} already: nothing passes that could be cut"),
            "see `bridge link` and `ip link` for who did that",
        );
    }
    Ok(Port {
        index: end.index,
        name: name.clone(),
        bridge: end.master.unwrap_or_default(),
        bridge_name: master.clone(),
        inside: link.index,
        inside_name: inside.clone(),
        before: PortState::Forwarding,
        ours: PortState::Disabled,
    })
}

fn refused<T>(why: impl Into<String>, next: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        why: why.into(),
        next: next.into(),
    })
}

#[cfg(test)]
mod tests;
