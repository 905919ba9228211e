//! What rules say, without how it is written.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::error::invalid;

/// The IP version of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// An end of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// Which of a packet's interfaces: the one that it came in by is known before it leaves, the one that it leaves by after it was routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The one that it came in by.
    In,
    /// The one that it leaves by.
    Out,
}

/// What a packet must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It is of this version.
    Version(Version),
    /// One of its addresses begins with the first `bits` of this one.
    Address {
        /// Which one.
        side: Side,
        /// An address of the network; bits behind the first ones do not count.
        network: IpAddr,
        /// How many bits name the network.
        bits: u8,
    },
    /// One of its addresses is in this list of the table. One of the other version is not.
    Listed {
        /// Which one.
        side: Side,
        /// The version of the packet.
        version: Version,
        /// The name of the list.
        list: String,
    },
    /// It is of this protocol (`IPPROTO_TCP` …).
    Protocol(u8),
    /// One of its ports is among these. The rule must also have a protocol that has ports. Fragments behind the first have none.
    Port {
        /// Which one.
        side: Side,
        /// The first of them.
        first: u16,
        /// The last of them.
        last: u16,
    },
    /// One of its interfaces has this name.
    Link {
        /// Which one.
        way: Way,
        /// The whole name.
        name: String,
    },
    /// One of its interfaces is no loopback device. What has no such interface (yet) is not matched.
    NotLoopback(Way),
    /// Its mark has these bits of `mask` and no others of them.
    Mark {
        /// Which bits are looked at.
        mask: u32,
        /// What they must be.
        value: u32,
    },
    /// Its mark has something else in the bits of `mask`.
    NotMark {
        /// Which bits are looked at.
        mask: u32,
        /// What they must not be.
        value: u32,
    },
    /// Chance takes it: `taken` of `of`.
    Share {
        /// How many are taken.
        taken: u32,
        /// Of how many.
        of: u32,
    },
    /// Of the flags in `mask` its TCP header has just these. The rule must also have the protocol TCP.
    TcpFlags {
        /// Which flags are looked at.
        mask: u8,
        /// Those that must be set.
        value: u8,
    },
    /// Its ICMP message is of this type (`ICMP_DEST_UNREACH` …). The rule must also have the protocol ICMP or ICMPv6.
    IcmpType(u8),
    /// The lease of its table has run out, or was never renewed ([`Table::renew`](super::Table::renew)).
    LeaseOver,
    /// It is for an address of this namespace, and does not only pass through. Not for `Postrouting`.
    ForUs,
    /// It begins a connection. This makes the kernel follow connections in the whole namespace, as long as the rule is there.
    NewConnection,
}

/// What happens to a packet that matches. All but [`Action::Drop`] and the rejections leave it to chains of a later priority, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes on; later rules of this chain are not asked.
    Accept,
    /// It is gone. Sending it may fail with `EPERM`.
    Drop,
    /// It is gone, and its sender is told that the connection is reset. The rule must have the protocol TCP. Not for `Postrouting`.
    Reset,
    /// It is gone, and its sender is told by ICMP that the port is unreachable. Not for `Postrouting`.
    Unreachable,
    /// It goes on as [`Action::Accept`], and is of no connection that the kernel follows. For chains before -200 only.
    Untracked,
    /// It goes on as [`Action::Accept`], and comes to the transparent socket that listens at this address of the namespace, whatever address
    /// and port it was for; a packet of a connection that is open, to that. Where there is none, it goes on to whom it was for. The rule
    /// must have the protocol TCP. For `Prerouting` only.
    Give(SocketAddr),
    /// It waits in the queue with this number until whoever listens there decides. Without a listener it goes on.
    Queue(u16),
}

/// A rule: a packet that is like all of this has this happen to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Asked in this order.
    pub matches: Vec<Match>,
    /// What happens.
    pub action: Action,
    /// Whether packets that match are counted.
    pub counted: bool,
}

/// Where in the way of a packet a chain stands (`NF_INET_PRE_ROUTING` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Whatever came in.
    Prerouting,
    /// What came in for this namespace.
    Input,
    /// What only passes through.
    Forward,
    /// What this namespace sends.
    Output,
    /// Whatever leaves.
    Postrouting,
}

/// A chain of rules. What none of them matches goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name in the table.
    pub name: String,
    /// Where it stands.
    pub hook: Hook,
    /// Its place among the chains of this hook: lower ones are asked first. The kernel's own are -400 (fragments are put together),
    /// -200 (connections are known), -100 and 100 (addresses are translated), see include/uapi/linux/netfilter_ipv4.h.
    pub priority: i32,
    /// Its rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

