//! Measurements: [`Prober`] takes readings, [`judge`](mod@judge) says what they mean for an expectation, [`statistics`] what they
//! were like. What a reading *is* stands in `fracas_core::probe`.

mod command;
mod http;
pub mod judge;
mod log;
mod prober;
mod process;
mod prometheus;
pub mod statistics;
mod tcp;
mod web;

pub use prober::{LONGEST_READING, Prober, ReadContext, Settings};
pub use prometheus::fuzz_answer;
