use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::frames::Address;
use crate::namespace::NetNamespace;
use crate::netfilter::{Action, Chain, Hook, Match, Rule, Table, Way};
use crate::netlink::Netlink;
use crate::queue::{self, Queue, Verdict};
use crate::raw::Raw;
use crate::testbed::{HERE, OTHER, Pair, THERE, udp, until};

const TAG: Tag = Tag(*b"fracas-probe");
const UDP: Content = Content::Udp { from: 999, to: 7 };
const TCP: Content = Content::Tcp { from: 999, to: 7 };
const SYN: Content = Content::Syn { from: 999, to: 7 };
const ECHO: Content = Content::Echo { identifier: 5 };

fn probe(version: usize, content: Content, number: u32, sound: bool) -> Probe {
    Probe {
        from: HERE[version],
        to: THERE[version],
        content,
        hops: 1,
        tag: TAG,
        number,
        length: 0,
        sound,
    }
}

/// The sum of words over a packet and what its checksum is over besides; of a right one all bits are set. Done in another way than that
/// which is tested: 32 bits at a time, after RFC 1071, 2 (C).
fn checked(packet: &[u8]) -> bool {
    let (protocol, addresses, content) = match packet[0] >> 4 {
        4 => (packet[9], &packet[12..20], &packet[20..]),
        _ => (packet[6], &packet[8..40], &packet[40..]),
    };
    let mut all = Vec::new();
    if protocol != 1 {
        all.extend_from_slice(addresses);
        all.extend_from_slice(&(content.len() as u32).to_be_bytes());
        all.extend_from_slice(&u32::from(protocol).to_be_bytes());
    }
    all.extend_from_slice(content);
    all.resize(all.len().next_multiple_of(4), 0);
    let sum = all
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| u64::from(u32::from_be_bytes(*word)));
    sum.sum::<u64>() % 0xffff == 0
}

#[test]
fn packets_are_laid_out_as_the_protocols_want_it() {
    for version in [0, 1] {
        let header = [20, 40][version];
        for (content, protocol, head) in [(UDP, 17, 8), (TCP, 6, 20), (SYN, 6, 20), (ECHO, [1, 58][version], 8)] {
            for length in [0, 77, 1400, 1501, 65_535] {
                for number in [0, 1, 0xffff, 0x1_0000, u32::MAX] {
                    let sound = Probe {
                        length,
                        ..probe(version, content, number, true)
                    };
                    let bytes = sound.bytes().unwrap();
                    assert_eq!(bytes.len(), length.max((header + head + 16).max(46)));
                    assert!(bytes.ends_with(&[&TAG.0[..], &number.to_be_bytes()].concat()));
                    assert!(checked(&bytes), "{sound:?}");
                    let wrong = Probe { sound: false, ..sound }.bytes().unwrap();
                    assert!(!checked(&wrong), "{sound:?}");
                    let differ = bytes.iter().zip(&wrong).filter(|(one, other)| one != other).count();
                    assert!(differ <= 2 && wrong.len() == bytes.len());
                    let size = u16::from_be_bytes([bytes[[2, 4][version]], bytes[[3, 5][version]]]);
                    assert_eq!(usize::from(size), bytes.len() - [0, 40][version]);
                    assert_eq!(bytes[[9, 6][version]], protocol);
                    assert_eq!(bytes[[8, 7][version]], 1, "hops");
                    if content == UDP {
                        assert_ne!(wrong[header + 6..header + 8], [0, 0], "none is a right one");
                    }
                    if version == 0 {
                        let words = bytes[..20]
                            .as_chunks::<2>()
                            .0
                            .iter()
                            .map(|word| u32::from(u16::from_be_bytes(*word)));
                        assert_eq!(words.sum::<u32>() % 0xffff, 0);
                        assert_ne!(bytes[4..6], [0, 0]);
                    }
                }
            }
        }
    }
    assert_eq!(probe(0, TCP, 1, true).bytes().unwrap()[33], 4, "a reset");
    assert_eq!(
        probe(0, SYN, 1, false).bytes().unwrap()[33],
        2,
        "what opens a connection"
    );
    let mut wrong = probe(0, UDP, 1, true);
    wrong.length = 65_536;
    assert!(wrong.bytes().unwrap_err().to_string().contains("65536 bytes"));
    wrong = Probe { to: THERE[1], ..wrong };
    wrong.length = 0;
    assert!(wrong.bytes().is_err());
}

