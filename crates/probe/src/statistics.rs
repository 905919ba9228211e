//! Statistics of readings, pure: what a moment's samples were like, and whether two moments differ. It informs a person; only
//! `expect` and `abort` decide.

mod compare;
mod ranks;
mod sample;
mod shift;
mod summary;

pub use compare::{ALPHA, Comparison, FEWEST, Test, compare, holm};
pub use sample::sample;
pub use summary::{Summary, summarize};

#[cfg(test)]
mod tests;
