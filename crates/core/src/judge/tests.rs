use crate::probe::{Moment, Source, Tcp, TcpMeasure};
use crate::units::Span;

use super::*;

fn probe(expect: Option<&str>) -> Probe {
    Probe {
        name: "p".to_owned(),
        description: None,
        source: Source::Tcp(Tcp {
            address: "127.0.0.1:1".to_owned(),
            timeout: Span::secs(1),
            measure: TcpMeasure::Up,
        }),
        expect: expect.map(|text| text.parse().unwrap()),
        abort: None,
        when: Vec::new(),
        critical: true,
    }
}

/// Judges readings taken every second from second 0, in a moment that ends with the last.
fn judged(expect: &str, over: Over, readings: &[Reading]) -> Judgement {
    judged_until(expect, over, readings, readings.len().saturating_sub(1) as u64)
}

fn judged_until(expect: &str, over: Over, readings: &[Reading], until: u64) -> Judgement {
    let timed: Vec<Timed<'_>> = readings
        .iter()
        .enumerate()
        .map(|(second, reading)| Timed {
            elapsed: Duration::from_secs(second as u64),
            reading,
        })
        .collect();
    let bounds = Bounds {
        from: Duration::ZERO,
        until: Duration::from_secs(until),
    };
    let when = When {
        moment: Moment::During,
        over,
    };
    judge(&probe(Some(expect)), when, &timed, bounds).unwrap()
}

fn values(values: &[f64]) -> Vec<Reading> {
    values.iter().copied().map(Reading::of).collect()
}

#[test]
fn the_message_is_that_of_seed_0() {
    let good = judged("== 1", Over::Last, &values(&[1.0]));
    assert_eq!(
        (good.passed, good.message.as_str()),
        (true, "value 1 meets threshold == 1")
    );
    let bad = judged("== 1", Over::Last, &values(&[0.0]));
    assert_eq!(
        (bad.passed, bad.message.as_str()),
        (false, "value 0 fails threshold == 1")
    );
    assert_eq!((bad.value, bad.critical, bad.moment), (Some(0.0), true, Moment::During));
}

#[test]
fn a_probe_without_an_expectation_is_not_judged() {
    let when = When {
        moment: Moment::During,
        over: Over::Whole,
    };
    let bounds = Bounds {
        from: Duration::ZERO,
        until: Duration::ZERO,
    };
    assert_eq!(judge(&probe(None), when, &[], bounds), None);
}

#[test]
fn no_reading_fails() {
    for over in [Over::Last, Over::Whole, Over::Window(Span::secs(5))] {
        let judgement = judged("== 1", over, &[]);
        assert!(
            !judgement.passed && judgement.message.starts_with("no data"),
            "{judgement:?}"
        );
        assert_eq!(judgement.value, None);
    }
}

#[test]
fn last_looks_at_the_last_and_whole_at_every_reading() {
    let dip = values(&[1.0, 0.0, 1.0]);
    assert!(judged("== 1", Over::Last, &dip).passed);
    let whole = judged("== 1", Over::Whole, &dip);
    assert!(!whole.passed);
    assert_eq!(whole.message, "value 0 fails threshold == 1 (1 of 3 readings fail)");
}

#[test]
fn a_window_looks_back_from_the_end_of_the_moment_and_no_further_than_its_beginning() {
    let readings = values(&[9.0, 0.0, 0.0, 0.0]);
    assert!(judged("< 5", Over::Window(Span::secs(2)), &readings).passed);
    assert!(!judged("< 5", Over::Window(Span::secs(3)), &readings).passed);
    assert!(!judged("< 5", Over::Window(Span::secs(480)), &readings).passed);
}

#[test]
fn a_window_shorter_than_the_interval_takes_the_last_reading_before_it() {
    assert!(judged_until("< 5", Over::Window(Span::secs(2)), &values(&[9.0, 0.0]), 60).passed);
    assert!(!judged_until("< 5", Over::Window(Span::secs(2)), &values(&[0.0, 9.0]), 60).passed);
}

#[test]
fn readings_outside_the_moment_do_not_count_and_order_does_not_matter() {
    let (good, bad) = (Reading::of(1.0), Reading::of(0.0));
    let at = |second, reading| Timed {
        elapsed: Duration::from_secs(second),
        reading,
    };
    let when = When {
        moment: Moment::During,
        over: Over::Last,
    };
    let bounds = Bounds {
        from: Duration::from_secs(10),
        until: Duration::from_secs(20),
    };
    let readings = [at(20, &good), at(9, &bad), at(15, &bad), at(21, &bad)];
    assert!(judge(&probe(Some("== 1")), when, &readings, bounds).unwrap().passed);
}

#[test]
fn the_worst_reading_is_reported_whichever_way_the_threshold_points() {
    for (expect, readings, worst) in [
        ("< 5", [1.0, 4.0, 2.0], 4.0),
        ("> 5", [7.0, 6.0, 9.0], 6.0),
        ("< 5", [6.0, 9.0, 7.0], 9.0),
        (">= 5", [1.0, 2.0, 0.5], 0.5),
        ("== 1", [1.0, 3.0, 0.0], 3.0),
        ("!= 1", [4.0, 1.0, 2.0], 1.0),
    ] {
        assert_eq!(
            judged(expect, Over::Whole, &values(&readings)).value,
            Some(worst),
            "{expect}"
        );
    }
}

#[test]
fn of_several_series_the_hardest_decides() {
    let reading = Reading {
        values: vec![1.0, 9.0],
        ..Reading::of(0.0)
    };
    assert_eq!(
        judged("< 5", Over::Last, std::slice::from_ref(&reading)).message,
        "value 9 fails threshold < 5"
    );
    assert_eq!(
        judged("> 0", Over::Last, &[reading]).message,
        "value 1 meets threshold > 0"
    );
}

#[test]
fn what_is_not_measured_fails_with_its_reason() {
    let stale = Reading {
        stale: true,
        age: Some(Span::secs(40)),
        ..Reading::of(1.0)
    };
    let empty = Reading {
        values: Vec::new(),
        ..Reading::of(0.0)
    };
    for (reading, says) in [
        (Reading::failed("connection refused"), "connection refused"),
        (stale, "data is stale: 40s old"),
        (empty, "no data"),
        (Reading::of(f64::NAN), "value NaN fails threshold == 1"),
    ] {
        let judgement = judged("== 1", Over::Whole, &[Reading::of(1.0), reading]);
        assert!(!judgement.passed);
        assert_eq!(judgement.message, format!("{says} (1 of 2 readings fail)"));
    }
}

#[test]
fn a_measured_violation_is_reported_before_one_that_nobody_saw() {
    let judgement = judged(
        "== 1",
        Over::Whole,
        &[Reading::failed("timeout"), Reading::of(0.0), Reading::of(1.0)],
    );
    assert_eq!(judgement.message, "value 0 fails threshold == 1 (2 of 3 readings fail)");
}
