//! How far one moment is shifted from another, and how surely.

use super::differences::hodges_lehmann;
use super::quantile::quantile;
use crate::seed::Seed;

/// Resamples behind an interval.
const RESAMPLES: u64 = 10_000;

/// So many samples of a moment at most enter an interval, picked evenly: it bounds the work, and the interval is narrow by then.
const MOST: usize = 500;

/// The Hodges–Lehmann shift with its 95 % bootstrap interval (percentile method).
///
/// Each resample has a generator of its own, begun by a draw of the run's seed: the same seed and samples give the same interval.
pub(super) fn shift(first: &[f64], second: &[f64], seed: Seed, identity: &str) -> (f64, (f64, f64)) {
    let (first, second) = (sorted(first), sorted(second));
    let estimate = hodges_lehmann(&first, &second);
    let (first, second) = (thinned(first), thinned(second));
    let mut a = vec![0; first.len()];
    let mut b = vec![0; second.len()];
    let mut estimates: Vec<f64> = (0..RESAMPLES)
        .map(|resample| {
            let mut state = seed.draw("bootstrap", identity, resample).0;
            let a = drawn(&first, &mut a, &mut state);
            let b = drawn(&second, &mut b, &mut state);
            hodges_lehmann(&a, &b)
        })
        .collect();
    estimates.sort_by(f64::total_cmp);
    (estimate, (quantile(&estimates, 0.025), quantile(&estimates, 0.975)))
}

fn sorted(samples: &[f64]) -> Vec<f64> {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples
}

fn thinned(sorted: Vec<f64>) -> Vec<f64> {
    if sorted.len() <= MOST {
        return sorted;
    }
    (0..MOST).map(|i| sorted[i * (sorted.len() - 1) / (MOST - 1)]).collect()
}

/// As many values as there are, drawn with replacement, in order. Counting how often each place is drawn keeps the order without
/// sorting ten thousand times.
fn drawn(sorted: &[f64], times: &mut [u32], state: &mut u64) -> Vec<f64> {
    times.fill(0);
    for _ in 0..sorted.len() {
        // The upper half of a product with the bound: as good as unbiased, the bound being far below 2^64.
        let at = (u128::from(split_mix(state)) * sorted.len() as u128) >> 64;
        times[at as usize] += 1;
    }
    sorted
        .iter()
        .zip(times.iter())
        .flat_map(|(value, times)| std::iter::repeat_n(*value, *times as usize))
        .collect()
}

/// `SplitMix64` (Steele, Lea and Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
