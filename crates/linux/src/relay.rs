//! Takes packets out of a queue and puts them back later, twice, changed, or never.
//!
//! A packet that is sent and waits is not kept in the kernel: it counts against the small share of the queues that one connection may have
//! (`tcp_small_queue_check` in net/ipv4/tcp_output.c), and a stream would come to a halt behind it. It is copied and dropped, which its
//! sender takes for sent, and when its time has come it is sent again by a raw socket, with a mark that keeps it from coming here again.
//! What is longer than its interface takes has not been cut up yet, which is not done for a raw socket: that waits in the kernel.
//!
//! A packet that comes in counts against nobody, and there is no way to send it again: it waits in the kernel, within the same bounds.
//!
//! Several relays in one namespace compose: each has a mark of its own, and keeps those of the others.
//!
//! A relay that is not served is passed by: its rules hold as long as its lease, which is renewed while it is served. So neither a process
//! that was stopped nor one that hangs is an outage for longer than [`LEASE`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::io;
use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Context, errno, invalid};
use crate::netfilter::{Chain, Hook, List, Table, Version};
use crate::netlink::Netlink;
use crate::queue::{self, Options, Packet, Queue, Verdict};
use crate::raw::{self, Raw};
use crate::sockets::set_option;

/// The numbers of the queues, one for each relay: who listens to one has its mark, too.
const FIRST_QUEUE: u16 = 0xf2a0;
/// So many relays at once in one namespace.
const MOST: u16 = 8;
/// The lowest bit of the marks. Others have bits of their own, some of them these (Calico, Tailscale): where a rule of routing looks at
/// one of these, a relay must not be ([`Netlink::rule_marks`]).
const FIRST_MARK: u32 = 20;
/// The marks of all relays: what has them comes to none.
pub const MARKS: u32 = ((1 << MOST) - 1) << FIRST_MARK;
/// The mark of packets that measure: they are no packets of anybody's own.
pub const PROBE: u32 = 1 << (FIRST_MARK + MOST as u32);
/// The mark of what goes past all rules of Fracas ([`go_past_all`]).
pub const QUESTION: u32 = MARKS | PROBE;
/// The ports to which packets go that measure what comes in, which brings no mark along: one for each relay, and one more for what impairs
/// packets without a relay.
pub const PROBE_PORTS: RangeInclusive<u16> = 1..=MOST + 1;
/// The ports from which whoever asks name servers for Fracas asks them: answers bring no mark along, and are known by these. They need no
/// capability, are outside the range from which the kernel takes ports by itself (ip(7), `ip_local_port_range`), and none is one to which
/// name servers refuse to answer, as BIND does to those of echo, daytime and chargen.
pub const QUESTION_PORTS: RangeInclusive<u16> = 5310..=5317;
/// How long a relay that is not served goes on to take packets.
pub const LEASE: Duration = Duration::from_millis(750);
/// By how much the kernel may be early: it counts in ticks, 10 ms where they are longest (`CONFIG_HZ=100`; `nf_msecs_to_jiffies64`).
const TICK: Duration = Duration::from_millis(10);
/// How long after the last time the lease is renewed.
pub(crate) const RENEW: Duration = Duration::from_millis(200);
/// More bytes than this do not wait here either: it is memory of the machine.
const MOST_BYTES: usize = 64 << 20;
/// So many packets are taken at once before it is looked whose time has come.
const BATCH: usize = 64;
/// More packets than this do not wait here: further ones go on at once.
const MOST_HELD: usize = 1 << 17;
/// How long nothing is looked at when nothing happens.
const IDLE: Duration = Duration::from_millis(50);
/// How long an interface that is busy is waited for at the end.
const SOON: Duration = Duration::from_millis(200);
/// What an interface takes whose length is not known, and every path of IPv6 (RFC 8200, 5).
const SHORT: usize = 1280;
const TCP: u8 = 6;

/// The place of a relay among those of its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of its queue.
    pub queue: u16,
    /// What its rules must let pass: packets with this mark have been here.
    pub mark: u32,
    /// The marks of all that come behind it: what has one of these has passed here before, and is sent once more.
    pub later: u32,
    /// How many others may come before it. The priority of its chain must grow with it: what is sent again has the marks of all that
    /// come before, which it has passed, and meets those that come after.
    pub order: i32,
}

/// A packet that has come, as far as anybody is asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// Its length, from the header of IP on.
    pub length: usize,
    /// How long after the relay began.
    pub after: Duration,
    /// Whether it measures ([`PROBE`]).
    pub probe: bool,
}

/// What happens to one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// How many of it go on: 0, 1 or 2.
    pub copies: u8,
    /// After so long.
    pub delay: Duration,
    /// Which bit behind the header of IP is flipped, as a number that is reduced by the bits that there are.
    pub flip: Option<u64>,
}

