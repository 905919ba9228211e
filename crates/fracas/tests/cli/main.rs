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
mod live;
mod look;
mod orchestrate;
mod podman;
mod presets;
#[allow(dead_code, reason = "the tests of keys use the rest")]
#[path = "../support/proxied.rs"]
mod proxied;
mod proxy;
mod real_clients;
#[path = "../../../telemetry/tests/support/receiver.rs"]
mod receiver;
mod reports;
mod rootless;
mod seed;
mod seed_shell;
mod servers;
mod settings;
mod spans;
mod state;
mod stop;
mod terminal;
mod urgent;
