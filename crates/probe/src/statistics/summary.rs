//! One moment in six numbers.

use serde::Serialize;

/// What the samples of one moment were like. In the unit of the probe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many samples.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// The middle; of an even number the mean of the two in the middle.
    pub median: f64,
    /// 95 % lie below it; between two samples by linear interpolation, as `NumPy`'s and R's default (type 7).
    pub p95: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// Summarizes. NaN is no sample and is left out; `None` if nothing is left.
pub fn summarize(samples: &[f64]) -> Option<Summary> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let n = sorted.len();
    // Divided before adding: the sum of large values must not overflow where their mean does not.
    let mean = sorted.iter().map(|value| value / n as f64).sum();
    Some(Summary {
        n,
        mean,
        median: quantile(&sorted, 0.5),
        p95: quantile(&sorted, 0.95),
        min,
        max,
    })
}

/// The quantile of sorted samples by linear interpolation. Not empty.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    if below.to_bits() == above.to_bits() {
        // Also keeps infinity minus infinity from becoming NaN.
        return below;
    }
    below + (above - below) * at.fract()
}
