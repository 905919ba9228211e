//! Where probes go, or come from: whom the fault is about, and, as bystanders, whom it is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fracas_core::observer::Spared;
use fracas_core::params::Traffic;
use fracas_core::traffic::{Host, Network, Peer, Ports, Protocol, Service};

use super::rules::left_alone;

/// One packet, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The other side.
    pub(crate) peer: IpAddr,
    pub(crate) protocol: Protocol,
    /// Of TCP and UDP: the port of the target, and that of the other side.
    pub(crate) ports: (u16, u16),
}

/// The port to which traceroute(8) sends, where nobody listens.
const NOBODYS: u16 = 33434;
/// Whether a packet that the target sends or gets is among those that the fault is about. The rules in the kernel say the same.
pub(crate) fn hits(traffic: &Traffic<'_>, packet: &Packet) -> bool {
    let any = |peers: &[Peer]| peers.iter().any(|peer| is_to(peer, packet));
    !left_alone(traffic.direction).any(|(_, network)| network.contains(packet.peer))
        && (traffic.to.is_empty() || any(traffic.to))
        && !any(traffic.except)
        && !traffic.spared.iter().any(|spared| measures(spared, packet))
        && (traffic.ports.is_empty() || traffic.ports.iter().any(|service| has(packet, *service)))
}

fn measures(spared: &Spared, packet: &Packet) -> bool {
    let by_port = |port| packet.protocol == Protocol::Tcp && packet.ports.0 == port;
    spared.address == packet.peer && spared.port.is_none_or(by_port)
}

fn is_to(peer: &Peer, packet: &Packet) -> bool {
    let is_host = match &peer.host {
        None => true,
        Some(Host::Network(network)) => network.contains(packet.peer),
        // Whoever asks has put addresses in its place.
        Some(Host::Name(_)) => false,
    };
    is_host
        && peer.protocol.is_none_or(|protocol| protocol == packet.protocol)
        && peer
            .ports
            .is_none_or(|ports| packet.protocol != Protocol::Icmp && within(ports, packet.ports.1))
}

fn has(packet: &Packet, service: Service) -> bool {
    let (own, other) = packet.ports;
    packet.protocol != Protocol::Icmp
        && service.protocol.is_none_or(|protocol| protocol == packet.protocol)
        && (within(service.ports, own) || within(service.ports, other))
}

fn within(ports: Ports, port: u16) -> bool {
    (ports.first..=ports.last).contains(&port)
}

/// Packets that the fault is about, best first: `near` are addresses that surely have a next hop, such as that of the gateway. The target's
/// side has the port `own`.
pub(crate) fn matched(traffic: &Traffic<'_>, near: &[IpAddr], own: u16) -> Vec<Packet> {
    let everybody = [Peer {
        host: None,
        ports: None,
        protocol: None,
    }];
    let peers = if traffic.to.is_empty() {
        &everybody[..]
    } else {
        traffic.to
    };
    let mut found = Vec::new();
    for peer in peers {
        for address in addresses(peer.host.as_ref(), near) {
            for protocol in protocols(peer.protocol) {
                for port in candidate_ports(peer, traffic.ports) {
                    let packet = Packet {
                        peer: address,
                        protocol,
                        ports: (own, port),
                    };
                    if hits(traffic, &packet) {
                        found.push(packet);
                    }
                }
            }
        }
    }
    found
}

/// Packets to `near`, or from there, that the fault is not about.
pub(crate) fn bystanders(traffic: &Traffic<'_>, near: &[IpAddr], own: u16) -> Vec<Packet> {
    let all = near.iter().flat_map(|peer| {
        protocols(None).into_iter().map(move |protocol| Packet {
            peer: *peer,
            protocol,
            ports: (own, NOBODYS),
        })
    });
    all.filter(|packet| !hits(traffic, packet)).collect()
}

fn protocols(only: Option<Protocol>) -> Vec<Protocol> {
    // What nobody answers comes first; TCP's is a reset, which nobody answers either.
    only.map_or_else(|| vec![Protocol::Udp, Protocol::Tcp, Protocol::Icmp], |only| vec![only])
}