impl Fate {
    /// It goes on as it is.
    pub const PASS: Self = Self {
        copies: 1,
        delay: Duration::ZERO,
        flip: None,
    };
    /// It is gone.
    pub const LOST: Self = Self {
        copies: 0,
        ..Self::PASS
    };
}

/// What a relay did that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Troubles {
    /// Packets that went on at once, for too many were waiting.
    pub hurried: u64,
    /// Packets that could not be sent again.
    pub unsent: u64,
    /// Packets that never came here, for the kernel had no room for them.
    pub missed: u64,
    /// Times that it was not served in time, and packets passed it by.
    pub lapses: u64,
}

/// A queue with the rules that fill it, in one network namespace. Dropping it removes both; what waits is lost then.
#[derive(Debug)]
pub struct Relay {
    /// Before the queue: while that is there, no rule may be that fills it.
    table: Option<Table>,
    /// What more is to be in the lists of the table.
    news: Option<Receiver<List>>,
    /// When its lease was renewed.
    renewed: Instant,
    queue: Queue,
    raw: Raw,
    netlink: Netlink,
    /// Its own mark, and those of all before it.
    passed: u32,
    held_bytes: usize,
    held: BinaryHeap<Reverse<Held>>,
    /// How many were ever held: those that are due at the same time go in their order.
    count: u64,
    /// How long packets may be, by the number of their interface.
    longest: BTreeMap<u32, usize>,
    troubles: Troubles,
}

/// A packet that waits.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: Instant,
    order: u64,
    what: What,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A copy, to be sent with this mark.
    Copy {
        bytes: Vec<u8>,
        mark: u32,
        via: Option<u32>,
    },
    /// The packet with this number, in the kernel, as it is.
    Kept { id: u32, length: usize },
}

impl What {
    fn bytes(&self) -> usize {
        match self {
            Self::Copy { bytes, .. } => bytes.len(),
            Self::Kept { length, .. } => *length,
        }
    }
}

impl Relay {
    /// Opens a queue that is free and makes a table of this name with these chains, given the number of the queue and the mark of what
    /// must not come to it; all in the network namespace of this thread. Needs `CAP_NET_ADMIN` and `CAP_NET_RAW`. Its lease runs from now
    /// on: the chains begin with a rule that lets everything pass when it is over ([`Match::LeaseOver`](crate::netfilter::Match)).
    ///
    /// # Errors
    /// Eight relays are there already; the kernel refuses the queue, the rules or the sockets.
    pub fn open(table: &str, chains: impl FnOnce(Place) -> Vec<Chain>) -> io::Result<Self> {
        Self::open_with(table, &[], chains)
    }

    /// As [`Relay::open`], with lists that the rules may ask.
    ///
    /// # Errors
    /// As [`Relay::open`].
    pub fn open_with(table: &str, lists: &[List], chains: impl FnOnce(Place) -> Vec<Chain>) -> io::Result<Self> {
        let raw = Raw::open()?;
        let netlink = Netlink::route()?;
        let taken = queue::taken(&mut Netlink::netfilter()?)?;
        for place in 0..MOST {
            let number = FIRST_QUEUE + place;
            if taken.contains(&number) {
                continue;
            }
            let queue = match Queue::open(number, &Options::default()) {
                // Somebody else was faster.
                Err(error) if matches!(errno(&error), Some(libc::EPERM | libc::EBUSY)) => continue,
                queue => queue?,
            };
            let place = Place {
                queue: number,
                mark: 1 << (FIRST_MARK + u32::from(place)),
                later: MARKS & !((1 << (FIRST_MARK + u32::from(place) + 1)) - 1),
                order: i32::from(place),
            };
            let mut table = Table::make_with(table, &chains(place), lists)?;
            let renewed = Instant::now();
            table.renew(LEASE)?;
            return Ok(Self {
                table: Some(table),
                news: None,
                renewed,
                queue,
                raw,
                netlink,
                passed: ((place.mark << 1) - 1) & MARKS,
                held_bytes: 0,
                held: BinaryHeap::new(),
                count: 0,
                longest: BTreeMap::new(),
                troubles: Troubles::default(),
            });
        }
        Err(io::Error::other(format!(
            "there are {MOST} queues of Fracas in this network namespace, or somebody else has their numbers"
        )))
    }

    /// Puts into its lists whatever comes here while it is served. Each message takes a moment; nobody sends many.
    #[must_use]
    pub fn hearing(self, news: Receiver<List>) -> Self {
        Self {
            news: Some(news),
            ..self
        }
    }

