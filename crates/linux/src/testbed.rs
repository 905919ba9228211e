//! What tests of the network have: two network namespaces, joined by a pair of links, with addresses of both versions of IP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::namespace::NetNamespace;
use crate::netlink::{Netlink, RouteKind};
use crate::privileges::{Capability, missing};

/// No test waits longer for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Two namespaces. What is sent from `here` to the addresses of `there` arrives.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) here: NetNamespace,
    pub(crate) there: NetNamespace,
    /// The number of the link in `here`, which is called `near`; its other end is `far`.
    pub(crate) near: u32,
    pub(crate) far: u32,
}

/// The addresses of `here`, and of `there` the same with another end. The second of `there` is one more.
pub(crate) const HERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1)),
];
pub(crate) const THERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2)),
];
pub(crate) const OTHER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, 3)),
    IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 3)),
];

/// Whether there are the privileges for this. If not, the test is skipped, which is printed and under `CI=true` a failure.
pub(crate) fn may() -> bool {
    let needs = [Capability::SysAdmin, Capability::NetAdmin, Capability::NetRaw];
    let lacking = missing(&needs).unwrap();
    if !lacking.is_empty() {
        skipped(&format!("no {lacking:?}"));
    }
    lacking.is_empty()
}

pub(crate) fn skipped(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "CI=true forbids to skip: {why}"
    );
    eprintln!("skipped: {why}");
}

impl Pair {
    /// `None`: this user may not.
    pub(crate) fn make() -> Option<Self> {
        if !may() {
            return None;
        }
        let (here, there) = (NetNamespace::make().unwrap(), NetNamespace::make().unwrap());
        let mut netlink = here.within(Netlink::route).unwrap();
        let mut peer = there.within(Netlink::route).unwrap();
        let near = netlink.make_pair("near", "far", &there).unwrap();
        let far = peer.link_by_name("far").unwrap().unwrap().index;
        for (netlink, index, addresses) in [(&mut netlink, near, &[HERE][..]), (&mut peer, far, &[THERE, OTHER])] {
            let loopback = netlink.links().unwrap().into_iter().find(|link| link.loopback).unwrap();
            netlink.set_up(loopback.index, true).unwrap();
            netlink.set_up(index, true).unwrap();
            for address in addresses.as_flattened() {
                let bits = if address.is_ipv4() { 24 } else { 64 };
                add_address(netlink, index, *address, bits);
            }
        }
        // The kernel looks at carriers in its own time, and drops what is sent before.
        until("the links carry", || {
            let up = |netlink: &mut Netlink, index| netlink.link(index).unwrap().unwrap().operational;
            up(&mut netlink, near) && up(&mut peer, far)
        });
        Some(Self { here, there, near, far })
    }
}

/// Gives a link an address, and waits until it is used: of IPv6 the kernel takes it in its own time (`addrconf_dad_work`).
pub(crate) fn add_address(netlink: &mut Netlink, index: u32, address: IpAddr, bits: u8) {
    netlink.add_address(index, address, bits).unwrap();
    until("an address is used", || {
        let route = netlink.route_to(address, 0, Some(index)).unwrap();
        route.is_some_and(|route| route.kind == RouteKind::Local)
    });
}

pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}

/// A socket of UDP in a namespace.
pub(crate) fn udp(namespace: &NetNamespace, address: IpAddr, port: u16) -> std::net::UdpSocket {
    let socket = namespace
        .within(|| std::net::UdpSocket::bind(SocketAddr::new(address, port)))
        .unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// What a program says within the namespace; `None`, with a printed skip, without it.
#[expect(clippy::disallowed_methods, reason = "a peer to compare with")]
pub(crate) fn peer(namespace: &NetNamespace, program: &str, words: &[&str]) -> Option<Output> {
    match namespace.within(|| std::process::Command::new(program).args(words).output()) {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skipped(&format!("no {program}"));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// As [`peer`], for what must work: what it prints.
pub(crate) fn said(namespace: &NetNamespace, program: &str, words: &[&str]) -> Option<String> {
    let output = peer(namespace, program, words)?;
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}
