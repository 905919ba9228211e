//! What rules do to packets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use super::{TCP, UDP, chain, rule};
use crate::error::errno;
use crate::netfilter::{Action, Chain, Counter, Family, Hook, Match, Side, Table, Version, Way};
use crate::sockets::set_option;
use crate::testbed::{HERE, LIMIT, OTHER, Pair, THERE, udp, until};

/// Sends a packet of UDP.
fn send(socket: &UdpSocket, to: IpAddr, port: u16) {
    socket.send_to(b"hello", SocketAddr::new(to, port)).unwrap();
}

/// How many packets the only rule of each chain has counted.
fn counts(table: &mut Table) -> Vec<u64> {
    let counters = table.counters().unwrap();
    counters.iter().map(|rules| rules[0].unwrap().packets).collect()
}

#[test]
fn matches_match_what_they_say_and_nothing_else() {
    let Some(pair) = Pair::make() else { return };
    let address = |side, network: IpAddr, bits| Match::Address { side, network, bits };
    let (from, to) = (Side::Source, Side::Destination);
    let ports = |side, first, last| vec![UDP, Match::Port { side, first, last }];
    let link = |name: &str| {
        vec![Match::Link {
            way: Way::Out,
            name: name.to_owned(),
        }]
    };
    // What is sent: version, destination, source port, destination port, mark.
    let packets = [
        (0, THERE[0], 4000, 1999, 0),
        (0, THERE[0], 4001, 2000, 0x10),
        (0, OTHER[0], 4002, 2005, 0x11),
        (1, THERE[1], 4003, 2010, 0x13),
        (1, OTHER[1], 4004, 2011, 0),
        (1, HERE[1], 4005, 2000, 0),
        (0, HERE[0], 4006, 2000, 0),
    ];
    // And of these packets, which are matched.
    let cases: Vec<(Vec<Match>, &[usize])> = vec![
        (vec![UDP], &[0, 1, 2, 3, 4, 5, 6]),
        (vec![TCP], &[]),
        (vec![UDP, Match::Version(Version::V4)], &[0, 1, 2, 6]),
        (vec![UDP, Match::Version(Version::V6)], &[3, 4, 5]),
        (vec![UDP, address(to, THERE[0], 32)], &[0, 1]),
        (vec![UDP, address(to, THERE[1], 128)], &[3]),
        // 10.77.0.2 and .3, not .1.
        (vec![UDP, address(to, THERE[0], 31)], &[0, 1, 2]),
        (vec![UDP, address(to, THERE[1], 127)], &[3, 4]),
        (vec![UDP, address(to, THERE[0], 8)], &[0, 1, 2, 6]),
        (vec![UDP, address(to, IpAddr::V4(Ipv4Addr::new(11, 77, 0, 2)), 8)], &[]),
        (
            vec![UDP, address(to, IpAddr::V4(Ipv4Addr::new(11, 77, 0, 2)), 7)],
            &[0, 1, 2, 6],
        ),
        (vec![UDP, address(from, HERE[0], 32)], &[0, 1, 2, 6]),
        (vec![UDP, address(from, HERE[1], 128)], &[3, 4, 5]),
        (vec![UDP, address(from, THERE[1], 128)], &[]),
        (vec![UDP, address(from, THERE[0], 0)], &[0, 1, 2, 6]),
        (ports(to, 2000, 2010), &[1, 2, 3, 5, 6]),
        (ports(to, 2000, 2000), &[1, 5, 6]),
        (ports(to, 0, 1999), &[0]),
        (ports(to, 2011, 65535), &[4]),
        (ports(from, 4001, 4003), &[1, 2, 3]),
        (ports(from, 4006, 4006), &[6]),
        ([vec![UDP], link("near")].concat(), &[0, 1, 2, 3, 4]),
        ([vec![UDP], link("nea")].concat(), &[]),
        ([vec![UDP], link("lo")].concat(), &[5, 6]),
        (vec![UDP, Match::NotLoopback(Way::Out)], &[0, 1, 2, 3, 4]),
        (vec![UDP, Match::NotLoopback(Way::In)], &[]),
        (
            vec![
                UDP,
                Match::Mark {
                    mask: 0x10,
                    value: 0x10,
                },
            ],
            &[1, 2, 3],
        ),
        (
            vec![
                UDP,
                Match::Mark {
                    mask: 0x12,
                    value: 0x10,
                },
            ],
            &[1, 2],
        ),
        (vec![UDP, Match::Mark { mask: !0, value: 0 }], &[0, 4, 5, 6]),
        (
            vec![
                UDP,
                Match::NotMark {
                    mask: 0x10,
                    value: 0x10,
                },
            ],
            &[0, 4, 5, 6],
        ),
        (
            vec![
                UDP,
                Match::NotMark {
                    mask: 0x01,
                    value: 0x01,
                },
            ],
            &[0, 1, 4, 5, 6],
        ),
        (vec![UDP, Match::Share { taken: 0, of: 1 }], &[]),
        (vec![UDP, Match::Share { taken: 7, of: 7 }], &[0, 1, 2, 3, 4, 5, 6]),
    ];
    let chains: Vec<Chain> = cases
        .iter()
        .enumerate()
        .map(|(number, (matches, _))| chain(&format!("c{number}"), Hook::Output, &[rule(matches, Action::Accept)]))
        .collect();
    let mut table = pair.here.within(|| Table::make("matches", &chains)).unwrap();
    let mut wanted = vec![0; cases.len()];
    for (number, (version, to, from_port, to_port, mark)) in packets.into_iter().enumerate() {
        let socket = udp(&pair.here, HERE[version], from_port);
        set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, &mark).unwrap();
        send(&socket, to, to_port);
        for (wanted, (_, which)) in wanted.iter_mut().zip(&cases) {
            *wanted += u64::from(which.contains(&number));
        }
        let found = counts(&mut table);
        for (number, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            assert_eq!(found, wanted, "{:?} after {to} {to_port}", cases[number].0);
        }
    }
    // Five bytes, with the headers of UDP and of IP.
    let first = table.counters().unwrap()[0][0].unwrap();
    assert_eq!(
        first,
        Counter {
            packets: 7,
            bytes: 4 * 33 + 3 * 53
        }
    );
}

