//! Delays exact to a fraction of a millisecond. The timers of tokio have a grain of one; so the runtime waits for a descriptor that is exact.

use std::collections::BTreeMap;
use std::hint;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fracas_linux::timer_fd::TimerFd;
use tokio::task::AbortHandle;

/// After so long without an alarm a processor sleeps deeply, its caches are others', and it wakes late.
const COLD: Duration = Duration::from_millis(10);
/// So much earlier it is woken then, and waits for the rest awake: a hundredth of a processor at most.
const EARLY: Duration = Duration::from_micros(100);

/// Wakes whoever waits.
#[derive(Debug)]
pub(crate) struct Timer {
    queue: Arc<Queue>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Queue {
    alarm: TimerFd,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By when they are to be woken. The number is of no meaning but that no two have the same.
    sleepers: BTreeMap<Place, Waker>,
    last: u64,
    /// The alarm comes then, or before.
    set: Option<Instant>,
}

type Place = (Instant, u64);

impl Waiting {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Timer {
    /// Needs a runtime of tokio with its sockets, which lasts as long as this does.
    pub(crate) fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue {
            alarm: TimerFd::new()?,
            waiting: Mutex::default(),
        });
        let work = Arc::clone(&queue);
        let task = tokio::spawn(async move { work.work().await }).abort_handle();
        Ok(Self { queue, task })
    }

    /// Waits until then. Cancel safe.
    pub(crate) fn until(&self, at: Instant) -> Until<'_> {
        Until {
            queue: &self.queue,
            at,
            waits: None,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The wait for a time.
#[derive(Debug)]
pub(crate) struct Until<'t> {
    queue: &'t Queue,
    at: Instant,
    /// Among those that wait, and who is woken there.
    waits: Option<(Place, Waker)>,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at <= Instant::now() {
            return Poll::Ready(());
        }
        let (queue, at, waker) = (self.queue, self.at, cx.waker());
        // Before its time nobody else takes it from there.
        if self.waits.as_ref().is_some_and(|(_, before)| before.will_wake(waker)) {
            return Poll::Pending;
        }
        let mut waiting = queue.lock();
        let place = self.waits.as_ref().map(|(place, _)| *place);
        let place = place.unwrap_or_else(|| (at, waiting.next()));
        let before = waiting.sleepers.insert(place, waker.clone());
        if waiting.set.is_none_or(|set| at < set) {
            queue.set(&mut waiting, at);
        }
        drop(waiting);
        // Without the lock: who is gone with a waker takes it.
        drop(before);
        self.waits = Some((place, waker.clone()));
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if let Some((place, _)) = &self.waits {
            // It goes without the lock.
            let _waker = self.queue.lock().sleepers.remove(place);
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What is in there is whole at every moment.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, waiting: &mut Waiting, at: Instant) {
        let mut long = at.saturating_duration_since(Instant::now());
        if long >= COLD {
            long -= EARLY;
        }
        // Not refused: between no two of these times is more than the kernel counts.
        let _set = self.alarm.set(long);
        // Of two who are in time the later must not rely on an alarm that the first set late.
        waiting.set = Some(Instant::now() + long);
    }

    async fn work(&self) {
        let mut due = Vec::new();
        // An error is the end of the runtime.
        while let Ok(()) = self.alarm.comes().await {
            self.wait_awake();
            self.take_due(&mut due);
            // Without the lock: who is gone with a waker takes it.
            due.drain(..).for_each(Waker::wake);
        }
    }

    /// Waits for the first, if it was woken that little before its time.
    fn wait_awake(&self) {
        let first = self.lock().sleepers.keys().next().map(|(at, _)| *at);
        let left = || first.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        while (Duration::from_nanos(1)..=EARLY).contains(&left()) {
            hint::spin_loop();
        }
    }

    /// Those whose time has come, and sets the alarm for the next.
    fn take_due(&self, due: &mut Vec<Waker>) {
        let mut waiting = self.lock();
        let now = Instant::now();
        waiting.set = None;
        while let Some(first) = waiting.sleepers.first_entry() {
            let (at, _) = *first.key();
            if at > now {
                self.set(&mut waiting, at);
                break;
            }
            due.push(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

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

    // Of tokio's own timers most are a millisecond late or so.
    #[tokio::test]
    async fn most_are_woken_on_time() {
        let timer = Timer::start().unwrap();
        let mut late = Vec::new();
        for number in 0..101 {
            let at = Instant::now() + Duration::from_micros(300 + 17 * number);
            timer.until(at).await;
            late.push(at.elapsed());
        }
        late.sort();
        eprintln!("{:?} to {:?}, the middle {:?}", late[0], late[100], late[50]);
        assert!(late[50] < Duration::from_micros(300), "{late:?}");
    }

    #[tokio::test]
    async fn who_comes_later_for_an_earlier_time_is_woken_first() {
        let timer = Timer::start().unwrap();
        let long = timer.until(Instant::now() + Duration::from_hours(1));
        let short = timer.until(Instant::now() + Duration::from_millis(1));
        let both = async {
            tokio::select! { biased; () = long => panic!("too early"), () = short => {} }
        };
        timeout(LIMIT, both).await.unwrap();
        // Who gives up is forgotten.
        assert!(timer.queue.lock().sleepers.is_empty());
    }

    #[tokio::test]
    async fn the_last_that_asked_is_woken() {
        let timer = Timer::start().unwrap();
        let mut until = Box::pin(timer.until(Instant::now() + Duration::from_millis(20)));
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(until.as_mut().poll(&mut nobody).is_pending());
        timeout(LIMIT, until).await.unwrap();
        assert!(timer.queue.lock().sleepers.is_empty());
    }
}
