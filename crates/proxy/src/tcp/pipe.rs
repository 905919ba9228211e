//! One direction of one connection: from one socket to the other, through the toxics that there are at the moment.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use fracas_linux::inq;
use fracas_linux::sockets::end_writing;
use fracas_telemetry::toxiproxy::{Passed, Proxied};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::effects::{Early, Effects, Which};
use super::toxic::{Stream, Toxic};
use crate::timer::Timer;

mod copied;
mod large;
#[cfg(test)]
mod testbed;

use large::Rest;

/// In bytes, of one read that is a copy.
const READ: usize = 64 << 10;
/// What is held of a stream that is not to be late: little, so that whoever sends feels how slow it is.
const ROOM: usize = 64 << 10;
/// And of one that is: as much as is on the way in a long and wide pipe.
const LATE_ROOM: usize = 4 << 20;
/// As much as this is counted for every read, so that many small ones take no more memory.
const LEAST: usize = 1 << 10;
/// Of a rate, what is waited for before anything is sent; twice as much may be saved, so that a late awakening loses nothing.
const BURST: f64 = 0.01;

/// How a direction ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The sender said that nothing more comes, and so it was told to the other side.
    Whole,
    /// A toxic ends the connection.
    Early(Early),
    /// The sender's socket broke, and what it had said before was passed on.
    Broken,
    /// The receiver's socket broke.
    Unheard,
}

/// What all pipes hold together, in bytes.
#[derive(Debug)]
pub(crate) struct All {
    held: AtomicUsize,
    /// From this on none takes more before what it has is gone, and from half of it on none holds more than a little.
    most: usize,
}

impl All {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            most,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one pipe holds, counted with all.
struct Held<'c> {
    here: usize,
    all: &'c All,
}

impl Held<'_> {
    fn set(&mut self, now: usize) {
        // Wraps on the way, and is right in the end: nothing else is done to it.
        self.all.held.fetch_add(now.wrapping_sub(self.here), Ordering::Relaxed);
        self.here = now;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// One direction.
pub(crate) struct Pipe<'c> {
    pub(crate) from: &'c TcpStream,
    pub(crate) to: &'c TcpStream,
    from_is_broken: &'c AtomicBool,
    timer: &'c Timer,
    toxics: watch::Receiver<Arc<[Toxic]>>,
    effects: Effects,
    counts: &'c Proxied,
    passing: Passed,
    queue: VecDeque<Chunk>,
    /// Counted in bytes, and for each read at least [`LEAST`].
    queued: Held<'c>,
    /// The last read was a large one.
    is_large: bool,
    /// What is left of a large read. The queue is empty then, and nothing more is read.
    rest: Option<Rest>,
    reads: u64,
    passed: u64,
    /// When the sender said that nothing more comes, or broke.
    over: Option<Instant>,
    is_broken: bool,
    /// When bytes were sent last.
    sent: Instant,
    /// Something was lost. What comes after it would be another stream.
    dropped: bool,
    /// Bytes that may be sent, of a rate, and when that was.
    saved: (f64, Instant),
    /// What is left of the piece that a slicer cut.
    piece: Option<(u64, Duration)>,
    pieces: u64,
    quiet_until: Option<Instant>,
}

/// What was read at once.
struct Chunk {
    bytes: Bytes,
    came: Instant,
    ordinal: u64,
}

/// What there is to do.
#[derive(Debug, PartialEq)]
enum Next {
    /// To wait for the sender.
    Read,
    /// To send so many bytes.
    Send(usize),
    /// To wait.
    Until(Instant),
    /// To say that nothing more comes.
    End,
    /// To end the connection.
    Early(Early),
}

/// What there is to be seen to.
enum Wakes {
    /// Other toxics, with which to wait for the next. `None`: there will be none.
    Changed(Option<watch::Receiver<Arc<[Toxic]>>>),
    Writable(io::Result<()>),
    Readable(io::Result<()>),
    Alarm,
}

type Alarm<'c> = Pin<Box<dyn Future<Output = ()> + Send + 'c>>;

impl<'c> Pipe<'c> {
    /// `from_is_broken` is set when somebody else sees that the sender's socket broke: the kernel tells each error once.
    pub(crate) fn new(
        (from, to): (&'c TcpStream, &'c TcpStream),
        from_is_broken: &'c AtomicBool,
        which: Which,
        toxics: watch::Receiver<Arc<[Toxic]>>,
        (timer, held): (&'c Timer, &'c All),
        counts: &'c Proxied,
    ) -> Self {
        let now = Instant::now();
        // An older kernel is asked once more each time.
        let _told = inq::tell(from);
        Self {
            from,
            to,
            from_is_broken,
            timer,
            toxics,
            passing: match which.stream {
                Stream::Upstream => counts.upstream(),
                Stream::Downstream => counts.downstream(),
            },
            effects: Effects::new(which),
            counts,
            queue: VecDeque::new(),
            queued: Held { here: 0, all: held },
            is_large: false,
            rest: None,
            reads: 0,
            passed: 0,
            over: None,
            is_broken: false,
            sent: now,
            dropped: false,
            saved: (0.0, now),
            piece: None,
            pieces: 0,
            quiet_until: None,
        }
    }

