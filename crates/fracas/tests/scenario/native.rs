//! Native experiments: recovery, restarts, chance, failures, dry runs, formats.

use std::time::Duration;

use fracas_core::event::{Outcome, Phase, What};
use fracas_core::record::State;
use fracas_docker::Outcome as Did;
use serde_json::Value;

use crate::support::{
    Bench, Done, HALF_A_GIB, Prometheus, Services, Settings, experiment, limit_file, memory_limit, set_value,
};

/// Two runs that differ in what happens after the faults: in one the value comes back, in the other it does not.
#[tokio::test]
async fn recovery_waits_until_the_probes_are_stable_and_no_longer_than_within() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 2).await;
    let Some(prometheus) = Prometheus::start(&[("a", &services.ports[..1]), ("b", &services.ports[1..])]) else {
        return;
    };
    let bench = bench.with(&prometheus);
    let run = |index: usize, job: &str, within: &str| {
        let probes = format!(
            "    - name: value
      prometheus: {{ query: 'app_value{{job=\"{job}\"}}', scrape_interval: 250ms }}
      expect: \"== 1\"
      when: [before, after]"
        );
        let document = experiment(services.containers[index].name(), "duration: 2s", "", &probes);
        bench.begin(&document.replace("within: 20s", within), &[])
    };
    let (mut back, mut lost) = (run(0, "a", "within: 20s"), run(1, "b", "within: 2s"));
    for (run, port) in [(&mut back, services.ports[0]), (&mut lost, services.ports[1])] {
        run.until_applied(1);
        set_value(port, 0.0);
    }
    back.until_phase(Phase::Recovery);
    back.until_read(0, 0.0);
    set_value(services.ports[0], 1.0);

    let back = back.end().expect(0);
    let (from, until, outcome) = back.phase(Phase::Recovery);
    assert_eq!(outcome, Outcome::Done);
    let good = back.times(|what| matches!(what, What::ProbeRead { reading, .. } if reading.values == [1.0]));
    let stable = good.iter().find(|at| **at > from).unwrap();
    assert!(
        until - stable >= 500,
        "stable for 1s, read each 500 ms: {} ms",
        until - stable
    );
    assert!(until - from >= 1000, "{} ms", until - from);

    let lost = lost.end().expect(1);
    let (from, until, outcome) = lost.phase(Phase::Recovery);
    assert_eq!(outcome, Outcome::Failed);
    assert!((2000..6000).contains(&(until - from)), "{} ms", until - from);
    assert!(
        lost.stdout.contains("FAILED: value after the faults: value 0 fails"),
        "{}",
        lost.stdout
    );
    lost.assert_clean();
}

/// A person restarts a target by hand while its limit is on: the new control group gets the limit too, and is as new afterwards.
#[tokio::test]
async fn a_target_that_restarts_is_followed() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let container = &services.containers[0];
    let before = Settings::of(container).await;
    let document = experiment(container.name(), "duration: 8s", "", "");
    let mut run = bench.begin(&document, &[]);
    run.until_applied(1);
    let first = container.identity().await.unwrap();
    let did = bench.engine.restart(container.id(), Duration::ZERO).await.unwrap();
    assert_eq!(did, Did::Done);
    run.until_applied(2);
    assert_ne!(container.identity().await.unwrap(), first);
    assert_eq!(memory_limit(container).await, HALF_A_GIB);

    let done = run.end().expect(0);
    assert_eq!(done.report["injections"][0]["restarts"], 1);
    let restarted = done.times(|what| matches!(what, What::TargetRestarted { times: 1, .. }));
    assert_eq!(restarted.len(), 1);
    assert!(done.stderr.contains("restarted (by now 1 times)"), "{}", done.stderr);
    assert_eq!(Settings::of(container).await.files, before.files);
    done.assert_clean();
}