    /// Serves the queue until `over` says so, which is told of troubles and asked 20 times a second, and until `until` can be read. `fate`
    /// is asked about each packet. At the end the rules go, and what waits goes on at once, in the order in which it would have.
    ///
    /// # Errors
    /// The kernel does not give or take any more; what waits is lost then.
    pub fn run(
        &mut self,
        until: BorrowedFd<'_>,
        mut over: impl FnMut(&Troubles) -> bool,
        mut fate: impl FnMut(Came) -> Fate,
    ) -> io::Result<Troubles> {
        let began = Instant::now();
        let mut packets = Vec::new();
        loop {
            self.renew()?;
            self.hear()?;
            let came = self.queue.receive(BATCH, &mut packets)?;
            let now = Instant::now();
            self.take(&mut packets, now, |packet| {
                fate(Came {
                    length: packet.length,
                    after: now - began,
                    probe: measures(packet),
                })
            })?;
            self.release(Instant::now())?;
            self.troubles.missed = self.queue.troubles().missed;
            if over(&self.troubles) {
                break;
            }
            if came < BATCH && !self.wait(until)? {
                break;
            }
        }
        self.end()
    }

    /// Puts into its lists what is to be there.
    fn hear(&mut self) -> io::Result<()> {
        let (Some(news), Some(table)) = (&self.news, &mut self.table) else {
            return Ok(());
        };
        for list in news.try_iter() {
            table.add(&list)?;
        }
        Ok(())
    }

    /// Renews the lease when it is time.
    fn renew(&mut self) -> io::Result<()> {
        let ago = self.renewed.elapsed();
        if ago < RENEW {
            return Ok(());
        }
        if ago + TICK > LEASE {
            self.troubles.lapses += 1;
        }
        self.renewed = Instant::now();
        self.table.as_mut().map_or(Ok(()), |table| table.renew(LEASE))
    }

    /// Waits until a packet comes or is due. Whether it goes on.
    fn wait(&self, until: BorrowedFd<'_>) -> io::Result<bool> {
        let left = self.held.peek().map_or(IDLE, |Reverse(next)| {
            next.due.saturating_duration_since(Instant::now()).min(IDLE)
        });
        let left = Timespec::try_from(left).map_err(|_| invalid("a limit beyond all times"))?;
        let mut sources = [
            PollFd::new(&self.queue, PollFlags::IN),
            PollFd::from_borrowed_fd(until, PollFlags::IN),
        ];
        match poll(&mut sources, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(sources[1].revents().is_empty()),
            Err(error) => Err(error).context(|| "cannot wait for packets".into()),
        }
    }

    fn take(
        &mut self,
        packets: &mut Vec<Packet>,
        now: Instant,
        mut fate: impl FnMut(&Packet) -> Fate,
    ) -> io::Result<()> {
        let mut decided = Vec::with_capacity(packets.len());
        for packet in packets.drain(..) {
            let mut fate = fate(&packet);
            if !fate.delay.is_zero() && (self.held.len() >= MOST_HELD || self.held_bytes >= MOST_BYTES) {
                self.troubles.hurried += 1;
                fate.delay = Duration::ZERO;
            }
            decided.push((packet.id, self.decide(packet, now, fate)));
        }
        let verdicts = decided
            .iter()
            .filter_map(|(id, decision)| Some((*id, decision.verdict()?)));
        self.queue.decide(&verdicts.collect::<Vec<_>>())
    }

    fn decide(&mut self, packet: Packet, now: Instant, fate: Fate) -> Decision {
        if fate.copies == 0 {
            return Decision::Drop;
        }
        // What is cut off cannot be sent: it is not all there. What comes in cannot be sent in again.
        let leaves = packet.hook == Some(Hook::Output);
        let can_be_sent = leaves && packet.is_whole() && packet.length <= self.longest(&packet);
        let can_be_changed = packet.is_whole() && packet.length <= queue::LONGEST;
        let (id, length) = (packet.id, packet.length);
        let (mark, via) = (packet.mark | self.passed, packet.output);
        let mut bytes = packet.payload;
        if let Some(bit) = fate.flip {
            flip(&mut bytes, bit);
        }
        let due = now + fate.delay;
        if fate.copies > 1 && can_be_sent {
            let bytes = bytes.clone();
            self.hold(due, What::Copy { bytes, mark, via });
        }
        if fate.delay.is_zero() {
            return if fate.flip.is_some() && can_be_changed {
                Decision::Replace(bytes)
            } else {
                Decision::Accept
            };
        }
        if can_be_sent {
            self.hold(due, What::Copy { bytes, mark, via });
            Decision::Drop
        } else {
            self.hold(due, What::Kept { id, length });
            Decision::Keep
        }
    }

    fn hold(&mut self, due: Instant, what: What) {
        self.held_bytes += what.bytes();
        self.count += 1;
        let order = self.count;
        self.held.push(Reverse(Held { due, order, what }));
    }

