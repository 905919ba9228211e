//! Many runs, simulated: how often a difference is seen where there is none, and where there is one. The draws are fixed by the
//! seed: each of these holds for ever or never.

use super::*;

/// Probes of a simulated run.
const PROBES: u64 = 5;
/// Samples in baseline, while faults are on, and in recovery.
const SIZES: [u64; 3] = [12, 40, 15];

/// A response time: skewed to the right (the product of two uniform draws), rounded to milliseconds so that there are ties.
fn response(purpose: &str, run: u64, ordinal: u64) -> f64 {
    let uniform = |which: u64| Seed(run).draw(purpose, "response", 2 * ordinal + which).uniform();
    (200.0 * (0.1 + uniform(0)) * (0.1 + uniform(1))).round() / 1000.0
}

/// The samples of each moment of one probe.
fn moments(run: u64, probe: u64) -> [Vec<f64>; 3] {
    let mut ordinal = probe * 1000;
    SIZES.map(|size| {
        ordinal += size;
        (0..size).map(|n| response("probe", run, ordinal + n)).collect()
    })
}

/// Whether anything in a run is called a difference, as a report does it: both comparisons of every probe, corrected together.
fn alarm(run: u64, shifted: impl Fn(u64, &mut [Vec<f64>; 3])) -> bool {
    let mut p = Vec::new();
    for probe in 0..PROBES {
        let mut moments = moments(run, probe);
        shifted(probe, &mut moments);
        let [before, during, after] = moments;
        p.extend([mann_whitney(&before, &during).p, mann_whitney(&before, &after).p]);
    }
    holm(&p).into_iter().any(|p| p < ALPHA)
}

#[test]
fn a_thousand_runs_in_which_nothing_changed_alarm_in_no_more_than_alpha() {
    let alarms = (0..1000).filter(|run| alarm(*run, |_, _| {})).count();
    println!("{alarms} of 1000 runs without a change alarmed");
    assert!(alarms as f64 <= 1000.0 * ALPHA, "{alarms} false alarms in 1000 runs");
    // A test that never rejects would pass too.
    assert!(alarms >= 10, "{alarms}: the correction is far too strict");
}

#[test]
fn planted_shifts_are_found() {
    // A response time is 0.072 in the mean, with a standard deviation of 0.052: one probe of five becomes slower by
    // 0.1.
    let found = (0..200)
        .filter(|run| {
            alarm(*run, |probe, moments| {
                if probe == 2 {
                    for value in &mut moments[1] {
                        *value += 0.1;
                    }
                }
            })
        })
        .count();
    println!("a shift by two deviations was found in {found} of 200 runs");
    assert!(found >= 190, "found in {found} of 200 runs");
}

#[test]
fn the_interval_holds_a_planted_shift_as_often_as_it_says() {
    let runs = 30;
    let held = (0..runs)
        .filter(|run| {
            let [before, mut during, _] = moments(*run, 0);
            for value in &mut during {
                *value += 0.06;
            }
            let test = tested(&before, &during);
            test.interval.0 <= 0.06 && 0.06 <= test.interval.1
        })
        .count();
    println!("{held} of {runs} intervals held the shift");
    // 95 of 100 are expected of an exact interval; that of a percentile bootstrap of 12 samples is a little too narrow.
    assert!(held >= 26, "held in {held} of {runs}");
}
