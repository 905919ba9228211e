//! One port of a bridge, by compare and set.

use std::fmt;
use std::io;
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::Reverted;
use fracas_linux::error::errno;
use fracas_linux::netlink::{Netlink, PortState};
use serde::{Deserialize, Serialize};

/// The host's end of a pair of links, in its bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Port {
    /// Its number. While the machine is up no other link gets it unless somebody asks for just that one.
    pub(super) index: u32,
    /// Its name, for people: it may be renamed.
    pub(super) name: String,
    /// The bridge.
    pub(super) bridge: u32,
    pub(super) bridge_name: String,
    /// The target's end of the pair, in its own namespace.
    pub(super) inside: u32,
    pub(super) inside_name: String,
    pub(super) before: PortState,
    pub(super) ours: PortState,
}

/// What a port is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    /// It is gone, with the target or without it.
    Gone,
    /// It, or its bridge, is down or without a carrier: nothing passes, and the kernel enables the port as soon as that is over.
    Down,
    /// In its bridge.
    In(PortState),
    /// In no bridge, or in another one.
    Elsewhere(String),
}

/// A link that is being taken away is in no bridge for a moment: so often it is looked at again, with this time between.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} of bridge {}", self.name, self.bridge_name)
    }
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("gone"),
            Self::Down => f.write_str("down"),
            Self::In(state) => state.fmt(f),
            Self::Elsewhere(place) => f.write_str(place),
        }
    }
}

impl Port {
    /// What it is now, as the kernel says.
    pub(super) fn now(&self, netlink: &mut Netlink) -> io::Result<Now> {
        for _ in 1..LOOKS {
            match self.look(netlink)? {
                Now::Elsewhere(_) => std::thread::park_timeout(PAUSE),
                now => return Ok(now),
            }
        }
        self.look(netlink)
    }

    fn look(&self, netlink: &mut Netlink) -> io::Result<Now> {
        let found = netlink.link(self.index)?;
        let Some(link) = found.filter(|link| link.is("veth") && link.other == Some(self.inside)) else {
            return Ok(Now::Gone);
        };
        let (Some(state), Some(master)) = (link.state, link.master) else {
            return Ok(Now::Elsewhere(match link.master {
                None => "in no bridge".to_owned(),
                Some(other) => format!("a part of link {other}"),
            }));
        };
        if master != self.bridge {
            return Ok(Now::Elsewhere(format!("{state} in bridge {master}")));
        }
        let Some(bridge) = netlink.link(master)? else {
            return Ok(Now::Elsewhere("in no bridge".to_owned()));
        };
        Ok(if bridge.up && link.operational {
            Now::In(state)
        } else {
            Now::Down
        })
    }

    pub(super) fn is_ours(&self, now: &Now) -> bool {
        *now == Now::In(self.ours)
    }

    /// Whether somebody else decided otherwise.
    pub(super) fn is_foreign(&self, now: &Now) -> bool {
        match now {
            Now::Gone | Now::Down => false,
            Now::In(state) => *state != self.ours && *state != self.before,
            Now::Elsewhere(_) => true,
        }
    }

    /// A value with whose it is.
    pub(super) fn words(&self, value: impl fmt::Display) -> String {
        format!("{value} ({self})")
    }

    pub(super) fn change(&self) -> String {
        format!("{self} disabled, the target's {}", self.inside_name)
    }

    pub(super) fn manual(&self) -> String {
        format!(
            "bridge link set dev {} state {}",
            crate::say::shell_word(&self.name),
            self.before.number()
        )
    }

    /// Its directory in /sys.
    pub(super) fn directory(&self) -> String {
        format!("/sys/class/net/{}", self.name)
    }

    /// Its state as /sys shows it. `None`: there is no such port, or another link has its name.
    pub(super) fn shown(&self) -> Result<Option<PortState>> {
        let read = |file: &str| -> Result<Option<u32>> {
            let path = format!("{}/{file}", self.directory());
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                // The directory of a link that is going answers so (`net_device` attributes, net/core/net-sysfs.c).
                Err(error) if matches!(error.raw_os_error(), Some(NO_ENTRY | INVALID | NO_DEVICE)) => return Ok(None),
                Err(error) => {
                    return Err(Problem::new(&codes::FAULT_MEASURE, format!("cannot read {path}")).because(&error));
                }
            };
            text.trim().parse().map(Some).map_err(|_| {
                Problem::new(
                    &codes::FAULT_MEASURE,
                    format!("{path} holds {text:?}, which is no number"),
                )
            })
        };
        if read("ifindex")? != Some(self.index) {
            return Ok(None);
        }
        let Some(number) = read("brport/state")? else {
            return Ok(None);
        };
        let state = u8::try_from(number).map_err(|_| io::ErrorKind::InvalidData.into());
        state.and_then(PortState::from_number).map(Some).map_err(|error| {
            Problem::new(&codes::FAULT_MEASURE, format!("the state of {self} cannot be read")).because(&error)
        })
    }
}

// Numbers that are the same on every architecture (include/uapi/asm-generic/errno-base.h).
const NO_ENTRY: i32 = 2;
const NO_DEVICE: i32 = 19;
const INVALID: i32 = 22;

/// Disables all of them. `Some`: this one is no longer as it was planned; those before it are disabled.
pub(super) fn disable(ports: &[Port]) -> io::Result<Option<(Port, Now)>> {
    let mut netlink = Netlink::route()?;
    for port in ports {
        let now = port.now(&mut netlink)?;
        if now != Now::In(port.before) {
            return Ok(Some((port.clone(), now)));
        }
        let set = netlink.set_port_state(port.index, port.ours);
        // A port may keep its state all the same, where another protocol has it (`br_set_state`, MRP).
        let now = port.now(&mut netlink)?;
        if !port.is_ours(&now) {
            set?;
            return Ok(Some((port.clone(), now)));
        }
    }
    Ok(None)
}

/// Enables all that are disabled by us. One that cannot be enabled must not keep the others disabled.
pub(super) fn enable_all(ports: &[Port]) -> io::Result<Reverted> {
    let mut netlink = Netlink::route()?;
    let (mut outcome, mut failed) = (Reverted::AlreadyGone, None);
    for port in ports.iter().rev() {
        match enable(&mut netlink, port) {
            Ok(Reverted::AlreadyGone) => {}
            Ok(Reverted::Restored) if matches!(outcome, Reverted::Foreign { .. }) => {}
            Ok(one) => outcome = one,
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(outcome), Err)
}

fn enable(netlink: &mut Netlink, port: &Port) -> io::Result<Reverted> {
    let (mut did, mut refused) = (false, None);
    for _ in 0..LOOKS {
        let now = port.now(netlink)?;
        if port.is_foreign(&now) {
            return Ok(Reverted::Foreign {
                before: port.words(port.before),
                ours: port.words(port.ours),
                now: port.words(now),
            });
        }
        if !port.is_ours(&now) {
            return Ok(if did { Reverted::Restored } else { Reverted::AlreadyGone });
        }
        match netlink.set_port_state(port.index, port.before) {
            // Seen to be so, or tried again.
            Ok(()) => did = true,
            Err(error) if errno(&error) == Some(NOT_PERMITTED) => return Err(error),
            // It may have lost its carrier, its bridge or its life since it was looked at.
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::other(format!("{port} is disabled again as soon as it is enabled"))))
}

const NOT_PERMITTED: i32 = 1;
