//! The traffic of a document as rules of the kernel's.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fracas_core::names::HostName;
use fracas_core::observer::Spared;
use fracas_core::params::Traffic;
use fracas_core::traffic::{Direction, Host, Network, Peer, Ports, Protocol, Service};
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule, Side, Version, Way};
use fracas_linux::relay::{PROBE, PROBE_PORTS, Place, QUESTION_PORTS};
use serde::{Deserialize, Serialize};

use crate::hosts::{self, Hosts};

/// Before connections are followed and addresses are translated (-200 and -100): what is taken out here and sent again has not been
/// seen by anybody, and is seen once. Each place has two, and the last of all is before -300, where others say what is not followed.
const PRIORITY: i32 = -320;
/// Where name servers listen.
const DNS: u16 = 53;
/// The chain that fills the queue, and the one that counts what comes out of it.
const CHAIN: &str = "queue";
const BEHIND: &str = "behind";

/// A [`Traffic`] that a worker can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owned {
    pub(crate) direction: Direction,
    to: Vec<Peer>,
    except: Vec<Peer>,
    ports: Vec<Service>,
    pub(crate) device: Option<String>,
    spared: Vec<Spared>,
}

impl From<Traffic<'_>> for Owned {
    fn from(traffic: Traffic<'_>) -> Self {
        Self {
            direction: traffic.direction,
            to: traffic.to.to_vec(),
            except: traffic.except.to_vec(),
            ports: traffic.ports.to_vec(),
            device: traffic.device.map(str::to_owned),
            spared: traffic.spared.to_vec(),
        }
    }
}

impl Owned {
    /// The hosts that it names.
    pub(crate) fn names(&self) -> BTreeSet<HostName> {
        hosts::names(self.to.iter().chain(&self.except))
    }

    /// Those of them that are excepted.
    pub(crate) fn excepted(&self) -> BTreeSet<HostName> {
        hosts::excepted(&self.except)
    }

    /// The same with addresses in place of names.
    pub(crate) fn located(&self, hosts: &Hosts) -> Self {
        Self {
            to: hosts::located(&self.to, hosts),
            except: hosts::located(&self.except, hosts),
            ..self.clone()
        }
    }

    pub(crate) fn traffic(&self) -> Traffic<'_> {
        Traffic {
            direction: self.direction,
            to: &self.to,
            except: &self.except,
            ports: &self.ports,
            device: self.device.as_deref(),
            spared: &self.spared,
        }
    }
}

/// The traffic for people.
pub(crate) fn words(traffic: &Traffic<'_>) -> String {
    fn list<T: ToString>(all: &[T]) -> String {
        all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
    }
    let to = if traffic.to.is_empty() {
        "everybody".to_owned()
    } else {
        list(traffic.to)
    };
    let way = match traffic.direction {
        Direction::Egress => "to",
        Direction::Ingress => "from",
    };
    let some = |is: bool, words: String| if is { words } else { String::new() };
    let except = some(!traffic.except.is_empty(), format!(" but {}", list(traffic.except)));
    let ports = some(!traffic.ports.is_empty(), format!(", of ports {}", list(traffic.ports)));
    let device = traffic.device.map_or(String::new(), |device| format!(", by {device}"));
    format!("packets {way} {to}{except}{ports}{device}")
}

/// What a counter of [`chains`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Packets of the target's own that the fault is about; several that the kernel has not cut up yet are one.
    Own,
    /// Packets of the fault's meter that are given to the queue.
    Probes,
    /// Packets of the target's own behind the queue, each as it leaves.
    Behind,
}

/// What the rules with these numbers count, by their chains.
pub(crate) fn counters(traffic: &Traffic<'_>) -> Vec<((String, usize), Counts)> {
    let place = Place {
        queue: 0,
        mark: 0,
        later: 0,
        order: 0,
    };
    let mut found = Vec::new();
    for chain in chains(traffic, place) {
        for (number, rule) in chain.rules.iter().enumerate().filter(|(_, rule)| rule.counted) {
            let counts = if chain.name == BEHIND {
                Counts::Behind
            } else if measures(traffic.direction, own_port(0)..=own_port(0))
                .iter()
                .any(|measures| measures.iter().all(|one| rule.matches.contains(one)))
            {
                Counts::Probes
            } else {
                Counts::Own
            };
            found.push(((chain.name.clone(), number), counts));
        }
    }
    found
}