/// The same seed chooses the same half of the same containers; another seed chooses another half.
#[tokio::test]
async fn the_same_seed_decides_the_same() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 6).await;
    let run = |seed: u32, arguments: &[&str]| {
        let top = format!("seed: {seed}\nduration: 300ms");
        let document = experiment(
            &format!("{}[0-9]", services.prefix),
            &top,
            "blast_radius: { percent: 50% }",
            "",
        );
        bench
            .run(&document.replace("warmup: 1s", "warmup: 0s"), arguments)
            .expect(0)
    };
    let decided = |done: &Done| (done.chosen(), done.report["decisions"].clone());
    let first = run(1, &[]);
    let second = run(1, &[]);
    assert_eq!(first.chosen().len(), 3);
    assert_eq!(first.states(State::Applied).len(), 3);
    assert_eq!(first.report["seed"], 1);
    assert_eq!(decided(&first), decided(&second));
    assert!(first.report["decisions"]["count"].as_u64().unwrap() > 0);

    // Chance alone gives the same half in one of twenty: all five other seeds do it in one of three million, once and for all.
    let others: Vec<_> = (2..7).map(|seed| decided(&run(seed, &["--dry-run"]))).collect();
    assert!(others.iter().any(|(chosen, _)| *chosen != first.chosen()), "{others:?}");
    for (chosen, decisions) in &others {
        let same = *decisions == first.report["decisions"];
        assert_eq!(
            same,
            *chosen == first.chosen(),
            "the digest is that of the decisions: {others:?}"
        );
    }
}

/// Two runs that differ only in `on_target_failure`: a stranger changes one of two targets after the plan was made.
#[tokio::test]
async fn on_target_failure_rolls_back_or_continues() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 4).await;
    // Lower than ours: the fault cannot be put on it any more.
    let theirs = "268435456";
    let mut ended = Vec::new();
    for (first, word) in [(0, "rollback"), (2, "continue")] {
        let document = experiment(
            &format!("{}[{}{}]", services.prefix, first, first + 1),
            &format!("on_target_failure: {word}\nduration: 1s"),
            "",
            "",
        );
        let file = limit_file(&services.containers[first + 1]).await;
        let mut run = bench.begin(&document.replace("warmup: 1s", "warmup: 3s"), &[]);
        run.until_phase(Phase::Baseline);
        std::fs::write(file, theirs).unwrap();
        ended.push(run.end());
        assert!(memory_limit(&services.containers[first]).await > 1 << 40, "{word}");
        assert_eq!(
            memory_limit(&services.containers[first + 1]).await.to_string(),
            theirs,
            "{word}"
        );
    }
    let carried_on = ended.pop().unwrap().expect(5);
    let rolled_back = ended.pop().unwrap().expect(2);
    assert!(
        !rolled_back.phases().contains(&Phase::Monitor),
        "{:?}",
        rolled_back.phases()
    );
    assert!(
        rolled_back
            .stderr
            .contains("is not below the present limit of 268435456 bytes"),
        "{}",
        rolled_back.stderr
    );
    assert!(
        carried_on.phases().contains(&Phase::Detect),
        "{:?}",
        carried_on.phases()
    );
    assert_eq!(carried_on.states(State::Applied).len(), 1);
    let stayed = carried_on.phase(Phase::Rollback).0 - carried_on.states(State::Applied)[0];
    assert!(stayed >= 900, "the other target went on for {stayed} ms");
    assert!(
        carried_on.stdout.contains("INCONCLUSIVE: injection"),
        "{}",
        carried_on.stdout
    );
}

/// A stranger raises a limit after the plan was made: their value is what is put back, not the one of the plan.
#[tokio::test]
async fn what_a_stranger_set_before_the_fault_is_restored() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let container = &services.containers[0];
    let file = limit_file(container).await;
    let document = experiment(container.name(), "duration: 1s", "", "").replace("warmup: 1s", "warmup: 3s");
    let mut run = bench.begin(&document, &[]);
    run.until_phase(Phase::Baseline);
    std::fs::write(file, "1073741824").unwrap();
    run.until_applied(1);
    assert_eq!(memory_limit(container).await, HALF_A_GIB);
    run.end().expect(0).assert_clean();
    assert_eq!(memory_limit(container).await, 1 << 30);
}

