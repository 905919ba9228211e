//! Takes packets that this namespace sends out of a queue, for somebody who looks into them and may answer in place of whoever they are
//! for.
//!
//! No address is translated and no connection is followed: a packet that nobody is interested in goes on as it is, to where it was sent,
//! and when the interceptor ends, however it ends, nothing of it is left in the kernel that could send anything astray. A packet that is
//! answered here is dropped, and the answer comes by the loopback device, from whom it was for.
//!
//! It stands before the [relays](crate::relay): what is answered here meets none of them, what goes on meets them all. Interceptors in
//! one namespace compose, each with a place of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::UdpSocket;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::{Context, errno, invalid};
use crate::netfilter::{Chain, Match, Table};
use crate::netlink::Netlink;
use crate::packets::Parcel;
use crate::queue::{self, Options, Packet, Queue, Verdict};
use crate::raw::{self, Raw};
use crate::relay::{self, LEASE, RENEW};
use crate::sockets::set_option;

/// The numbers of the queues, one for each interceptor.
const FIRST_QUEUE: u16 = 0xf2b0;
/// So many interceptors at once in one namespace: each has a mark.
const MOST: u16 = 3;
/// What is sent to somebody of this namespace in another's name: no packet of anybody's own, and it comes to no relay.
const ANSWER: u32 = relay::MARKS | relay::PROBE;
/// The lowest of the marks of what was kept waiting.
const FIRST_HELD: u32 = 29;
/// All marks of interceptors.
pub const MARKS: u32 = ((1 << MOST) - 1) << FIRST_HELD;
/// Before the first relay. Each interceptor has two chains, one behind the other.
const FIRST_PRIORITY: i32 = -330;
/// So many packets are taken at once before it is looked whose time has come.
const BATCH: usize = 64;
/// More packets than this do not wait here: further ones go on at once.
const MOST_HELD: usize = 4096;
/// How long nothing is looked at when nothing happens.
const IDLE: Duration = Duration::from_millis(50);

/// The place of an interceptor among those of its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of its queue.
    pub queue: u16,
    /// The priority of the chain that fills it; the next is its own, too, and sees what has gone on from the queue.
    pub priority: i32,
    /// The mark of what has waited here.
    pub held: u32,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It goes on after so long.
    Later(Duration),
    /// It is gone after so long, and these are sent in its place. If the interceptor ends before, it goes on.
    Replaced(Duration, Vec<Sent>),
}

/// What is sent in somebody's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// To somebody of this namespace, as from somebody else.
    Answer(Parcel),
    /// To somebody else, as from somebody of this namespace.
    Onward(Parcel),
}

/// A queue with the rules that fill it, in one network namespace. Dropping it removes both; what waits is lost then.
#[derive(Debug)]
pub struct Interceptor {
    /// Before the queue: while that is there, no rule may be that fills it.
    table: Option<Table>,
    /// When its lease was renewed last.
    renewed: Instant,
    queue: Queue,
    raw: Raw,
    held_mark: u32,
    held: BinaryHeap<Reverse<Held>>,
    /// How many were ever held: those that are due at the same time go in their order.
    count: u64,
}

/// A packet that waits in the kernel.
#[derive(Debug)]
struct Held {
    due: Instant,
    order: u64,
    id: u32,
    mark: u32,
    /// What is sent in its place; `None`: it goes on.
    replaced: Option<Vec<Sent>>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

/// Matches what must not come to an interceptor: answers, and what relays have sent again, which has been here.
pub fn been_here() -> Match {
    Match::NotMark {
        mask: relay::MARKS,
        value: 0,
    }
}

/// Matches answers, and packets of relays that measure, which have other ports.
pub fn is_answer() -> Match {
    Match::Mark {
        mask: ANSWER,
        value: ANSWER,
    }
}

/// Has whatever this socket sends go past all interceptors and relays of its namespace. Needs `CAP_NET_ADMIN`.
pub fn go_past(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_MARK, &relay::MARKS).context(|| "cannot mark a socket".into())
}

impl Interceptor {
    /// Opens a queue that is free and makes a table of this name with these chains; all in the network namespace of this thread. Needs
    /// `CAP_NET_ADMIN` and `CAP_NET_RAW`. Its lease runs from now on, as that of a relay: the chains let everything pass when it is over.
    ///
    /// # Errors
    /// Three interceptors are there already; the kernel refuses the queue, the rules or the sockets.
    pub fn open(table: &str, chains: impl FnOnce(Place) -> Vec<Chain>) -> io::Result<Self> {
        let raw = Raw::open()?;
        let taken = queue::taken(&mut Netlink::netfilter()?)?;
        for number in 0..MOST {
            let place = Place {
                queue: FIRST_QUEUE + number,
                priority: FIRST_PRIORITY + 2 * i32::from(number),
                held: 1 << (FIRST_HELD + u32::from(number)),
            };
            if taken.contains(&place.queue) {
                continue;
            }
            let queue = match Queue::open(place.queue, &Options::default()) {
                // Somebody else was faster.
                Err(error) if matches!(errno(&error), Some(libc::EPERM | libc::EBUSY)) => continue,
                queue => queue?,
            };
            let mut table = Table::make(table, &chains(place))?;
            table.renew(LEASE)?;
            return Ok(Self {
                table: Some(table),
                renewed: Instant::now(),
                queue,
                raw,
                held_mark: place.held,
                held: BinaryHeap::new(),
                count: 0,
            });
        }
        Err(io::Error::other(format!(
            "there are {MOST} interceptors of Fracas in this network namespace, or somebody else has the numbers of their queues"
        )))
    }

