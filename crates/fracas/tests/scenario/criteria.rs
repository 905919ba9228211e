//! Criteria of success: which readings decide, and what a failure means.

use fracas_core::event::{Phase, What};
use fracas_core::probe::Moment;
use fracas_lab::TestContainer;

use crate::support::{Bench, Prometheus, Services, memory_limit, scenario};

/// A service for each of so many targets, a Prometheus that scrapes each as a job of its own, named `job-0`, `job-1` …
async fn bench(count: usize) -> Option<(Bench, Services, Prometheus)> {
    let bench = Bench::new().await?;
    let services = Services::start(&bench.engine, count).await;
    let names: Vec<String> = (0..count).map(|index| format!("job-{index}")).collect();
    let jobs: Vec<(&str, &[u16])> = names
        .iter()
        .zip(services.ports.chunks(1))
        .map(|(name, port)| (name.as_str(), port))
        .collect();
    let prometheus = Prometheus::start(&jobs)?;
    Some((bench.with(&prometheus), services, prometheus))
}

/// A criterion of the type `prometheus`.
fn criterion(name: &str, query: &str, threshold: &str, more: &str) -> String {
    format!("    - {{ name: {name}, type: prometheus, query: '{query}', threshold: \"{threshold}\"{more} }}")
}

/// Two runs that differ only in `critical`: the limit is on, and the criterion says that it is not.
#[tokio::test]
async fn critical_makes_a_failing_criterion_fail_the_run() {
    let Some((bench, services, _prometheus)) = bench(2).await else {
        return;
    };
    let run = |index: usize, critical: bool| {
        let query = format!("app_memory_limit_bytes{{job=\"job-{index}\"}}");
        let fails = criterion("stays-unlimited", &query, "> 1e9", &format!(", critical: {critical}"));
        let holds = criterion(
            "stays-up",
            &format!("up{{job=\"job-{index}\"}}"),
            "== 1",
            ", critical: true",
        );
        let document = scenario(
            &format!("{}{index}", services.prefix),
            "duration: 2s",
            "",
            &format!("{fails}\n{holds}"),
        );
        bench.begin(&document, &[])
    };
    let (critical, other) = (run(0, true), run(1, false));
    let (critical, other) = (critical.end().expect(1), other.end().expect(0));

    assert!(
        critical.stdout.starts_with("[TEST SUMMARY] FAILED\n"),
        "{}",
        critical.stdout
    );
    assert!(critical.stdout.contains("  Success Criteria: 1/2 passed\n"));
    let why = "value 536870912 fails threshold > 1000000000";
    assert!(
        critical.stdout.contains(&format!("✗ stays-unlimited: {why}")),
        "{}",
        critical.stdout
    );
    assert!(
        critical.stderr.contains("✗ FAILED (CRITICAL): stays-unlimited during"),
        "{}",
        critical.stderr
    );
    let (_, report) = critical.test_report();
    assert_eq!(
        (&report["status"], &report["success"]),
        (&"failed".into(), &false.into())
    );

    assert!(other.stdout.starts_with("[TEST SUMMARY] PASSED\n"), "{}", other.stdout);
    assert!(other.stdout.contains("  Success Criteria: 1/2 passed\n"));
    assert!(
        other
            .stdout
            .contains(&format!("⚠ (non-critical) stays-unlimited: {why}")),
        "{}",
        other.stdout
    );
    assert_eq!(other.criterion("stays-unlimited")["passed"], false);
    critical.assert_clean();
    other.assert_clean();
}

/// One run; what each criterion sees of it depends on one key alone. The value is 1, then 0 for a while, then 1 to the end.
#[tokio::test]
async fn during_fault_post_fault_only_and_window_decide_which_readings_count() {
    let Some((bench, services, _prometheus)) = bench(1).await else {
        return;
    };
    let value = "app_value{job=\"job-0\"}";
    let limit = "app_memory_limit_bytes{job=\"job-0\"}";
    let criteria = [
        criterion("last", value, "== 1", ""),
        criterion("worst", value, "== 1", ", during_fault: true"),
        criterion("short-window", value, "== 1", ", window: 200ms"),
        criterion("long-window", value, "== 1", ", window: 8m"),
        criterion("unlimited-during", limit, "> 1e9", ""),
        criterion("unlimited-after", limit, "> 1e9", ", post_fault_only: true"),
    ];
    let document = scenario(&services.prefix, "duration: 6s", "", &criteria.join("\n"));
    let mut run = bench.begin(&document, &[]);
    run.until_applied(1);
    services.set(0.0);
    run.until_read(0, 0.0);
    let seen = run.so_far();
    services.set(1.0);
    run.until_read(seen, 1.0);
    let done = run.end().expect(0);

    for (name, passed, value) in [
        ("last", true, 1.0),
        ("worst", false, 0.0),
        ("short-window", true, 1.0),
        ("long-window", false, 0.0),
        ("unlimited-during", false, 536_870_912.0),
    ] {
        let criterion = done.criterion(name);
        assert_eq!(criterion["passed"], passed, "{criterion}");
        assert_eq!(criterion["value"], value, "{criterion}");
    }
    let after = done.criterion("unlimited-after");
    assert_eq!(after["passed"], true, "{after}");
    let moments: Vec<_> = done
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::ProbeRead {
                probe,
                moment: Some(moment),
                ..
            } if probe == "unlimited-after" => Some(*moment),
            _ => None,
        })
        .collect();
    assert!(
        !moments.is_empty() && moments.iter().all(|moment| *moment == Moment::After),
        "{moments:?}"
    );
    assert!(done.phases().contains(&Phase::Recovery));
}

