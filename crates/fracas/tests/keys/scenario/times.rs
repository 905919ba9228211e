//! When things happen, told in simulated time.

use fracas_core::event::Phase;

use crate::seen::swap;
use crate::simulated::{Story, World, story};

const BASE: &str = r#"
spec:
  targets: [{ alias: it, selector: { pattern: it } }]
  duration: 60s
  warmup: 10s
  cooldown: 20s
  interval: 2s
  execution_mode: parallel
  faults:
    - { phase: one, target: it, type: container_pause, params: { unpause: true }, delay: 3s, duration: 20s }
    - { phase: two, target: it, type: memory_pressure, params: { memory_mb: 64 } }
  success_criteria:
    - { name: page, type: health_check, url: "http://a/" }
"#;

/// The stories of the base and of the base with one key changed.
fn both(old: &str, new: &str) -> [Story; 2] {
    [BASE.to_owned(), swap(BASE, old, new)].map(|document| story(&document, &World::default()))
}

#[test]
fn key_spec_duration() {
    let [short, long] = both("\n  duration: 60s", "\n  duration: 70s");
    assert_eq!(
        (short.begun(Phase::Cooldown), long.begun(Phase::Cooldown)),
        (Some(70_000), Some(80_000))
    );
    assert_eq!((short.when("off 2"), long.when("off 2")), (90_000, 100_000));
}

#[test]
fn key_spec_warmup() {
    let [short, long] = both("warmup: 10s", "warmup: 15s");
    assert_eq!(
        (short.took(Phase::Baseline), long.took(Phase::Baseline)),
        (10_000, 15_000)
    );
}

#[test]
fn key_spec_cooldown() {
    let [short, long] = both("cooldown: 20s", "cooldown: 30s");
    assert_eq!(
        (short.took(Phase::Cooldown), long.took(Phase::Cooldown)),
        (20_000, 30_000)
    );
    assert_eq!((short.when("off 2"), long.when("off 2")), (90_000, 100_000));
}

#[test]
fn key_spec_interval() {
    let [seldom, often] = both("interval: 2s", "interval: 1s");
    let between = |story: &Story| story.read()[2] - story.read()[1];
    assert_eq!((between(&seldom), between(&often)), (2000, 1000));
}

#[test]
fn key_spec_execution_mode() {
    let [parallel, sequential] = both("parallel", "sequential");
    assert_eq!((parallel.when("on 2"), sequential.when("on 2")), (10_000, 33_000));
}

#[test]
fn key_spec_faults_delay() {
    let [early, late] = both("delay: 3s", "delay: 7s");
    assert_eq!((early.when("on 0"), late.when("on 0")), (13_000, 17_000));
}

#[test]
fn key_spec_faults_duration() {
    let [short, long] = both("delay: 3s, duration: 20s", "delay: 3s, duration: 25s");
    assert_eq!((short.when("off 0"), long.when("off 0")), (33_000, 38_000));
}

/// The fault has no duration of its own, and its parameters say one.
#[test]
fn key_spec_faults_params_container_pause_duration() {
    let base = swap(BASE, "unpause: true }, delay: 3s, duration: 20s", "duration: 20 }");
    let off = |document: &str| story(document, &World::default()).when("off 0");
    assert_eq!(off(&base), 30_000);
    assert_eq!(off(&swap(&base, "duration: 20 }", "duration: 25 }")), 35_000);
}
