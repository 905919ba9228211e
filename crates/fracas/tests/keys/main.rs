//! Every key of every format, seen at work: two runs of the program that differ in that key alone, and in what is observed.
//!
//! The tests of `fracas-spec` show that a key reaches the experiment, these that the experiment obeys it. Each has the name of its
//! key; `cargo xtask tidy` compares both lists with the schemas and with the table of settings. What is a matter of time is told by
//! the machine of the run in simulated time; everything else by the program itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/cli.rs"]
mod cli;

#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../support/proxied.rs"]
mod proxied;

#[path = "../../../telemetry/tests/support/receiver.rs"]
mod receiver;

mod chaos;
mod chaos_protocols;
mod examples;
mod native;
mod orchestration;
mod parts;
mod scenario;
mod seen;
mod settings;
mod settings_watching;
mod simulated;
mod stage;