#[test]
fn every_checksum_that_there_can_be_is_right_or_wrong_as_asked() {
    // Over all of its numbers the checksum takes all of its values.
    for number in 0..=0xffff {
        for version in [0, 1] {
            assert!(checked(&probe(version, UDP, number, true).bytes().unwrap()));
            let wrong = probe(version, UDP, number, false).bytes().unwrap();
            let at = [26, 46][version];
            assert!(!checked(&wrong) && wrong[at..at + 2] != [0, 0]);
        }
    }
}

fn open(namespace: &NetNamespace, link: Option<u32>, way: Way, tag: Tag) -> Watch {
    namespace.within(|| Watch::open(link, way, tag)).unwrap()
}

fn next(watch: &mut Watch) -> Seen {
    let mut seen = None;
    until("a packet is seen", || {
        seen = watch.receive().unwrap();
        seen.is_some()
    });
    seen.unwrap()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[test]
fn a_packet_is_seen_leaving_and_arriving_with_its_time() {
    let Some(pair) = Pair::make() else { return };
    let raw = pair.here.within(Raw::open).unwrap();
    let mut leaving = open(&pair.here, Some(pair.near), Way::Out, TAG);
    let mut any = open(&pair.here, None, Way::Out, TAG);
    let mut coming = open(&pair.there, Some(pair.far), Way::In, TAG);
    let mut never = [
        open(&pair.here, Some(pair.near), Way::Out, Tag(*b"fracas-probf")),
        open(&pair.here, Some(pair.near), Way::Out, Tag(*b"gracas-probe")),
        open(&pair.here, None, Way::In, TAG),
        open(&pair.there, None, Way::Out, TAG),
        open(&pair.here, Some(1), Way::Out, TAG),
    ];
    let mut number = 0;
    for version in [0, 1] {
        let socket = udp(&pair.here, HERE[version], 0);
        for content in [UDP, TCP, ECHO] {
            // Wrong, so that nobody there answers with the same tag. The kernel looks for its neighbour first.
            let sent = probe(version, content, number, false).bytes().unwrap();
            socket
                .send_to(b"something else", SocketAddr::new(THERE[version], 7))
                .unwrap();
            socket.send_to(&[0; 1400], SocketAddr::new(THERE[version], 7)).unwrap();
            let before = now();
            raw.send(&sent, 0, None).unwrap();
            let (out, everywhere, arrived) = (next(&mut leaving), next(&mut any), next(&mut coming));
            let after = now();
            assert_eq!((out.number, out.link, &out.bytes), (number, pair.near, &sent));
            assert_eq!(
                (everywhere.number, everywhere.link, &everywhere.bytes),
                (number, pair.near, &sent)
            );
            assert_eq!(
                (arrived.number, arrived.link, &arrived.bytes),
                (number, pair.far, &sent)
            );
            for seen in [out, everywhere, arrived] {
                assert!(before <= seen.at && seen.at <= after, "{before:?} {seen:?} {after:?}");
            }
            number += 1;
        }
    }
    for watch in &mut never {
        assert_eq!(watch.receive().unwrap(), None);
    }
    for watch in [&mut leaving, &mut any, &mut coming] {
        assert_eq!((watch.receive().unwrap(), watch.lost().unwrap()), (None, 0));
    }
    assert!(pair.here.within(|| Watch::open(Some(9999), Way::Out, TAG)).is_err());
}

/// A number of `/proc/net/snmp` or of `/proc/net/snmp6` of a namespace.
fn counted(namespace: &NetNamespace, table: &str, name: &str) -> u64 {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    namespace
        .within(|| {
            if let Some(line) = read("snmp6")?
                .lines()
                .find(|line| line.split_whitespace().next() == Some(name))
            {
                return Ok(line.split_whitespace().last().unwrap().parse().unwrap());
            }
            let text = read("snmp")?;
            let mut lines = text
                .lines()
                .filter_map(|line| line.strip_prefix(table)?.strip_prefix(": "));
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            let at = names.split(' ').position(|other| other == name).unwrap();
            Ok(values.split(' ').nth(at).unwrap().parse().unwrap())
        })
        .unwrap()
}

#[test]
fn the_kernel_takes_what_is_right_and_drops_what_is_wrong() {
    let Some(pair) = Pair::make() else { return };
    let raw = pair.here.within(Raw::open).unwrap();
    let mut answers = open(&pair.here, None, Way::In, TAG);
    let mut arriving = open(&pair.there, None, Way::In, TAG);
    for version in [0, 1] {
        let wrong = |table, name| counted(&pair.there, table, name);
        let (udp_wrong, icmp_wrong) = [
            ("InCsumErrors", "InCsumErrors"),
            ("Udp6InCsumErrors", "Icmp6InCsumErrors"),
        ][version];
        let socket = udp(&pair.there, THERE[version], 7);
        for (number, sound) in [(1, false), (2, true)] {
            raw.send(&probe(version, UDP, number, sound).bytes().unwrap(), 0, None)
                .unwrap();
        }
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[length - 4..length], [0, 0, 0, 2], "the first is nobody's");
        assert_eq!(wrong("Udp", udp_wrong), 1);

        for (number, sound) in [(3, false), (4, true)] {
            raw.send(&probe(version, ECHO, number, sound).bytes().unwrap(), 0, None)
                .unwrap();
        }
        assert_eq!(next(&mut answers).number, 4, "the first is not answered");
        assert_eq!(wrong("Icmp", icmp_wrong), 1);

        let before = wrong("Tcp", "InCsumErrors");
        for (number, sound) in [(5, false), (6, true)] {
            raw.send(&probe(version, TCP, number, sound).bytes().unwrap(), 0, None)
                .unwrap();
        }
        until("all have arrived", || next(&mut arriving).number == 6);
        until("they are counted", || wrong("Tcp", "InCsumErrors") == before + 1);
        assert_eq!(wrong("Tcp", "OutRsts"), 0, "a reset is not answered");
    }
    assert_eq!(answers.receive().unwrap(), None);
}

