//! What is not let through, as rules of the kernel's.

use fracas_core::params::{Connections, Refusal, Ways};
use fracas_core::traffic::Direction;
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule, Side, Way};
use fracas_linux::relay;

use super::Cut;
use crate::impairment::rules::{address, answers, hits, left_alone, measurer, peer_matches};

/// Behind the queues of the faults on packets (-320 to -305), so that what these send again is asked once, and before connections
/// are followed and addresses translated (-200 and -100): `to` means whom the target called.
const PRIORITY: i32 = -290;
/// The marks of a packet that measures one of these faults, and passes all others of Fracas.
pub(super) const PROBE: u32 = relay::PROBE | relay::MARKS | OURS;
/// The mark by which it is told from those that measure the others, which pass here.
const OURS: u32 = relay::PROBE << 1;
/// The port of the target to which packets go that measure what comes in: the last of those that packet queues have.
pub(super) const OWN_PORT: u16 = *relay::PROBE_PORTS.end() - 1;
/// One in so many, for the kernel counts in whole numbers.
const PARTS: u32 = 1_000_000;
const TCP: u8 = 6;
const UDP: u8 = 17;
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
    let (name, hook, direction) = match way {
        Way::Out => ("output", Hook::Output, Direction::Egress),
        Way::In => ("input", Hook::Input, Direction::Ingress),
    };
    let mut rules = passing(cut, direction);
    for peer in &cut.except {
        rules.extend(peer_matches(peer, direction).into_iter().map(passes));
    }
    let traffic = cut.traffic(direction);
    rules.extend(traffic.spared.iter().map(|one| passes(measurer(one, direction))));
    rules.extend(hits(&traffic).iter().flat_map(|hit| stopping(cut, hit)));
    Chain {
        name: name.to_owned(),
        hook,
        priority: PRIORITY,
        rules,
    }
}

/// What always passes.
fn passing(cut: &Cut, direction: Direction) -> Vec<Rule> {
    let mut rules = Vec::new();
    match direction {
        Direction::Egress => {
            rules.push(passes(vec![Match::Mark {
                mask: relay::PROBE | OURS,
                value: relay::PROBE,
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
        Direction::Ingress => {
            let (start, end) = relay::PROBE_PORTS.into_inner();
            for (first, last) in [(start, OWN_PORT - 1), (OWN_PORT + 1, end)] {
                let side = Side::Destination;
                let port = Match::Port { side, first, last };
                rules.extend([TCP, UDP].map(|protocol| passes(vec![Match::Protocol(protocol), port.clone()])));
            }
            rules.push(passes(answers()));
        }
    }
    rules.extend(left_alone(direction).map(|(side, network)| passes(vec![address(side, network)])));
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