/// The query is good until two services give 0 at once: then Prometheus refuses it, for it matches many with many.
#[tokio::test]
async fn a_query_that_fails_is_the_failure_of_its_criterion_alone() {
    let Some((bench, services, _prometheus)) = bench(2).await else {
        return;
    };
    let criteria = [
        criterion(
            "ambiguous",
            "vector(1) * on() (app_value == 0)",
            "== 0",
            ", during_fault: true",
        ),
        criterion("up", "up", "== 1", ", critical: true"),
    ];
    let document = scenario(
        &format!("{}0", services.prefix),
        "duration: 4s",
        "",
        &criteria.join("\n"),
    );
    let mut run = bench.begin(&document, &[]);
    run.until_applied(1);
    services.set(0.0);
    run.until("the query is refused", |events| {
        events.iter().any(|event| {
            matches!(&event.what, What::ProbeRead { probe, reading, .. } if probe == "ambiguous" && reading.error.is_some())
        })
    });
    let done = run.end().expect(0);

    let error = done.report["probes"][0]["moments"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("many-to-many") || error.contains("duplicate series"),
        "{error}"
    );
    assert_eq!(done.criterion("ambiguous")["passed"], false);
    let up = done.criterion("up");
    assert_eq!((&up["passed"], &up["value"]), (&true.into(), &1.0.into()), "{up}");
}

/// `health_check` asks a service itself; the runs differ only in `expected_status`.
#[tokio::test]
async fn url_and_expected_status_of_a_health_check_decide() {
    let Some(bench) = Bench::new().await else { return };
    let services = Services::start(&bench.engine, 1).await;
    let check = |name: &str, path: &str, more: &str| {
        let url = format!("http://127.0.0.1:{}/{path}", services.ports[0]);
        format!("    - {{ name: {name}, type: health_check, url: \"{url}\"{more} }}")
    };
    let criteria = [
        check("healthy", "healthz", ""),
        check("nowhere", "nowhere", ""),
        check("nowhere-on-purpose", "nowhere", ", expected_status: 404"),
        check("not-404", "healthz", ", expected_status: 404"),
    ];
    let done = bench
        .run(
            &scenario(&services.prefix, "duration: 600ms", "", &criteria.join("\n")),
            &[],
        )
        .expect(0);
    for (name, passed) in [
        ("healthy", true),
        ("nowhere", false),
        ("nowhere-on-purpose", true),
        ("not-404", false),
    ] {
        assert_eq!(done.criterion(name)["passed"], passed, "{name}");
    }
}

/// Lines in the logs of a container that writes `tick 0`, `tick 1` …, and of one that does not.
#[tokio::test]
async fn log_criteria_count_lines_of_real_containers() {
    let Some(bench) = Bench::new().await else { return };
    let name = format!("fracas-scenario-log-{}", std::process::id());
    let log = |end: &str, line: &str| {
        TestContainer::build(&bench.engine)
            .name(&format!("{name}-{end}"))
            .mode(["log", line, "20"])
            .start()
    };
    let target = log("target", "tick").await.unwrap();
    let _other = log("other", "tock").await.unwrap();
    let criterion = |name: &str, pattern: &str, more: &str| {
        format!("    - {{ name: {name}, type: log, pattern: \"{pattern}\"{more} }}")
    };
    let of_target = ", target_log: victim";
    let criteria = [
        criterion("present", "tick [0-9]+", of_target),
        criterion("missing", "panic", of_target),
        criterion("absent", "panic", &format!("{of_target}, absence: true")),
        criterion("not-absent", "tick", &format!("{of_target}, absence: true")),
        criterion("enough", "tick", &format!("{of_target}, threshold: \">= 5\"")),
        criterion("too-many", "tick", &format!("{of_target}, threshold: \"> 100000\"")),
        criterion("of-another", "tock", of_target),
        criterion(
            "by-container",
            "tock",
            &format!(", container_pattern: \"{name}-other\""),
        ),
        criterion("no-container", "tock", ", container_pattern: \"fracas-nobody\""),
    ];
    let document = scenario(target.name(), "duration: 2s", "", &criteria.join("\n"));
    let done = bench.run(&document, &[]).expect(0);
    for (name, passed) in [
        ("present", true),
        ("missing", false),
        ("absent", true),
        ("not-absent", false),
        ("enough", true),
        ("too-many", false),
        ("of-another", false),
        ("by-container", true),
        ("no-container", false),
    ] {
        let criterion = done.criterion(name);
        assert_eq!(criterion["passed"], passed, "{criterion}");
    }
    let message = done.criterion("no-container")["message"].to_string();
    assert!(message.contains("no container"), "{message}");
    assert!(memory_limit(&target).await > 1 << 40);
}

/// What is only recorded stands in the report, in each moment; without the key there is nothing.
#[tokio::test]
async fn metrics_are_recorded_in_the_report() {
    let Some((bench, services, _prometheus)) = bench(2).await else {
        return;
    };
    let run = |index: usize, metrics: &str| {
        let document = scenario(&format!("{}{index}", services.prefix), "duration: 1500ms", "", "");
        bench.begin(&document.replace("  interval:", &format!("{metrics}  interval:")), &[])
    };
    let with = run(0, "  metrics: [app_value, 'up{job=\"job-0\"}']\n");
    let without = run(1, "");
    let (with, without) = (with.end().expect(0), without.end().expect(0));
    assert_eq!(without.report["metrics"], serde_json::json!({}));
    for metric in ["app_value", "up{job=\"job-0\"}"] {
        let moments = with.report["metrics"][metric].as_array().unwrap();
        let during = moments.iter().find(|one| one["moment"] == "during").unwrap();
        // How many fit in is the machine's affair.
        let readings = during["readings"].as_u64().unwrap() - during["missing"].as_u64().unwrap();
        assert!(readings > 0, "{during}");
        assert_eq!(during["stats"]["median"], 1.0, "{during}");
    }
}
