use fracas_core::event::{Outcome, Verdict};
use fracas_core::record::Certificate;
use proptest::prelude::*;

use super::*;
use crate::lines::{Verbosity, line};
use crate::live::Live;
use crate::render::{Format as Form, render};
use crate::samples;

#[test]
fn the_report_of_a_run_that_passed() {
    let report = fold(samples::passed());
    assert_eq!((report.verdict, report.exit_code), (Some(Verdict::Passed), Some(0)));
    assert_eq!(report.duration_ms, 105_310);
    let phases: Vec<_> = report
        .phases
        .iter()
        .map(|entry| (entry.phase, entry.duration_ms))
        .collect();
    assert_eq!(phases[3], (Phase::Baseline, Some(30_000)));
    assert!(report.phases.iter().all(|entry| entry.outcome == Some(Outcome::Done)));
    assert_eq!((report.chosen(), report.applied()), (2, 2));
    let first = &report.injections[0];
    assert_eq!(first.applied.as_ref().unwrap().elapsed_ms, 30_080);
    assert_eq!(first.gone.as_ref().unwrap().elapsed_ms, 90_240);
    assert_eq!(
        first.states.iter().map(|change| change.state).collect::<Vec<_>>(),
        [State::Planned, State::Applied, State::Clean]
    );
    let p99 = &report.probes[0];
    assert!(p99.passed());
    let during = p99.moments.iter().find(|one| one.moment == Moment::During).unwrap();
    assert_eq!((during.readings, during.stats.n), (3, 3));
    assert_eq!(during.stats.median.unwrap().0.to_bits(), 0.12f64.to_bits());
    assert_eq!(during.worst.unwrap().0.to_bits(), 0.15f64.to_bits());
    let up: Vec<_> = report.metrics["up"]
        .iter()
        .map(|one| (one.moment, one.stats.n))
        .collect();
    assert_eq!(up, [(Moment::During, 2), (Moment::After, 2)]);
    assert_eq!(report.rollback_ms, Some(40));
    assert_eq!(report.stop, None);
}

#[test]
fn the_time_to_stop_is_counted_from_the_reading_that_showed_the_danger() {
    let report = fold(samples::aborted());
    let stop = report.stop.unwrap();
    assert_eq!(stop.breach.unwrap().elapsed_ms, 45_000);
    assert_eq!(stop.asked.elapsed_ms, 45_010);
    assert_eq!(stop.took_ms, Some(90));
    assert_eq!(stop.later, [StopCause::Signal("SIGINT".into())]);
    // The same without the breach: from the request.
    let asked = samples::aborted()
        .into_iter()
        .filter(|event| !matches!(event.what, What::ProbeRead { .. }));
    assert_eq!(fold(asked).stop.unwrap().took_ms, Some(80));
}

#[test]
fn a_breach_begins_with_the_first_reading_of_its_streak() {
    let mut events = samples::aborted();
    let breach = events.iter().position(|event| event.elapsed_ms == 45_000).unwrap();
    let at = |ms: u64, danger: bool| {
        let mut event = events[breach].clone();
        event.elapsed_ms = ms;
        if let What::ProbeRead { danger: why, .. } = &mut event.what {
            *why = danger.then(|| "danger".to_owned());
        }
        event
    };
    let before = [at(31_000, true), at(32_000, false), at(44_000, true)];
    events.splice(breach..breach, before);
    assert_eq!(fold(events).stop.unwrap().took_ms, Some(1090));
}

#[test]
fn a_run_that_ended_before_it_broke_anything_leaves_nothing_to_undo() {
    let mut events = samples::dry_run();
    if let What::RunStarted { dry_run, .. } = &mut events[0].what {
        *dry_run = false;
    }
    let text = |events: &[Event]| render(&fold(events.to_vec()), &[], Form::Text).unwrap();
    assert!(!text(&events).contains("SOMETHING IS LEFT"));
    // Without its end nobody knows.
    events.pop();
    assert!(text(&events).contains("SOMETHING IS LEFT"));
}

#[test]
fn nothing_is_said_to_have_stopped_while_something_is_on() {
    let mut events = samples::aborted();
    events.retain(
        |event| !matches!(&event.what, What::Injection { state: State::Clean, injection, .. } if injection.0 == 1),
    );
    let report = fold(events);
    assert_eq!((report.stop.unwrap().took_ms, report.rollback_ms), (None, None));
    assert_eq!(fold(samples::residue()).rollback_ms, None);
}

