use fracas_core::event::StopCause;
use fracas_core::problem::{Problem, Said, codes};
use fracas_core::record::{Dose, Landed, State};

use super::*;
use crate::story::{Story, certified, planned, probe_read, run};

fn folded(story: &Story) -> Vec<Span> {
    let mut trace = Trace::default();
    story.events().iter().flat_map(|event| trace.apply(event)).collect()
}

fn find<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let one = found.next().unwrap_or_else(|| panic!("no span {name} in {spans:#?}"));
    assert!(found.next().is_none(), "{name} twice");
    one
}

fn value(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().rev().find(|(known, _)| *known == name);
    match found.map(|(_, value)| value) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Whole(number)) => number.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Flag(flag)) => flag.to_string(),
        None => panic!("no {name} in {span:#?}"),
    }
}

/// One fault that came on, was measured and went, with a probe read while it was on.
fn whole(last: State, verdict: Verdict) -> Story {
    let mut story = Story::begin();
    let lines = vec![certified(0, last, 12)];
    story
        .enter(10, Phase::Prepare)
        .at(20, planned(0))
        .leave(30, Phase::Prepare)
        .enter(30, Phase::Inject)
        .state(40, 0, State::Planned)
        .state(47, 0, State::Applied)
        .leave(50, Phase::Inject)
        .enter(50, Phase::Monitor)
        .at(60, probe_read("p99", 0.5, Some("0.5 is not < 0.2")))
        .at(
            70,
            What::DoseMeasured {
                injection: InjectionId(0),
                dose: Dose {
                    asked: "memory limit 64MiB".to_owned(),
                    delivered: "67108864 bytes".to_owned(),
                    landed: Landed::Yes,
                    effect: None,
                },
            },
        )
        .leave(80, Phase::Monitor)
        .enter(80, Phase::Rollback)
        .state(100, 0, last)
        .at(
            110,
            What::Certified {
                certificate: Certificate { lines },
            },
        )
        .leave(110, Phase::Rollback)
        .ended(120, verdict);
    story
}

#[test]
fn every_span_of_a_run_lies_in_one_that_was_told_too() {
    let spans = folded(&whole(State::Clean, Verdict::Passed));
    let root = find(&spans, "run");
    assert_eq!(root.id, root_id(&run()));
    assert_eq!((root.parent, root.outcome.clone()), (None, Outcome::Good));
    assert_eq!(value(root, "fracas.verdict"), "PASSED");
    assert_eq!((root.ended - root.began) / 1_000_000, 120);
    for span in &spans {
        assert_eq!(span.trace, trace_id(&run()));
        assert!(span.began <= span.ended && span.began >= root.began, "{span:#?}");
        if span.id != root.id {
            let parent = span.parent.unwrap();
            assert!(spans.iter().any(|other| other.id == parent), "an orphan: {span:#?}");
        }
        let same = spans.iter().filter(|other| other.id == span.id).count();
        assert_eq!(same, 1, "{span:#?}");
    }
    // The root comes last: its end is the end.
    assert_eq!(spans.last().unwrap().id, root.id);
}

#[test]
fn an_injection_has_its_parts_with_their_times_and_what_the_certificate_says() {
    let spans = folded(&whole(State::Clean, Verdict::Passed));
    let base = find(&spans, "run").began;
    let times = |name: &str| {
        let span = find(&spans, name);
        ((span.began - base) / 1_000_000, (span.ended - base) / 1_000_000)
    };
    assert_eq!(times("apply"), (40, 47));
    assert_eq!(times("revert"), (88, 100), "it took 12 ms and was over at 100");
    assert_eq!(times("injection memory_limit"), (20, 100));
    assert_eq!(times("cleanup"), (80, 110));
    let injection = find(&spans, "injection memory_limit");
    assert_eq!(value(injection, "fracas.dose.landed"), "yes");
    assert_eq!(value(injection, "fracas.state"), "clean");
    let happened: Vec<_> = injection.happened.iter().map(|one| one.name).collect();
    assert_eq!(happened, ["planned", "planned", "applied", "measured", "clean"]);
    for part in ["apply", "revert"] {
        assert_eq!(find(&spans, part).parent, Some(injection.id));
    }
    let revert = find(&spans, "revert");
    assert_eq!(
        (value(revert, "fracas.reverted"), value(revert, "fracas.seen")),
        ("restored".to_owned(), "as before".to_owned())
    );
    assert_eq!(value(find(&spans, "cleanup"), "fracas.cleanup.by"), BY_THE_RUN);
}

#[test]
fn a_reading_lies_in_its_phase_and_says_what_it_violates() {
    let spans = folded(&whole(State::Clean, Verdict::Failed));
    let probe = find(&spans, "probe");
    assert_eq!(probe.parent, Some(find(&spans, "phase monitor").id));
    assert_eq!(
        (value(probe, "fracas.probe"), value(probe, "fracas.value")),
        ("p99".to_owned(), "0.5".to_owned())
    );
    assert_eq!(probe.outcome, Outcome::Bad("0.5 is not < 0.2".to_owned()));
    assert_eq!(find(&spans, "run").outcome, Outcome::Bad("FAILED: because".to_owned()));
}

