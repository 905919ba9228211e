//! What is not let through, as rules of the kernel's.

use std::net::{IpAddr, Ipv6Addr};

use fracas_core::params::{Connections, Refusal, Ways};
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule, Side, Way};
use fracas_linux::relay;

use super::Cut;
use crate::impairment::rules::{left_alone, peer_matches, port_matches, to, together};

/// Behind the queues of the faults on packets (-310 and the next), so that what these send again is asked once, and before connections
/// are followed and addresses translated (-200 and -100): `to` means whom the target called.
const PRIORITY: i32 = -290;
/// What has this mark passes: it is one of ours that shows whether there is a way at all. A mark more than those of the faults on
/// packets, whose own such packets are stopped here: their meters shall look for somebody else.
pub(super) const PAST: u32 = relay::MARKS | relay::MARKS << 1;
/// One in so many, for the kernel counts in whole numbers.
const PARTS: u32 = 1_000_000;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;
/// `ICMP_DEST_UNREACH` and `ICMPV6_DEST_UNREACH`.
const UNREACHABLE: [(u8, u8); 2] = [(ICMP, 3), (ICMP6, 1)];
/// `NDISC_NEIGHBOUR_SOLICITATION` and `NDISC_NEIGHBOUR_ADVERTISEMENT`.
const NEIGHBOURS: [u8; 2] = [135, 136];
/// Of the flags of TCP: what opens a connection, what answers, and what resets it.
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The chains of a cut: one for each way.
pub(super) fn chains(cut: &Cut) -> Vec<Chain> {
    let ways: &[Way] = match cut.ways {
        Ways::Both => &[Way::Out, Way::In],
        Ways::Egress => &[Way::Out],
        Ways::Ingress => &[Way::In],
    };
    ways.iter().map(|way| chain(cut, *way)).collect()
}

/// How many rules it takes, and how many of them say what is not let through.
pub(super) fn count(cut: &Cut) -> (usize, usize) {
    let rules: Vec<Rule> = chains(cut).into_iter().flat_map(|chain| chain.rules).collect();
    (rules.len(), rules.iter().filter(|rule| rule.counted).count())
}

fn chain(cut: &Cut, way: Way) -> Chain {
    let mut rules = passing(cut, way);
    for peer in &cut.except {
        rules.extend(
            peer_matches(peer)
                .into_iter()
                .map(|matches| passes(turned(matches, way))),
        );
    }
    let by = match &cut.device {
        Some(name) => Match::Link {
            way,
            name: name.clone(),
        },
        None => Match::NotLoopback(way),
    };
    let peers = if cut.to.is_empty() {
        vec![Vec::new()]
    } else {
        cut.to.iter().flat_map(peer_matches).collect()
    };
    for peer in &peers {
        for ports in port_matches(&cut.ports) {
            // A rule with two protocols would match nothing.
            if let Some(both) = together(peer, &ports) {
                let matches = [turned(both, way), vec![by.clone()]].concat();
                rules.extend(stopping(cut, &matches));
            }
        }
    }
    let (name, hook) = match way {
        Way::Out => ("output", Hook::Output),
        Way::In => ("input", Hook::Input),
    };
    Chain {
        name: name.to_owned(),
        hook,
        priority: PRIORITY,
        rules,
    }
}

/// What always passes.
fn passing(cut: &Cut, way: Way) -> Vec<Rule> {
    let mut rules = Vec::new();
    if way == Way::Out {
        rules.push(passes(vec![Match::Mark {
            mask: PAST,
            value: PAST,
        }]));
        if cut.action == Refusal::Reject {
            // By these the kernel itself tells whoever sent what was rejected on its way in.
            rules.push(passes(vec![
                Match::Protocol(TCP),
                Match::TcpFlags { mask: RST, value: RST },
            ]));
            rules.extend(
                UNREACHABLE.map(|(protocol, kind)| passes(vec![Match::Protocol(protocol), Match::IcmpType(kind)])),
            );
        }
    }
    rules.extend(left_alone().map(|network| passes(vec![to(network)])));
    if way == Way::In {
        // Of a link: what comes from there, too.
        rules.push(passes(vec![Match::Address {
            side: Side::Source,
            network: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)),
            bits: 10,
        }]));
    }
    // What ARP is to IPv4 goes by packets of IPv6, also to and from those that it is about.
    rules.extend(NEIGHBOURS.map(|kind| passes(vec![Match::Protocol(ICMP6), Match::IcmpType(kind)])));
    rules
}

fn passes(matches: Vec<Match>) -> Rule {
    Rule {
        matches,
        action: Action::Accept,
        counted: false,
    }
}

/// What a packet that the target sends is like, as one that it is sent has it.
fn turned(matches: Vec<Match>, way: Way) -> Vec<Match> {
    if way == Way::Out {
        return matches;
    }
    let other = |side| match side {
        Side::Source => Side::Destination,
        Side::Destination => Side::Source,
    };
    let turn = |one| match one {
        Match::Address { side, network, bits } => Match::Address {
            side: other(side),
            network,
            bits,
        },
        Match::Port { side, first, last } => Match::Port {
            side: other(side),
            first,
            last,
        },
        one => one,
    };
    matches.into_iter().map(turn).collect()
}

/// The rules that stop what is like this. Whatever is like it is done with here, so that no later rule gives it a second chance.
fn stopping(cut: &Cut, matches: &[Match]) -> Vec<Rule> {
    let mut like = matches.to_vec();
    if cut.connections == Connections::New {
        like.push(Match::TcpFlags {
            mask: SYN | ACK,
            value: SYN,
        });
    }
    let protocol = like.iter().find_map(|one| match one {
        Match::Protocol(number) => Some(*number),
        _ => None,
    });
    let actions: &[(bool, Action)] = match (cut.action, protocol) {
        (Refusal::Drop, _) => &[(false, Action::Drop)],
        (Refusal::Reject, Some(TCP)) => &[(false, Action::Reset)],
        (Refusal::Reject, Some(_)) => &[(false, Action::Unreachable)],
        (Refusal::Reject, None) => &[(true, Action::Reset), (false, Action::Unreachable)],
    };
    let taken = (cut.probability.fraction() * f64::from(PARTS)).round() as u32;
    let mut rules = Vec::new();
    for &(only_tcp, action) in actions {
        let mut like = like.clone();
        if only_tcp {
            like.push(Match::Protocol(TCP));
        }
        let counted = |matches, action| Rule {
            matches,
            action,
            counted: true,
        };
        if taken >= PARTS {
            rules.push(counted(like, action));
        } else {
            let chance = Match::Share { taken, of: PARTS };
            rules.push(counted([like.clone(), vec![chance]].concat(), action));
            rules.push(counted(like, Action::Accept));
        }
    }
    rules
}

#[cfg(test)]
mod tests;
