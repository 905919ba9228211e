//! What this kernel can do with packets, found out by doing it where nobody is.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use super::rule::{Action, Chain, Hook, Match, Rule};
use super::table::{QueueWay, Table};
use crate::error::Context;
use crate::namespace::NetNamespace;
use crate::netlink::Netlink;
use crate::queue::{self, Queue};

/// A queue in a namespace where there is no other.
const NUMBER: u16 = 1;
const NAME: &str = "fracas-probe";
/// Over the loopback device a packet is there at once.
const LIMIT: Duration = Duration::from_secs(1);

/// What this kernel can do. Modules may have been loaded to find out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Possible {
    /// Tables of packet rules that go with the socket that they belong to.
    pub owner: bool,
    /// Rules that take packets by chance, and that tell the sender that they were not let through.
    pub refusal: bool,
    /// Whether rules can give packets to a queue, and how.
    pub queue: Option<QueueWay>,
    /// Whether rules can be bound to a lease that runs out by itself.
    pub lease: bool,
    /// Whether packets go on where nobody listens to their queue: seen, not only accepted.
    pub bypass: bool,
    /// Whether a program can listen to a queue.
    pub listen: bool,
    /// Whether connections can be taken before the program that listens to their port.
    pub diversion: bool,
    /// What the kernel said to what it cannot, also where there is another way.
    pub refused: Vec<String>,
}

impl Possible {
    /// Whether packets can be given to a program and the kernel tidies up behind it.
    pub fn packet_queue(&self) -> bool {
        self.owner && self.lease && self.queue.is_some() && self.bypass && self.listen
    }
}

/// Finds out what this kernel can do, in a network namespace that is made for it and goes with it.
///
/// # Errors
/// The namespace cannot be made (`CAP_SYS_ADMIN`), or nothing can be told in it.
pub fn possible() -> io::Result<Possible> {
    let namespace = NetNamespace::make()?;
    namespace.within(|| {
        let mut route = Netlink::route()?;
        let loopback = route.links()?.into_iter().find(|link| link.loopback);
        if let Some(loopback) = loopback {
            route.set_up(loopback.index, true)?;
        }
        let queued = Rule {
            matches: Vec::new(),
            action: Action::Queue(NUMBER),
            counted: false,
        };
        let mut possible = Possible::default();
        match Table::make(NAME, &[]) {
            Ok(_table) => possible.owner = true,
            Err(error) => possible.refused.push(error.to_string()),
        }
        match Table::make(NAME, &refusals()) {
            Ok(_table) => possible.refusal = true,
            Err(error) => possible.refused.push(error.to_string()),
        }
        let leased = Rule {
            matches: vec![Match::LeaseOver],
            action: Action::Accept,
            counted: false,
        };
        match Table::make(NAME, &[chain(leased)]).and_then(|mut table| table.renew(LIMIT)) {
            Ok(()) => possible.lease = true,
            Err(error) => possible.refused.push(error.to_string()),
        }
        match crate::diversion::try_rules(NAME) {
            Ok(()) => possible.diversion = true,
            Err(error) => possible.refused.push(error.to_string()),
        }
        for way in [QueueWay::Expression, QueueWay::Target] {
            match Table::make_by(way, NAME, &[chain(queued.clone())]) {
                Ok(_table) => {
                    possible.queue = Some(way);
                    possible.bypass = arrives().context(|| "cannot see whether a packet arrives".into())?;
                    break;
                }
                Err(error) => {
                    let way = match way {
                        QueueWay::Expression => "queue of nftables",
                        QueueWay::Target => "target NFQUEUE",
                    };
                    possible.refused.push(format!("no rules with the {way}: {error}"));
                }
            }
        }
        match Queue::open(NUMBER, &queue::Options::default()) {
            Ok(_queue) => possible.listen = true,
            Err(error) => possible.refused.push(error.to_string()),
        }
        Ok(possible)
    })
}

fn chain(rule: Rule) -> Chain {
    Chain {
        name: "output".to_owned(),
        hook: Hook::Output,
        priority: 0,
        rules: vec![rule],
    }
}

/// Of each kind one, in both places where they are used.
fn refusals() -> Vec<Chain> {
    let rule = |matches, action| Rule {
        matches,
        action,
        counted: true,
    };
    [("input", Hook::Input), ("output", Hook::Output)]
        .map(|(name, hook)| Chain {
            name: name.to_owned(),
            hook,
            priority: 0,
            rules: vec![
                rule(vec![Match::Share { taken: 1, of: 2 }], Action::Drop),
                rule(vec![Match::Protocol(libc::IPPROTO_TCP as u8)], Action::Reset),
                rule(Vec::new(), Action::Unreachable),
            ],
        })
        .into()
}

/// Whether a packet to ourselves arrives.
fn arrives() -> io::Result<bool> {
    let here = UdpSocket::bind("127.0.0.1:0")?;
    here.set_read_timeout(Some(LIMIT))?;
    here.send_to(b"?", here.local_addr()?)?;
    match here.recv(&mut [0; 1]) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
        Err(error) => Err(error),
    }
}
