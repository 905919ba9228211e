//! The traffic of a document as rules of the kernel's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fracas_core::params::Traffic;
use fracas_core::traffic::{Direction, Network, Peer, Ports, Protocol, Service};
use fracas_linux::netfilter::{Action, Chain, Hook, Match, Rule, Side, Version, Way};
use fracas_linux::relay::Place;
use serde::{Deserialize, Serialize};

/// Before connections are followed and addresses are translated (-200 and -100): what is taken out here and sent again has not been
/// seen by anybody, and is seen once.
const PRIORITY: i32 = -310;
/// The chain in the table.
pub(crate) const CHAIN: &str = "output";

/// A [`Traffic`] that a worker can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owned {
    to: Vec<Peer>,
    except: Vec<Peer>,
    ports: Vec<Service>,
    pub(crate) device: Option<String>,
}

impl From<Traffic<'_>> for Owned {
    fn from(traffic: Traffic<'_>) -> Self {
        Self {
            to: traffic.to.to_vec(),
            except: traffic.except.to_vec(),
            ports: traffic.ports.to_vec(),
            device: traffic.device.map(str::to_owned),
        }
    }
}

impl Owned {
    pub(crate) fn traffic(&self) -> Traffic<'_> {
        Traffic {
            direction: Direction::Egress,
            to: &self.to,
            except: &self.except,
            ports: &self.ports,
            device: self.device.as_deref(),
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
    let some = |is: bool, words: String| if is { words } else { String::new() };
    let except = some(!traffic.except.is_empty(), format!(" but {}", list(traffic.except)));
    let ports = some(!traffic.ports.is_empty(), format!(", of ports {}", list(traffic.ports)));
    let device = traffic.device.map_or(String::new(), |device| format!(", by {device}"));
    format!("packets to {to}{except}{ports}{device}")
}

/// The chain that sends to the queue what the fault is about, unless it has the mark.
pub(crate) fn chain(traffic: &Traffic<'_>, place: Place) -> Chain {
    let Place { queue, mark, order } = place;
    let passes = |matches| Rule {
        matches,
        action: Action::Accept,
        counted: false,
    };
    let mut rules = vec![passes(vec![Match::Mark {
        mask: mark,
        value: mark,
    }])];
    rules.extend(left_alone().map(|network| passes(vec![to(network)])));
    for peer in traffic.except {
        rules.extend(peer_matches(peer).into_iter().map(passes));
    }
    let by = match traffic.device {
        Some(name) => Match::Link {
            way: Way::Out,
            name: name.to_owned(),
        },
        None => Match::NotLoopback(Way::Out),
    };
    let peers = if traffic.to.is_empty() {
        vec![Vec::new()]
    } else {
        traffic.to.iter().flat_map(peer_matches).collect()
    };
    for peer in peers {
        for ports in port_matches(traffic.ports) {
            // A rule with two protocols would match nothing.
            if let Some(both) = together(&peer, &ports) {
                rules.push(Rule {
                    matches: [both, vec![by.clone()]].concat(),
                    action: Action::Queue(queue),
                    counted: true,
                });
            }
        }
    }
    Chain {
        name: CHAIN.to_owned(),
        hook: Hook::Output,
        priority: PRIORITY + order,
        rules,
    }
}

/// What is for several, or for one link only, cannot be sent again as it was: the kernel would have to be told by which link.
pub(crate) fn left_alone() -> impl Iterator<Item = Network> {
    let network = |address: IpAddr, prefix| Network { address, prefix };
    [
        network(Ipv4Addr::new(224, 0, 0, 0).into(), 4),
        network(Ipv4Addr::BROADCAST.into(), 32),
        network(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), 8),
        network(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10),
    ]
    .into_iter()
}

pub(crate) fn to(network: Network) -> Match {
    Match::Address {
        side: Side::Destination,
        network: network.address,
        bits: network.prefix,
    }
}

/// What a packet to this peer is like: one of these.
pub(crate) fn peer_matches(peer: &Peer) -> Vec<Vec<Match>> {
    let address = peer.network.map(to);
    let version = peer.network.map(|network| match network.address {
        IpAddr::V4(_) => Version::V4,
        IpAddr::V6(_) => Version::V6,
    });
    let protocols = match (peer.protocol, peer.ports) {
        (None, None) => vec![None],
        (None, Some(_)) => vec![Some(Protocol::Tcp), Some(Protocol::Udp)],
        (protocol, _) => vec![protocol],
    };
    let mut all = Vec::new();
    for protocol in protocols {
        for number in numbers(protocol, version) {
            let mut one: Vec<Match> = address.iter().cloned().collect();
            one.extend(number.map(Match::Protocol));
            one.extend(peer.ports.map(|ports| port(Side::Destination, ports)));
            all.push(one);
        }
    }
    all
}

/// How many rules it takes, and how many of them say what is hit.
pub(crate) fn count(traffic: &Traffic<'_>) -> (usize, usize) {
    let place = Place {
        queue: 0,
        mark: 0,
        order: 0,
    };
    let rules = chain(traffic, place).rules;
    let hits = rules.iter().filter(|rule| rule.counted).count();
    (rules.len(), hits)
}

/// The kernel's numbers of a protocol: that of ICMP depends on the version.
fn numbers(protocol: Option<Protocol>, version: Option<Version>) -> Vec<Option<u8>> {
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
pub(crate) fn port_matches(either: &[Service]) -> Vec<Vec<Match>> {
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
        };
        let rules = chain(&traffic, place(1)).rules.into_iter();
        rules
            .filter(|rule| rule.action == Action::Queue(7))
            .map(|rule| rule.matches)
            .collect()
    }

    #[test]
    fn what_is_said_in_few_words_becomes_as_many_rules_as_it_takes() {
        assert_eq!(queued(&[], &[]).len(), 1);
        assert_eq!(queued(&["10.0.0.0/8"], &[]).len(), 1);
        assert_eq!(queued(&["10.0.0.0/8:53"], &[]).len(), 2, "TCP and UDP");
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
        let traffic = Traffic {
            direction: Direction::Egress,
            to: &[],
            except: &["10.0.0.53".parse().unwrap()],
            ports: &[],
            device: None,
        };
        let rules = chain(&traffic, place(4)).rules;
        assert_eq!(rules[0].matches, [Match::Mark { mask: 4, value: 4 }]);
        assert!(rules[..6].iter().all(|rule| rule.action == Action::Accept));
        assert_eq!(rules.len(), 7);
        assert!(rules[6].matches.contains(&Match::NotLoopback(Way::Out)) && rules[6].counted);
    }
}
