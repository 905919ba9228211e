//! The Mann–Whitney U test, two-sided.

/// Up to this many samples on each side, and without ties, the distribution of U is counted out; beyond it the normal
/// approximation is off by less than 0.001.
const COUNTED: usize = 20;

/// The outcome of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranks {
    /// U of the first sample: how many pairs it wins, ties counted half.
    pub(super) u: f64,
    /// The probability of a U so far from its mean, or further, if both come from one distribution.
    pub(super) p: f64,
    /// Whether p was counted out instead of approximated.
    pub(super) exact: bool,
}

/// Tests whether values of one sample tend to be larger than those of the other. Neither is empty nor holds NaN.
pub(super) fn mann_whitney(first: &[f64], second: &[f64]) -> Ranks {
    let (n, m) = (first.len(), second.len());
    let mut all: Vec<(f64, bool)> = first
        .iter()
        .map(|value| (*value, true))
        .chain(second.iter().map(|value| (*value, false)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties) = (0.0, 0.0);
    let mut begin = 0;
    // `==` and not the total order: 0 and -0 are one value. The total order keeps them adjacent.
    #[expect(clippy::float_cmp, reason = "a tie is exact equality")]
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let size = group.len();
        // Ranks count from 1; tied values share the mean of their ranks.
        let rank = begin as f64 + f64::midpoint(size as f64, 1.0);
        rank_sum += rank * group.iter().filter(|(_, is_first)| *is_first).count() as f64;
        ties += (size as f64).powi(3) - size as f64;
        begin += size;
    }
    let u = rank_sum - (n * (n + 1)) as f64 / 2.0;
    if ties == 0.0 && n.max(m) <= COUNTED {
        return Ranks {
            u,
            p: counted(u as usize, n, m),
            exact: true,
        };
    }
    let (nf, mf) = (n as f64, m as f64);
    let total = nf + mf;
    let variance = nf * mf / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    // Every value the same: there is nothing to tell the samples apart by.
    let p = if variance > 0.0 {
        // Continuity correction: U moves in steps, the normal distribution does not.
        let z = ((u - nf * mf / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
        (2.0 * upper_tail(z)).min(1.0)
    } else {
        1.0
    };
    Ranks { u, p, exact: false }
}

/// The two-sided p of U, by counting in how many of the orders of n + m values it is as extreme.
fn counted(u: usize, n: usize, m: usize) -> f64 {
    // The number of orders with a given U is a coefficient of the Gaussian binomial: the product over i of (1 - q^(m+i)) / (1 - q^i).
    // Floats hold every count exactly: the largest, C(40, 20), has 38 bits.
    let most = n * m;
    let mut counts = vec![0.0_f64; most + 1];
    counts[0] = 1.0;
    for i in 1..=n {
        for at in (m + i..=most).rev() {
            counts[at] -= counts[at - m - i];
        }
        for at in i..=most {
            counts[at] += counts[at - i];
        }
    }
    let all: f64 = counts.iter().sum();
    let far = u.max(most - u);
    (2.0 * counts[far..].iter().sum::<f64>() / all).min(1.0)
}

/// The probability that a standard normal value exceeds `z`, for z >= 0.
///
/// Below 3 by the series of the distribution function (Abramowitz and Stegun 26.2.10), above by the continued fraction of Mills'
/// ratio (26.2.14): each exact to about 1e-14 where it is used.
pub fn upper_tail(z: f64) -> f64 {
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z < 3.0 {
        let (mut term, mut sum, mut k) = (z, z, 1.0);
        while term > sum * f64::EPSILON {
            term *= z * z / (2.0 * k + 1.0);
            sum += term;
            k += 1.0;
        }
        0.5 - density * sum
    } else {
        let fraction = (1..=100).rev().fold(z, |below, k| z + f64::from(k) / below);
        density / fraction
    }
}
