use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::namespace::NetNamespace;
use crate::netlink::Netlink;
use crate::testbed::{LIMIT, OTHER, Pair, THERE, add_address, said, skipped, until};

const PORT: u16 = 8080;

/// A program at the port of all addresses of the namespace, which says `app` to each connection and then says back what it hears.
fn program(there: &NetNamespace, port: u16) {
    let listener = there
        .within(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
        .unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                stream.write_all(b"app").unwrap();
                let mut byte = [0];
                // The client may be gone: then this is over.
                while stream.read(&mut byte).is_ok_and(|count| count == 1) && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

/// Whoever stands in front says `me` and whom the client called.
fn stand(listeners: Vec<TcpListener>) {
    for listener in listeners {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let called = stream.local_addr().unwrap();
                // The client may be gone.
                let _gone = stream.write_all(format!("me {called}").as_bytes());
            }
        });
    }
}

fn connect(from: &NetNamespace, to: SocketAddr) -> TcpStream {
    let stream = from.within(|| TcpStream::connect_timeout(&to, LIMIT)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Who answers there.
fn who(from: &NetNamespace, to: SocketAddr) -> String {
    let mut stream = connect(from, to);
    let mut said = vec![0; 64];
    let count = stream.read(&mut said).unwrap();
    String::from_utf8_lossy(&said[..count]).into_owned()
}

/// `None`, with a printed skip: this user may not, or this kernel cannot.
fn pair() -> Option<Pair> {
    let pair = Pair::make()?;
    let possible = NetNamespace::make().unwrap().within(|| try_rules("probe"));
    if let Err(error) = possible {
        skipped(&format!("a kernel that cannot divert: {error}"));
        return None;
    }
    Some(pair)
}

/// From where, and to whom: from outside, and from inside to each of its own.
fn ways(pair: &Pair) -> Vec<(&NetNamespace, IpAddr)> {
    let outside = THERE.into_iter().chain(OTHER).map(|to| (&pair.here, to));
    let inside = THERE.into_iter().chain(LOOPBACK).map(|to| (&pair.there, to));
    outside.chain(inside).collect()
}

#[test]
fn new_connections_are_taken_from_wherever_they_come_and_come_back_at_the_end() {
    let Some(pair) = pair() else { return };
    program(&pair.there, PORT);
    program(&pair.there, PORT + 1);
    let before: Vec<TcpStream> = ways(&pair)
        .into_iter()
        .map(|(from, to)| connect(from, SocketAddr::new(to, PORT)))
        .collect();
    let speak = |mut stream: &TcpStream, word: &[u8]| {
        stream.write_all(word).unwrap();
        let mut heard = vec![0; word.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, word);
    };
    for mut stream in &before {
        stream.read_exact(&mut [0; 3]).unwrap();
        speak(stream, b"before");
    }
    let (diversion, listeners) = pair.there.within(|| Diversion::open("it", PORT)).unwrap();
    assert_eq!(listeners.len(), 2);
    let own = listeners[0].local_addr().unwrap();
    stand(listeners);
    let mut diversion = Some(diversion);
    for _ in 0..2 {
        for (from, to) in ways(&pair) {
            diversion.as_mut().unwrap().renew().unwrap();
            let called = SocketAddr::new(to, PORT);
            assert_eq!(who(from, called), format!("me {called}"));
            assert_eq!(who(from, SocketAddr::new(to, PORT + 1)), "app", "another port");
        }
        for stream in &before {
            speak(stream, b"during");
        }
    }
    // Who calls the listener itself is told by its port.
    assert_eq!(who(&pair.there, own), format!("me {own}"));
    let counted = pair.there.within(|| Netlink::netfilter()?.rule_counters("it")).unwrap();
    let all: u64 = counted.values().map(|counter| counter.packets).sum();
    assert_eq!(all, 2 * ways(&pair).len() as u64);
    diversion.take();
    assert!(!pair.there.within(|| Netlink::netfilter()?.has_table("it")).unwrap());
    for (from, to) in ways(&pair) {
        assert_eq!(who(from, SocketAddr::new(to, PORT)), "app");
    }
    for stream in &before {
        speak(stream, b"after");
    }
}

#[test]
fn who_stands_in_front_reaches_the_program_itself_and_what_is_taken_outlives_the_diversion() {
    let Some(pair) = pair() else { return };
    program(&pair.there, PORT);
    let (diversion, listeners) = pair.there.within(|| Diversion::open("it", PORT)).unwrap();
    let called = SocketAddr::new(THERE[0], PORT);
    let mut client = connect(&pair.here, called);
    let mut taken = listeners[0].accept().unwrap().0;
    assert_eq!(taken.peer_addr().unwrap(), client.local_addr().unwrap());
    // As a proxy does it.
    let mut past = pair
        .there
        .within(|| {
            let socket = rustix::net::socket(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                Some(rustix::net::ipproto::TCP),
            )?;
            go_past(&socket)?;
            rustix::net::connect(&socket, &called)?;
            Ok(TcpStream::from(socket))
        })
        .unwrap();
    let mut word = [0; 3];
    past.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"app");
    drop((diversion, listeners));
    taken.write_all(b"still").unwrap();
    let mut word = [0; 5];
    client.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"still");
    client.write_all(b"here").unwrap();
    taken.read_exact(&mut [0; 4]).unwrap();
    // The port can be listened to once more although there are connections of ours at it: a program that starts again does so.
    let again = Pair::make().unwrap();
    let (_diversion, listeners) = again.there.within(|| Diversion::open("it", PORT)).unwrap();
    let _client = connect(&again.here, called);
    let _taken = listeners[0].accept().unwrap().0;
    program(&again.there, PORT);
}