#[test]
fn a_packet_is_seen_behind_the_queue_that_holds_it() {
    const OURS: u32 = 1 << 30;
    let Some(pair) = Pair::make() else { return };
    let raw = pair.here.within(Raw::open).unwrap();
    let mut watch = open(&pair.here, None, Way::Out, TAG);
    let mut queue = pair.here.within(|| Queue::open(9, &queue::Options::default())).unwrap();
    let address = Match::Address {
        side: crate::netfilter::Side::Destination,
        network: THERE[0],
        bits: 32,
    };
    let ours = Match::NotMark {
        mask: OURS,
        value: OURS,
    };
    let chain = Chain {
        name: "output".to_owned(),
        hook: Hook::Output,
        priority: -300,
        rules: vec![Rule {
            matches: vec![ours, address],
            action: Action::Queue(9),
            counted: false,
        }],
    };
    let _table = pair.here.within(|| Table::make("held", &[chain])).unwrap();
    let bystander = Probe {
        to: OTHER[0],
        ..probe(0, UDP, 2, false)
    };
    raw.send(&probe(0, UDP, 1, false).bytes().unwrap(), 0, None).unwrap();
    raw.send(&bystander.bytes().unwrap(), 0, None).unwrap();
    assert_eq!(next(&mut watch).number, 2, "the other is held");
    let mut packets = Vec::new();
    until("it comes to the queue", || queue.receive(1, &mut packets).unwrap() == 1);
    queue.decide_up_to(packets[0].id, Verdict::Drop).unwrap();
    assert_eq!(watch.receive().unwrap(), None);
    let released = now();
    raw.send(&packets[0].payload, OURS, packets[0].output).unwrap();
    let seen = next(&mut watch);
    assert_eq!((seen.number, seen.at >= released), (1, true));
}

