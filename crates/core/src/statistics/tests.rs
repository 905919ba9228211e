//! Figures written here come from `SciPy` 1.17.1 (`mannwhitneyu`, `bootstrap`); many more are in `golden.json`.

#![expect(clippy::float_cmp, reason = "what is compared with == is exact in every step")]

mod golden;
mod simulated;

use std::time::Duration;

use proptest::prelude::*;

use super::differences::hodges_lehmann;
use super::ranks::{Ranks, mann_whitney};
use super::*;
use crate::probe::Reading;
use crate::seed::Seed;
use crate::units::Span;

const A: [f64; 8] = [0.11, 0.12, 0.13, 0.14, 0.155, 0.16, 0.17, 0.18];
const B: [f64; 9] = [0.15, 0.21, 0.22, 0.23, 0.24, 0.25, 0.26, 0.27, 0.28];
const C: [f64; 10] = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0];
const D: [f64; 10] = [2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 6.0, 7.0, 8.0, 9.0];

fn e() -> Vec<f64> {
    (0..30).map(|i| f64::from(i * 37 % 101)).collect()
}

fn f() -> Vec<f64> {
    (0..25).map(|i| f64::from(i * 53 % 97 + 10)).collect()
}

fn tested(first: &[f64], second: &[f64]) -> Test {
    compare(first, second, Seed(42), "p99: before, during").test.unwrap()
}

#[track_caller]
fn close(is: f64, wanted: f64, relative: f64) {
    assert!(
        (is - wanted).abs() <= relative * wanted.abs().max(f64::MIN_POSITIVE),
        "{is} is not {wanted}"
    );
}

/// The test and the shift, without the long way to an interval.
fn ranked(first: &[f64], second: &[f64]) -> (Ranks, f64) {
    let sorted = |samples: &[f64]| {
        let mut samples = samples.to_vec();
        samples.sort_by(f64::total_cmp);
        samples
    };
    (
        mann_whitney(first, second),
        hodges_lehmann(&sorted(first), &sorted(second)),
    )
}

#[test]
fn small_samples_without_ties_are_counted_out() {
    let (ranks, shift) = ranked(&A, &B);
    assert!(ranks.exact);
    assert_eq!(ranks.u, 4.0);
    close(ranks.p, 0.000_987_248_046_071_575_4, 1e-12);
    close(shift, 0.0925, 1e-12);
}

#[test]
fn ties_and_larger_samples_are_approximated() {
    for (first, second, u, p, wanted) in [
        (C.to_vec(), D.to_vec(), 25.0, 0.061_329_028_106_237_346, 2.0),
        (e(), f(), 346.0, 0.629_955_084_311_436_4, 4.0),
    ] {
        let (ranks, shift) = ranked(&first, &second);
        assert!(!ranks.exact);
        assert_eq!((ranks.u, shift), (u, wanted));
        close(ranks.p, p, 1e-9);
    }
}

#[test]
fn a_tiny_p_keeps_its_digits() {
    let first: Vec<f64> = (0..40).map(f64::from).collect();
    let second: Vec<f64> = (100..140).map(f64::from).collect();
    let (ranks, shift) = ranked(&first, &second);
    assert_eq!((ranks.u, shift), (0.0, 100.0));
    close(ranks.p, 1.435_085_306_393_668e-14, 1e-9);
}

#[test]
fn samples_that_are_all_the_same_do_not_differ() {
    let test = tested(&[1.0; 10], &[1.0; 10]);
    assert_eq!((test.p, test.shift, test.interval), (1.0, 0.0, (0.0, 0.0)));
}

// SciPy's interval comes from other random numbers: the ends agree within the noise of 10,000 resamples.
#[test]
fn the_interval_is_that_of_a_percentile_bootstrap() {
    let test = tested(&A, &B);
    assert_eq!((test.u, test.exact), (4.0, true));
    close(test.shift, 0.0925, 1e-12);
    let (low, high) = test.interval;
    assert!(
        (low - 0.06).abs() < 0.004 && (high - 0.12).abs() < 0.004,
        "{low} {high}"
    );
    let (low, high) = tested(&e(), &f()).interval;
    assert!((low + 12.0).abs() < 1.5 && (high - 20.0).abs() < 1.5, "{low} {high}");
}

#[test]
fn the_interval_repeats_with_the_seed_and_changes_with_it() {
    let by = |seed, identity| compare(&A, &C, Seed(seed), identity).test.unwrap().interval;
    assert_eq!(by(1, "a"), by(1, "a"));
    assert_ne!(by(1, "a"), by(2, "a"));
    assert_ne!(by(1, "a"), by(1, "b"));
}

