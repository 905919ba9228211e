//! The Hodges–Lehmann estimate of a shift.

use super::quantile::between;

/// Up to so many differences are listed and the middle is picked out of them.
const LISTED: usize = 128;

/// The median of all differences `second - first`: how far the second is shifted. Both sorted, not empty, without NaN.
///
/// The differences are not listed, for there may be millions: the range that holds the middle is narrowed, each time counting with
/// two fingers what lies below, until it holds no more of them than there are samples. Ten thousand resamples ask for it.
pub(super) fn hodges_lehmann(first: &[f64], second: &[f64]) -> f64 {
    let pairs = first.len() * second.len();
    // The middle one, or the two in the middle, counted from 0.
    let (lower, upper) = ((pairs - 1) / 2, pairs / 2);
    let few = LISTED.max(first.len() + second.len());
    let mut low = ordered(second[0] - first[first.len() - 1]);
    let mut high = ordered(second[second.len() - 1] - first[0]);
    // How many differences are below the range, and how many are not above it.
    let (mut below, mut reached) = (0, pairs);
    let mut halve_bits = false;
    while reached - below > few && low < high {
        let middle = if halve_bits { half(low, high) } else { mean(low, high) };
        // By value it is quick where values are spread evenly; by bits it ends after 64 steps whatever the values are.
        halve_bits = !halve_bits;
        let count = at_most(first, second, middle);
        if count > upper {
            (high, reached) = (middle, count);
        } else if count <= lower {
            (low, below) = (middle + 1, count);
        } else {
            // One of the two is the last up to here, the other the first beyond.
            return between(last(first, second, middle), next(first, second, middle), 0.5);
        }
    }
    if low == high {
        return unordered(low);
    }
    let mut listed = list(first, second, low, high);
    let at = upper - below;
    let (before, above, _) = listed.select_nth_unstable_by(at, f64::total_cmp);
    let above = *above;
    if lower == upper {
        return above;
    }
    let one_below = before.iter().copied().max_by(f64::total_cmp).unwrap_or(above);
    between(one_below, above, 0.5)
}

/// How many differences are at most `bound`. Subtraction rounds monotonically, so the finger in `second` only moves forward.
fn at_most(first: &[f64], second: &[f64], bound: i64) -> usize {
    let mut finger = 0;
    let counts = first.iter().map(|x| {
        while finger < second.len() && ordered(second[finger] - x) <= bound {
            finger += 1;
        }
        finger
    });
    counts.sum()
}

/// The largest difference up to `bound`, of which there is one.
fn last(first: &[f64], second: &[f64], bound: i64) -> f64 {
    let found = first.iter().filter_map(|x| {
        let end = second.partition_point(|y| ordered(y - x) <= bound);
        end.checked_sub(1).map(|at| ordered(second[at] - x))
    });
    unordered(found.max().unwrap_or(bound))
}

/// The smallest difference beyond `bound`, of which there is one.
fn next(first: &[f64], second: &[f64], bound: i64) -> f64 {
    let found = first.iter().filter_map(|x| {
        let begin = second.partition_point(|y| ordered(y - x) <= bound);
        second.get(begin).map(|y| ordered(y - x))
    });
    unordered(found.min().unwrap_or(bound))
}

/// The differences from `low` to `high`.
fn list(first: &[f64], second: &[f64], low: i64, high: i64) -> Vec<f64> {
    let mut listed = Vec::new();
    for x in first {
        let begin = second.partition_point(|y| ordered(y - x) < low);
        let inside = second[begin..].iter().map(|y| y - x);
        listed.extend(inside.take_while(|difference| ordered(*difference) <= high));
    }
    listed
}

/// Half-way by bits; rounds down also where the sum would overflow or be negative.
fn half(low: i64, high: i64) -> i64 {
    (low & high) + ((low ^ high) >> 1)
}

/// Half-way by value, below `high`.
fn mean(low: i64, high: i64) -> i64 {
    let mean = unordered(low) / 2.0 + unordered(high) / 2.0;
    if mean.is_nan() {
        return half(low, high);
    }
    ordered(mean).clamp(low, high - 1)
}

/// A float as an integer in the same order: the total order of IEEE 754.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((((bits >> 63) as u64) >> 1) as i64)
}

fn unordered(order: i64) -> f64 {
    f64::from_bits((order ^ ((((order >> 63) as u64) >> 1) as i64)) as u64)
}