#[test]
fn residue_is_an_error_of_revert_injection_and_cleanup() {
    let spans = folded(&whole(State::Residue, Verdict::Residue));
    for name in ["revert", "injection memory_limit", "cleanup"] {
        assert!(matches!(find(&spans, name).outcome, Outcome::Bad(_)), "{name}");
    }
    assert_eq!(value(find(&spans, "revert"), "fracas.manual"), "echo 1 > limit");
    assert_eq!(value(find(&spans, "cleanup"), "fracas.residue"), "1");
}

#[test]
fn an_apply_that_fails_ends_there() {
    let mut story = Story::begin();
    let problem = Problem::new(&codes::FAULT_APPLY, "EBUSY");
    story.at(20, planned(0)).state(40, 0, State::Planned).at(
        45,
        What::InjectionFailed {
            injection: InjectionId(0),
            problem: Said::from(&*problem),
        },
    );
    story.at(
        46,
        What::StopAsked {
            cause: StopCause::ApplyFailed,
        },
    );
    story.ended(50, Verdict::Error);
    let spans = folded(&story);
    assert!(matches!(&find(&spans, "apply").outcome, Outcome::Bad(why) if why.contains("EBUSY")));
    assert!(matches!(
        find(&spans, "injection memory_limit").outcome,
        Outcome::Bad(_)
    ));
    assert_eq!(find(&spans, "run").happened[0].name, "stop asked");
}

#[test]
fn a_target_that_restarts_gets_a_second_apply_under_another_id() {
    let mut story = Story::begin();
    story.at(20, planned(0));
    for at in [30, 50] {
        story
            .state(at, 0, State::Planned)
            .state(at + 5, 0, State::Applied)
            .state(at + 9, 0, State::Clean);
    }
    story.ended(90, Verdict::Passed);
    let spans = folded(&story);
    let applies: Vec<_> = spans.iter().filter(|span| span.name == "apply").collect();
    assert_eq!(applies.len(), 2);
    assert_ne!(applies[0].id, applies[1].id);
}

/// The runner was killed while the fault was on. Whoever cleans up has the same events.
fn killed() -> (Trace, Vec<Span>) {
    let mut story = Story::begin();
    story
        .at(20, planned(0))
        .enter(30, Phase::Monitor)
        .state(40, 0, State::Planned)
        .state(47, 0, State::Applied);
    let mut trace = Trace::default();
    let told = story.events().iter().flat_map(|event| trace.apply(event)).collect();
    (trace, told)
}

#[test]
fn who_cleans_up_ends_what_the_runner_left_open() {
    let (mut trace, mut spans) = killed();
    let at = |ms: u64| Story::base() + ms * 1_000_000;
    let certificate = Certificate {
        lines: vec![certified(0, State::Clean, 12)],
    };
    spans.extend(trace.cleaned("the guardian: the runner died", at(1000), at(1050), &certificate));
    spans.extend(trace.abandon(at(1060), "the runner died"));
    let root = find(&spans, "run");
    let cleanup = find(&spans, "cleanup");
    assert_eq!(cleanup.parent, Some(root.id));
    assert_eq!(cleanup.trace, trace_id(&run()));
    assert_eq!((cleanup.began, cleanup.ended), (at(1000), at(1050)));
    let revert = find(&spans, "revert");
    assert_eq!((revert.began, revert.ended), (at(1000), at(1012)));
    assert_eq!(revert.parent, Some(find(&spans, "injection memory_limit").id));
    for open in [root, find(&spans, "phase monitor")] {
        assert_eq!(open.outcome, Outcome::Bad("the runner died".to_owned()));
        assert_eq!(open.ended, at(1060));
    }
    // Once only.
    assert_eq!(find(&spans, "apply").outcome, Outcome::Good);
    assert!(trace.abandon(at(2000), "again").is_empty());
}

#[test]
fn without_any_event_there_are_still_cleanup_revert_and_their_parents() {
    let mut trace = Trace::of(&run(), 1000);
    let certificate = Certificate {
        lines: vec![certified(3, State::Clean, 0)],
    };
    let mut spans = trace.cleaned("fracas recover", 2000, 3000, &certificate);
    spans.extend(trace.abandon(3000, "the runner died"));
    assert_eq!(find(&spans, "cleanup").parent, Some(root_id(&run())));
    assert_eq!(find(&spans, "run").began, 1000);
    assert_eq!(
        find(&spans, "revert").parent,
        Some(find(&spans, "injection memory_limit").id)
    );
}

#[test]
fn two_cleanups_of_one_run_are_two_spans() {
    let (mut trace, _) = killed();
    let certificate = Certificate::default();
    let first = trace.cleaned("a", 1, 2, &certificate);
    let second = trace.cleaned("b", 3, 4, &certificate);
    assert_ne!(first[0].id, second[0].id);
}