#[test]
fn what_comes_in_is_matched_too() {
    let Some(pair) = Pair::make() else { return };
    let cases: Vec<(Hook, Vec<Match>, u64)> = vec![
        (Hook::Prerouting, vec![UDP, Match::NotLoopback(Way::In)], 2),
        (Hook::Input, vec![UDP, Match::NotLoopback(Way::In)], 2),
        (Hook::Input, vec![UDP, Match::NotLoopback(Way::Out)], 0),
        (
            Hook::Input,
            vec![
                UDP,
                Match::Link {
                    way: Way::In,
                    name: "far".into(),
                },
            ],
            2,
        ),
        (
            Hook::Input,
            vec![
                UDP,
                Match::Address {
                    side: Side::Source,
                    network: HERE[1],
                    bits: 128,
                },
            ],
            1,
        ),
        (
            Hook::Input,
            vec![
                UDP,
                Match::Port {
                    side: Side::Destination,
                    first: 7,
                    last: 7,
                },
            ],
            1,
        ),
        (Hook::Forward, vec![UDP], 0),
        (Hook::Output, vec![UDP], 0),
        (Hook::Postrouting, vec![UDP], 0),
    ];
    let chains: Vec<Chain> = cases
        .iter()
        .enumerate()
        .map(|(number, (hook, matches, _))| chain(&format!("c{number}"), *hook, &[rule(matches, Action::Accept)]))
        .collect();
    let mut table = pair.there.within(|| Table::make("matches", &chains)).unwrap();
    let sockets = [udp(&pair.there, THERE[0], 7), udp(&pair.there, THERE[1], 8)];
    for (version, socket) in sockets.iter().enumerate() {
        send(&udp(&pair.here, HERE[version], 0), THERE[version], 7 + version as u16);
        socket.recv(&mut [0; 8]).unwrap();
    }
    assert_eq!(counts(&mut table), cases.iter().map(|case| case.2).collect::<Vec<_>>());
}

#[test]
fn flags_of_tcp_and_the_beginning_of_a_connection_are_told_apart() {
    let Some(pair) = Pair::make() else { return };
    let flags = |mask, value| vec![TCP, Match::TcpFlags { mask, value }];
    let (fin, syn, rst, ack) = (1, 2, 4, 16);
    let rules = [
        flags(syn | ack | rst | fin, syn),
        flags(syn, syn),
        flags(rst, rst),
        vec![TCP, Match::NewConnection],
    ];
    let chains: Vec<Chain> = rules
        .iter()
        .enumerate()
        .map(|(number, matches)| chain(&format!("c{number}"), Hook::Input, &[rule(matches, Action::Accept)]))
        .collect();
    let mut table = pair.there.within(|| Table::make("flags", &chains)).unwrap();
    let listener = pair
        .there
        .within(|| TcpListener::bind(SocketAddr::new(THERE[0], 80)))
        .unwrap();
    let stream = pair
        .here
        .within(|| TcpStream::connect_timeout(&SocketAddr::new(THERE[0], 80), LIMIT))
        .unwrap();
    drop((listener.accept().unwrap(), stream));
    assert_eq!(counts(&mut table), [1, 1, 0, 1]);
}

