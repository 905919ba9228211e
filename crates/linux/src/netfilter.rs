//! Packet rules: tables of our own in nftables, by netlink (include/uapi/linux/netfilter/nf_tables.h, net/netfilter/nf_tables_api.c).
//!
//! A [`Table`] is made whole in one transaction and belongs to its socket: the kernel removes it when the socket is closed, however the
//! process that held it ended (`nft_rcv_nl_event`), and lets nobody else change it, not even by `nft flush ruleset`. Nothing here looks
//! up, changes or removes a rule of anybody else's.
//!
//! Every rule stands in a base chain: what its action is done with is done with for this chain, and goes on to those of others with a
//! later priority, except what is dropped or rejected.

mod expression;
mod lease;
mod list;
mod possible;
mod read;
mod rule;
mod table;
mod write;

pub use list::List;
pub use possible::{Possible, possible};
pub use read::{Counter, TableInfo, older_tables};
pub use rule::{Action, Chain, Hook, Match, Rule, Side, Version, Way};
pub use table::{QueueWay, Table};

pub(crate) use read::fuzz;

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u8 = libc::NFNL_SUBSYS_NFTABLES as u8;
/// `NFTA_LIST_ELEM`: one of several in a list.
const ELEMENT: u16 = 1;
/// `NFTA_EXPR_NAME` and `NFTA_EXPR_DATA`.
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
/// The attributes of rules: `NFTA_RULE_TABLE`, `_CHAIN`, `_EXPRESSIONS`, `_USERDATA`.
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;

/// Whose packets a table sees (`NFPROTO_INET` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Anything else, by the kernel's number: bridges, ARP, devices.
    Other(u8),
}

impl Family {
    /// The kernel's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => libc::NFPROTO_INET as u8,
            Self::Ip => libc::NFPROTO_IPV4 as u8,
            Self::Ip6 => libc::NFPROTO_IPV6 as u8,
            Self::Other(number) => number,
        }
    }

    /// The family with this number of the kernel's.
    pub fn from_number(number: u8) -> Self {
        let known = [Self::Inet, Self::Ip, Self::Ip6];
        let found = known.into_iter().find(|family| family.number() == number);
        found.unwrap_or(Self::Other(number))
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inet => f.write_str("inet"),
            Self::Ip => f.write_str("ip"),
            Self::Ip6 => f.write_str("ip6"),
            Self::Other(number) => write!(f, "family {number}"),
        }
    }
}

/// The type of a message about packet rules.
fn kind(message: i32) -> u16 {
    u16::from(SUBSYSTEM) << 8 | message as u16
}

/// `struct nfgenmsg`: family, version and a number that means nothing here.
fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

#[cfg(test)]
mod tests;
