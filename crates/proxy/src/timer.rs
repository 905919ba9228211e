//! Delays exact to a fraction of a millisecond. The timers of tokio have a grain of one; so they are trusted with all but the last few, and
//! a thread waits for the rest (futex(2)), which is woken as soon as its time has come.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fracas_linux::clock::wake_on_time;
use tokio::sync::oneshot;

/// What is left to the thread. More than a grain, and little: who gives up waiting stays in its list for so long.
const FINE: Duration = Duration::from_millis(4);

/// Wakes whoever waits.
#[derive(Debug)]
pub(crate) struct Timer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    heap: BinaryHeap<Entry>,
    over: bool,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    wake: oneshot::Sender<()>,
}

impl Timer {
    pub(crate) fn start() -> std::io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let thread = std::thread::Builder::new().name("timer".to_owned()).spawn({
            let queue = Arc::clone(&queue);
            move || {
                // Where it cannot be had, it is up to 50 µs late.
                let _late = wake_on_time();
                queue.work();
            }
        })?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Waits until then. Cancel safe.
    pub(crate) async fn until(&self, at: Instant) {
        if let Some(early) = at.checked_sub(FINE)
            && early > Instant::now()
        {
            tokio::time::sleep_until(early.into()).await;
        }
        if let Some(woken) = self.queue.add(at) {
            // Nobody else holds the other end: it is gone only with the thread, when all is over.
            let _over = woken.await;
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.queue.lock().over = true;
        self.queue.changed.notify_one();
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What is in there is whole at every moment.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: it is time.
    fn add(&self, at: Instant) -> Option<oneshot::Receiver<()>> {
        if at <= Instant::now() {
            return None;
        }
        let (wake, woken) = oneshot::channel();
        let mut waiting = self.lock();
        let first = waiting.heap.peek().is_none_or(|entry| at < entry.at);
        waiting.heap.push(Entry { at, wake });
        drop(waiting);
        if first {
            self.changed.notify_one();
        }
        Some(woken)
    }

    fn work(&self) {
        let mut waiting = self.lock();
        while !waiting.over {
            let now = Instant::now();
            let next = waiting.heap.peek().map(|entry| entry.at);
            waiting = match next {
                Some(at) if at <= now => {
                    // Who does not wait any more is not told.
                    let _gone = waiting.heap.pop().map(|entry| entry.wake.send(()));
                    waiting
                }
                Some(at) => {
                    let woken = self.changed.wait_timeout(waiting, at - now);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The earliest is the greatest, for a heap gives the greatest first.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_and_never_early() {
        let timer = Timer::start().unwrap();
        let begun = Instant::now();
        let waits = |millis: u64| {
            let timer = &timer;
            async move {
                let at = begun + Duration::from_millis(millis);
                timer.until(at).await;
                assert!(Instant::now() >= at);
            }
        };
        // Asked in another order than they end.
        tokio::join!(waits(40), waits(0), waits(2));
    }

    #[test]
    fn the_earliest_is_woken_first() {
        let begun = Instant::now();
        let mut heap = BinaryHeap::new();
        for millis in [40, 0, 2] {
            let (wake, _woken) = oneshot::channel();
            let at = begun + Duration::from_millis(millis);
            heap.push(Entry { at, wake });
        }
        let order: Vec<_> = std::iter::from_fn(|| heap.pop())
            .map(|entry| (entry.at - begun).as_millis())
            .collect();
        assert_eq!(order, [0, 2, 40]);
    }

    #[tokio::test]
    async fn who_gives_up_is_forgotten() {
        let timer = Timer::start().unwrap();
        let long = timer.until(Instant::now() + Duration::from_hours(1));
        let short = timer.until(Instant::now() + Duration::from_millis(1));
        tokio::select! { () = long => panic!("too early"), () = short => {} }
        assert!(timer.queue.lock().heap.is_empty());
    }
}