#[test]
fn a_share_is_what_was_asked_for() {
    const SENT: u32 = 4000;
    let Some(pair) = Pair::make() else { return };
    let shares = [(1, 10), (500_000, 1_000_000), (999_999_999, 1_000_000_000)];
    let chains: Vec<Chain> = shares
        .iter()
        .map(|&(taken, of)| {
            chain(
                &format!("c{of}"),
                Hook::Output,
                &[rule(&[UDP, Match::Share { taken, of }], Action::Accept)],
            )
        })
        .collect();
    let mut table = pair.here.within(|| Table::make("share", &chains)).unwrap();
    let socket = udp(&pair.here, HERE[0], 0);
    for _ in 0..SENT {
        send(&socket, THERE[0], 9);
    }
    for (found, (taken, of)) in counts(&mut table).into_iter().zip(shares) {
        let share = f64::from(taken) / f64::from(of);
        let (mean, deviation) = (
            f64::from(SENT) * share,
            (f64::from(SENT) * share * (1.0 - share)).sqrt(),
        );
        // 1e-6 both sides, and the chance that a billionth comes four times.
        let off = (found as f64 - mean).abs();
        assert!(off <= 4.9 * deviation + 1.0, "{found} of {SENT} for {taken} of {of}");
    }
}

#[test]
fn packets_are_dropped_and_rejected() {
    let Some(pair) = Pair::make() else { return };
    let to = |port| Match::Port {
        side: Side::Destination,
        first: port,
        last: port,
    };
    let output = [
        rule(&[UDP, to(1)], Action::Drop),
        rule(&[TCP, to(1)], Action::Reset),
        rule(&[UDP, to(2)], Action::Unreachable),
        rule(&[UDP, to(3)], Action::Accept),
        rule(&[UDP, to(3)], Action::Drop),
    ];
    for families in [&[Family::Inet][..], &[Family::Ip, Family::Ip6]] {
        let chains = [chain("output", Hook::Output, &output)];
        let mut table = pair
            .here
            .within(|| Table::make_in(families, "reject", &chains))
            .unwrap();
        assert_eq!(table.families(), families);
        for version in [0, 1] {
            let socket = udp(&pair.here, HERE[version], 0);
            let to = |port| SocketAddr::new(THERE[version], port);
            let dropped = socket.send_to(b"x", to(1)).unwrap_err();
            assert_eq!(dropped.raw_os_error(), Some(libc::EPERM));
            socket.send_to(b"x", to(3)).unwrap();
            let refused = pair
                .here
                .within(|| TcpStream::connect_timeout(&to(1), LIMIT))
                .unwrap_err();
            assert_eq!(errno(&refused), Some(libc::ECONNREFUSED), "{refused}");
            // The first may find its way blocked at once; the answer by ICMP comes to the socket that is connected.
            socket.connect(to(2)).unwrap();
            let _blocked = socket.send(b"x");
            until("the port is unreachable", || {
                socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                socket
                    .recv(&mut [0; 1])
                    .is_err_and(|error| error.raw_os_error() == Some(libc::ECONNREFUSED))
            });
        }
        let counters = table.counters().unwrap();
        let found: Vec<_> = counters[0].iter().map(|counter| counter.unwrap().packets).collect();
        // A rejected connection is tried once, for the answer comes before anything else could.
        assert_eq!(found, [2, 2, 2, 2, 0], "both versions in {families:?}");
    }
}

#[test]
fn packets_go_on_where_nobody_listens_to_their_queue() {
    let Some(pair) = Pair::make() else { return };
    for families in [&[Family::Inet][..], &[Family::Ip, Family::Ip6]] {
        let rules = [rule(&[UDP], Action::Queue(4711)), rule(&[UDP], Action::Accept)];
        let chains = [Hook::Output, Hook::Postrouting].map(|hook| chain(&format!("{hook:?}"), hook, &rules));
        let mut table = pair
            .here
            .within(|| Table::make_in(families, "bypass", &chains))
            .unwrap();
        for version in [0, 1] {
            let there = udp(&pair.there, THERE[version], 7);
            send(&udp(&pair.here, HERE[version], 0), THERE[version], 7);
            assert_eq!(there.recv(&mut [0; 8]).unwrap(), 5);
        }
        let packets = |rules: &[Option<Counter>]| rules.iter().map(|rule| rule.unwrap().packets).collect::<Vec<_>>();
        let found: Vec<_> = table.counters().unwrap().iter().map(|rules| packets(rules)).collect();
        // What bypasses a queue is not asked any more in its chain.
        assert_eq!(found, [[2, 0], [2, 0]]);
    }
}
