//! Which queues of a network namespace are in use.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

use crate::error::{Context, invalid};
use crate::netlink::Netlink;

/// That of the calling *thread's* network namespace. Others see nothing of the processes' below /proc/net.
const FILE: &str = "/proc/thread-self/net/netfilter/nfnetlink_queue";
/// A line for each of 65,536 queues.
const LIMIT: u64 = 8 << 20;

/// A queue that somebody listens to (`seq_show` in net/netfilter/nfnetlink_queue.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The number of the queue.
    pub number: u16,
    /// The netlink port of whoever listens.
    pub port: u32,
    /// Packets that wait for a verdict.
    pub waiting: u32,
    /// Packets that were dropped because as many waited as may.
    pub dropped: u32,
    /// Packets that were dropped because the listener's socket was full.
    pub user_dropped: u32,
    /// The number of the last packet.
    pub last: u32,
}

/// The queues that are listened to in the network namespace of this thread.
pub fn listeners() -> io::Result<Vec<Listener>> {
    let what = || format!("cannot read {FILE}");
    let mut text = String::new();
    File::open(FILE)
        .and_then(|file| file.take(LIMIT).read_to_string(&mut text))
        .context(what)?;
    if text.len() as u64 >= LIMIT {
        return Err(invalid("it has more lines than there are queues")).context(what);
    }
    text.lines().map(|line| Listener::parse(line).context(what)).collect()
}

/// The queues that somebody listens to, or that a rule of nftables may give packets to, in the network namespace of this thread. The
/// connection is one of [`Netlink::netfilter`], of the same namespace. Rules that iptables(8) made in its older way are not seen.
pub fn taken(netlink: &mut Netlink) -> io::Result<BTreeSet<u16>> {
    let mut taken = netlink.queues_of_rules()?;
    taken.extend(listeners()?.into_iter().map(|listener| listener.number));
    Ok(taken)
}

/// The first queue from this one on that is not taken; behind the last comes the first again. `None`: all are taken.
pub fn free(taken: &BTreeSet<u16>, from: u16) -> Option<u16> {
    (from..=u16::MAX).chain(0..from).find(|number| !taken.contains(number))
}

impl Listener {
    fn parse(line: &str) -> io::Result<Self> {
        let wrong = || invalid(format!("{line:?} is no queue"));
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let mut next = || numbers.next().and_then(Result::ok).ok_or_else(wrong);
        let (number, port, waiting) = (next()?, next()?, next()?);
        // How, and how much of each packet, is copied.
        let (_mode, _range) = (next()?, next()?);
        Ok(Self {
            number: u16::try_from(number).map_err(|_| wrong())?,
            port,
            waiting,
            dropped: next()?,
            user_dropped: next()?,
            last: next()?,
        })
    }
}

/// Reads whatever it is. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let _refused = Listener::parse(&String::from_utf8_lossy(bytes));
}
