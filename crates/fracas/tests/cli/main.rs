//! The command line: the real binary, each test with a state directory of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod documents;
mod inject;
mod look;
mod orchestrate;
mod podman;
#[allow(dead_code, reason = "the tests of keys use the rest")]
#[path = "../support/proxied.rs"]
mod proxied;
mod proxy;
mod real_clients;
mod reports;
mod rootless;
mod servers;
mod settings;
mod state;
mod stop;
mod terminal;