    /// Serves the queue until `over` says so, which is asked 20 times a second and when `until` can be read. `fate` is asked about each
    /// packet that is one of UDP or TCP and all there. At the end the rules go, and what waits goes on at once.
    ///
    /// # Errors
    /// The kernel does not give or take any more; what waits is lost then.
    pub fn run(
        &mut self,
        until: BorrowedFd<'_>,
        over: impl Fn() -> bool,
        mut fate: impl FnMut(&Parcel) -> Fate,
    ) -> io::Result<()> {
        let mut packets = Vec::new();
        loop {
            self.renew()?;
            let came = self.queue.receive(BATCH, &mut packets)?;
            let now = Instant::now();
            for packet in packets.drain(..) {
                self.take(&packet, now, &mut fate)?;
            }
            self.release(Instant::now())?;
            if over() || came < BATCH && !self.wait(until)? {
                return self.end();
            }
        }
    }

    /// Renews the lease when it is time.
    fn renew(&mut self) -> io::Result<()> {
        if self.renewed.elapsed() < RENEW {
            return Ok(());
        }
        self.renewed = Instant::now();
        self.table.as_mut().map_or(Ok(()), |table| table.renew(LEASE))
    }

    fn take(&mut self, packet: &Packet, now: Instant, fate: &mut impl FnMut(&Parcel) -> Fate) -> io::Result<()> {
        let parcel = Parcel::parse(&packet.payload).filter(|_| packet.is_whole());
        let (after, replaced) = match parcel.map_or(Fate::Pass, |parcel| fate(&parcel)) {
            Fate::Pass => return self.queue.decide(&[(packet.id, Verdict::Accept)]),
            Fate::Later(after) => (after, None),
            Fate::Replaced(after, sent) => (after, Some(sent)),
        };
        if !after.is_zero() && self.held.len() >= MOST_HELD {
            return self.queue.decide(&[(packet.id, Verdict::Accept)]);
        }
        self.count += 1;
        self.held.push(Reverse(Held {
            due: now + after,
            order: self.count,
            id: packet.id,
            mark: packet.mark | self.held_mark,
            replaced,
        }));
        Ok(())
    }

    /// Carries out whatever is due by then.
    fn release(&mut self, by: Instant) -> io::Result<()> {
        while self.held.peek().is_some_and(|Reverse(next)| next.due <= by) {
            let Some(Reverse(next)) = self.held.pop() else { break };
            let Some(sent) = next.replaced else {
                self.queue.decide(&[(next.id, Verdict::Mark(next.mark))])?;
                continue;
            };
            self.queue.decide(&[(next.id, Verdict::Drop)])?;
            for sent in sent {
                // Who asked may be gone, or a rule of somebody's drops it: then there is no answer.
                let _unheard = self.send(&sent);
            }
        }
        Ok(())
    }

    fn send(&self, sent: &Sent) -> io::Result<()> {
        let (parcel, mark) = match sent {
            Sent::Answer(parcel) => (parcel, ANSWER),
            Sent::Onward(parcel) => (parcel, relay::MARKS),
        };
        let bytes = parcel.bytes()?;
        match self.raw.send(&bytes, mark, None) {
            // Too much is on its way, of what nobody waits for: once more.
            Err(error) if raw::is_full(&error) => self.raw.send(&bytes, mark, None),
            sent => sent,
        }
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

    /// Takes the rules away, and lets go on what waits.
    fn end(&mut self) -> io::Result<()> {
        // The rules first, so that nothing more comes; the chains last, for with them goes what waits in the kernel.
        if let Some(table) = &mut self.table {
            table.clear()?;
        }
        let mut packets = Vec::new();
        while self.queue.receive(BATCH, &mut packets)? > 0 {}
        let waiting = self.held.drain().map(|Reverse(held)| held.id);
        let all: Vec<_> = waiting
            .chain(packets.iter().map(|packet| packet.id))
            .map(|id| (id, Verdict::Accept))
            .collect();
        self.queue.decide(&all)?;
        self.table.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
