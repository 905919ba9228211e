//! What must hold.

use fracas_core::event::{Phase, Verdict};
use fracas_core::probe::Moment;

use super::spec;
use crate::seen::{Look, keys, look, swap};
use crate::simulated::{Story, World, story};
use crate::stage::Stage;

/// A scenario with this criterion.
macro_rules! criterion {
    ($criterion:literal) => {
        spec!(
            "  targets:\n    - { alias: it, selector: { pattern: '@C-1' } }\n",
            "  faults: [{ phase: p, target: it, type: memory_pressure, params: { memory_mb: 512 } }]\n",
            "  success_criteria: [{ name: p, ",
            $criterion,
            " }]\n"
        )
    };
}

keys! { container_and_prometheus(), Dry, criterion!("type: prometheus, query: 'vector(1)', threshold: '== 1', critical: true");
    key_spec_success_criteria_query: "vector(1)" => "vector(2)", "/reading/values", "[1.0]" => "[2.0]";
    // What is critical and does not hold before the faults ends a run at once.
    key_spec_success_criteria_threshold: "== 1" => "== 2", "/code", "0" => "3";
}

keys! { Stage::container().map(Stage::with_service), Dry, criterion!("type: health_check, url: 'http://127.0.0.1:@PORT/nowhere', expected_status: 200");
    key_spec_success_criteria_url: "/nowhere" => "/healthz", "/reading/values", "[0.0]" => "[1.0]";
    key_spec_success_criteria_expected_status: "expected_status: 200" => "expected_status: 404", "/reading/values", "[0.0]" => "[1.0]";
}

keys! { Stage::container(), Plan, criterion!("type: health_check, url: 'http://127.0.0.1:1/'");
    // The other only has a meaning on an Ethereum chain, and nobody said that it may be left out.
    key_spec_success_criteria_type: "health_check" => "state_root_consensus", "/code", "0" => "2";
}

fn container_and_prometheus() -> Option<Stage> {
    Stage::container()?.with_prometheus()
}

/// `@C-1` writes a line every 10 ms, `@OTHER` none.
fn talker() -> Option<Stage> {
    Stage::container_that(&["log", "tick", "10"]).map(Stage::with_another)
}

keys! { talker(), Run, criterion!("type: log, pattern: tick, container_pattern: '@C-1'");
    key_spec_success_criteria_pattern: "pattern: tick" => "pattern: tock", "/out/probes/0/judgements/0/passed", "true" => "false";
    key_spec_success_criteria_container_pattern: "container_pattern: '@C-1'" => "container_pattern: '@OTHER'", "/out/probes/0/judgements/0/passed", "true" => "false";
}

keys! { talker(), Run, criterion!("type: log, pattern: tick, target_log: it, absence: false");
    key_spec_success_criteria_absence: "absence: false" => "absence: true", "/out/probes/0/judgements/0/passed", "true" => "false";
}

#[test]
fn key_spec_success_criteria_target_log() {
    let Some(stage) = talker() else { return };
    let base = swap(
        criterion!("type: log, pattern: tick, target_log: it"),
        "  faults:",
        "    - { alias: other, selector: { pattern: '@OTHER' } }\n  faults:",
    );
    crate::seen::differ(
        &stage,
        Look::Run,
        &base,
        ("target_log: it", "target_log: other"),
        "/out/probes/0/judgements/0/passed",
        ("true", "false"),
    );
}

#[test]
fn key_spec_metrics() {
    let Some(stage) = container_and_prometheus() else {
        return;
    };
    let base = swap(
        criterion!("type: health_check, url: 'http://127.0.0.1:1/'"),
        "duration: 600ms",
        // An answer must come before the end.
        "duration: 1500ms\n  metrics: ['vector(3)']",
    );
    let recorded = |document: &str, query: &str| {
        let seen = look(&stage, Look::Full, document);
        seen["out"]["metrics"][query][0]["stats"]["median"].clone()
    };
    assert_eq!(recorded(&base, "vector(3)"), 3.0);
    let other = swap(&base, "vector(3)", "vector(4)");
    assert_eq!(recorded(&other, "vector(4)"), 4.0);
    assert!(recorded(&other, "vector(3)").is_null());
}

/// A scenario of which only the time counts, with this at the end of its criterion.
const TIMED: &str = r#"
spec:
  targets: [{ alias: it, selector: { pattern: it } }]
  duration: 60s
  warmup: 10s
  cooldown: 20s
  interval: 2s
  faults:
    - { phase: one, target: it, type: container_pause, params: { unpause: true } }
  success_criteria:
    - { name: page, type: health_check, url: "http://a/", critical: true }
"#;

/// The stories of a scenario and of one with more in its criterion; it does not hold for ten seconds in the middle.
fn both(before: &str, more: &str) -> [Story; 2] {
    let world = World {
        value: |ms| if (30_000..40_000).contains(&ms) { 0.0 } else { 1.0 },
        ..World::default()
    };
    let base = swap(TIMED, "critical: true", before);
    [base.clone(), swap(&base, before, more)].map(|document| story(&document, &world))
}

#[test]
fn key_spec_success_criteria_critical() {
    let [critical, other] = both("critical: true, during_fault: true", "during_fault: true");
    assert_eq!((critical.verdict, other.verdict), (Verdict::Failed, Verdict::Passed));
    assert_eq!(
        (critical.judged(), other.judged()),
        (vec![(Moment::During, false)], vec![(Moment::During, false)])
    );
}

#[test]
fn key_spec_success_criteria_during_fault() {
    let [last, worst] = both("critical: true", "critical: true, during_fault: true");
    assert_eq!(last.judged(), [(Moment::Before, true), (Moment::During, true)]);
    assert_eq!(worst.judged(), [(Moment::During, false)]);
    assert_eq!((last.verdict, worst.verdict), (Verdict::Passed, Verdict::Failed));
}

#[test]
fn key_spec_success_criteria_window() {
    let [short, long] = both("critical: true, window: 20s", "critical: true, window: 40s");
    let judged = |held| vec![(Moment::Before, true), (Moment::During, held)];
    assert_eq!((short.judged(), long.judged()), (judged(true), judged(false)));
}

#[test]
fn key_spec_success_criteria_post_fault_only() {
    let [during, after] = both("critical: true", "critical: true, post_fault_only: true");
    assert_eq!(during.judged().last(), Some(&(Moment::During, true)));
    assert_eq!(after.judged(), [(Moment::After, true)]);
    assert!(after.read()[0] >= after.begun(Phase::Recovery).unwrap());
}