    /// Carries bytes until there are no more. Whoever drops it loses what is held.
    pub(crate) async fn run(mut self) -> Ended {
        let mut changed = pin!(change(self.toxics.clone()));
        self.look();
        // Kept while the time stays the same: each costs an entry in the timer's list.
        let mut alarm: Option<(Instant, Alarm<'c>)> = None;
        loop {
            let now = Instant::now();
            let (length, at) = match self.next(now) {
                Next::Read => (None, None),
                Next::Send(length) => (Some(length), None),
                Next::Until(at) => (None, Some(at)),
                Next::End => return self.end(),
                Next::Early(how) => return Ended::Early(how),
            };
            let end = self.effects.end().map(|(at, _)| at);
            match at.into_iter().chain(end).min() {
                None => alarm = None,
                Some(at) if alarm.as_ref().is_some_and(|(set, _)| *set == at) => {}
                Some(at) => alarm = Some((at, Box::pin(self.timer.until(at)))),
            }
            let (from, to) = (self.from, self.to);
            let may_read = self.may_read();
            // Each socket has one place for who reads from it and one for who writes to it, and that is this pipe: to get in line, as readable()
            // does, costs a lock and an entry in a list each time.
            let wakes = poll_fn(|cx| {
                if let Poll::Ready(change) = changed.as_mut().poll(cx) {
                    return Poll::Ready(Wakes::Changed(change));
                }
                if length.is_some()
                    && let Poll::Ready(ready) = to.poll_write_ready(cx)
                {
                    return Poll::Ready(Wakes::Writable(ready));
                }
                if may_read && let Poll::Ready(ready) = from.poll_read_ready(cx) {
                    return Poll::Ready(Wakes::Readable(ready));
                }
                match &mut alarm {
                    Some((_, alarm)) => alarm.as_mut().poll(cx).map(|()| Wakes::Alarm),
                    None => Poll::Pending,
                }
            });
            match wakes.await {
                Wakes::Changed(Some(again)) => {
                    changed.set(change(again));
                    if self.look_again().is_err() {
                        return Ended::Broken;
                    }
                }
                // The proxy is gone, and with it all of its connections.
                Wakes::Changed(None) => return Ended::Early(Early::Close),
                Wakes::Writable(ready) => {
                    let sent = ready.and_then(|()| self.send(length.unwrap_or(0)));
                    if sent.is_err() {
                        return Ended::Unheard;
                    }
                }
                // An error of the runtime alone: it is at its end.
                Wakes::Readable(Err(_)) => return Ended::Broken,
                Wakes::Readable(Ok(())) => {
                    if let Err(ended) = self.read() {
                        return ended;
                    }
                }
                Wakes::Alarm => alarm = None,
            }
        }
    }

    /// Takes in what toxics there are.
    fn look(&mut self) {
        let toxics = Arc::clone(&self.toxics.borrow_and_update());
        for kind in self.effects.update(&toxics, Instant::now(), self.passed) {
            self.counts.met(kind);
        }
        // What is held, or the end that is, has come for a new one, too.
        if self.over.is_some() || !self.queue.is_empty() || self.rest.is_some() {
            self.effects.came(Instant::now());
        }
    }

    fn look_again(&mut self) -> io::Result<()> {
        let had_rate = self.effects.rate().is_some();
        let slicer = self.effects.slicer().cloned();
        self.look();
        if !had_rate {
            self.saved = (0.0, Instant::now());
        }
        if self.effects.slicer() != slicer.as_ref() {
            (self.piece, self.quiet_until) = (None, None);
        }
        self.take_out()
    }

    fn may_read(&self) -> bool {
        let most = self.queued.all.most;
        let room = match self.queued.all.held() {
            held if held >= most => 1,
            held if held < most / 2 && self.effects.is_late() => LATE_ROOM,
            _ => ROOM,
        };
        // What is read while nothing passes is not held.
        self.over.is_none() && self.rest.is_none() && (self.effects.holds() || self.queued.here < room)
    }

    /// Nothing more comes.
    fn ends(&mut self) {
        let now = Instant::now();
        self.effects.came(now);
        self.over = Some(now);
    }

    /// What there is to do now.
    fn next(&mut self, now: Instant) -> Next {
        if let Some((at, how)) = self.effects.end()
            && at <= now
        {
            return Next::Early(how);
        }
        if self.effects.holds() {
            // Nobody is left for whom it could be held.
            let is_over = self.over.is_some() && self.effects.ends_with_sender();
            return if is_over { Next::Early(Early::Close) } else { Next::Read };
        }
        // What was lost would be missed by whoever reads on.
        if self.dropped {
            return Next::Early(Early::Close);
        }
        let left = self.effects.limit().map(|(limit, _)| limit.saturating_sub(self.passed));
        // Where nothing may pass, it ends when something wants to.
        let wants = !self.queue.is_empty() || self.over.is_some();
        if left == Some(0) && (wants || self.effects.limit().is_some_and(|(_, some)| some)) {
            return Next::Early(Early::Close);
        }
        if let Some(rest) = &self.rest {
            return Next::Send(rest.length());
        }
        let Some(first) = self.queue.front() else {
            return match self.over.map(|over| over.max(self.sent) + self.effects.close_delay()) {
                Some(at) if at > now => Next::Until(at),
                Some(_) => Next::End,
                None => Next::Read,
            };
        };
        let due = first.came + self.effects.latency(first.ordinal);
        let at = self.quiet_until.map_or(due, |quiet| quiet.max(due));
        if at > now {
            return Next::Until(at);
        }
        let mut length = first.bytes.len();
        if let Some(slice) = self.effects.slice(self.pieces) {
            let (piece, _) = *self.piece.get_or_insert(slice);
            length = length.min(usize::try_from(piece).unwrap_or(usize::MAX));
        }
        length = length.min(left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX)));
        match self.effects.rate() {
            Some(rate) => self.of_rate(rate, length, now),
            None => Next::Send(length),
        }
    }

    /// As much of these bytes as a rate lets pass.
    fn of_rate(&mut self, rate: f64, length: usize, now: Instant) -> Next {
        if rate <= 0.0 {
            return Next::Read;
        }
        let burst = (rate * BURST).max(1.0);
        let (saved, at) = self.saved;
        let saved = (saved + now.saturating_duration_since(at).as_secs_f64() * rate).min(burst * 2.0);
        self.saved = (saved, now);
        let wanted = burst.min(length as f64);
        if saved < wanted {
            return Next::Until(now + Duration::from_secs_f64((wanted - saved) / rate));
        }
        Next::Send(length.min(saved as usize))
    }

    /// Sends so many bytes of the first that are held, or fewer.
    fn send(&mut self, length: usize) -> io::Result<()> {
        if let Some(rest) = self.rest.take() {
            return self.pour(rest);
        }
        let Some(first) = self.queue.front_mut() else {
            return Ok(());
        };
        let sent = match self.to.try_write(&first.bytes[..length]) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let before = cost(first.bytes.len());
        first.bytes.advance(sent);
        let after = match first.bytes.len() {
            0 => {
                drop(self.queue.pop_front());
                0
            }
            left => cost(left),
        };
        self.queued.set(self.queued.here - (before - after));
        self.saved.0 -= sent as f64;
        let now = Instant::now();
        self.piece = match self.piece {
            Some((left, pause)) if left <= sent as u64 => {
                self.pieces += 1;
                self.quiet_until = Some(now + pause);
                None
            }
            piece => piece.map(|(left, pause)| (left - sent as u64, pause)),
        };
        self.went(sent, now);
        Ok(())
    }

    fn went(&mut self, count: usize, now: Instant) {
        self.sent = now;
        self.passed += count as u64;
        self.passing.sent(count as u64);
    }

    fn hold(&mut self, chunk: Chunk) {
        self.queued.set(self.queued.here + cost(chunk.bytes.len()));
        self.queue.push_back(chunk);
    }

    /// Tells the other side that nothing more comes; what comes from there still passes.
    fn end(&self) -> Ended {
        if self.is_broken || self.from_is_broken.load(Ordering::Acquire) {
            return Ended::Broken;
        }
        match end_writing(self.to) {
            Ok(()) => Ended::Whole,
            Err(_) => Ended::Unheard,
        }
    }
}

fn cost(bytes: usize) -> usize {
    bytes.max(LEAST)
}

/// Waits until it has changed. `None`: it is gone.
async fn change(mut toxics: watch::Receiver<Arc<[Toxic]>>) -> Option<watch::Receiver<Arc<[Toxic]>>> {
    toxics.changed().await.ok()?;
    Some(toxics)
}
