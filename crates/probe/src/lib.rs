//! Measurements: [`Prober`] takes readings, [`statistics`] says what they were like. What a reading *is*, and what it means for an
//! expectation, stands in `fracas_core::probe` and `fracas_core::judge`.

mod command;
mod http;
mod log;
mod prober;
mod process;
mod prometheus;
pub mod statistics;
mod tcp;
mod web;

pub use prober::{LONGEST_READING, Prober, ReadContext, Settings};
pub use prometheus::fuzz_answer;
