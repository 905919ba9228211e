//! Fracas watched from outside: its trace, its metrics and its webhook, as real peers get them; also after its runner was killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../../../telemetry/tests/support/receiver.rs"]
mod receiver;

#[path = "../keys/parts.rs"]
mod parts;

mod metrics;
mod trace;
mod webhook;

use support::{Bench, Run};

/// `fracas run` of a document, with more words.
fn run(bench: &Bench, document: &str, more: &[&str]) -> Run {
    let file = bench.place().join("experiment.yaml");
    std::fs::write(&file, document).unwrap();
    let file = file.display().to_string();
    Run::words(bench, &[&["run", &file, "--yes"], more].concat())
}
