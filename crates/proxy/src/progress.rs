//! How far the body of a request is, for whoever waits for what comes after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// When a part was taken last. Copies are of the same body.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Arc<Marks>);

#[derive(Debug)]
struct Marks {
    begun: Instant,
    /// In nanoseconds after the beginning: five hundred years of them.
    last: AtomicU64,
    is_awaited: AtomicBool,
    is_silent: AtomicBool,
    is_broken: AtomicBool,
    /// Nobody reads any more of it.
    is_over: AtomicBool,
    over: Notify,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Marks {
            begun: Instant::now(),
            last: AtomicU64::new(0),
            is_awaited: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
        }))
    }

    /// When the request came.
    pub(crate) fn begun(&self) -> std::time::Instant {
        self.0.begun.into_std()
    }

    /// The client is waited for.
    pub(crate) fn awaits(&self) {
        self.0.is_awaited.store(true, Ordering::Release);
    }

    /// A part was taken, or will be from now on.
    pub(crate) fn moved(&self) {
        self.0.is_awaited.store(false, Ordering::Release);
        let last = self.0.begun.elapsed().as_nanos() as u64;
        self.0.last.store(last, Ordering::Release);
    }

    /// The client sent nothing for too long.
    pub(crate) fn set_silent(&self) {
        self.0.is_silent.store(true, Ordering::Release);
    }

    /// Whether that is why the body broke off.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.is_silent.load(Ordering::Acquire)
    }

    /// The client broke it off.
    pub(crate) fn set_broken(&self) {
        self.0.is_broken.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.is_broken.load(Ordering::Acquire)
    }

    /// Nobody reads any more of it: it is whole, or the rest is not wanted. Whoever has the body says it when he drops it, at the latest.
    pub(crate) fn set_over(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.over.notify_waiters();
    }

    /// Waits until that is so.
    pub(crate) async fn over(self) {
        let over = self.0.over.notified();
        tokio::pin!(over);
        // It hears what is said from here on, and what was said before stands there.
        over.as_mut().enable();
        if !self.0.is_over.load(Ordering::Acquire) {
            over.await;
        }
    }

    /// Waits until no part was taken for so long, although one was there.
    pub(crate) async fn rests_for(&self, limit: Duration) {
        loop {
            let last = self.0.last.load(Ordering::Acquire);
            sleep_until(self.0.begun + Duration::from_nanos(last) + limit).await;
            if self.0.is_awaited.load(Ordering::Acquire) {
                // Its own limit is for that.
                sleep(limit).await;
            } else if self.0.last.load(Ordering::Acquire) == last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_limit_runs_from_the_last_part() {
        let progress = Progress::new();
        let limit = Duration::from_millis(50);
        let moves = async {
            let mut last = Instant::now();
            // In all it is twice the limit.
            for _ in 0..10 {
                // tidy: sleep because the pauses are what is measured
                tokio::time::sleep(limit / 5).await;
                last = Instant::now();
                progress.moved();
            }
            last
        };
        let rests = async {
            progress.rests_for(limit).await;
            Instant::now()
        };
        // Both are of one task, and the first is asked first: however late both are, the part is taken before the limit is looked at.
        let (last, rested) = tokio::join!(biased; moves, rests);
        assert!(rested >= last + limit, "{:?}", rested - last);
    }
}