#[test]
fn too_few_samples_are_said_so() {
    let comparison = compare(&A[..7], &B, Seed(1), "x");
    assert_eq!((comparison.first, comparison.second, comparison.test), (7, 9, None));
    assert_eq!(
        comparison.why_not.as_deref(),
        Some("too few samples to compare: 7, at least 8 are needed in each moment")
    );
    let with_nan: Vec<f64> = A[..7].iter().copied().chain([f64::NAN, f64::INFINITY]).collect();
    assert_eq!(compare(&with_nan, &B, Seed(1), "x").first, 7);
}

#[test]
fn holm_corrects_for_looking_often() {
    let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (is, wanted) in corrected.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(is, wanted, 1e-12);
    }
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

fn dated(readings: &[(u64, Option<u64>, f64)], range: Option<u64>) -> Vec<Dated> {
    let dated = readings.iter().map(|(second, age, value)| {
        let reading = Reading {
            age: age.map(Span::secs),
            range: range.map(Span::secs),
            ..Reading::of(*value)
        };
        Dated::of(*value, Duration::from_secs(*second), &reading)
    });
    dated.collect()
}

#[test]
fn one_sample_per_distinct_scrape() {
    let readings = [
        (5, Some(0), 1.0),
        (10, Some(5), 1.0),
        (15, Some(10), 1.0),
        (20, Some(0), 2.0),
    ];
    assert_eq!(independent(&dated(&readings, None)), [1.0, 2.0]);
    let ageless = readings.map(|(second, _, value)| (second, None, value));
    assert_eq!(independent(&dated(&ageless, None)).len(), 4);
    // Data from before the run: its scrapes are apart too.
    let early = [(1, Some(20), 1.0), (2, Some(6), 2.0), (3, Some(7), 2.0)];
    assert_eq!(independent(&dated(&early, None)), [1.0, 2.0]);
}

#[test]
fn one_sample_per_range() {
    let readings: Vec<(u64, Option<u64>, f64)> = (0..13).map(|i| (i * 15, Some(0), i as f64)).collect();
    assert_eq!(independent(&dated(&readings, Some(60))), [0.0, 4.0, 8.0, 12.0]);
    let mut mixed = readings;
    mixed.reverse();
    assert_eq!(
        independent(&dated(&mixed, Some(60))),
        [0.0, 4.0, 8.0, 12.0],
        "oldest first"
    );
}

#[test]
fn what_is_not_finite_is_no_sample() {
    let readings = [(0, None, f64::NAN), (1, None, f64::INFINITY), (2, None, 3.0)];
    assert_eq!(independent(&dated(&readings, None)), [3.0]);
}

/// The median of all differences, the long way.
fn by_listing(first: &[f64], second: &[f64]) -> f64 {
    let mut all: Vec<f64> = first.iter().flat_map(|x| second.iter().map(move |y| y - x)).collect();
    all.sort_by(f64::total_cmp);
    quantile::quantile(&all, 0.5)
}

proptest! {
    #[test]
    fn the_shift_is_the_median_of_all_differences(
        first in proptest::collection::vec(-1e6..1e6, 1..40),
        second in proptest::collection::vec(-1e6..1e6, 1..40),
    ) {
        let (mut first, mut second): (Vec<f64>, Vec<f64>) = (first, second);
        first.sort_by(f64::total_cmp);
        second.sort_by(f64::total_cmp);
        prop_assert_eq!(hodges_lehmann(&first, &second), by_listing(&first, &second));
    }

    // Ties, and sizes that lie orders of magnitude apart.
    #[test]
    fn the_shift_is_found_among_ties_and_extremes(
        first in proptest::collection::vec(0..9_usize, 1..40),
        second in proptest::collection::vec(0..9_usize, 1..40),
    ) {
        let values = [-f64::MAX, -1e9, -1.0, -0.0, 0.0, f64::MIN_POSITIVE, 1.0, 1e9, f64::MAX];
        let of = |picks: &[usize]| {
            let mut samples: Vec<f64> = picks.iter().map(|at| values[*at]).collect();
            samples.sort_by(f64::total_cmp);
            samples
        };
        let (first, second) = (of(&first), of(&second));
        let (found, wanted) = (hodges_lehmann(&first, &second), by_listing(&first, &second));
        // Half-way between two infinities is no number, and none equals itself.
        prop_assert!(found == wanted || found.is_nan() && wanted.is_nan(), "{found} {wanted}");
    }

    #[test]
    fn a_p_is_a_probability_and_does_not_depend_on_the_direction(
        first in proptest::collection::vec(0..40_i32, 8..30),
        second in proptest::collection::vec(0..40_i32, 8..30),
    ) {
        let float = |samples: &[i32]| samples.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let (there, back) = (
            mann_whitney(&float(&first), &float(&second)),
            mann_whitney(&float(&second), &float(&first)),
        );
        prop_assert!((0.0..=1.0).contains(&there.p));
        prop_assert!((there.p - back.p).abs() < 1e-12);
        prop_assert_eq!(there.u + back.u, (first.len() * second.len()) as f64);
    }
}
