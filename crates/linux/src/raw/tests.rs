use std::net::{SocketAddr, UdpSocket};

use super::*;
use crate::netfilter::{Action, Chain, Hook, Match, Rule, Table, Version};
use crate::netlink::Netlink;
use crate::testbed::{HERE, OTHER, Pair, THERE, add_address, udp};

/// A packet of UDP without a checksum of its own; IPv6 wants one.
fn packet(from: IpAddr, to: IpAddr, port: u16, content: &[u8]) -> Vec<u8> {
    let length = 8 + content.len() as u16;
    let mut udp = [9_u16, port, length, 0].map(u16::to_be_bytes).concat();
    udp.extend_from_slice(content);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
            header.extend(from.octets().into_iter().chain(to.octets()));
            [header, udp].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes().into_iter().chain([17, 64]));
            header.extend(from.octets().into_iter().chain(to.octets()));
            let mut whole = [header, udp].concat();
            let words = whole[8..]
                .chunks(2)
                .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
            let mut sum = words.sum::<u32>() + u32::from(length) + 17;
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            whole[46..48].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            whole
        }
        _ => panic!("two versions"),
    }
}

fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

#[test]
fn packets_arrive_as_they_are_with_the_mark_that_each_has() {
    let Some(pair) = Pair::make() else { return };
    let mark = |mask, value| Rule {
        matches: vec![Match::Protocol(libc::IPPROTO_UDP as u8), Match::Mark { mask, value }],
        action: Action::Accept,
        counted: true,
    };
    let chain = Chain {
        name: "marks".to_owned(),
        hook: Hook::Postrouting,
        priority: 0,
        rules: vec![mark(!0, 0), mark(!0, 5), mark(1 << 31, 1 << 31)],
    };
    let mut table = pair.here.within(|| Table::make("marks", &[chain])).unwrap();
    let raw = pair.here.within(Raw::open).unwrap();
    for version in [0, 1] {
        let socket = udp(&pair.there, THERE[version], 7);
        // From an address that nobody here has.
        let from = OTHER[version];
        for (mark, via) in [(0, None), (5, Some(pair.near)), (u32::MAX, None), (5, None)] {
            let sent = packet(HERE[version], THERE[version], 7, &[mark as u8; 33]);
            raw.send(&sent, mark, via).unwrap();
            assert_eq!(
                received(&socket),
                (vec![mark as u8; 33], SocketAddr::new(HERE[version], 9))
            );
        }
        let error = raw
            .send(&packet(from, THERE[version], 7, &[0; 1600]), 0, None)
            .unwrap_err();
        assert!(is_too_long(&error) && !is_full(&error), "{error}");
        assert!(error.to_string().contains("to "), "{error}");
    }
    let counters = table.counters().unwrap();
    let packets: Vec<_> = counters[0].iter().map(|counter| counter.unwrap().packets).collect();
    assert_eq!(packets, [2, 4, 2]);
}

#[test]
fn what_is_meant_for_a_link_leaves_by_it() {
    let Some(pair) = Pair::make() else { return };
    let raw = pair.here.within(Raw::open).unwrap();
    // To everybody on the link, of both versions.
    for (from, to, everywhere) in [
        (HERE[0], "10.77.0.255", "0.0.0.0"),
        (HERE[0], "255.255.255.255", "0.0.0.0"),
        (HERE[1], "ff02::1", "::"),
    ] {
        let socket = udp(&pair.there, everywhere.parse().unwrap(), 7);
        raw.send(&packet(from, to.parse().unwrap(), 7, b"all"), 0, Some(pair.near))
            .unwrap();
        assert_eq!(received(&socket).0, b"all", "{to}");
    }
    // An address of one link.
    let local: Ipv6Addr = "fe80::77".parse().unwrap();
    let mut netlink = pair.there.within(Netlink::route).unwrap();
    add_address(&mut netlink, pair.far, local.into(), 64);
    let socket = udp(&pair.there, "::".parse().unwrap(), 7);
    let sent = packet(HERE[1], local.into(), 7, b"local");
    raw.send(&sent, 0, Some(pair.near)).unwrap();
    assert_eq!(received(&socket).0, b"local");
}

#[test]
fn what_a_rule_drops_is_told() {
    let Some(pair) = Pair::make() else { return };
    let raw = pair.here.within(Raw::open).unwrap();
    let chain = Chain {
        name: "drop".to_owned(),
        hook: Hook::Output,
        priority: 0,
        rules: vec![Rule {
            matches: vec![Match::Version(Version::V4)],
            action: Action::Drop,
            counted: false,
        }],
    };
    let _table = pair.here.within(|| Table::make("drop", &[chain])).unwrap();
    let error = raw.send(&packet(HERE[0], THERE[0], 7, b"x"), 0, None).unwrap_err();
    assert_eq!(errno(&error), Some(libc::EPERM), "{error}");
    raw.send(&packet(HERE[1], THERE[1], 7, b"x"), 0, None).unwrap();
}

#[test]
fn what_is_no_packet_is_not_sent() {
    let v4 = packet(HERE[0], THERE[0], 7, b"");
    let v6 = packet(HERE[1], THERE[1], 7, b"");
    assert_eq!(destination(&v4).unwrap(), THERE[0]);
    assert_eq!(destination(&v6).unwrap(), THERE[1]);
    for wrong in [&[][..], &[0x45], &v4[..19], &v6[..39], &[0x50; 60], &[0; 60]] {
        assert!(destination(wrong).is_err(), "{wrong:?}");
    }
    for (address, needs) in [
        ("fe80::1", true),
        ("ff02::1", true),
        ("ff01::1", true),
        ("ff05::1", false),
        ("fd00::1", false),
    ] {
        assert_eq!(needs_link(address.parse().unwrap()), needs, "{address}");
    }
}
