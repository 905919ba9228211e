//! Links: the interfaces of a network namespace, their pairs and their bridges (rtnetlink(7), include/uapi/linux/if_link.h).

mod change;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use serde::{Deserialize, Serialize};

use super::attribute::{Attribute, attributes};
use super::message::Message;
use super::socket::Netlink;
use crate::error::{Context, errno, invalid};

/// `struct ifinfomsg`.
const HEADER: usize = 16;
/// `IFLA_BRPORT_STATE`, in what a port of a bridge has of its own.
const PORT_STATE: u16 = 1;
/// `IFLA_BR_STP_STATE`.
const BRIDGE_STP: u16 = 5;
/// `IFLA_BR_MULTI_BOOLOPT`: a number with a bit for each option, and one with those that this kernel knows.
const BRIDGE_OPTIONS: u16 = 46;
/// `BR_BOOLOPT_MST_ENABLE`.
const BRIDGE_MST: u32 = 1 << 2;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its number, which no other interface of its namespace gets while the machine is up, unless it asks for just that one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What it is: `veth`, `bridge`, `macvlan` … `None`: hardware, or the loopback device.
    pub kind: Option<String>,
    /// What it is to its master: `bridge` for a port of one.
    pub port_kind: Option<String>,
    /// The interface that it is a part of.
    pub master: Option<u32>,
    /// The interface that it belongs to: the other end of a pair, what a VLAN or macvlan is on.
    pub other: Option<u32>,
    /// The namespace of that one, by the number that *this* namespace has for it. `None`: this one, or there is none.
    pub other_namespace: Option<i32>,
    /// Its hardware address.
    pub address: Vec<u8>,
    /// How long a packet may be that it sends, with its header of IP.
    pub mtu: Option<u32>,
    /// Whether somebody has set it up.
    pub up: bool,
    /// Whether it is the loopback device.
    pub loopback: bool,
    /// Whether it can carry anything: set up, with a carrier (RFC 2863; `netif_oper_up` in the kernel).
    pub operational: bool,
    /// As a port of a bridge: what the bridge does with its frames.
    pub state: Option<PortState>,
    /// As a bridge: how it is set.
    pub bridge: Option<Bridge>,
}

/// What a bridge does with the frames of one of its ports (include/uapi/linux/if_bridge.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortState {
    /// Nothing passes, in neither direction.
    Disabled,
    /// Nothing passes yet.
    Listening,
    /// Nothing passes yet; addresses are learnt.
    Learning,
    /// Everything passes.
    Forwarding,
    /// Nothing passes but what the bridges say to each other.
    Blocking,
}

/// How a bridge is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bridge {
    /// Whether it, or a program, decides about the states of its ports by a spanning tree protocol.
    pub stp: bool,
    /// Whether each VLAN has a spanning tree of its own, and each port a state for each.
    pub mst: bool,
}

impl PortState {
    const ALL: [Self; 5] = [
        Self::Disabled,
        Self::Listening,
        Self::Learning,
        Self::Forwarding,
        Self::Blocking,
    ];

    /// The kernel's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Disabled => 0,
            Self::Listening => 1,
            Self::Learning => 2,
            Self::Forwarding => 3,
            Self::Blocking => 4,
        }
    }

    /// The state with this number of the kernel's.
    pub fn from_number(number: u8) -> io::Result<Self> {
        let found = Self::ALL.into_iter().find(|state| state.number() == number);
        found.ok_or_else(|| invalid(format!("{number} is no state of a port that Fracas knows")))
    }

    /// The name, as bridge(8) prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Listening => "listening",
            Self::Learning => "learning",
            Self::Forwarding => "forwarding",
            Self::Blocking => "blocking",
        }
    }
}

