//! Takes new connections to a port of this namespace before its own program does, for somebody who stands in front of it.
//!
//! No address is translated: a packet that begins a connection is given to a transparent socket (Documentation/networking/tproxy.rst), and
//! what follows finds the connection's own socket, which has the address and port that the client called. So the kernel keeps nothing of it
//! but that socket. Connections that were open before are not looked at, and when the diversion ends, however it ends, new ones come to the
//! port's own program again, while those that were taken go on as long as whoever took them.
//!
//! It stands behind the translation of addresses: the port is the one at which packets arrive. What its holder sends goes past
//! ([`go_past`]), so that it reaches the port itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::error::{Context, errno};
use crate::netfilter::{Action, Chain, Hook, Match, Rule, Side, Table};
use crate::relay::{self, LEASE, RENEW};
use crate::sockets::set_option;

/// The chain, whose rules count the connections that were taken.
pub const CHAIN: &str = "diverted";
/// Behind the translation of addresses, which is at -100.
const PRIORITY: i32 = -90;
/// The flags that tell a packet that begins a connection: SYN without ACK.
const SYN: u8 = 0x02;
const SYN_OR_ACK: u8 = 0x12;
/// So many connections may wait to be taken; more than the kernel allows are as many as that.
const QUEUE: i32 = 4096;
/// The loopback addresses, which a namespace has when its loopback device is up.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A diversion. Dropping it ends it; its listeners are whoever's took them.
#[derive(Debug)]
pub struct Diversion {
    table: Table,
    renewed: Instant,
}

/// Has whatever this socket of TCP sends go past all diversions and relays of its namespace. Needs `CAP_NET_ADMIN`.
///
/// # Errors
/// The kernel refuses the mark.
pub fn go_past(socket: impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_MARK, &relay::MARKS).context(|| "cannot mark a socket".into())
}

impl Diversion {
    /// Diverts new connections to this port, from now on for as long as its lease: all in the network namespace of this thread, by a table
    /// of this name. Gives the listeners to which they come, one for each version of IP that the namespace has. What comes there by another
    /// port has called the listener itself. Needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// The namespace has no loopback address, or the kernel refuses a socket or a rule.
    pub fn open(table: &str, port: u16) -> io::Result<(Self, Vec<TcpListener>)> {
        let mut listeners = Vec::new();
        for address in LOOPBACK {
            match listen(address) {
                Ok(listener) => listeners.push(listener),
                // The namespace has no such version of IP.
                Err(error) if matches!(errno(&error), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)) => {}
                Err(error) => return Err(error).context(|| format!("cannot listen on {address}")),
            }
        }
        if listeners.is_empty() {
            return Err(io::Error::other(
                "the network namespace has no loopback address to listen on",
            ));
        }
        let to: Vec<_> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<_>>()?;
        let mut table = Table::make(table, &[chain(port, &to)])?;
        table.renew(LEASE)?;
        let renewed = Instant::now();
        Ok((Self { table, renewed }, listeners))
    }

    /// Renews the lease, if it is time. Without it new connections come to the port's own program after [`LEASE`].
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn renew(&mut self) -> io::Result<()> {
        if self.renewed.elapsed() < RENEW {
            return Ok(());
        }
        self.renewed = Instant::now();
        self.table.renew(LEASE)
    }

    /// How long nobody need renew it.
    pub const EACH: Duration = RENEW;
}

/// Whether this kernel can divert connections: it is done in the network namespace of this thread, where nobody is.
///
/// # Errors
/// What the kernel refused.
pub(crate) fn try_rules(table: &str) -> io::Result<()> {
    let to = LOOPBACK.map(|address| SocketAddr::new(address, 1));
    Table::make(table, &[chain(1, &to)])?;
    listen(LOOPBACK[0]).map(drop)
}

fn listen(address: IpAddr) -> io::Result<TcpListener> {
    // It has SO_REUSEADDR, as those of its connections have, which are at the port of somebody who may want to listen there once more.
    let listener = TcpListener::bind((address, 0))?;
    let (level, option) = match address {
        IpAddr::V4(_) => (libc::SOL_IP, libc::IP_TRANSPARENT),
        IpAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_TRANSPARENT),
    };
    set_option(&listener, level, option, &1_i32)?;
    // What the library asks for is less than most servers do, and who comes in a burst would wait for a second.
    rustix::net::listen(&listener, QUEUE)?;
    Ok(listener)
}

fn chain(port: u16, to: &[SocketAddr]) -> Chain {
    let accept = |one| Rule {
        matches: vec![one],
        action: Action::Accept,
        counted: false,
    };
    let is_ours = Match::Mark {
        mask: relay::MARKS,
        value: relay::MARKS,
    };
    let mut rules = vec![accept(Match::LeaseOver), accept(is_ours)];
    rules.extend(to.iter().map(|to| Rule {
        matches: vec![
            Match::Protocol(libc::IPPROTO_TCP as u8),
            Match::Port {
                side: Side::Destination,
                first: port,
                last: port,
            },
            Match::TcpFlags {
                mask: SYN_OR_ACK,
                value: SYN,
            },
            Match::ForUs,
        ],
        action: Action::Give(*to),
        counted: true,
    }));
    Chain {
        name: CHAIN.to_owned(),
        hook: Hook::Prerouting,
        priority: PRIORITY,
        rules,
    }
}

#[cfg(test)]
mod tests;
