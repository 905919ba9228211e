//! What the kill tests share: the real binary on real targets, blows, and looks at the system that do not go through Fracas.

#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

mod bench;
mod blow;
mod document;
mod look;
mod run;
mod target;

pub(crate) use bench::{Bench, nothing_left, reap_orphans};
pub(crate) use blow::{Blow, Trap, go_on, signal};
pub(crate) use document::{Document, memory_limit};
pub(crate) use look::{cgroup_file, children_of, files_in, groups_named, is_stopped, read, remember};
pub(crate) use run::{Run, Said, certificate, first, of};
pub(crate) use target::{Made, Target, engine_says};

use std::time::{Duration, Instant};

/// The longest that a test waits for something that is not itself what it measures.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// Looks again and again.
#[track_caller]
pub(crate) fn soon<T>(limit: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    every(Duration::from_millis(1), limit, what, look)
}

/// Looks again and again, with so long a pause.
#[track_caller]
pub(crate) fn every<T>(pause: Duration, limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::park_timeout(pause);
    }
}