/// The port of the target that the probes come from, or go to, of the fault with this place among others.
pub(crate) fn own_port(order: i32) -> u16 {
    PROBE_PORTS.start() + order as u16
}

/// What a packet is like that measures: one of these. What is sent has a mark; what comes in brings none along, and goes to a port that
/// no service has.
fn measures(direction: Direction, ports: std::ops::RangeInclusive<u16>) -> Vec<Vec<Match>> {
    match direction {
        Direction::Egress => vec![vec![Match::Mark {
            mask: PROBE,
            value: PROBE,
        }]],
        Direction::Ingress => {
            let to = Match::Port {
                side: Side::Destination,
                first: *ports.start(),
                last: *ports.end(),
            };
            let protocols = [Protocol::Udp, Protocol::Tcp].into_iter();
            let numbers = protocols.flat_map(|one| numbers(Some(one), None)).flatten();
            numbers
                .map(|number| vec![Match::Protocol(number), to.clone()])
                .collect()
        }
    }
}

/// What a packet is like that measures any fault, or answers a question of ours: one of these.
pub(super) fn of_ours(direction: Direction) -> Vec<Vec<Match>> {
    let mut all = measures(direction, PROBE_PORTS);
    if direction == Direction::Ingress {
        all.push(answers());
    }
    all
}

/// What an answer of a name server's is like that Fracas has asked. The question has the marks of what measures.
pub(crate) fn answers() -> Vec<Match> {
    let port = |side, first, last| Match::Port { side, first, last };
    let (first, last) = QUESTION_PORTS.into_inner();
    let udp = numbers(Some(Protocol::Udp), None).into_iter().flatten();
    let ports = [port(Side::Source, DNS, DNS), port(Side::Destination, first, last)];
    udp.map(Match::Protocol).chain(ports).collect()
}

/// The chain that sends to the queue what the fault is about, unless it has the mark; and the one that counts what comes out of it.
pub(crate) fn chains(traffic: &Traffic<'_>, place: Place) -> Vec<Chain> {
    let Place {
        queue,
        mark,
        later,
        order,
    } = place;
    let passes = |matches| Rule {
        matches,
        action: Action::Accept,
        counted: false,
    };
    let mut spared: Vec<Rule> = left_alone(traffic.direction)
        .map(|(side, network)| passes(vec![address(side, network)]))
        .collect();
    for peer in traffic.except {
        spared.extend(peer_matches(peer, traffic.direction).into_iter().map(passes));
    }
    spared.extend(
        traffic
            .spared
            .iter()
            .map(|one| passes(measurer(one, traffic.direction))),
    );
    let hits = hits(traffic);
    let counts = |matches, action| Rule {
        matches,
        action,
        counted: true,
    };
    let mut before = vec![passes(vec![Match::LeaseOver])];
    before.push(passes(vec![Match::Mark {
        mask: mark,
        value: mark,
    }]));
    before.extend(spared.iter().cloned());
    // First what measures: it is none of the target's own, and what measures another fault is not for this one.
    let own_port = own_port(order);
    for measures in measures(traffic.direction, own_port..=own_port) {
        let both = hits.iter().filter_map(|hit| together(&measures, hit));
        before.extend(both.map(|matches| counts(matches, Action::Queue(queue))));
    }
    let all_of_ours = || of_ours(traffic.direction).into_iter().map(passes);
    if traffic.direction == Direction::Ingress {
        before.extend(all_of_ours());
    }
    before.extend(hits.iter().map(|hit| counts(hit.clone(), Action::Queue(queue))));
    // What another fault behind this one sends again was counted here before.
    let mut behind = vec![
        passes(vec![Match::LeaseOver]),
        passes(vec![Match::NotMark { mask: later, value: 0 }]),
    ];
    behind.extend(all_of_ours());
    behind.extend(spared);
    behind.extend(hits.into_iter().map(|hit| counts(hit, Action::Accept)));
    let hook = match traffic.direction {
        Direction::Egress => Hook::Output,
        Direction::Ingress => Hook::Input,
    };
    let chain = |name: &str, priority, rules| Chain {
        name: name.to_owned(),
        hook,
        priority,
        rules,
    };
    vec![
        chain(CHAIN, PRIORITY + 2 * order, before),
        chain(BEHIND, PRIORITY + 2 * order + 1, behind),
    ]
}

