//! Mean, median, 95th percentile and extremes of readings as they come in, in bounded memory.

use fracas_core::number::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What so many readings have in common. NaN is counted apart: no figure can be made with it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// How many values went in, without NaN.
    pub n: u64,
    /// How many were NaN.
    pub nan: u64,
    /// Their arithmetic mean.
    pub mean: Option<Number>,
    /// The middle one; between two, their mean.
    pub median: Option<Number>,
    /// The smallest that is at least as large as 95 % of them (nearest rank).
    pub p95: Option<Number>,
    /// The smallest.
    pub min: Option<Number>,
    /// The largest.
    pub max: Option<Number>,
}

/// So many values are kept for median and percentile: 512 KiB. Beyond, every second one is dropped, evenly over time, as often as
/// needed; count, mean and extremes stay exact.
const KEPT: usize = 1 << 16;

/// Values on their way to [`Stats`].
#[derive(Debug, Clone, Default)]
pub struct Samples {
    kept: Vec<f64>,
    /// One of `1 << thinned` values is kept.
    thinned: u32,
    n: u64,
    nan: u64,
    mean: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Samples {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nan += 1;
            return;
        }
        if self.n.is_multiple_of(1u64 << self.thinned) {
            if self.kept.len() == KEPT {
                let mut index = 0usize;
                self.kept.retain(|_| {
                    index += 1;
                    !index.is_multiple_of(2)
                });
                self.thinned += 1;
            }
            // KEPT is even, so that the value that was due before the thinning is due after it too.
            self.kept.push(value);
        }
        self.n += 1;
        // Welford's form: a plain sum of large values loses the small ones. With an infinite value the mean is that value.
        if value.is_finite() && self.mean.is_finite() {
            self.mean += (value - self.mean) / self.n as f64;
        } else if self.mean.is_finite() {
            self.mean = value;
        } else if value.is_infinite() {
            self.mean += value;
        }
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
    }

    /// The figures so far.
    pub fn stats(&self) -> Stats {
        let mut sorted = self.kept.clone();
        sorted.sort_by(f64::total_cmp);
        Stats {
            n: self.n,
            nan: self.nan,
            mean: (self.n > 0).then_some(Number(self.mean)),
            median: median(&sorted).map(Number),
            p95: percentile(&sorted, 95).map(Number),
            min: self.min.map(Number),
            max: self.max.map(Number),
        }
    }
}

/// The median of ascending values.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted[sorted.len() / 2 - 1];
    // Halved before they are added: the sum of two large values would overflow.
    Some(lower / 2.0 + upper / 2.0)
}

/// The `percent`-th percentile of ascending values by nearest rank; `percent` from 1 to 100.
pub fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stats(values: &[f64]) -> Stats {
        let mut samples = Samples::default();
        for value in values {
            samples.add(*value);
        }
        samples.stats()
    }

    #[test]
    fn figures_worked_out_by_hand() {
        let all: Vec<f64> = (1..=20).map(f64::from).collect();
        let twenty = stats(&all);
        assert_eq!((twenty.n, twenty.nan), (20, 0));
        assert_eq!(twenty.mean, Some(Number(10.5)));
        assert_eq!(twenty.median, Some(Number(10.5)));
        assert_eq!(twenty.p95, Some(Number(19.0)));
        assert_eq!((twenty.min, twenty.max), (Some(Number(1.0)), Some(Number(20.0))));
        assert_eq!(stats(&[3.0, 1.0, 2.0]).median, Some(Number(2.0)));
        assert_eq!(stats(&[7.0]).p95, Some(Number(7.0)));
    }

    #[test]
    fn nothing_has_no_figures_and_nan_spoils_none() {
        assert_eq!(stats(&[]), Stats::default());
        let one = stats(&[f64::NAN, 2.0, f64::NAN]);
        assert_eq!(
            (one.n, one.nan, one.mean, one.p95),
            (1, 2, Some(Number(2.0)), Some(Number(2.0)))
        );
    }

    #[test]
    fn infinity_is_a_value() {
        let up = stats(&[1.0, f64::INFINITY, 2.0]);
        assert_eq!(
            (up.mean, up.max),
            (Some(Number(f64::INFINITY)), Some(Number(f64::INFINITY)))
        );
        assert!(stats(&[f64::INFINITY, f64::NEG_INFINITY]).mean.unwrap().0.is_nan());
    }

    #[test]
    fn a_long_run_is_thinned_evenly_and_keeps_count_mean_and_extremes() {
        let n = 5 * KEPT;
        let mut samples = Samples::default();
        for i in 0..n {
            samples.add(i as f64);
            assert!(samples.kept.len() <= KEPT);
        }
        let long = samples.stats();
        assert_eq!((long.n, long.max), (n as u64, Some(Number((n - 1) as f64))));
        let within = |found: Option<Number>, wanted: f64| (found.unwrap().0 / n as f64 - wanted).abs() < 1e-3;
        assert!(
            within(long.mean, 0.5) && within(long.median, 0.5) && within(long.p95, 0.95),
            "{long:?}"
        );
    }

    proptest! {
        #[test]
        fn every_figure_lies_between_the_extremes(values in prop::collection::vec(-1e9f64..1e9, 1..200)) {
            let found = stats(&values);
            let (min, max) = (found.min.unwrap().0, found.max.unwrap().0);
            for figure in [found.mean, found.median, found.p95] {
                let figure = figure.unwrap().0;
                // The mean is made by additions and may be off by their rounding.
                prop_assert!(figure >= min - 1e-3 && figure <= max + 1e-3);
            }
            prop_assert!(found.median.unwrap().0 <= found.p95.unwrap().0);
        }
    }
}
