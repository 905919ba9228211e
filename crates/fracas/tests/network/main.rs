//! Faults on networks, seen by other people's programs: ping(8), iperf3(1), tc(8), nft(8), iptables(8), and by bystanders.
//!
//! The binary under test is the real one, its experiments are whole, and what is there is read by programs that know nothing of Fracas.
//! Needs root; without what it needs a test prints that it was skipped, and fails under `CI=true`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at its first surprise, and its figures are for whoever reads the run"
)]

#[path = "../support/mod.rs"]
mod support;

mod bystanders;
mod dose;
mod landed;
mod place;
mod programs;
