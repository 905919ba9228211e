//! "It left": whatever happens to the runner, the guardian or the target, the system is afterwards as it was, and what is said of it
//! is true.
//!
//! The binary under test is the real one, targets are real, and what is there at the end is read from the kernel's files and the
//! engine's socket. Needs root; without what it needs a test prints that it was skipped, and fails under `CI=true`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at its first surprise, and its table is for whoever reads the run"
)]

#[path = "../support/mod.rs"]
mod support;

mod before_during_after;
mod both;
mod cut_off;
mod deadline;
mod disk;
mod files;
mod foreign;
mod guardian;
mod kernel_queue;
mod runner;
mod target;
