//! Statistics of readings: which of them are samples, and whether the samples of two moments differ. It informs a person; only
//! `expect` and `abort` decide.

mod compare;
mod differences;
mod quantile;
mod ranks;
mod sample;
mod shift;

pub use compare::{ALPHA, Comparison, FEWEST, Test, compare, holm};
pub use ranks::upper_tail;
pub use sample::{Dated, independent};

#[cfg(test)]
mod tests;
