//! Measurements: [`Prober`] takes readings, [`statistics`] what they
//! were like. What a reading *is* stands in `fracas_core::probe`.

mod http;
mod prober;
mod prometheus;
pub mod statistics;
mod tcp;
mod web;

pub use prober::{LONGEST_READING, Prober, ReadContext, Settings};
pub use prometheus::fuzz_answer;
