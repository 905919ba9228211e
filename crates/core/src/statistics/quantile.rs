//! Quantiles, as `NumPy`'s and R's default (type 7) has them.

/// The quantile of sorted samples by linear interpolation between two. Not empty.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    between(sorted[at.floor() as usize], sorted[at.ceil() as usize], at.fract())
}

/// The value so far on the way from one to the other.
pub(super) fn between(below: f64, above: f64, share: f64) -> f64 {
    if below.to_bits() == above.to_bits() {
        // Also keeps infinity minus infinity from becoming NaN.
        return below;
    }
    below + (above - below) * share
}