/// Two dry runs that differ in the waiting; neither touches anything.
#[tokio::test]
async fn dry_runs_touch_nothing() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let container = &services.containers[0];
    let before = Settings::of(container).await;
    let document = experiment(container.name(), "duration: 2s", "", "");
    for (argument, waits) in [("--dry-run", false), ("--dry-run=full", true)] {
        let mut run = bench.begin(&document, &[argument]);
        if waits {
            run.until_phase(Phase::Monitor);
            assert_eq!(Settings::of(container).await, before, "in the middle of the run");
        }
        let done = run.end().expect(0);
        assert_eq!(Settings::of(container).await, before, "{argument}");
        assert_eq!(done.states(State::Applied), Vec::<u64>::new(), "{argument}");
        assert_eq!(done.chosen(), [container.name()], "{argument}");
        assert_eq!(done.report["dry_run"], true, "{argument}");
        assert!(
            done.stderr.contains("memory limit unlimited → 512MiB"),
            "{}",
            done.stderr
        );
        assert!(done.stdout.contains("dry run: nothing was applied"), "{}", done.stdout);
        let took = done.report["duration_ms"].as_u64().unwrap();
        // A warm-up of 1 s and a duration of 2 s.
        assert_eq!(took >= 3000, waits, "{argument} took {took} ms");
        done.assert_clean();
    }
}

/// Two runs that differ only in `--format`.
#[tokio::test]
async fn format_json_puts_the_report_on_standard_output_and_nothing_else() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let document = experiment(services.containers[0].name(), "duration: 300ms", "", "");
    let json = bench.run(&document, &["--format", "json"]).expect(0);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report, json.report);
    assert_eq!(report["verdict"], "passed");
    assert!(
        json.stderr.contains("PASSED"),
        "what is for people is on standard error: {}",
        json.stderr
    );
    let text = bench.run(&document, &["--format", "text"]).expect(0);
    assert!(serde_json::from_str::<Value>(&text.stdout).is_err());
    assert!(
        text.stdout.ends_with(".ndjson\n") || text.stdout.contains("Report: "),
        "{}",
        text.stdout
    );
}

/// A container that is killed, then stopped, then limited: each fault finds the container that the one before brought back.
#[tokio::test]
async fn faults_that_restart_a_target_follow_each_other_on_it() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let name = services.containers[0].name();
    let fault = |name: &str, inject: &str| {
        format!("  - {{ name: {name}, target: it, start: 200ms, duration: 1s, inject: {{ {inject} }} }}\n")
    };
    let document = format!(
        "apiVersion: fracas.dev/v1
kind: Experiment
metadata: {{ name: outage }}
execution: sequential
hypothesis: {{ interval: 200ms, warmup: 0s }}
targets:
  - {{ alias: it, container: {{ name: '{name}' }} }}
faults:
{}{}{}duration: 20s
",
        fault("killed", "container_kill: {}"),
        fault("stopped", "container_stop: { grace: 0s }"),
        fault("limited", "memory_limit: { limit: 512MiB }"),
    );
    let done = bench.run(&document, &[]).expect(0);
    assert_eq!(done.states(State::Applied).len(), 3, "{}", done.stderr);
    done.assert_clean();
    // At the same time they are refused, before anything is touched.
    let refused = bench.run(&document.replace("sequential", "parallel"), &[]).expect(2);
    assert!(refused.stderr.contains("F004"), "{}", refused.stderr);
    let who = ["`stopped` (container_stop) on ", ": `killed` (container_kill) on "].map(|one| format!("{one}{name}"));
    assert!(who.iter().all(|one| refused.stderr.contains(one)), "{}", refused.stderr);
    assert!(refused.states(State::Planned).is_empty(), "{}", refused.stderr);
}
