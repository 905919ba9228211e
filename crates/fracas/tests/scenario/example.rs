//! The complete example of seed 0, as its documentation prints it.

use fracas_core::event::Phase;
use fracas_core::record::State;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Bench, Done, HALF_A_GIB, Prometheus, Services, Settings, inspect, memory_limit, shown_limit};

const NAME: &str = "l2-cl-2-heimdall-v2-bor-validator";
const EXAMPLE: &str = r#"spec:
  targets:
    - selector:
        pattern: "l2-cl-2-heimdall-v2-bor-validator"
      alias: heimdall_validator

  duration: 8m
  warmup: 2m
  cooldown: 2m

  faults:
    - phase: memory_limit
      target: heimdall_validator
      type: memory_pressure
      params:
        memory_mb: 512
        method: limit

  success_criteria:
    - name: validator_survives
      type: prometheus
      query: up{job="l2-cl-2-heimdall-v2-bor-validator"}
      threshold: "== 1"
      critical: true
"#;

#[tokio::test]
async fn the_complete_example_of_seed_zero_breaks_six_containers_and_puts_them_back() {
    let Some(bench) = Bench::new().await else { return };
    let names = ["abc123", "def456", "ghi789", "jkl012", "mno345", "pqr678"];
    let names: Vec<String> = names.iter().map(|end| format!("{NAME}--{end}")).collect();
    let services = Services::named(&bench.engine, NAME.to_owned(), names.clone()).await;
    let Some(prometheus) = Prometheus::start(&[(NAME, &services.ports)]) else {
        return;
    };
    let bench = bench.with(&prometheus);
    let mut before = Vec::new();
    for container in &services.containers {
        before.push(Settings::of(container).await);
        assert!(memory_limit(container).await > 1 << 40);
    }

    let mut run = bench.begin_as(
        "memory-pressure-validator.yaml",
        EXAMPLE,
        &["--scenario", "memory-pressure-validator.yaml"],
        &["--set", "duration=3s", "--set", "warmup=1s", "--set", "cooldown=1s"],
    );
    run.until_applied(6);
    for (container, before) in services.containers.iter().zip(&before) {
        assert_eq!(memory_limit(container).await, HALF_A_GIB, "{}", container.name());
        assert_eq!(inspect(container), before.inspect, "{}", container.name());
    }
    // One alone: the engine takes a second for each.
    assert_eq!(shown_limit(&services.containers[0]), HALF_A_GIB);
    let done = run.end().expect(0);

    for (container, before) in services.containers.iter().zip(&before) {
        assert_eq!(&Settings::of(container).await, before, "{}", container.name());
    }
    done.assert_clean();
    states(&done);
    summary(&done, &names);
    report(&done, &services);
}

/// All ten states, in order, recorded and told.
fn states(done: &Done) {
    let states = [
        "PARSE", "DISCOVER", "PREPARE", "WARMUP", "INJECT", "MONITOR", "DETECT", "COOLDOWN", "TEARDOWN", "REPORT",
    ];
    let recorded: Vec<_> = done.phases().into_iter().map(Phase::seed_zero).collect();
    assert_eq!(recorded, states.map(Some));
    // A heading begins with its number: `4. BASELINE (WARMUP): …`.
    let told: Vec<&str> = done
        .stderr
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|line| line.split_once(": "))
        .map(|(heading, _)| heading.rsplit([' ', '(']).next().unwrap().trim_end_matches(')'))
        .collect();
    assert_eq!(told, states, "{}", done.stderr);
    let (from, until, _) = done.phase(Phase::Baseline);
    assert!(
        (1000..3000).contains(&(until - from)),
        "warm-up took {} ms",
        until - from
    );
    let (from, _, _) = done.phase(Phase::Inject);
    let (_, until, _) = done.phase(Phase::Monitor);
    assert!(
        (3000..6000).contains(&(until - from)),
        "it was on for {} ms",
        until - from
    );
    let (from, until, _) = done.phase(Phase::Cooldown);
    assert!(
        (1000..3000).contains(&(until - from)),
        "cooldown took {} ms",
        until - from
    );
}

