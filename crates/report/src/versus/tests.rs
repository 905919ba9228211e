use fracas_core::event::{Event, What};

use super::*;
use crate::samples;

fn measured(events: Vec<Event>) -> Measured {
    Measured::of(events)
}

#[test]
fn two_runs_of_one_experiment_side_by_side() {
    let first = measured(samples::measured(3, [20, 30, 20], 0.0));
    let second = measured(samples::measured(3, [20, 30, 20], 0.6));
    let both = versus(&first, &second).unwrap();
    assert_eq!(both.probes.len(), 9);
    assert!(both.notes.is_empty(), "{:?}", both.notes);
    for one in &both.probes {
        let planted = one.probe == "p1" && one.moment == Moment::During;
        let test = one.test.as_ref().unwrap();
        assert_eq!(test.differs, planted, "{} {}", one.probe, one.moment);
        if planted {
            let by = one.second_median.unwrap().0 - one.first_median.unwrap().0;
            assert!((by - 0.6).abs() < 1e-9 && (test.shift.0 - 0.6).abs() < 1e-9, "{one:?}");
        }
    }
    assert_eq!((both.first.landed, both.first.injections, both.first.left), (0, 2, 0));
    let clean = both.faults[0].second.as_ref().unwrap().clean_ms;
    assert_eq!((both.faults.len(), clean), (2, Some(12)));
    let told = text(&both);
    assert!(told.contains("p1 during: median "), "{told}");
    assert!(
        told.lines()
            .any(|line| line.contains("p1 during") && line.ends_with(": differs (30 and 30 samples)")),
        "{told}"
    );
    assert_eq!(serde_json::to_value(&both).unwrap()["probes"][0]["moment"], "before");
}

#[test]
fn verdicts_doses_and_times_stand_side_by_side() {
    let both = versus(&measured(samples::passed()), &measured(samples::aborted())).unwrap();
    let told = text(&both);
    for line in [
        "Verdict       PASSED                              ABORTED",
        "Rollback      40 ms                               40 ms",
        "Time to stop  -                                   90 ms",
    ] {
        assert!(told.lines().any(|one| one == line), "{line}: {told}");
    }
    assert!(told.contains("too few samples to compare: 1, at least 8"), "{told}");
    let inconclusive = versus(&measured(samples::passed()), &measured(samples::inconclusive())).unwrap();
    assert!(text(&inconclusive).contains("second  asked memory limit 512MiB, delivered 536870912 bytes in memory.limit_in_bytes; unmeasured: the meter's file is gone; gone in 12 ms"));
    let left = versus(&measured(samples::passed()), &measured(samples::residue())).unwrap();
    assert_eq!((left.first.left, left.second.left), (0, 1));
}

/// The same run with its probes renamed or asking for something else.
fn changed(events: Vec<Event>, change: impl Fn(&mut fracas_core::experiment::Experiment)) -> Measured {
    let mut events = events;
    if let What::RunStarted { experiment, .. } = &mut events[0].what {
        change(experiment);
    }
    measured(events)
}

#[test]
fn only_what_both_measure_in_the_same_way_is_compared_and_the_rest_is_said() {
    let first = measured(samples::measured(3, [9, 9, 9], 0.0));
    let second = changed(samples::measured(3, [9, 9, 9], 0.0), |experiment| {
        experiment.probes[0].name = "other".into();
        experiment.probes[1].expect = Some("< 0.5".parse().unwrap());
        if let fracas_core::probe::Source::Prometheus(source) = &mut experiment.probes[2].source {
            source.query = "something_else".into();
        }
    });
    let both = versus(&first, &second).unwrap();
    assert!(both.probes.iter().all(|one| one.probe == "p1"), "{:?}", both.probes);
    assert_eq!(
        both.notes,
        [
            "probe p0 is only in the first run",
            "probe p1: the first run expects < 0.9, the second < 0.5",
            "probe p2 is not compared: the runs ask different things by this name",
            "probe other is only in the second run",
        ]
    );
}

#[test]
fn runs_that_share_nothing_are_refused() {
    let first = measured(samples::measured(1, [9, 9, 9], 0.0));
    let second = changed(samples::measured(1, [9, 9, 9], 0.0), |experiment| {
        experiment.probes[0].name = "other".into();
    });
    let mut strange = second;
    for one in &mut strange.report.injections {
        one.target = "elsewhere".into();
    }
    let problem = versus(&first, &strange).unwrap_err();
    assert_eq!(problem.code.id, "R005");
    assert!(problem.line().contains("the first measures p0"), "{problem}");
}
