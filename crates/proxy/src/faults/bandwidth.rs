//! A limit on how much passes, shared by all that passes: who wants to pass stands in a queue, and its first gets a part when the line has
//! carried it. Nobody's part depends on whether others take theirs.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

/// Parts in a second, at least: none keeps the line for longer, unless it is a single byte.
const PARTS: u64 = 50;
/// By how much we may be late without losing it: timers have a grain of a millisecond, and a busy machine is late by more.
const LATE: Duration = Duration::from_millis(50);

/// What no timer can wait for. It is not given away: the line is busy until then.
const GRAIN: Duration = Duration::from_micros(500);

/// The line. It is one for as long as the proxy lives, whatever its limit is.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    state: Mutex<State>,
    /// A copy of the limit, for those who need not wait.
    limit: AtomicU64,
    /// Something else is first, or the limit has changed.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// In bytes per second; 0: none.
    limit: u64,
    /// Until then the line carries what was let pass.
    free: Instant,
    /// By number: who has the lowest came first.
    queue: BTreeMap<u64, Asked>,
    next: u64,
}

#[derive(Debug)]
struct Asked {
    wanted: usize,
    /// The line was not his before.
    from: Instant,
    grant: oneshot::Sender<usize>,
}

/// The turns of one that passes.
#[derive(Debug)]
pub(crate) struct Turns {
    bandwidth: Arc<Bandwidth>,
    waiting: Option<Waiting>,
    /// When it had its last turn: if it is late for the next one by no more than we may be, that is our fault.
    last: Option<Instant>,
}

/// Who waits for a turn. Dropped, he leaves the queue.
#[derive(Debug)]
struct Waiting {
    bandwidth: Arc<Bandwidth>,
    number: u64,
    granted: oneshot::Receiver<usize>,
}

/// Lets everybody pass when there is nobody any more to give turns.
struct Opens<'b>(&'b Bandwidth);