impl std::fmt::Display for PortState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Link {
    /// Reads the body of an `RTM_NEWLINK` message.
    pub fn parse(body: &[u8]) -> io::Result<Self> {
        let (Some(header), Some(rest)) = (body.first_chunk::<HEADER>(), body.get(HEADER..)) else {
            return Err(invalid(format!("a link of {} bytes", body.len())));
        };
        let number = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (index, flags) = (number(4), number(8) as i32);
        let mut link = Self {
            index,
            up: flags & libc::IFF_UP != 0,
            loopback: flags & libc::IFF_LOOPBACK != 0,
            ..Self::default()
        };
        // A kernel that says nothing of it has no more to say than that it is up (`IF_OPER_UNKNOWN`).
        let mut operational = true;
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                libc::IFLA_IFNAME => link.name = attribute.text(),
                libc::IFLA_ADDRESS => link.address = attribute.value.to_vec(),
                libc::IFLA_MTU => link.mtu = Some(attribute.u32()?),
                libc::IFLA_MASTER => link.master = Some(attribute.u32()?),
                libc::IFLA_LINK => link.other = Some(attribute.u32()?),
                libc::IFLA_LINK_NETNSID => link.other_namespace = Some(attribute.i32()?),
                libc::IFLA_OPERSTATE => {
                    let state = i32::from(attribute.u8()?);
                    operational = state == libc::IF_OPER_UP || state == libc::IF_OPER_UNKNOWN;
                }
                libc::IFLA_LINKINFO => link.info(&attribute)?,
                _ => {}
            }
        }
        link.operational = link.up && operational;
        Ok(link)
    }

    fn info(&mut self, attribute: &Attribute<'_>) -> io::Result<()> {
        let (mut data, mut port) = (None, None);
        for attribute in attribute.nested() {
            let attribute = attribute?;
            match attribute.kind {
                libc::IFLA_INFO_KIND => self.kind = Some(attribute.text()),
                libc::IFLA_INFO_DATA => data = Some(attribute),
                libc::IFLA_INFO_SLAVE_KIND => self.port_kind = Some(attribute.text()),
                libc::IFLA_INFO_SLAVE_DATA => port = Some(attribute),
                _ => {}
            }
        }
        if let (Some("bridge"), Some(data)) = (self.kind.as_deref(), data) {
            self.bridge = Some(Bridge::parse(&data)?);
        }
        if let (Some("bridge"), Some(port)) = (self.port_kind.as_deref(), port) {
            for attribute in port.nested() {
                let attribute = attribute?;
                if attribute.kind == PORT_STATE {
                    self.state = Some(PortState::from_number(attribute.u8()?)?);
                }
            }
        }
        Ok(())
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

impl Bridge {
    fn parse(data: &Attribute<'_>) -> io::Result<Self> {
        let mut bridge = Self::default();
        for attribute in data.nested() {
            let attribute = attribute?;
            match attribute.kind {
                BRIDGE_STP => bridge.stp = attribute.u32()? != 0,
                BRIDGE_OPTIONS => {
                    let options = attribute.value.first_chunk::<4>().copied().map(u32::from_ne_bytes);
                    bridge.mst = options.is_some_and(|options| options & BRIDGE_MST != 0);
                }
                _ => {}
            }
        }
        Ok(bridge)
    }
}

/// `struct ifinfomsg` for a link; 0 is none in particular.
fn header(family: i32, index: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = family as u8;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

impl Netlink {
    /// All links of the namespace.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let replies = self
            .list(&Message::new(libc::RTM_GETLINK, 0, &header(libc::AF_UNSPEC, 0)))
            .context(|| "cannot list the links".into())?;
        let links = replies.iter().filter(|reply| reply.kind == libc::RTM_NEWLINK);
        links.map(|reply| Link::parse(&reply.body)).collect()
    }

    /// The link with this number; `None`: there is none.
    pub fn link(&mut self, index: u32) -> io::Result<Option<Link>> {
        let what = || format!("cannot look at link {index}");
        let asked = self.request(Message::new(libc::RTM_GETLINK, 0, &header(libc::AF_UNSPEC, index)));
        let replies = match asked {
            Err(error) if errno(&error) == Some(libc::ENODEV) => return Ok(None),
            replies => replies.context(what)?,
        };
        let reply = replies.iter().find(|reply| reply.kind == libc::RTM_NEWLINK);
        let reply = reply
            .ok_or_else(|| invalid("no link in the kernel's answer"))
            .context(what)?;
        let link = Link::parse(&reply.body).context(what)?;
        if link.index != index {
            return Err(invalid(format!("the kernel told of link {}", link.index))).context(what);
        }
        Ok(Some(link))
    }

    /// The link by this name; `None`: there is none.
    pub fn link_by_name(&mut self, name: &str) -> io::Result<Option<Link>> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// The number that the socket's namespace has for another one, by its file. `None`: it has none, so that none of its links has its
    /// other end there.
    pub fn namespace_number(&mut self, namespace: impl AsFd) -> io::Result<Option<i32>> {
        /// `NETNSA_NSID` and `NETNSA_FD`, include/uapi/linux/net_namespace.h.
        const NUMBER: u16 = 1;
        const FILE: u16 = 3;
        let what = || "cannot tell which namespace is which".to_owned();
        // `struct rtgenmsg`, one byte.
        let message = Message::new(libc::RTM_GETNSID, 0, &[libc::AF_UNSPEC as u8])
            .put_u32(FILE, namespace.as_fd().as_raw_fd() as u32);
        let replies = self.request(message).context(what)?;
        for reply in &replies {
            for attribute in attributes(reply.body.get(4..).unwrap_or(&[])) {
                let attribute = attribute.context(what)?;
                if attribute.kind == NUMBER {
                    // -1 is none (`NETNSA_NSID_NOT_ASSIGNED`).
                    return Ok(Some(attribute.i32().context(what)?).filter(|number| *number >= 0));
                }
            }
        }
        Err(invalid("no namespace in the kernel's answer")).context(what)
    }

    /// Sets what a bridge does with the frames of its port `index`. The port stays a part of the bridge, with all that it has there.
    ///
    /// # Errors
    /// `EBUSY` where the bridge speaks a spanning tree protocol, `ENETDOWN` where the port is down or has no carrier (`br_set_port_state`
    /// in net/bridge/br_netlink.c), `ENODEV`, `EINVAL` or `EOPNOTSUPP` where it is no port (any more).
    pub fn set_port_state(&mut self, index: u32, state: PortState) -> io::Result<()> {
        let message = Message::new(libc::RTM_SETLINK, 0, &header(libc::AF_BRIDGE, index))
            .nest(libc::IFLA_PROTINFO, |port| port.put_u8(PORT_STATE, state.number()));
        self.request(message)
            .context(|| format!("cannot make port {index} {state}"))
            .map(drop)
    }
}