#[test]
fn a_restart_is_counted_for_the_injections_of_its_target_and_does_not_end_them() {
    let report = fold(samples::restart());
    assert_eq!(
        report.injections.iter().map(|one| one.restarts).collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(report.injections[1].applied.as_ref().unwrap().elapsed_ms, 30_090);
}

#[test]
fn a_dose_that_was_missed_once_is_not_forgotten() {
    let report = fold(samples::inconclusive());
    assert_eq!(
        (report.injections[1].dose_measurements, report.injections[1].dose_missed),
        (2, 1)
    );
}

#[test]
fn a_run_without_an_end_has_no_verdict() {
    let mut events = samples::passed();
    events.truncate(40);
    let report = fold(events);
    assert_eq!(
        (report.verdict, report.exit_code, report.word()),
        (None, None, "UNFINISHED")
    );
    // Counted from what is there.
    assert_eq!(report.decisions.count, 1);
    assert!(!report.decisions.digest.is_empty());
}

#[test]
fn the_last_word_on_a_target_is_what_was_used() {
    let mut events = samples::passed();
    let mut again = events
        .iter()
        .find(|event| matches!(event.what, What::TargetsChosen { .. }))
        .unwrap()
        .clone();
    if let What::TargetsChosen { chosen, .. } = &mut again.what {
        chosen.pop();
    }
    events.push(again);
    assert_eq!(fold(events).chosen(), 1);
}

#[test]
fn a_target_under_two_aliases_is_one() {
    let mut events = samples::passed();
    let mut again = events
        .iter()
        .find(|event| matches!(event.what, What::TargetsChosen { .. }))
        .unwrap()
        .clone();
    if let What::TargetsChosen { alias, .. } = &mut again.what {
        "again".clone_into(alias);
    }
    events.push(again);
    let report = fold(events);
    assert_eq!(report.targets.len(), 2);
    assert_eq!((report.chosen(), report.candidates()), (2, 3));
    assert!(crate::summary(&report, crate::Style::Native).contains("Targets     2 of 3 candidates"));
}

#[test]
fn a_guardian_that_was_lost_is_noted() {
    let why = "the guardian ended".to_owned();
    let report = fold([samples::event(0, 0, What::GuardianLost { why })]);
    assert_eq!(
        report.notes[0].text,
        "the guardian ended; another one recovers from the ledger"
    );
}

#[test]
fn notes_are_bounded() {
    let notes = (0..1500).map(|n| samples::event(n, n, What::Note { text: "x".into() }));
    let report = fold(notes);
    assert_eq!((report.notes.len(), report.notes_left_out), (1000, 500));
}

#[test]
fn a_report_reads_back() {
    for (name, events) in samples::all() {
        let report = fold(events);
        let text = serde_json::to_string(&report).unwrap();
        let back: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(back, report, "{name}");
    }
}

#[test]
fn the_report_has_a_schema() {
    let schema = schemars::schema_for!(Report);
    let text = serde_json::to_string(&schema).unwrap();
    for key in ["\"took_ms\"", "\"exit_code\"", "\"certificate\"", "\"p95\""] {
        assert!(text.contains(key), "{key}");
    }
}

#[test]
fn the_worst_under_equality_is_the_farthest() {
    let equal = "== 0".parse().unwrap();
    let mut readings = Readings::default();
    for value in [0.0, 3.0, -5.0, 1.0] {
        readings.add(&fracas_core::probe::Reading::of(value), Some(equal), false, false);
    }
    assert_eq!(
        readings.report(Moment::During, Some(equal)).worst.unwrap().0.to_bits(),
        (-5f64).to_bits()
    );
    readings.add(&fracas_core::probe::Reading::of(f64::NAN), Some(equal), true, false);
    assert!(readings.report(Moment::During, Some(equal)).worst.unwrap().0.is_nan());
}

proptest! {
    // Whatever was lost, doubled or mixed up: there is a report, in every form, and a live view.
    #[test]
    fn no_order_of_events_makes_anything_panic(
        picks in prop::collection::vec((0usize..8, any::<prop::sample::Index>(), any::<u64>()), 0..80),
        width in 0usize..200,
    ) {
        let stories = samples::all();
        let mut fold = Fold::default();
        let mut live = Live::default();
        let mut events = Vec::new();
        for (story, index, elapsed) in picks {
            let mut event = index.get(&stories[story].1).clone();
            // Mostly plausible times, sometimes absurd ones.
            if elapsed % 4 == 0 {
                event.elapsed_ms = elapsed;
            }
            fold.apply(&event);
            live.apply(&event);
            for picture in live.render(width, event.elapsed_ms, false) {
                prop_assert!(unicode_width::UnicodeWidthStr::width(picture.as_str()) <= width);
            }
            for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
                if let Some(text) = line(&event, verbosity) {
                    prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
                }
            }
            events.push(event);
        }
        let report = fold.report();
        for form in Form::ALL {
            render(&report, &events, form).unwrap();
        }
    }

    // An injection that is on is never hidden: whatever order the states come in, it is in the report and not called gone.
    #[test]
    fn what_is_on_is_never_called_gone(states in prop::collection::vec(0usize..5, 1..12)) {
        let all = [State::Planned, State::Applied, State::Clean, State::Foreign, State::Residue];
        let planned = samples::passed().into_iter().filter(|event| matches!(event.what, What::Planned { .. }));
        let moves = states.iter().map(|&n| samples::event(0, 0, What::Injection {
            injection: InjectionId(0),
            state: all[n],
            how: String::new(),
            took_ms: None,
        }));
        let certificate = samples::event(0, 0, What::Certified { certificate: Certificate::default() });
        let report = fold(planned.chain(moves).chain([certificate]));
        let last = all[*states.last().unwrap()];
        prop_assert_eq!(report.injections[0].state, last);
        if matches!(last, State::Applied | State::Residue) {
            prop_assert!(report.injections[0].gone.is_none() && report.injections[0].is_on() == states.contains(&1));
            let text = render(&report, &[], Form::Text).unwrap();
            prop_assert!(text.contains("SOMETHING IS LEFT"), "{}", text);
        }
    }
}
