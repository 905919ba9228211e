//! Delays exact to a fraction of a millisecond. The timers of tokio have a grain of one; so the runtime waits for a descriptor that is exact.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fracas_linux::timer_fd::TimerFd;
use tokio::task::AbortHandle;

/// More than the kernel is asked to wait at once; then it is asked again.
const LONG: Duration = Duration::from_hours(24);

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
    /// For when the alarm is set. Later than the first of the sleepers it never is.
    set: Option<Instant>,
}

type Place = (Instant, u64);

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
            place: None,
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
    /// Among those that wait.
    place: Option<Place>,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if self.at <= now {
            return Poll::Ready(());
        }
        let (queue, at) = (self.queue, self.at);
        let mut waiting = queue.lock();
        let place = self.place.unwrap_or_else(|| {
            waiting.last += 1;
            (at, waiting.last)
        });
        let before = waiting.sleepers.insert(place, cx.waker().clone());
        if waiting.set.is_none_or(|set| at < set) {
            queue.set(&mut waiting, at, now);
        }
        drop(waiting);
        // Without the lock: who is gone with a waker takes it.
        drop(before);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // It goes without the lock.
            let _waker = self.queue.lock().sleepers.remove(&place);
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // What is in there is whole at every moment.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, waiting: &mut Waiting, at: Instant, now: Instant) {
        let long = at.saturating_duration_since(now).min(LONG);
        // Of so long it is never refused.
        let _set = self.alarm.set(long);
        waiting.set = Some(now + long);
    }

    async fn work(&self) {
        let mut due = Vec::new();
        // An error is the end of the runtime.
        while let Ok(()) = self.alarm.comes().await {
            self.take_due(&mut due);
            // Without the lock: who is gone with a waker takes it.
            due.drain(..).for_each(Waker::wake);
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
                self.set(&mut waiting, at, now);
                break;
            }
            due.push(first.remove());
        }
    }
}

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

    #[tokio::test]
    async fn who_gives_up_is_forgotten() {
        let timer = Timer::start().unwrap();
        let long = timer.until(Instant::now() + Duration::from_hours(1));
        let short = timer.until(Instant::now() + Duration::from_millis(1));
        tokio::select! { () = long => panic!("too early"), () = short => {} }
        assert!(timer.queue.lock().sleepers.is_empty());
    }
}