impl Hook {
    const ALL: [Self; 5] = [
        Self::Prerouting,
        Self::Input,
        Self::Forward,
        Self::Output,
        Self::Postrouting,
    ];

    /// The kernel's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Prerouting => libc::NF_INET_PRE_ROUTING as u8,
            Self::Input => libc::NF_INET_LOCAL_IN as u8,
            Self::Forward => libc::NF_INET_FORWARD as u8,
            Self::Output => libc::NF_INET_LOCAL_OUT as u8,
            Self::Postrouting => libc::NF_INET_POST_ROUTING as u8,
        }
    }

    /// The hook with this number of the kernel's; `None`: it is none of IP.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.number() == number)
    }
}

impl Rule {
    /// The version of all packets that can match; `None`: both.
    ///
    /// # Errors
    /// What the rule says contradicts itself, or cannot be asked of every packet that it would be asked of.
    pub(super) fn version(&self) -> io::Result<Option<Version>> {
        let mut version = None;
        for one in &self.matches {
            self.check(one)?;
            let its = match one {
                Match::Version(its) | Match::Listed { version: its, .. } => *its,
                Match::Address { network, .. } => version_of(*network),
                _ => continue,
            };
            if version.is_some_and(|other| other != its) {
                return Err(invalid("a rule that wants IPv4 and IPv6 of one packet"));
            }
            version = Some(its);
        }
        if let Action::Give(to) = self.action {
            let its = version_of(to.ip());
            if version.is_some_and(|other| other != its) {
                return Err(invalid(
                    "a rule that gives packets to a socket of the other version of IP",
                ));
            }
            if !self.has_protocol(&[libc::IPPROTO_TCP]) {
                return Err(invalid(
                    "a rule that gives packets to a socket must have the protocol TCP",
                ));
            }
            version = Some(its);
        }
        if self.action == Action::Reset && !self.has_protocol(&[libc::IPPROTO_TCP]) {
            return Err(invalid("a rule that resets connections must have the protocol TCP"));
        }
        Ok(version)
    }

    fn check(&self, one: &Match) -> io::Result<()> {
        /// Those whose headers begin with two ports.
        const PORTS: [i32; 5] = [
            libc::IPPROTO_TCP,
            libc::IPPROTO_UDP,
            libc::IPPROTO_UDPLITE,
            libc::IPPROTO_SCTP,
            libc::IPPROTO_DCCP,
        ];
        match one {
            Match::Address { network, bits, .. } if *bits > longest(*network) => {
                Err(invalid(format!("{network}/{bits} is no network")))
            }
            Match::Port { .. } if !self.has_protocol(&PORTS) => {
                Err(invalid("a rule about ports must have a protocol that has some"))
            }
            Match::Port { first, last, .. } if first > last => Err(invalid(format!("{first}-{last} are no ports"))),
            Match::TcpFlags { .. } if !self.has_protocol(&[libc::IPPROTO_TCP]) => {
                Err(invalid("a rule about flags of TCP must have the protocol TCP"))
            }
            Match::IcmpType(_) if !self.has_protocol(&[libc::IPPROTO_ICMP, libc::IPPROTO_ICMPV6]) => Err(invalid(
                "a rule about types of ICMP must have the protocol ICMP or ICMPv6",
            )),
            Match::Share { taken, of } if taken > of || *of == 0 => {
                Err(invalid(format!("{taken} of {of} is no share")))
            }
            Match::Link { name, .. } if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') => {
                Err(invalid(format!("{name:?} is no name of a link")))
            }
            _ => Ok(()),
        }
    }

    fn has_protocol(&self, which: &[i32]) -> bool {
        let has = |one: &Match| matches!(one, Match::Protocol(number) if which.contains(&i32::from(*number)));
        self.matches.iter().any(has)
    }

    pub(super) fn asks_for_lease(&self) -> bool {
        self.matches.contains(&Match::LeaseOver)
    }

    pub(super) fn queues(&self) -> bool {
        matches!(self.action, Action::Queue(_))
    }
}

pub(super) fn version_of(address: IpAddr) -> Version {
    match address {
        IpAddr::V4(_) => Version::V4,
        IpAddr::V6(_) => Version::V6,
    }
}

/// How many bits an address has.
pub(super) fn longest(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}