fn candidate_ports(peer: &Peer, either: &[Service]) -> Vec<u16> {
    let either = either.iter().map(|service| &service.ports);
    let mut ports: Vec<u16> = peer.ports.iter().chain(either).map(|ports| ports.first).collect();
    ports.push(NOBODYS);
    ports
}

/// Addresses of a network: those that are near, then some of its own.
fn addresses(host: Option<&Host>, near: &[IpAddr]) -> Vec<IpAddr> {
    let network = match host {
        None => return near.to_vec(),
        Some(Host::Network(network)) => *network,
        Some(Host::Name(_)) => return Vec::new(),
    };
    let mut found: Vec<IpAddr> = near.iter().copied().filter(|near| network.contains(*near)).collect();
    found.extend(some_hosts(network));
    found
}

/// The first neighbours of an address in its network; of another one, the second.
pub(crate) fn neighbours(own: IpAddr, bits: u8) -> Vec<IpAddr> {
    let all: Vec<IpAddr> = match own {
        IpAddr::V4(address) if (1..=30).contains(&bits) => {
            let first = address.to_bits() & (u32::MAX << (32 - bits));
            [1, 2].map(|host| Ipv4Addr::from_bits(first | host).into()).to_vec()
        }
        IpAddr::V6(address) if (1..=126).contains(&bits) && !address.is_unicast_link_local() => {
            let first = address.to_bits() & (u128::MAX << (128 - bits));
            [1, 2].map(|host| Ipv6Addr::from_bits(first | host).into()).to_vec()
        }
        _ => Vec::new(),
    };
    all.into_iter().filter(|neighbour| *neighbour != own).collect()
}

/// The first addresses of a network that can be somebody's; the network's own first address is nobody's.
fn some_hosts(network: Network) -> Vec<IpAddr> {
    const HOSTS: [u8; 3] = [1, 2, 3];
    match network.address {
        IpAddr::V4(address) if network.prefix < 30 => HOSTS
            .map(|host| Ipv4Addr::from_bits(address.to_bits() | u32::from(host)).into())
            .to_vec(),
        IpAddr::V6(address) if network.prefix < 126 => HOSTS
            .map(|host| Ipv6Addr::from_bits(address.to_bits() | u128::from(host)).into())
            .to_vec(),
        address => vec![address],
    }
}

#[cfg(test)]
mod tests {
    use fracas_core::traffic::Direction;

    use super::*;

    const OURS: u16 = 1;

    struct Said {
        to: Vec<Peer>,
        except: Vec<Peer>,
        ports: Vec<Service>,
        spared: Vec<Spared>,
    }

    fn said(to: &[&str], except: &[&str], ports: &[&str]) -> Said {
        Said {
            to: to.iter().map(|text| text.parse().unwrap()).collect(),
            except: except.iter().map(|text| text.parse().unwrap()).collect(),
            ports: ports.iter().map(|text| text.parse().unwrap()).collect(),
            spared: Vec::new(),
        }
    }