#[test]
fn packets_that_find_no_room_are_counted() {
    const SENT: u32 = 9000;
    let Some(pair) = Pair::make() else { return };
    let raw = pair.here.within(Raw::open).unwrap();
    let mut watch = open(&pair.here, Some(pair.near), Way::Out, TAG);
    let mut one = probe(0, UDP, 0, false);
    one.length = 1500;
    // The kernel looks for its neighbour first, and keeps few packets meanwhile.
    raw.send(&one.bytes().unwrap(), 0, None).unwrap();
    next(&mut watch);
    for number in 0..SENT {
        one.number = number;
        until("there is room to send", || {
            match raw.send(&one.bytes().unwrap(), 0, None) {
                Err(error) if crate::raw::is_full(&error) => false,
                sent => sent.is_ok(),
            }
        });
    }
    let seen = std::iter::from_fn(|| watch.receive().unwrap()).count() as u64;
    let lost = watch.lost().unwrap();
    assert!(lost > 0 && seen > 1000, "{seen} seen, {lost} lost");
    assert_eq!(seen + lost, u64::from(SENT));
    assert_eq!(watch.lost().unwrap(), lost, "it only grows");
}

#[test]
fn what_is_sent_in_is_seen_when_it_is_delivered_and_only_then() {
    let Some(pair) = Pair::make() else { return };
    let far = pair.there.within(|| Netlink::route()?.link(pair.far)).unwrap().unwrap();
    let address: Address = far.address.as_slice().try_into().unwrap();
    let inlet = pair.here.within(|| Inlet::open(pair.near, address)).unwrap();
    let kinds = [libc::IPPROTO_UDP, libc::IPPROTO_TCP].map(|number| number as u8);
    let all: Vec<_> = THERE.iter().flat_map(|to| kinds.map(|kind| (*to, kind))).collect();
    let mut delivered = pair.there.within(|| Delivered::open(&all, TAG)).unwrap();
    let next = |delivered: &mut Delivered| {
        let mut seen = None;
        until("a packet is delivered", || {
            seen = delivered.receive().unwrap();
            seen.is_some()
        });
        seen.unwrap()
    };
    for version in [0, 1] {
        let header = [20, 40][version];
        for (number, content) in [(1, UDP), (2, TCP)] {
            // Also from somebody who is not there.
            let nobody = ["10.77.0.9", "fd77::9"][version];
            let sent = Probe {
                from: nobody.parse().unwrap(),
                ..probe(version, content, number, false)
            };
            let bytes = sent.bytes().unwrap();
            let before = now();
            inlet.send(&bytes).unwrap();
            let seen = next(&mut delivered);
            assert_eq!((seen.number, &seen.content[..]), (number, &bytes[header..]));
            assert!(seen.at >= before && seen.at <= now());
        }
    }
    let drops = Chain {
        name: "input".to_owned(),
        hook: Hook::Input,
        priority: 0,
        rules: vec![Rule {
            matches: vec![Match::Protocol(libc::IPPROTO_UDP as u8)],
            action: Action::Drop,
            counted: true,
        }],
    };
    let mut table = pair.there.within(|| Table::make("drops", &[drops])).unwrap();
    inlet.send(&probe(0, UDP, 3, false).bytes().unwrap()).unwrap();
    until("it is dropped", || {
        table.counters().unwrap()[0][0].unwrap().packets == 1
    });
    inlet.send(&probe(0, TCP, 4, false).bytes().unwrap()).unwrap();
    assert_eq!(next(&mut delivered).number, 4);
}
