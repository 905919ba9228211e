//! Measurements: [`Prober`] takes readings. What a reading *is*, and what it means for an expectation, stands in
//! `fracas_core::probe` and `fracas_core::judge`; what many of them were like, in `fracas_core::statistics`.

mod command;
mod http;
mod log;
mod prober;
mod process;
mod prometheus;
mod tcp;
mod web;

pub use prober::{LONGEST_READING, Prober, ReadContext, Settings};
pub use prometheus::fuzz_answer;
