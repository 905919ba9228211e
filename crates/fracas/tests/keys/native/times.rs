//! When things happen, told in simulated time.

use fracas_core::event::{Phase, Verdict};
use fracas_core::probe::Moment;

use crate::seen::swap;
use crate::simulated::{World, story};

/// Two faults, and a probe that must hold throughout.
const BASE: &str = r#"
apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: base }
hypothesis:
  interval: 2s
  warmup: 10s
  recovery: { within: 40s, stable_for: 6s }
  probes:
    - { name: p, tcp: { address: "a:1" }, expect: "== 1", when: [before, during, after] }
targets:
  - { alias: it, process: { name: it } }
faults:
  - { name: one, target: it, inject: { process_pause: {} }, start: 3s, duration: 20s }
  - { name: two, target: it, inject: { process_pause: {} } }
execution: parallel
on_target_failure: rollback
duration: 60s
max_duration: 90s
"#;

/// The stories of the base and of the base with one key changed, in the same world.
fn both(old: &str, new: &str, world: &World) -> [crate::simulated::Story; 2] {
    [BASE.to_owned(), swap(BASE, old, new)].map(|document| story(&document, world))
}

/// A world in which the probe gives 1 until the faults come, and never again.
fn broken() -> World {
    World {
        value: |ms| if ms <= 10_000 { 1.0 } else { 0.0 },
        ..World::default()
    }
}

#[test]
fn key_hypothesis_interval() {
    let [seldom, often] = both("interval: 2s", "interval: 1s", &World::default());
    assert_eq!(seldom.read()[..3], [0, 2000, 4000]);
    assert_eq!(often.read()[..3], [0, 1000, 2000]);
}

#[test]
fn key_hypothesis_warmup() {
    let [short, long] = both("warmup: 10s", "warmup: 15s", &World::default());
    assert_eq!(
        (short.took(Phase::Baseline), long.took(Phase::Baseline)),
        (10_000, 15_000)
    );
    assert_eq!((short.when("on 2"), long.when("on 2")), (10_000, 15_000));
}

#[test]
fn key_hypothesis_recovery_within() {
    let [soon, late] = both("within: 40s", "within: 50s", &broken());
    assert_eq!(
        (soon.took(Phase::Recovery), late.took(Phase::Recovery)),
        (40_000, 50_000)
    );
}

#[test]
fn key_hypothesis_recovery_stable_for() {
    let [short, long] = both("stable_for: 6s", "stable_for: 8s", &World::default());
    assert_eq!((short.took(Phase::Recovery), long.took(Phase::Recovery)), (6000, 8000));
}

#[test]
fn key_hypothesis_probes_when() {
    let [always, after] = both("[before, during, after]", "[after]", &World::default());
    let judged = [(Moment::Before, true), (Moment::During, true), (Moment::After, true)];
    assert_eq!(always.judged(), judged);
    assert_eq!(after.judged(), judged[2..]);
    assert!(after.read()[0] >= after.begun(Phase::Recovery).unwrap());
}

#[test]
fn key_faults_start() {
    let [early, late] = both("start: 3s", "start: 7s", &World::default());
    assert_eq!((early.when("on 0"), late.when("on 0")), (13_000, 17_000));
    assert_eq!((early.when("on 2"), late.when("on 2")), (10_000, 10_000));
}

#[test]
fn key_faults_duration() {
    let [short, long] = both("duration: 20s", "duration: 25s", &World::default());
    assert_eq!((short.when("off 0"), long.when("off 0")), (33_000, 38_000));
}

#[test]
fn key_execution() {
    let [parallel, sequential] = both("parallel", "sequential", &World::default());
    assert_eq!(parallel.when("on 2"), 10_000);
    assert_eq!(sequential.when("on 2"), sequential.when("off 0"));
    assert_eq!(sequential.when("off 0"), 33_000);
}

#[test]
fn key_on_target_failure() {
    let world = World {
        fails: Some(0),
        ..World::default()
    };
    let [rolled_back, went_on] = both("failure: rollback", "failure: continue", &world);
    assert_eq!(
        (rolled_back.verdict, went_on.verdict),
        (Verdict::Error, Verdict::Inconclusive)
    );
    assert_eq!((rolled_back.when("off 2"), went_on.when("off 2")), (13_000, 70_000));
}

#[test]
fn key_duration() {
    let [short, long] = both("\nduration: 60s", "\nduration: 70s", &World::default());
    assert_eq!((short.when("off 2"), long.when("off 2")), (70_000, 80_000));
}

/// The meters hang, and a run that ends by the clock waits for them.
#[test]
fn key_max_duration() {
    let world = World {
        measures: false,
        ..World::default()
    };
    let [short, long] = both("max_duration: 90s", "max_duration: 95s", &world);
    assert_eq!((short.when("off 2"), long.when("off 2")), (100_000, 105_000));
    assert_eq!((short.verdict, long.verdict), (Verdict::Aborted, Verdict::Aborted));
}
