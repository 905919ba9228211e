//! Whether two moments differ.

use super::{ranks, shift};
use crate::seed::Seed;

/// The fewest samples on each side for which a p value is given: below it even the most extreme order proves little.
pub const FEWEST: usize = 8;

/// The chance of a false alarm over all comparisons of a run together that is accepted: a p after [`holm`] below it is called a
/// difference.
pub const ALPHA: f64 = 0.05;

/// Two moments compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Samples of the first moment: its effective n.
    pub first: usize,
    /// Samples of the second moment.
    pub second: usize,
    /// The test; `None` below [`FEWEST`].
    pub test: Option<Test>,
    /// Why there is no test, in words.
    pub why_not: Option<String>,
}

/// The Mann–Whitney U test of two moments, and the size of the difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// U of the first moment.
    pub u: f64,
    /// The two-sided p, before the correction for several probes (see [`holm`]).
    pub p: f64,
    /// Whether p was counted out; otherwise by the normal approximation with corrections for ties and continuity.
    pub exact: bool,
    /// The Hodges–Lehmann estimate: how much larger the second moment is, in the unit of the probe.
    pub shift: f64,
    /// The 95 % bootstrap interval of the shift, from 10,000 seeded resamples.
    pub interval: (f64, f64),
}

/// Compares the samples of two moments. What is not finite is left out and not counted. `identity` says what is compared, e.g. the
/// probe's name and the moments: with the seed it decides the resamples.
pub fn compare(first: &[f64], second: &[f64], seed: Seed, identity: &str) -> Comparison {
    let finite = |samples: &[f64]| -> Vec<f64> { samples.iter().copied().filter(|value| value.is_finite()).collect() };
    let (a, b) = (finite(first), finite(second));
    let few = a.len().min(b.len());
    let test = (few >= FEWEST).then(|| {
        let ranks = ranks::mann_whitney(&a, &b);
        let (shift, interval) = shift::shift(&a, &b, seed, identity);
        Test {
            u: ranks.u,
            p: ranks.p,
            exact: ranks.exact,
            shift,
            interval,
        }
    });
    Comparison {
        first: a.len(),
        second: b.len(),
        why_not: test
            .is_none()
            .then(|| format!("too few samples to compare: {few}, at least {FEWEST} are needed in each moment")),
        test,
    }
}

/// Holm's correction for several tests: the p values as they stand when all of them are looked at, in the given order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut floor = 0.0_f64;
    for (rank, at) in order.into_iter().enumerate() {
        // Never smaller than the one before: a larger p cannot become more significant.
        floor = floor.max((p[at] * (p.len() - rank) as f64).min(1.0));
        corrected[at] = floor;
    }
    corrected
}