/// What a packet is like that the fault is about, by whichever interface: one of these.
pub(crate) fn meant(traffic: &Traffic<'_>) -> Vec<Vec<Match>> {
    let peers = if traffic.to.is_empty() {
        vec![Vec::new()]
    } else {
        let peers = traffic.to.iter();
        peers.flat_map(|peer| peer_matches(peer, traffic.direction)).collect()
    };
    let mut meant = Vec::new();
    for peer in peers {
        // A rule with two protocols would match nothing.
        let ports = port_matches(traffic.ports);
        meant.extend(ports.iter().filter_map(|ports| together(&peer, ports)));
    }
    meant
}

/// As [`meant`], by the interfaces that the fault is about.
pub(crate) fn hits(traffic: &Traffic<'_>) -> Vec<Vec<Match>> {
    let way = match traffic.direction {
        Direction::Egress => Way::Out,
        Direction::Ingress => Way::In,
    };
    let by = match traffic.device {
        Some(name) => Match::Link {
            way,
            name: name.to_owned(),
        },
        None => Match::NotLoopback(way),
    };
    let mut hits = meant(traffic);
    for hit in &mut hits {
        hit.push(by.clone());
    }
    hits
}

/// What is for several, or for one link only, cannot be sent again as it was: the kernel would have to be told by which link. Of what
/// comes in the same is left alone, for without it nobody finds his neighbours.
pub(crate) fn left_alone(direction: Direction) -> impl Iterator<Item = (Side, Network)> {
    let network = |address: IpAddr, prefix| Network { address, prefix };
    let link = network(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
    let to_many = [
        network(Ipv4Addr::new(224, 0, 0, 0).into(), 4),
        network(Ipv4Addr::BROADCAST.into(), 32),
        network(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8),
        link,
    ];
    let comes = (direction == Direction::Ingress).then_some((Side::Source, link));
    to_many
        .into_iter()
        .map(|network| (Side::Destination, network))
        .chain(comes)
}

/// The side of the other one.
fn other(direction: Direction) -> Side {
    match direction {
        Direction::Egress => Side::Destination,
        Direction::Ingress => Side::Source,
    }
}

pub(crate) fn address(side: Side, network: Network) -> Match {
    Match::Address {
        side,
        network: network.address,
        bits: network.prefix,
    }
}

/// What a packet to one who measures, or from him, is like.
pub(crate) fn measurer(spared: &Spared, direction: Direction) -> Vec<Match> {
    let (other, own) = match direction {
        Direction::Egress => (Side::Destination, Side::Source),
        Direction::Ingress => (Side::Source, Side::Destination),
    };
    let bits = if spared.address.is_ipv4() { 32 } else { 128 };
    let mut matches = vec![Match::Address {
        side: other,
        network: spared.address,
        bits,
    }];
    if let Some(own_port) = spared.port {
        let tcp = numbers(Some(Protocol::Tcp), None).into_iter().flatten();
        matches.extend(tcp.map(Match::Protocol));
        matches.push(Match::Port {
            side: own,
            first: own_port,
            last: own_port,
        });
    }
    matches
}

/// What a packet to this peer, or from it, is like: one of these.
pub(crate) fn peer_matches(peer: &Peer, direction: Direction) -> Vec<Vec<Match>> {
    let side = other(direction);
    let hosts = match &peer.host {
        None => vec![(None, None)],
        Some(Host::Network(network)) => {
            let version = match network.address {
                IpAddr::V4(_) => Version::V4,
                IpAddr::V6(_) => Version::V6,
            };
            vec![(Some(address(side, *network)), Some(version))]
        }
        Some(Host::Name(name)) => {
            let listed = |version| Match::Listed {
                side,
                version,
                list: hosts::list_name(name),
            };
            [Version::V4, Version::V6]
                .map(|version| (Some(listed(version)), Some(version)))
                .to_vec()
        }
    };
    let protocols = match (peer.protocol, peer.ports) {
        (None, None) => vec![None],
        (None, Some(_)) => vec![Some(Protocol::Tcp), Some(Protocol::Udp)],
        (protocol, _) => vec![protocol],
    };
    let mut all = Vec::new();
    for protocol in protocols {
        for (host, version) in &hosts {
            for number in numbers(protocol, *version) {
                let mut one: Vec<Match> = host.iter().cloned().collect();
                one.extend(number.map(Match::Protocol));
                one.extend(peer.ports.map(|ports| port(side, ports)));
                all.push(one);
            }
        }
    }
    all
}

/// How many rules it takes, and how many of them say what is hit.
pub(crate) fn count(traffic: &Traffic<'_>) -> (usize, usize) {
    let place = Place {
        queue: 0,
        mark: 0,
        later: 0,
        order: 0,
    };
    let all = chains(traffic, place).iter().map(|chain| chain.rules.len()).sum();
    (all, hits(traffic).len())
}

/// The kernel's numbers of a protocol: that of ICMP depends on the version.
pub(super) fn numbers(protocol: Option<Protocol>, version: Option<Version>) -> Vec<Option<u8>> {
    match (protocol, version) {
        (None, _) => vec![None],
        (Some(Protocol::Tcp), _) => vec![Some(6)],
        (Some(Protocol::Udp), _) => vec![Some(17)],
        (Some(Protocol::Icmp), Some(Version::V4)) => vec![Some(1)],
        (Some(Protocol::Icmp), Some(Version::V6)) => vec![Some(58)],
        (Some(Protocol::Icmp), None) => vec![Some(1), Some(58)],
    }
}

/// Ports of either side: one of these. Nothing where all are meant.
fn port_matches(either: &[Service]) -> Vec<Vec<Match>> {
    if either.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for service in either {
        let protocols = service
            .protocol
            .map_or_else(|| vec![Protocol::Tcp, Protocol::Udp], |one| vec![one]);
        for number in protocols.into_iter().flat_map(|one| numbers(Some(one), None)).flatten() {
            for side in [Side::Source, Side::Destination] {
                all.push(vec![Match::Protocol(number), port(side, service.ports)]);
            }
        }
    }
    all
}

fn port(side: Side, ports: Ports) -> Match {
    Match::Port {
        side,
        first: ports.first,
        last: ports.last,
    }
}

/// Both at once. `None`: no packet is like both.
pub(crate) fn together(peer: &[Match], ports: &[Match]) -> Option<Vec<Match>> {
    let protocol = |all: &[Match]| {
        all.iter().find_map(|one| match one {
            Match::Protocol(number) => Some(*number),
            _ => None,
        })
    };
    match (protocol(peer), protocol(ports)) {
        (Some(one), Some(other)) if one != other => None,
        (Some(_), Some(_)) => {
            let rest = ports.iter().filter(|one| !matches!(one, Match::Protocol(_)));
            Some(peer.iter().chain(rest).cloned().collect())
        }
        _ => Some(peer.iter().chain(ports).cloned().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(mark: u32) -> Place {
        Place {
            queue: 7,
            mark,
            later: 0,
            order: 0,
        }
    }

    fn queued(to: &[&str], ports: &[&str]) -> Vec<Vec<Match>> {
        let to: Vec<Peer> = to.iter().map(|text| text.parse().unwrap()).collect();
        let ports: Vec<Service> = ports.iter().map(|text| text.parse().unwrap()).collect();
        let traffic = Traffic {
            direction: Direction::Egress,
            to: &to,
            except: &[],
            ports: &ports,
            device: Some("eth0"),
            spared: &[],
        };
        let rules = chains(&traffic, place(1)).swap_remove(0).rules.into_iter();
        rules
            .filter(|rule| rule.action == Action::Queue(7) && !matches!(rule.matches[0], Match::Mark { .. }))
            .map(|rule| rule.matches)
            .collect()
    }

    #[test]
    fn what_is_said_in_few_words_becomes_as_many_rules_as_it_takes() {
        assert_eq!(queued(&[], &[]).len(), 1);
        assert_eq!(queued(&["10.0.0.0/8"], &[]).len(), 1);
        assert_eq!(queued(&["10.0.0.0/8:53"], &[]).len(), 2, "TCP and UDP");
        assert_eq!(queued(&["db"], &[]).len(), 2, "both versions");
        assert_eq!(queued(&["db:53", "db/icmp"], &[]).len(), 6);
        assert_eq!(queued(&["*/icmp"], &[]).len(), 2, "of both versions");
        assert_eq!(queued(&["10.0.0.0/8/icmp"], &[]).len(), 1);
        assert_eq!(queued(&[], &["80"]).len(), 4, "two protocols, two sides");
        assert_eq!(
            queued(&["10.0.0.7/tcp"], &["80"]).len(),
            2,
            "what has two protocols is not"
        );
        assert_eq!(queued(&["*/icmp"], &["80"]).len(), 0, "what has no ports is on none");
        let tcp = &queued(&["10.0.0.7:5432/tcp"], &[])[0];
        assert_eq!(tcp.len(), 4);
        assert!(tcp.contains(&Match::Protocol(6)), "{tcp:?}");
    }

    #[test]
    fn what_has_the_mark_and_what_is_for_many_passes_before_anything_is_asked() {
        let except = ["10.0.0.53".parse().unwrap()];
        for (direction, hook, spared, probes) in [
            (Direction::Egress, Hook::Output, 5, 1),
            (Direction::Ingress, Hook::Input, 6, 2),
        ] {
            let traffic = Traffic {
                direction,
                to: &[],
                except: &except,
                ports: &[],
                device: None,
                spared: &[],
            };
            let chains = chains(&traffic, place(4));
            assert!(chains.iter().all(|chain| chain.hook == hook));
            assert!(chains[0].priority < chains[1].priority);
            let rules = &chains[0].rules;
            assert_eq!(rules[0].matches, [Match::LeaseOver]);
            assert_eq!(rules[1].matches, [Match::Mark { mask: 4, value: 4 }]);
            assert!(rules[..2 + spared].iter().all(|rule| rule.action == Action::Accept));
            let queued = rules.iter().filter(|rule| rule.action == Action::Queue(7)).count();
            assert_eq!(queued, probes + 1);
            let counts: Vec<_> = counters(&traffic).into_iter().map(|(_, counts)| counts).collect();
            let of = |one| counts.iter().filter(|counts| **counts == one).count();
            assert_eq!([Counts::Own, Counts::Probes, Counts::Behind].map(of), [1, probes, 1]);
        }
    }

    #[test]
    fn of_what_comes_in_the_other_side_is_the_source() {
        let to = ["10.0.0.7:5432/tcp".parse().unwrap()];
        let traffic = Traffic {
            direction: Direction::Ingress,
            to: &to,
            except: &[],
            ports: &[],
            device: Some("eth0"),
            spared: &[],
        };
        let hit = &hits(&traffic)[0];
        assert!(hit.iter().all(|one| match one {
            Match::Address { side, .. } | Match::Port { side, .. } => *side == Side::Source,
            Match::Link { way, .. } => *way == Way::In,
            _ => true,
        }));
        assert_eq!(hit.len(), 4);
        assert_eq!(words(&traffic), "packets from 10.0.0.7:5432/tcp, by eth0");
    }
}
