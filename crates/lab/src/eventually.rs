//! Waiting for what must come true, with a limit.

use std::panic::Location;
use std::time::{Duration, Instant};

/// Time between two looks.
const STEP: Duration = Duration::from_millis(5);

/// Blocks until the condition holds. Panics after `limit`, naming `what` was waited for. For /proc and files; in async code that
/// must go on meanwhile use [`eventually_async`].
#[track_caller]
pub fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        // Returns early at times, which only means another look.
        std::thread::park_timeout(STEP);
    }
}

/// Waits until the condition holds. Panics after `limit`, naming `what` was waited for and where.
#[track_caller]
pub fn eventually_async<F, C>(limit: Duration, what: &str, mut condition: F) -> impl Future<Output = ()>
where
    F: FnMut() -> C,
    C: Future<Output = bool>,
{
    let place = Location::caller();
    async move {
        let begun = Instant::now();
        while !condition().await {
            assert!(begun.elapsed() < limit, "{place}: not within {limit:?}: {what}");
            tokio::time::sleep(STEP).await;
        }
    }
}
