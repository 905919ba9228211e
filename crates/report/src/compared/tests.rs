use fracas_core::event::{Event, What};
use fracas_core::units::Span;

use super::*;
use crate::{Report, fold, samples};

fn pair(report: &Report, probe: &str, second: Moment) -> ComparisonReport {
    let probe = report.probes.iter().find(|one| one.name == probe).unwrap();
    let found = probe.comparisons.iter().find(|one| one.second == second).unwrap();
    assert_eq!(found.first, Moment::Before);
    found.clone()
}

#[test]
fn a_shift_is_found_where_it_is_and_nowhere_else() {
    let report = fold(samples::measured(3, [20, 30, 20], 0.6));
    let found = pair(&report, "p1", Moment::During);
    assert_eq!((found.first_n, found.second_n, &found.why_not), (20, 30, &None));
    let test = found.test.clone().unwrap();
    assert!(test.differs && test.p_corrected < 0.001, "{test:?}");
    assert!(test.interval.0.0 <= 0.6 && 0.6 <= test.interval.1.0, "{test:?}");
    assert!((test.shift.0 - 0.6).abs() < 0.2, "{test:?}");
    assert_eq!(found.words()[3], "differs");
    for (probe, second) in [
        ("p0", Moment::During),
        ("p0", Moment::After),
        ("p1", Moment::After),
        ("p2", Moment::During),
        ("p2", Moment::After),
    ] {
        let one = pair(&report, probe, second);
        assert!(!one.test.as_ref().unwrap().differs, "{probe} {second}");
        assert_eq!(one.words()[3], "no difference seen");
    }
}

#[test]
fn every_test_of_the_run_is_corrected_for_all_of_them() {
    let report = fold(samples::measured(3, [20, 30, 20], 0.6));
    let tests = report.probes.iter().flat_map(|probe| &probe.comparisons);
    let tests: Vec<TestReport> = tests.filter_map(|one| one.test.clone()).collect();
    assert_eq!(tests.len(), 6);
    let smallest = tests.iter().min_by(|a, b| a.p.total_cmp(&b.p)).unwrap();
    assert_eq!(smallest.p_corrected.to_bits(), (smallest.p * 6.0).to_bits());
    assert!(tests.iter().all(|test| test.p_corrected >= test.p));
}

#[test]
fn few_samples_are_said_so_and_have_no_p() {
    let report = fold(samples::measured(1, [7, 30, 8], 0.0));
    let few = pair(&report, "p0", Moment::During);
    assert_eq!((few.first_n, few.test.clone()), (7, None));
    assert_eq!(
        few.words(),
        [
            "7 and 30",
            "",
            "",
            "too few samples to compare: 7, at least 8 are needed in each moment"
        ]
    );
    // Without a reading in a moment there is nothing to say of it.
    let none = fold(samples::measured(1, [9, 9, 0], 0.0));
    assert_eq!(none.probes[0].comparisons.len(), 1);
}

/// The same run, as a server would have answered a query over ranges, or one that is scraped less often than it is read.
fn with(range: Option<Span>, age: impl Fn(u64) -> Option<Span>) -> Report {
    let mut events: Vec<Event> = samples::measured(1, [24, 36, 24], 0.0);
    for event in &mut events {
        if let What::ProbeRead { reading, .. } = &mut event.what {
            reading.range = range;
            reading.age = age(event.elapsed_ms);
        }
    }
    fold(events)
}

#[test]
fn samples_are_scrapes_and_ranges_not_readings() {
    let sizes = |report: &Report| {
        let one = pair(report, "p0", Moment::During);
        (one.first_n, one.second_n)
    };
    assert_eq!(sizes(&with(None, |_| None)), (24, 36));
    // Read every 5 s, scraped every 15 s; the readings are made a second after the full five seconds and 60 ms.
    let scraped = with(None, |at| Some(Span::millis((at - 1060) % 15_000)));
    assert_eq!(sizes(&scraped), (8, 12));
    assert_eq!(sizes(&with(Some(Span::secs(20)), |_| None)), (6, 9));
}

#[test]
fn the_interval_repeats_with_the_seed() {
    let with = |seed: u64| {
        let mut events = samples::measured(1, [20, 20, 20], 0.0);
        if let What::RunStarted { seed: drawn, .. } = &mut events[0].what {
            *drawn = Seed(seed);
        }
        pair(&fold(events), "p0", Moment::During).test.unwrap()
    };
    assert_eq!(with(1), with(1));
    assert_ne!(with(1).interval, with(2).interval);
    assert_eq!(with(1).p.to_bits(), with(2).p.to_bits(), "p is not drawn");
}

#[test]
fn a_long_run_is_thinned_evenly() {
    let mut values = Values::default();
    let n = 3 * KEPT as u64;
    for at in 0..n {
        values.add(at * 1000, at as f64, &Reading::of(0.0));
        assert!(values.kept.len() <= KEPT);
    }
    let samples = values.samples();
    assert!(samples.len() > KEPT / 2, "{}", samples.len());
    let steps: Vec<f64> = samples.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(steps.iter().all(|step| step.to_bits() == 4f64.to_bits()), "{steps:?}");
}
