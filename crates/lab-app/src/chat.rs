//! Sends datagrams to a neighbour: the gateway, or else the first address of the first network that this machine is in.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

/// The port for whatever nobody wants (RFC 863).
pub(crate) const DISCARD: u16 = 9;

pub(crate) fn start(every: Duration) {
    thread::spawn(move || {
        loop {
            // Nobody answers, and nobody need hear it.
            if let (Some(neighbour), Ok(socket)) = (neighbour(), UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))) {
                let _unheard = socket.send_to(b"hello", (neighbour, DISCARD));
            }
            crate::pause(every);
        }
    });
}

/// From the table of routes: destination, gateway and mask are numbers in the machine's own byte order (`fib_route_seq_show` in
/// net/ipv4/fib_trie.c).
pub(crate) fn neighbour() -> Option<Ipv4Addr> {
    let table = std::fs::read_to_string("/proc/net/route").ok()?;
    let routes: Vec<[u32; 2]> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let mut number = || u32::from_str_radix(fields.next()?, 16).ok();
            Some([number()?, number()?])
        })
        .collect();
    let address = |number: u32| Ipv4Addr::from(number.to_ne_bytes());
    let gateway = routes.iter().find(|[_, gateway]| *gateway != 0);
    match gateway {
        Some([_, gateway]) => Some(address(*gateway)),
        None => routes
            .first()
            .map(|[network, _]| Ipv4Addr::from_bits(address(*network).to_bits() | 1)),
    }
}
