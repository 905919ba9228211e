use std::net::IpAddr;

use super::super::message::HEADER;
use super::super::{InterfaceAddress, fuzz_answer};
use super::*;
use crate::testbed::{HERE, Pair, THERE, said};

#[test]
fn the_way_to_a_destination_is_told() {
    let Some(pair) = Pair::make() else { return };
    let mut netlink = pair.here.within(Netlink::route).unwrap();
    let mut to = |to: &str, link| netlink.route_to(to.parse().unwrap(), 0, link);
    for version in [0, 1] {
        let there = to(&THERE[version].to_string(), None).unwrap().unwrap();
        let wanted = Route {
            kind: RouteKind::Unicast,
            link: Some(pair.near),
            gateway: None,
            source: Some(HERE[version]),
            mtu: None,
        };
        assert_eq!(there, wanted);
        let ours = to(&HERE[version].to_string(), None).unwrap().unwrap();
        assert_eq!(ours.kind, RouteKind::Local);
    }
    assert_eq!(to("10.77.0.255", None).unwrap().unwrap().kind, RouteKind::Broadcast);
    assert_eq!(
        to("ff02::1", Some(pair.near)).unwrap().unwrap().kind,
        RouteKind::Multicast
    );
    for nowhere in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(to(nowhere, None).unwrap(), None);
    }
    assert!(to("192.0.2.1", Some(9999)).is_err(), "no such interface");
    for words in [
        "route add 192.0.2.0/25 via 10.77.0.9 mtu 1300",
        "route add 192.0.2.128/25 via inet6 fd77::9",
        "-6 route add 2001:db8::/64 via fd77::9",
        "-6 route add prohibit 2001:db8:1::/64",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        if said(&pair.here, "ip", &words).is_none() {
            return;
        }
    }
    let (one, other): (IpAddr, IpAddr) = ("10.77.0.9".parse().unwrap(), "fd77::9".parse().unwrap());
    for (destination, gateway, mtu) in [
        ("192.0.2.1", one, Some(1300)),
        ("192.0.2.129", other, None),
        ("2001:db8::1", other, None),
    ] {
        let found = to(destination, None).unwrap().unwrap();
        assert_eq!(
            (found.link, found.gateway, found.mtu),
            (Some(pair.near), Some(gateway), mtu)
        );
    }
    assert_eq!(to("2001:db8:1::1", None).unwrap(), None, "it is forbidden");
}

#[test]
fn addresses_are_listed() {
    let Some(pair) = Pair::make() else { return };
    let mut netlink = pair.here.within(Netlink::route).unwrap();
    let found = netlink.addresses().unwrap();
    for (address, bits) in HERE.into_iter().zip([24, 64]) {
        let wanted = InterfaceAddress {
            link: pair.near,
            address,
            bits,
            usable: true,
        };
        assert!(found.contains(&wanted), "{wanted:?} in {found:?}");
    }
    assert!(found.iter().any(|one| one.address.is_loopback() && one.bits == 8));
    // Of two ends, our own; and one that somebody else may have, which is asked for about a second.
    for words in [
        "addr add 10.9.9.1 peer 10.9.9.2/32 dev near",
        "addr add fd99::1/64 dev near",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        if said(&pair.here, "ip", &words).is_none() {
            return;
        }
    }
    let found = netlink.addresses().unwrap();
    let one = |text: &str| {
        found
            .iter()
            .find(|one| one.address == text.parse::<IpAddr>().unwrap())
            .copied()
    };
    assert_eq!((one("10.9.9.1").unwrap().bits, one("10.9.9.2")), (32, None));
    assert!(!one("fd99::1").unwrap().usable);
}

/// The body of a message.
fn body(fixed: &[u8], fill: impl FnOnce(Message) -> Message) -> Vec<u8> {
    fill(Message::new(1, 0, fixed)).finish(0, 0).unwrap()[HEADER..].to_vec()
}

#[test]
fn what_is_no_route_and_no_address_is_an_error() {
    let (v4, v6) = (libc::AF_INET as u8, libc::AF_INET6 as u8);
    let route = |family| [family, 32, 0, 0, 0, 0, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
    for bad in [
        vec![],
        route(v4)[..11].to_vec(),
        body(&route(libc::AF_BRIDGE as u8), |message| message),
        body(&route(v4), |message| message.put(libc::RTA_OIF, &[1])),
        body(&route(v4), |message| message.put(libc::RTA_GATEWAY, &[1; 16])),
        body(&route(v6), |message| message.put(libc::RTA_GATEWAY, &[1; 4])),
        body(&route(v4), |message| message.put(VIA, &[1])),
        body(&route(v4), |message| message.put(VIA, &[99, 0, 1, 2, 3, 4])),
        body(&route(v4), |message| {
            message.nest(libc::RTA_METRICS, |nested| nested.put(METRIC_MTU, &[1]))
        }),
    ] {
        assert!(Route::parse(&bad).is_err(), "{bad:?}");
        fuzz_answer(&bad);
    }
    let address = |family, bits| [family, bits, 0, 0, 7, 0, 0, 0];
    for bad in [
        vec![],
        address(v4, 8)[..7].to_vec(),
        body(&address(v4, 8), |message| message),
        body(&address(v4, 33), |message| message.put(libc::IFA_LOCAL, &[1; 4])),
        body(&address(v6, 129), |message| message.put(libc::IFA_LOCAL, &[1; 16])),
        body(&address(v4, 8), |message| message.put(libc::IFA_LOCAL, &[1; 16])),
        body(&address(v4, 8), |message| {
            message.put(libc::IFA_LOCAL, &[1; 4]).put(8, &[0; 3])
        }),
    ] {
        assert!(InterfaceAddress::parse(&bad).is_err(), "{bad:?}");
        fuzz_answer(&bad);
    }
    let other = body(&address(libc::AF_BRIDGE as u8, 0), |message| message);
    assert_eq!(InterfaceAddress::parse(&other).unwrap(), None);
    let failed = body(&address(v4, 8), |message| {
        message.put(libc::IFA_ADDRESS, &[1; 4]).put_u32(8, 8)
    });
    let failed = InterfaceAddress::parse(&failed).unwrap().unwrap();
    assert_eq!((failed.link, failed.usable), (7, false));
}
