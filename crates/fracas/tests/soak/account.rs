//! What became of every request.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many requests ended in each way. A way that is not among them is a lost request, and ends the test.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// The server's answer, to the last byte.
    whole: AtomicU64,
    /// Answered by a fault; the server never saw it.
    refused: AtomicU64,
    /// The server's answer, whose body a fault that was named has changed or cut off.
    harmed: AtomicU64,
    /// A connection that ended without an answer.
    broken: AtomicU64,
}

impl Account {
    pub(crate) fn whole(&self) -> u64 {
        self.whole.load(Ordering::Relaxed)
    }

    pub(crate) fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    pub(crate) fn is_whole(&self) {
        self.whole.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_harmed(&self) {
        self.harmed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn is_of_all_kinds(&self) {
        for count in [&self.whole, &self.refused, &self.harmed, &self.broken] {
            assert!(count.load(Ordering::Relaxed) > 0, "{self}");
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "{} whole, {} refused, {} harmed, {} broken",
            of(&self.whole),
            of(&self.refused),
            of(&self.harmed),
            of(&self.broken)
        )
    }
}
