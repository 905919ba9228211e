//! Rules as expressions.

use std::net::IpAddr;

use super::expression::{self as step, Compare, From};
use super::rule::{Action, Match, Rule, Side, Version, Way, longest, version_of};
use super::table::QueueWay;
use super::{Family, lease, list};
use crate::netlink::Message;

/// `NF_CT_STATE_BIT(IP_CT_NEW)`, include/uapi/linux/netfilter/nf_conntrack_common.h.
const STATE_NEW: u32 = 1 << 3;

/// Writes a rule's expressions into a list.
pub(super) fn rule(mut list: Message, rule: &Rule, family: Family, way: QueueWay) -> Message {
    for one in &rule.matches {
        list = condition(list, one, family);
    }
    // A packet of the other version has no such socket.
    if let Action::Give(to) = rule.action {
        list = version(list, version_of(to.ip()), family);
    }
    if rule.counted {
        list = step::counter(list);
    }
    action(list, rule.action, family, way)
}

fn condition(list: Message, one: &Match, family: Family) -> Message {
    match one {
        Match::Version(its) => version(list, *its, family),
        Match::Address { side, network, bits } => address(list, *side, *network, *bits, family),
        Match::Listed {
            side,
            version: its,
            list: name,
        } => {
            let loaded = loaded(version(list, *its, family), *side, *its);
            step::in_set(loaded, &list::set(name, *its))
        }
        Match::Protocol(number) => step::compare(step::meta(list, libc::NFT_META_L4PROTO), Compare::Equal, &[*number]),
        Match::Port { side, first, last } => {
            let offset = if *side == Side::Source { 0 } else { 2 };
            let list = step::payload(list, From::Transport, offset, 2);
            if first == last {
                step::compare(list, Compare::Equal, &first.to_be_bytes())
            } else {
                step::between(list, &first.to_be_bytes(), &last.to_be_bytes())
            }
        }
        Match::Link { way, name } => {
            let key = match way {
                Way::In => libc::NFT_META_IIFNAME,
                Way::Out => libc::NFT_META_OIFNAME,
            };
            // The whole field, so that no longer name matches.
            let mut field = [0; libc::IFNAMSIZ];
            for (to, from) in field.iter_mut().zip(name.bytes()) {
                *to = from;
            }
            step::compare(step::meta(list, key), Compare::Equal, &field)
        }
        Match::NotLoopback(way) => {
            let key = match way {
                Way::In => libc::NFT_META_IIFTYPE,
                Way::Out => libc::NFT_META_OIFTYPE,
            };
            let loopback = libc::ARPHRD_LOOPBACK.to_ne_bytes();
            step::compare(step::meta(list, key), Compare::NotEqual, &loopback)
        }
        Match::Mark { mask, value } => mark(list, *mask, *value, Compare::Equal),
        Match::NotMark { mask, value } => mark(list, *mask, *value, Compare::NotEqual),
        Match::Share { taken, of } => {
            let list = step::to_network_order(step::random(list, *of));
            step::compare(list, Compare::Less, &taken.to_be_bytes())
        }
        Match::TcpFlags { mask, value } => {
            let list = step::mask(step::payload(list, From::Transport, 13, 1), &[*mask]);
            step::compare(list, Compare::Equal, &[*value])
        }
        Match::IcmpType(kind) => {
            let list = step::payload(list, From::Transport, 0, 1);
            step::compare(list, Compare::Equal, &[*kind])
        }
        Match::LeaseOver => {
            let list = step::meta(list, libc::NFT_META_NFPROTO);
            step::not_in_set(list, lease::SET)
        }
        Match::ForUs => {
            let local = u32::from(libc::RTN_LOCAL).to_ne_bytes();
            step::compare(step::kind_of_destination(list), Compare::Equal, &local)
        }
        Match::NewConnection => {
            let list = step::mask(step::connection_state(list), &STATE_NEW.to_ne_bytes());
            step::compare(list, Compare::NotEqual, &0_u32.to_ne_bytes())
        }
    }
}