impl Bandwidth {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                limit,
                free: Instant::now(),
                queue: BTreeMap::new(),
                next: 0,
            }),
            limit: AtomicU64::new(limit),
            changed: Notify::new(),
        })
    }

    /// Lets so many bytes pass in a second from now on, also of what waits already. 0: all.
    pub(crate) fn configure(&self, limit: u64) {
        let mut state = self.lock();
        if state.limit == limit {
            return;
        }
        state.limit = limit;
        self.limit.store(limit, Ordering::Release);
        // What was carried by then was carried at the old rate.
        state.free = Instant::now();
        drop(state);
        self.changed.notify_one();
    }

    /// Gives turns, as long as it is asked to.
    pub(crate) async fn work(self: Arc<Self>) {
        let _opens = Opens(&self);
        loop {
            let next = self.lock().give(Instant::now());
            match next {
                Some(at) => tokio::select! {
                    () = sleep_until(at.into()) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    /// Whether not all passes at once.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.load(Ordering::Acquire) > 0
    }

    /// How many of the bytes that are wanted pass at once; or a place in the queue.
    fn ask(self: &Arc<Self>, wanted: usize, last: Option<Instant>) -> Result<usize, Waiting> {
        if !self.is_limited() {
            return Ok(wanted);
        }
        let now = Instant::now();
        // After a longer pause it was the source that was late.
        let early = before(now);
        let from = if last.is_some_and(|last| last >= early) {
            early
        } else {
            now
        };
        let mut state = self.lock();
        if state.queue.is_empty() {
            let (part, at) = state.part(wanted, from);
            if at <= now + GRAIN {
                state.carried(at, now);
                return Ok(part);
            }
        }
        let (grant, granted) = oneshot::channel();
        let number = state.next;
        state.next += 1;
        let is_first = state.queue.is_empty();
        state.queue.insert(number, Asked { wanted, from, grant });
        drop(state);
        if is_first {
            self.changed.notify_one();
        }
        Err(Waiting {
            bandwidth: Arc::clone(self),
            number,
            granted,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in there is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How much goes at a time, and when the line has carried it.
    fn part(&self, wanted: usize, from: Instant) -> (usize, Instant) {
        let begins = self.free.max(from);
        if self.limit == 0 {
            return (wanted, begins);
        }
        let most = usize::try_from((self.limit / PARTS).max(1)).unwrap_or(usize::MAX);
        let part = wanted.min(most);
        (part, begins + Duration::from_secs_f64(part as f64 / self.limit as f64))
    }

    /// The line was free again then.
    fn carried(&mut self, at: Instant, now: Instant) {
        self.free = at.max(before(now));
    }

    /// Gives all turns whose time has come, and says when that of the next does.
    fn give(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let (number, asked) = self.queue.first_key_value()?;
            let (part, at) = self.part(asked.wanted, asked.from);
            if at > now && self.limit > 0 {
                return Some(at);
            }
            let number = *number;
            if self.limit > 0 {
                self.carried(at, now);
            }
            // Whoever goes leaves the queue first, so this one is there.
            let _heard = self.queue.remove(&number).map(|asked| asked.grant.send(part));
        }
    }
}

/// What is not too late by now.
fn before(now: Instant) -> Instant {
    now.checked_sub(LATE).unwrap_or(now)
}

impl Turns {
    pub(crate) fn new(bandwidth: Arc<Bandwidth>) -> Self {
        Self {
            bandwidth,
            waiting: None,
            last: None,
        }
    }

    /// How many of so many bytes, of which there is at least one, pass now: all or some.
    pub(crate) fn poll(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            None => match self.bandwidth.ask(wanted, self.last) {
                Ok(part) => {
                    self.last = Some(Instant::now());
                    return Poll::Ready(part);
                }
                Err(waiting) => self.waiting.insert(waiting),
            },
        };
        let granted = ready!(Pin::new(&mut waiting.granted).poll(cx));
        self.waiting = None;
        self.last = Some(Instant::now());
        // Nobody is let go of without a turn.
        Poll::Ready(granted.unwrap_or(wanted))
    }

    /// Whether it waits for its turn, and not for somebody else.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether nobody waits for a turn at present.
    pub(crate) fn are_free(&self) -> bool {
        self.waiting.is_none() && !self.bandwidth.is_limited()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.bandwidth.lock();
        let was_first = state.queue.first_key_value().map(|(number, _)| *number) == Some(self.number);
        state.queue.remove(&self.number);
        drop(state);
        if was_first {
            self.bandwidth.changed.notify_one();
        }
    }
}

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.configure(0);
        let _none = self.0.lock().give(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn look(turns: &mut Turns, wanted: usize) -> Poll<usize> {
        turns.poll(wanted, &mut Context::from_waker(Waker::noop()))
    }

    /// All turns whose time comes until then.
    fn give(bandwidth: &Bandwidth, until: Instant) {
        let mut state = bandwidth.lock();
        let mut now = state.free;
        while let Some(next) = state.give(now).filter(|next| *next <= until) {
            now = next;
        }
    }

    #[test]
    fn without_a_limit_all_passes_at_once() {
        let bandwidth = Bandwidth::new(0);
        let mut one = Turns::new(Arc::clone(&bandwidth));
        assert!(one.are_free());
        assert_eq!(look(&mut one, 1 << 40), Poll::Ready(1 << 40));
    }

    #[test]
    fn all_share_the_line_in_turns_and_nobody_passes_before_it_is_carried() {
        let bandwidth = Bandwidth::new(1000);
        let mut all: Vec<Turns> = (0..4).map(|_| Turns::new(Arc::clone(&bandwidth))).collect();
        assert!(all.iter_mut().all(|turns| look(turns, 1000).is_pending()));
        let begun = bandwidth.lock().queue[&0].from;
        let mut passed = [0; 4];
        for tick in 0..=100 {
            give(&bandwidth, begun + SECOND * tick / 50);
            for (turns, passed) in all.iter_mut().zip(&mut passed) {
                if let Poll::Ready(part) = look(turns, 1000) {
                    assert_eq!(part, 20);
                    *passed += part;
                    assert!(look(turns, 1000).is_pending());
                }
            }
            assert_eq!(passed.iter().sum::<usize>(), 20 * tick as usize);
        }
        assert_eq!(passed, [500; 4]);
    }

    // Or a stream of messages with pauses would never be slowed.
    #[test]
    fn after_a_pause_the_line_is_not_his() {
        let bandwidth = Bandwidth::new(1000);
        let now = Instant::now();
        let long_ago = now.checked_sub(SECOND).unwrap();
        bandwidth.lock().free = long_ago;
        let mut one = Turns::new(Arc::clone(&bandwidth));
        one.last = Some(long_ago);
        assert!(look(&mut one, 20).is_pending());
        let from = bandwidth.lock().queue[&0].from;
        assert!(from >= now);
        // A little late he may be.
        let mut other = Turns::new(Arc::clone(&bandwidth));
        other.last = now.checked_sub(LATE / 2);
        assert!(look(&mut other, 20).is_pending());
        assert!(bandwidth.lock().queue[&1].from < now);
    }

    #[test]
    fn who_goes_leaves_the_line_to_the_next() {
        let bandwidth = Bandwidth::new(1);
        let mut gone: Vec<Turns> = (0..1000).map(|_| Turns::new(Arc::clone(&bandwidth))).collect();
        assert!(gone.iter_mut().all(|turns| look(turns, 1).is_pending()));
        let mut stays = Turns::new(Arc::clone(&bandwidth));
        assert!(look(&mut stays, 1).is_pending());
        drop(gone);
        assert_eq!(bandwidth.lock().queue.len(), 1);
        give(&bandwidth, Instant::now() + SECOND);
        assert_eq!(look(&mut stays, 1), Poll::Ready(1));
    }

    #[test]
    fn who_does_not_take_his_part_holds_up_nobody() {
        let bandwidth = Bandwidth::new(1000);
        let [mut idle, mut busy] = [(); 2].map(|()| Turns::new(Arc::clone(&bandwidth)));
        assert!(look(&mut idle, 1000).is_pending() && look(&mut busy, 1000).is_pending());
        let begun = bandwidth.lock().queue[&0].from;
        for tick in 1..=50 {
            give(&bandwidth, begun + SECOND * tick / 50);
            // The first turn is of who does not look.
            assert_eq!(look(&mut busy, 1000).is_ready(), tick > 1, "{tick}");
            if tick > 1 {
                assert!(look(&mut busy, 1000).is_pending());
            }
        }
        assert_eq!(look(&mut idle, 1000), Poll::Ready(20));
    }

    #[test]
    fn a_change_acts_on_those_who_wait() {
        let bandwidth = Bandwidth::new(1);
        let mut one = Turns::new(Arc::clone(&bandwidth));
        assert!(look(&mut one, 1000).is_pending());
        bandwidth.configure(100_000);
        give(&bandwidth, Instant::now() + SECOND / 50);
        assert_eq!(look(&mut one, 1000), Poll::Ready(1000));
        bandwidth.configure(1);
        assert!(look(&mut one, 1000).is_pending());
        bandwidth.configure(0);
        give(&bandwidth, Instant::now());
        assert_eq!(look(&mut one, 1000), Poll::Ready(1000));
    }

    #[tokio::test]
    async fn when_nobody_gives_turns_any_more_all_passes() {
        let bandwidth = Bandwidth::new(1);
        let worker = tokio::spawn(Arc::clone(&bandwidth).work());
        let mut one = Turns::new(Arc::clone(&bandwidth));
        assert!(look(&mut one, 1000).is_pending());
        tokio::task::yield_now().await;
        worker.abort();
        assert!(worker.await.is_err());
        assert_eq!(look(&mut one, 1000), Poll::Ready(1000));
    }
}