#[test]
fn what_is_not_served_any_more_is_passed_by() {
    let Some(pair) = pair() else { return };
    program(&pair.there, PORT);
    let (_held, listeners) = pair.there.within(|| Diversion::open("it", PORT)).unwrap();
    stand(listeners);
    let to = SocketAddr::new(THERE[1], PORT);
    until("its lease is over", || who(&pair.here, to) == "app");
}

#[test]
fn what_only_passes_through_is_let_go() {
    let Some(pair) = pair() else { return };
    let third = NetNamespace::make().unwrap();
    let mut router = pair.there.within(Netlink::route).unwrap();
    let mut end = third.within(Netlink::route).unwrap();
    let near = router.make_pair("near", "end", &third).unwrap();
    let far = end.link_by_name("end").unwrap().unwrap().index;
    let (inner, beyond) = (IpAddr::from([10, 78, 0, 1]), IpAddr::from([10, 78, 0, 2]));
    for (netlink, index, address) in [(&mut router, near, inner), (&mut end, far, beyond)] {
        netlink.set_up(index, true).unwrap();
        add_address(netlink, index, address, 24);
    }
    until("the links carry", || {
        let up = |netlink: &mut Netlink, index| netlink.link(index).unwrap().unwrap().operational;
        up(&mut router, near) && up(&mut end, far)
    });
    pair.there
        .within(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
        .unwrap();
    for (namespace, to, by) in [
        (&pair.here, "10.78.0.0/24", "10.77.0.2"),
        (&third, "default", "10.78.0.1"),
    ] {
        if said(namespace, "ip", &["route", "add", to, "via", by]).is_none() {
            return;
        }
    }
    program(&third, PORT);
    let (_diversion, listeners) = pair.there.within(|| Diversion::open("it", PORT)).unwrap();
    stand(listeners);
    assert_eq!(who(&pair.here, SocketAddr::new(beyond, PORT)), "app");
    let own = SocketAddr::new(inner, PORT);
    assert_eq!(who(&third, own), format!("me {own}"));
}

/// What we write is what `nft` reads.
#[test]
fn the_rules_are_those_of_nft() {
    let Some(pair) = pair() else { return };
    let (_diversion, listeners) = pair.there.within(|| Diversion::open("it", PORT)).unwrap();
    let Some(text) = said(&pair.there, "nft", &["list", "table", "inet", "it"]) else {
        return;
    };
    for listener in &listeners {
        let to = listener.local_addr().unwrap();
        let version = if to.is_ipv4() { "ip" } else { "ip6" };
        let rule = text
            .lines()
            .find(|line| line.contains(&format!("tproxy {version} to {to} ")));
        let rule = rule.unwrap_or_else(|| panic!("no rule to {to}: {text}"));
        for part in ["tcp dport 8080", "syn", "fib daddr type local", "counter", "accept"] {
            assert!(rule.contains(part), "{part}: {rule}");
        }
    }
    assert!(
        text.contains("type filter hook prerouting priority dstnat + 10"),
        "{text}"
    );
}

#[test]
fn a_rule_that_gives_packets_to_a_socket_is_of_tcp_and_of_its_version() {
    if !crate::testbed::may() {
        return;
    }
    let give = |matches: &[Match], to: &str| {
        let rule = Rule {
            matches: matches.to_vec(),
            action: Action::Give(to.parse().unwrap()),
            counted: false,
        };
        let chain = Chain {
            name: "it".to_owned(),
            hook: Hook::Prerouting,
            priority: 0,
            rules: vec![rule],
        };
        let made = NetNamespace::make().unwrap().within(|| Table::make("it", &[chain]));
        made.map(drop).map_err(|error| error.to_string())
    };
    let tcp = Match::Protocol(libc::IPPROTO_TCP as u8);
    let six = Match::Version(crate::netfilter::Version::V6);
    let refused = give(&[], "127.0.0.1:1").unwrap_err();
    assert!(refused.contains("must have the protocol TCP"), "{refused}");
    let refused = give(&[tcp.clone(), six], "127.0.0.1:1").unwrap_err();
    assert!(refused.contains("the other version of IP"), "{refused}");
    if let Err(refused) = give(&[tcp], "127.0.0.1:1") {
        skipped(&refused);
    }
}

#[test]
fn a_burst_of_connections_waits_to_be_taken() {
    let Some(pair) = pair() else { return };
    let (_diversion, _nobody_takes) = pair.there.within(|| Diversion::open("it", PORT)).unwrap();
    let to = SocketAddr::new(THERE[0], PORT);
    // Twice as many as the library's queue has room for.
    let waiting: Vec<_> = (0..256).map(|_| connect(&pair.here, to)).collect();
    assert_eq!(waiting.len(), 256);
}