fn version(list: Message, version: Version, family: Family) -> Message {
    // A table of one family has nothing else.
    if family != Family::Inet {
        return list;
    }
    let number = match version {
        Version::V4 => Family::Ip.number(),
        Version::V6 => Family::Ip6.number(),
    };
    step::compare(step::meta(list, libc::NFT_META_NFPROTO), Compare::Equal, &[number])
}

fn address(list: Message, side: Side, network: IpAddr, bits: u8, family: Family) -> Message {
    let list = version(list, version_of(network), family);
    let wanted = match network {
        IpAddr::V4(network) => network.octets().to_vec(),
        IpAddr::V6(network) => network.octets().to_vec(),
    };
    if bits == 0 {
        return list;
    }
    let list = loaded(list, side, version_of(network));
    if bits == longest(network) {
        return step::compare(list, Compare::Equal, &wanted);
    }
    let mask = prefix(bits, wanted.len());
    let wanted: Vec<u8> = wanted.iter().zip(&mask).map(|(byte, mask)| byte & mask).collect();
    step::compare(step::mask(list, &mask), Compare::Equal, &wanted)
}

/// Loads one of the addresses of a packet of this version.
fn loaded(list: Message, side: Side, version: Version) -> Message {
    let (offset, length) = match (version, side) {
        (Version::V4, Side::Source) => (12, 4),
        (Version::V4, Side::Destination) => (16, 4),
        (Version::V6, Side::Source) => (8, 16),
        (Version::V6, Side::Destination) => (24, 16),
    };
    step::payload(list, From::Network, offset, length)
}

/// So many bits that are set, and then none.
fn prefix(bits: u8, length: usize) -> Vec<u8> {
    let byte = |number: usize| match usize::from(bits).saturating_sub(number * 8) {
        0 => 0,
        some @ 1..=7 => !(0xff_u8 >> some),
        _ => 0xff,
    };
    (0..length).map(byte).collect()
}

fn mark(list: Message, mask: u32, value: u32, how: Compare) -> Message {
    let list = step::mask(step::meta(list, libc::NFT_META_MARK), &mask.to_ne_bytes());
    step::compare(list, how, &value.to_ne_bytes())
}

fn action(list: Message, action: Action, family: Family, way: QueueWay) -> Message {
    /// `ICMP_PORT_UNREACH` and `ICMPV6_PORT_UNREACH`.
    const ICMP_PORT: u8 = 3;
    const ICMP6_PORT: u8 = 4;
    match action {
        Action::Accept => step::verdict(list, libc::NF_ACCEPT),
        Action::Untracked => step::verdict(step::untracked(list), libc::NF_ACCEPT),
        Action::Give(to) => step::verdict(step::give(list, to), libc::NF_ACCEPT),
        Action::Drop => step::verdict(list, libc::NF_DROP),
        Action::Reset => step::reject(list, libc::NFT_REJECT_TCP_RST, None),
        Action::Unreachable => match family {
            Family::Ip => step::reject(list, libc::NFT_REJECT_ICMP_UNREACH, Some(ICMP_PORT)),
            Family::Ip6 => step::reject(list, libc::NFT_REJECT_ICMP_UNREACH, Some(ICMP6_PORT)),
            _ => {
                let port = libc::NFT_REJECT_ICMPX_PORT_UNREACH as u8;
                step::reject(list, libc::NFT_REJECT_ICMPX_UNREACH, Some(port))
            }
        },
        Action::Queue(number) => match way {
            QueueWay::Expression => step::queue(list, number),
            QueueWay::Target => step::queue_target(list, number),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_just_its_bits() {
        assert_eq!(prefix(0, 4), [0, 0, 0, 0]);
        assert_eq!(prefix(1, 4), [0x80, 0, 0, 0]);
        assert_eq!(prefix(8, 4), [0xff, 0, 0, 0]);
        assert_eq!(prefix(25, 4), [0xff, 0xff, 0xff, 0x80]);
        assert_eq!(prefix(32, 4), [0xff; 4]);
        assert_eq!(prefix(127, 16)[14..], [0xff, 0xfe]);
    }
}
