//! The customers of the shop: twenty requests in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Between two requests.
const RHYTHM: Duration = Duration::from_millis(50);
/// A customer goes away after so long.
const LIMIT: Duration = Duration::from_secs(2);
/// So many wait at a time at most.
const AT_ONCE: usize = 64;

/// How they fared since last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fared {
    /// Pages that came.
    pub(crate) served: u64,
    /// Requests without a page.
    pub(crate) failed: u64,
    /// The longest wait for a page.
    pub(crate) slowest: Duration,
}

#[derive(Default)]
struct Counts {
    served: AtomicU64,
    failed: AtomicU64,
    slowest_ms: AtomicU64,
}

/// The load. Ends when dropped.
pub(crate) struct Load {
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

impl Load {
    /// Begins. Needs a tokio runtime.
    pub(crate) fn begin(port: u16) -> Self {
        let counts = Arc::new(Counts::default());
        let theirs = Arc::clone(&counts);
        let task = tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let mut tick = interval(RHYTHM);
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tick.tick().await;
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let counts = Arc::clone(&theirs);
                tokio::spawn(async move {
                    let begun = Instant::now();
                    if let Ok(200) = super::ask(port, LIMIT).await {
                        counts.served.fetch_add(1, Ordering::Relaxed);
                        counts
                            .slowest_ms
                            .fetch_max(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
                    } else {
                        counts.failed.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(place);
                });
            }
        });
        Self { counts, task }
    }

    /// How the customers fared since this was last asked.
    pub(crate) fn take(&self) -> Fared {
        Fared {
            served: self.counts.served.swap(0, Ordering::Relaxed),
            failed: self.counts.failed.swap(0, Ordering::Relaxed),
            slowest: Duration::from_millis(self.counts.slowest_ms.swap(0, Ordering::Relaxed)),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}