    /// Sends on whatever is due by then.
    fn release(&mut self, by: Instant) -> io::Result<()> {
        let mut kept = Vec::new();
        while self.held.peek().is_some_and(|Reverse(next)| next.due <= by) {
            let Some(Reverse(next)) = self.held.pop() else { break };
            self.held_bytes -= next.what.bytes();
            let sent = match &next.what {
                What::Kept { id, .. } => {
                    kept.push((*id, Verdict::Accept));
                    continue;
                }
                What::Copy { bytes, mark, via } => {
                    // What was due before it goes before it.
                    self.queue.decide(&kept)?;
                    kept.clear();
                    self.raw.send(bytes, *mark, *via)
                }
            };
            match sent {
                // The interface is busy: in a moment.
                Err(error) if raw::is_full(&error) => {
                    self.held_bytes += next.what.bytes();
                    self.held.push(Reverse(next));
                    break;
                }
                // A rule behind this one drops it, as it would have dropped the packet itself.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                // Its interface is gone.
                Err(_) => self.troubles.unsent += 1,
                Ok(()) => {}
            }
        }
        self.queue.decide(&kept)
    }

    /// Takes the rules away, and sends on what waits.
    fn end(&mut self) -> io::Result<Troubles> {
        // The rules first, so that nothing more comes; the chain last, for with it goes what waits in the kernel.
        if let Some(table) = &mut self.table {
            table.clear()?;
        }
        let began = Instant::now();
        while let Some(last) = self.held.iter().map(|Reverse(held)| held.due).max() {
            self.release(last)?;
            if began.elapsed() > SOON {
                self.troubles.unsent += self.held.len() as u64;
                break;
            }
        }
        // Behind what waited, in the order in which they came.
        let mut packets = Vec::new();
        while self.queue.receive(BATCH, &mut packets)? > 0 {
            let passes: Vec<_> = packets.iter().map(|packet| (packet.id, Verdict::Accept)).collect();
            self.queue.decide(&passes)?;
            packets.clear();
        }
        self.table.take();
        Ok(self.troubles)
    }

    /// How long this packet may be and be sent again.
    fn longest(&mut self, packet: &Packet) -> usize {
        let Some(index) = packet.output else { return SHORT };
        // A raw socket of IPv6 cuts nothing up, and the path may take less than the link. TCP knows its path.
        if packet.version == Some(Version::V6) && packet.payload.get(6) != Some(&TCP) {
            return SHORT;
        }
        match self.longest.entry(index) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let link = self.netlink.link(index).ok().flatten();
                *unknown.insert(link.and_then(|link| link.mtu).map_or(SHORT, |mtu| mtu as usize))
            }
        }
    }
}

/// What the kernel is told of a packet.
enum Decision {
    Drop,
    Accept,
    Replace(Vec<u8>),
    /// Nothing yet.
    Keep,
}

impl Decision {
    fn verdict(&self) -> Option<Verdict<'_>> {
        match self {
            Self::Drop => Some(Verdict::Drop),
            Self::Accept => Some(Verdict::Accept),
            Self::Replace(bytes) => Some(Verdict::Replace(bytes)),
            Self::Keep => None,
        }
    }
}

/// Has whatever this socket sends go past all rules of Fracas in its namespace. Needs `CAP_NET_ADMIN`.
pub fn go_past_all(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_MARK, &QUESTION).context(|| "cannot mark a socket".into())
}

/// Whether a packet is one that measures.
fn measures(packet: &Packet) -> bool {
    if packet.hook == Some(Hook::Output) {
        return packet.mark & PROBE != 0;
    }
    let header = header(&packet.payload);
    let port = packet.payload.get(header + 2..).and_then(|bytes| bytes.first_chunk());
    port.is_some_and(|port| PROBE_PORTS.contains(&u16::from_be_bytes(*port)))
}

/// The place among others of the relay that has the queue with this number. `None`: it is no relay's.
pub fn order_of(queue: u16) -> Option<i32> {
    let place = queue.checked_sub(FIRST_QUEUE).filter(|place| *place < MOST)?;
    Some(i32::from(place))
}

/// The mark of the relay that has the queue with this number. `None`: it is no relay's.
pub fn mark_of(queue: u16) -> Option<u32> {
    Some(1 << (FIRST_MARK + order_of(queue)? as u32))
}

/// How long the header of IP is.
fn header(packet: &[u8]) -> usize {
    match packet.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 0xf) * 4,
        _ => 40,
    }
}

/// Flips a bit behind the header of IP. What has nothing there stays as it is.
fn flip(packet: &mut [u8], bit: u64) {
    let header = header(packet);
    let Some(inside) = packet.get_mut(header..) else { return };
    if inside.is_empty() {
        return;
    }
    let bit = (bit % (inside.len() as u64 * 8)) as usize;
    inside[bit / 8] ^= 1 << (bit % 8);
}

#[cfg(test)]
mod tests;
