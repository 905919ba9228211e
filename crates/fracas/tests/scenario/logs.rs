//! What the targets of a run that failed had logged, beside its report; nothing of a run that passed.

use fracas_lab::TestContainer;

use crate::support::{Bench, experiment, scenario};

/// A container that writes `tick error 0`, `tick error 1` … all the time.
async fn talker(bench: &Bench, name: &str, line: &str) -> TestContainer {
    TestContainer::build(&bench.engine)
        .name(name)
        .mode(["log", line, "20"])
        .label("com.kurtosistech.id", "the-service")
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_scenario_that_failed_leaves_the_logs_of_seed_0() {
    let Some(bench) = Bench::new().await else { return };
    let name = format!("fracas-scenario-logs-{}", std::process::id());
    let _target = talker(&bench, &name, "tick error").await;
    let absent = |pattern: &str| {
        format!(
            "    - {{ name: quiet, type: log, pattern: {pattern}, target_log: victim, absence: true, critical: true }}"
        )
    };
    let failed = bench
        .run(&scenario(&name, "duration: 1s", "", &absent("tick")), &[])
        .expect(1);
    let run = failed.report["run"].as_str().unwrap();
    let tail = failed.file(&format!("reports/logs/{run}/the-service.tail.log"));
    assert!((1..=300).contains(&tail.lines().count()), "{tail}");
    assert!(tail.lines().all(|line| line.starts_with("tick error ")), "{tail}");
    assert_eq!(failed.file(&format!("reports/logs/{run}/the-service.errors.log")), tail);
    assert_eq!(failed.file(&format!("out/logs/{name}.log")), tail);
    let log = &failed.report["logs"][0];
    assert_eq!(log["file"], format!("logs/{name}.log"));
    assert_eq!(log["lines"], tail.lines().count());
    assert!(failed.file("out/report.html").contains(&format!("logs/{name}.log")));
    assert!(failed.stdout.contains("the-service.tail.log"), "{}", failed.stdout);

    let passed = bench
        .run(&scenario(&name, "duration: 1s", "", &absent("panic")), &[])
        .expect(0);
    let run = passed.report["run"].as_str().unwrap();
    assert_eq!(passed.file(&format!("reports/logs/{run}/the-service.tail.log")), "");
    assert_eq!(passed.file(&format!("out/logs/{name}.log")), "");
    assert!(passed.report["logs"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn an_experiment_that_was_aborted_leaves_logs_and_no_files_of_seed_0() {
    let Some(bench) = Bench::new().await else { return };
    let name = format!("fracas-scenario-abort-logs-{}", std::process::id());
    let _target = talker(&bench, &name, "tock").await;
    // Danger as soon as a line is logged after the first injection.
    let probe = "    - { name: lines, log: { pattern: tock, target: victim }, abort: \"> 3\" }";
    let aborted = bench.run(&experiment(&name, "duration: 20s", "", probe), &[]).expect(3);
    let log = aborted.file(&format!("out/logs/{name}.log"));
    assert!(log.lines().count() > 3, "{log}");
    assert_eq!(aborted.tests.len(), 0);
    assert!(!aborted.stdout.contains(".errors.log"), "{}", aborted.stdout);
}
