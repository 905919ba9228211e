//! Every fault, struck in every state of the ledger, in every way: what is there afterwards is what was there before.
//!
//! The binary under test is the real one, on real targets. What each blow hit is printed, for a table of kills says nothing if all
//! of them fell where nothing was on. `FRACAS_KILLS` sets how many blows fall at random moments in all (200),
//! `FRACAS_KILLS_EACH` how many for each fault and kind; their seed is printed and can be set with `FRACAS_SEED`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at its first surprise, and its table is for whoever reads the run"
)]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod each_state;
mod fall;
mod random_moments;
mod table;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Runs that go on at the same time. More would measure the machine.
const AT_ONCE: usize = 4;

/// Does all of the work in so many threads. A failure ends the thread that met it and the test.
fn in_threads<W: Send>(at_once: usize, work: Vec<W>, each: impl Fn(W) + Sync) {
    let queue = Mutex::new(VecDeque::from(work));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(one) = next() {
                    each(one);
                }
            });
        }
    });
}