    impl Said {
        fn traffic(&self) -> Traffic<'_> {
            Traffic {
                direction: Direction::Egress,
                to: &self.to,
                except: &self.except,
                ports: &self.ports,
                device: None,
                spared: &self.spared,
            }
        }
    }

    fn packet(to: &str, protocol: Protocol, from_port: u16, to_port: u16) -> Packet {
        Packet {
            peer: to.parse().unwrap(),
            protocol,
            ports: (from_port, to_port),
        }
    }

    #[test]
    fn a_packet_is_hit_if_all_that_is_said_fits() {
        let db = packet("10.1.2.3", Protocol::Tcp, 40000, 5432);
        for (said, is) in [
            (said(&[], &[], &[]), true),
            (said(&["10.0.0.0/8"], &[], &[]), true),
            (said(&["11.0.0.0/8"], &[], &[]), false),
            (said(&["11.0.0.0/8", "*:5432/tcp"], &[], &[]), true),
            (said(&["*:5432/udp"], &[], &[]), false),
            (said(&["*:5000-5431"], &[], &[]), false),
            (said(&["10.0.0.0/8"], &["10.1.2.3"], &[]), false),
            (said(&["10.0.0.0/8"], &["10.1.2.3:80"], &[]), true),
            (said(&[], &[], &["5432"]), true),
            (said(&[], &[], &["40000"]), true),
            (said(&[], &[], &["5432/tcp"]), true),
            (said(&[], &[], &["5432/udp"]), false),
            (said(&[], &[], &["80"]), false),
        ] {
            assert_eq!(hits(&said.traffic(), &db), is, "{:?} {:?}", said.to, said.except);
        }
        let ping = packet("10.1.2.3", Protocol::Icmp, 0, 5432);
        assert!(
            !hits(&said(&[], &[], &["5432"]).traffic(), &ping),
            "what has no ports is on none"
        );
        assert!(!hits(&said(&["*:5432"], &[], &[]).traffic(), &ping));
    }

    #[test]
    fn who_measures_is_not_hit_on_what_he_asks() {
        let spared = |port| Said {
            spared: vec![Spared {
                who: "probe `up`".to_owned(),
                address: "10.0.0.1".parse().unwrap(),
                port,
            }],
            ..said(&[], &[], &[])
        };
        for (port, packet, is) in [
            (Some(80), packet("10.0.0.1", Protocol::Tcp, 80, 40000), false),
            (Some(80), packet("10.0.0.1", Protocol::Tcp, 40000, 80), true),
            (Some(80), packet("10.0.0.1", Protocol::Udp, 80, 40000), true),
            (Some(80), packet("10.0.0.2", Protocol::Tcp, 80, 40000), true),
            (None, packet("10.0.0.1", Protocol::Icmp, 0, 0), false),
            (None, packet("10.0.0.2", Protocol::Icmp, 0, 0), true),
        ] {
            assert_eq!(hits(&spared(port).traffic(), &packet), is, "{port:?} {packet:?}");
        }
    }

    #[test]
    fn probes_are_hit_and_bystanders_are_not() {
        let near = ["10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for said in [
            said(&[], &[], &[]),
            said(&["10.0.0.0/8:5432/tcp"], &[], &[]),
            said(&["10.0.0.0/8"], &["10.0.0.1"], &[]),
            said(&["192.168.7.0/24:53/udp"], &[], &[]),
            said(&["2001:db8::/32"], &[], &["443"]),
            said(&["*/icmp"], &[], &[]),
            said(&["10.0.0.7"], &[], &[]),
        ] {
            let traffic = said.traffic();
            let (matched, others) = (matched(&traffic, &near, OURS), bystanders(&traffic, &near, OURS));
            assert!(!matched.is_empty() && matched.iter().all(|packet| hits(&traffic, packet)));
            assert!(others.iter().all(|packet| !hits(&traffic, packet)));
            assert_eq!(others.is_empty(), said.to.is_empty(), "{:?}", said.to);
        }
        let first = |to: &str| matched(&said(&[to], &[], &[]).traffic(), &near, OURS)[0];
        assert_eq!(
            first("192.168.7.0/24:53/udp"),
            packet("192.168.7.1", Protocol::Udp, OURS, 53)
        );
        assert_eq!(
            first("10.0.0.0/8:5432/tcp"),
            packet("10.0.0.1", Protocol::Tcp, OURS, 5432)
        );
        assert_eq!(first("10.0.0.8/31").peer.to_string(), "10.0.0.8");
    }

    #[test]
    fn neighbours_are_in_the_network_and_not_oneself() {
        let of = |own: &str, bits| {
            let all = neighbours(own.parse().unwrap(), bits);
            all.iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of("10.1.2.3", 24), ["10.1.2.1", "10.1.2.2"]);
        assert_eq!(of("10.1.2.1", 24), ["10.1.2.2"]);
        assert_eq!(of("2001:db8::7", 64), ["2001:db8::1", "2001:db8::2"]);
        assert!(of("fe80::1", 64).is_empty() && of("10.1.2.3", 32).is_empty() && of("10.1.2.3", 0).is_empty());
    }

    #[test]
    fn a_fault_on_nobody_has_no_probe() {
        let nobody = said(&["10.0.0.7"], &["10.0.0.0/8"], &[]);
        assert!(matched(&nobody.traffic(), &["10.0.0.1".parse().unwrap()], OURS).is_empty());
    }
}
