//! The command line: the real binary, each test with a state directory of its own.

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod documents;
mod look;
mod reports;
mod servers;
mod settings;
mod state;
mod stop;
mod terminal;