fn summary(done: &Done, names: &[String]) {
    let text = &done.stdout;
    assert!(text.starts_with("[TEST SUMMARY] PASSED\n  Duration: "), "{text}");
    for line in [
        "  Targets: 6",
        "  Faults: 1",
        "  Success Criteria: 1/1 passed",
        "  Cleanup: 6/6 succeeded",
    ] {
        assert!(text.lines().any(|one| one == line), "{line:?} in:\n{text}");
    }
    for name in names {
        let mut undo = text.lines().filter(|line| line.contains(name.as_str()));
        let line = undo.next().unwrap_or_else(|| panic!("no undo of {name}:\n{text}"));
        assert!(line.trim_start().starts_with("✓ #") && line.ends_with(" ms)"), "{line}");
        assert_eq!(undo.next(), None, "one line per undo");
    }
    assert!(text.contains("Report: reports/test-"), "{text}");
}

fn report(done: &Done, services: &Services) {
    let (name, report) = done.test_report();
    let stamp = name.strip_prefix("test-").unwrap().strip_suffix(".json").unwrap();
    assert!(
        stamp.len() == 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
        "{name}"
    );
    assert_eq!(report["test_id"], done.report["run"]);
    assert_eq!(report["scenario_name"], "memory-pressure-validator");
    assert_eq!(
        (&report["status"], &report["success"]),
        (&json!("completed"), &json!(true))
    );
    assert_eq!(report["message"], "PASSED: every expectation held");
    assert_eq!(report["errors"], json!([]));
    assert_eq!(report["fault_installs"], 6);
    assert_eq!(
        report["cleanup_summary"],
        json!({ "TotalActions": 6, "Succeeded": 6, "Failed": 0 })
    );
    let (start, end) = (time(&report["start_time"]), time(&report["end_time"]));
    let whole = end.duration_since(start).as_millis();
    assert!((5000..30_000).contains(&whole), "{whole} ms");
    assert!(report["duration"].as_str().unwrap().ends_with('s'));

    let targets = report["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 6);
    for container in &services.containers {
        let target = targets
            .iter()
            .find(|one| one["container_id"] == container.id())
            .unwrap();
        assert_eq!(target["alias"], "heimdall_validator");
        assert_eq!(target["service_name"], container.name());
        assert_eq!(target["ip"], "", "on the host's network it has no address of its own");
    }

    let [fault] = report["faults"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    assert_eq!(
        (&fault["phase"], &fault["type"], &fault["target"]),
        (
            &json!("memory_limit"),
            &json!("memory_pressure"),
            &json!("heimdall_validator")
        )
    );
    assert_eq!(fault["parameters"], json!({ "memory_mb": 512, "method": "limit" }));
    // Its own times: not those of the whole test.
    let (on, off) = (time(&fault["start_time"]), time(&fault["end_time"]));
    assert!(on.duration_since(start).as_millis() >= 1000, "after the warm-up");
    // Warm-up, duration and cooldown; the time that the apply itself took is a part of them.
    assert!(
        off.duration_since(start).as_millis() >= 5000,
        "until the end of the cooldown"
    );
    assert!(off <= end);

    let [criterion] = report["success_criteria"].as_array().unwrap().as_slice() else {
        panic!("{report}")
    };
    for (key, value) in [
        ("name", json!("validator_survives")),
        ("type", json!("prometheus")),
        ("query", json!(format!("up{{job=\"{NAME}\"}}"))),
        ("threshold", json!("== 1")),
        ("passed", json!(true)),
        ("value", json!(1.0)),
        ("message", json!("value 1 meets threshold == 1")),
        ("critical", json!(true)),
    ] {
        assert_eq!(criterion[key], value, "{key}");
    }
    let judged = time(&criterion["eval_time"]);
    assert!(on < judged && judged < off, "judged while the fault was on");

    let log = report["cleanup_log"].as_array().unwrap();
    assert_eq!(log.len(), 6);
    assert!(log.iter().all(|entry| entry["success"] == true), "{log:?}");
    assert_eq!(done.states(State::Clean).len(), 6);
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}
