//! The tool's own settings: two runs of one document that differ in one variable of the environment.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::seen::{Look, look};
use crate::stage::Stage;

pub(crate) const EXPERIMENT: &str = "
apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: base }
hypothesis: { interval: 100ms, warmup: 0s }
targets: [{ alias: it, process: { pid_file: '@PID' } }]
faults: [{ name: f, target: it, inject: { process_pause: {} } }]
duration: 200ms
";

/// A scenario on the container of the stage that says as little as it may.
const SCENARIO: &str = "
apiVersion: chaos/v1
kind: ChaosScenario
metadata: { name: base }
spec:
  targets: [{ alias: it, selector: { pattern: '@C' } }]
  duration: 2s
  faults: [{ phase: p, target: it, type: memory_pressure, params: { memory_mb: 512 } }]
";

/// What a look shows with each of two values of a setting.
fn both(stage: &mut Stage, with: Look, document: &str, variable: &str, values: [&str; 2]) -> [Value; 2] {
    values.map(|value| {
        let value = stage.text(value);
        stage.cli.set(variable, &value);
        look(stage, with, document)
    })
}

#[test]
fn key_state_dir() {
    let mut stage = Stage::sleeper();
    let place = stage.cli.place().to_owned();
    let paths = ["one", "other"].map(|name| place.join(name).display().to_string());
    let runs = |path: &str| fs::read_dir(Path::new(path).join("runs")).map_or(0, Iterator::count);
    let shown = both(
        &mut stage,
        Look::Run,
        EXPERIMENT,
        "FRACAS_STATE",
        [&paths[0], "/dev/null/x"],
    );
    assert_eq!(
        (&shown[0]["code"], &shown[1]["code"]),
        (&0.into(), &2.into()),
        "{shown:#?}"
    );
    assert_eq!((runs(&paths[0]), runs(&paths[1])), (1, 0));
    both(
        &mut stage,
        Look::Run,
        EXPERIMENT,
        "FRACAS_STATE",
        [&paths[1], &paths[1]],
    );
    assert_eq!((runs(&paths[0]), runs(&paths[1])), (1, 2));
}

#[test]
fn key_docker_host() {
    let mut stage = Stage::empty();
    stage.say("C", "web");
    let hosts = ["unix:///nowhere/one.sock", "unix:///nowhere/two.sock"];
    let shown = both(&mut stage, Look::Plan, SCENARIO, "DOCKER_HOST", hosts);
    for (seen, socket) in shown.iter().zip(["one.sock", "two.sock"]) {
        assert!(seen["err"].as_str().unwrap().contains(socket), "{seen:#}");
    }
}

/// With a sidecar only what is beside the engine can be a target.
#[test]
fn key_docker_sidecar() {
    let Some(mut stage) = Stage::container() else { return };
    stage.process("PID", &["sleep"]);
    let mixed = EXPERIMENT.replace(
        "targets: [",
        "targets: [{ alias: other, container: { name: '@C-1' } }, ",
    );
    let shown = both(&mut stage, Look::Plan, &mixed, "FRACAS_SIDECAR", ["always", "never"]);
    assert_eq!(
        (&shown[0]["code"], &shown[1]["code"]),
        (&2.into(), &0.into()),
        "{shown:#?}"
    );
    assert!(
        shown[0]["err"].as_str().unwrap().contains("a sidecar beside"),
        "{:#}",
        shown[0]
    );
}

#[test]
fn key_docker_sidecar_socket() {
    let Some(mut stage) = Stage::container() else { return };
    stage.cli.set("FRACAS_SIDECAR", "always");
    let sockets = ["/nowhere/one.sock", "/nowhere/two.sock"];
    let shown = both(
        &mut stage,
        Look::Plan,
        SCENARIO,
        "FRACAS_DOCKER_SIDECAR_SOCKET",
        sockets,
    );
    for (seen, socket) in shown.iter().zip(sockets) {
        assert!(seen["err"].as_str().unwrap().contains(socket), "{seen:#}");
    }
}

/// A document with a probe that names no Prometheus.
fn asking(document: &str) -> String {
    let probe = "probes: [{ name: p, prometheus: { query: 'vector(1)' }, expect: '== 1' }]";
    document.replace("warmup: 0s }", &format!("warmup: 0s, {probe} }}"))
}

#[test]
fn key_prometheus_url() {
    let Some(mut stage) = Stage::sleeper().with_prometheus() else {
        return;
    };
    let urls = ["@PROMETHEUS", "http://127.0.0.1:@PORT"];
    let shown = both(&mut stage, Look::Dry, &asking(EXPERIMENT), "PROMETHEUS_URL", urls);
    assert_eq!(shown[0]["reading"]["values"], serde_json::json!([1.0]));
    // The service answers, but not as Prometheus does.
    assert!(shown[1]["err"].as_str().unwrap().contains("P002"), "{:#}", shown[1]);
}

/// A scenario with a criterion by Prometheus.
fn judging(query: &str) -> String {
    format!("{SCENARIO}  success_criteria: [{{ name: p, type: prometheus, query: '{query}', threshold: '== 1' }}]\n")
}

#[test]
fn key_prometheus_timeout() {
    let Some(mut stage) = Stage::container().map(Stage::with_silence) else {
        return;
    };
    let mute = stage.text("http://127.0.0.1:@MUTE");
    stage.cli.set("PROMETHEUS_URL", &mute);
    let times = ["100ms", "200ms"];
    let shown = both(
        &mut stage,
        Look::Dry,
        &judging("up"),
        "FRACAS_PROMETHEUS_TIMEOUT",
        times,
    );
    for (seen, time) in shown.iter().zip(times) {
        assert!(
            seen["err"].as_str().unwrap().contains(&format!("within {time}")),
            "{seen:#}"
        );
    }
}

#[test]
fn key_prometheus_scrape_interval() {
    let Some(mut stage) = Stage::container().and_then(Stage::with_prometheus) else {
        return;
    };
    stage.cli.set("FRACAS_EXECUTION_DEFAULT_WARMUP", "0s");
    stage.cli.set("FRACAS_EXECUTION_DEFAULT_COOLDOWN", "0s");
    // The service is scraped every 250 ms. One reading may come within two milliseconds of that, but not all that are out of step.
    stage.cli.set("FRACAS_PROMETHEUS_REFRESH_INTERVAL", "137ms");
    let shown = both(
        &mut stage,
        Look::Full,
        &judging("up"),
        "FRACAS_PROMETHEUS_SCRAPE_INTERVAL",
        ["15s", "1ms"],
    );
    let stale = |seen: &Value| seen["out"]["probes"][0]["moments"][0]["stale"].as_u64().unwrap();
    assert_eq!(stale(&shown[0]), 0, "{:#}", shown[0]);
    assert!(stale(&shown[1]) > 0, "{:#}", shown[1]);
}

#[test]
fn key_prometheus_refresh_interval() {
    let Some(mut stage) = Stage::container() else { return };
    stage.cli.set("FRACAS_EXECUTION_DEFAULT_WARMUP", "0s");
    stage.cli.set("FRACAS_EXECUTION_DEFAULT_COOLDOWN", "0s");
    let document =
        format!("{SCENARIO}  success_criteria: [{{ name: p, type: health_check, url: 'http://127.0.0.1:1/' }}]\n");
    let times = ["100ms", "60s"];
    let shown = both(
        &mut stage,
        Look::Full,
        &document,
        "FRACAS_PROMETHEUS_REFRESH_INTERVAL",
        times,
    );
    let [often, seldom] = shown.map(|seen| seen["out"]["probes"][0]["moments"][0]["readings"].as_u64().unwrap());
    // Two seconds, in which there are five readings at least.
    assert!(often > seldom, "{often} {seldom}");
}

/// The report files of seed 0 in a directory of the stage.
fn reports(stage: &Stage, directory: &str) -> usize {
    fs::read_dir(stage.cli.place().join(directory)).map_or(0, Iterator::count)
}

/// A container, and settings under which a scenario takes as little time as it may.
fn quick() -> Option<(Stage, String)> {
    let mut stage = Stage::container()?;
    stage.cli.set("FRACAS_EXECUTION_DEFAULT_WARMUP", "0s");
    stage.cli.set("FRACAS_EXECUTION_DEFAULT_COOLDOWN", "0s");
    Some((stage, SCENARIO.replace("duration: 2s", "duration: 100ms")))
}

#[test]
fn key_reporting_output_dir() {
    let Some((mut stage, document)) = quick() else { return };
    let shown = both(
        &mut stage,
        Look::Run,
        &document,
        "FRACAS_REPORTING_OUTPUT_DIR",
        ["one", "other"],
    );
    assert_eq!((reports(&stage, "one"), reports(&stage, "other")), (1, 1), "{shown:#?}");
    assert_eq!(reports(&stage, "reports"), 0);
}

#[test]
fn key_reporting_keep_last_n() {
    let Some((mut stage, document)) = quick() else { return };
    let old = stage.cli.place().join("reports");
    fs::create_dir(&old).unwrap();
    for day in 1..=3 {
        fs::write(old.join(format!("test-2026010{day}-000000.json")), "{}").unwrap();
    }
    both(
        &mut stage,
        Look::Run,
        &document,
        "FRACAS_REPORTING_KEEP_LAST_N",
        ["0", "0"],
    );
    let all = reports(&stage, "reports");
    assert!(all > 3, "nothing is deleted: {all}");
    both(
        &mut stage,
        Look::Run,
        &document,
        "FRACAS_REPORTING_KEEP_LAST_N",
        ["2", "2"],
    );
    assert_eq!(reports(&stage, "reports"), 2);
}

#[test]
fn key_emergency_stop_file() {
    let mut stage = Stage::sleeper();
    let place = stage.cli.place().to_owned();
    fs::write(place.join("there"), "").unwrap();
    let paths = ["there", "away"].map(|name| place.join(name).display().to_string());
    let paths = paths.each_ref().map(String::as_str);
    let shown = both(&mut stage, Look::Run, EXPERIMENT, "FRACAS_EMERGENCY_STOP_FILE", paths);
    assert_eq!(
        (&shown[0]["code"], &shown[1]["code"]),
        (&2.into(), &0.into()),
        "{shown:#?}"
    );
}

#[test]
fn key_execution_default_warmup() {
    let Some(mut stage) = Stage::container() else { return };
    let shown = both(
        &mut stage,
        Look::Plan,
        SCENARIO,
        "FRACAS_EXECUTION_DEFAULT_WARMUP",
        ["3s", "4s"],
    );
    assert_eq!(
        (&shown[0]["out"]["warmup"], &shown[1]["out"]["warmup"]),
        (&"3s".into(), &"4s".into())
    );
}

#[test]
fn key_execution_default_cooldown() {
    let Some(mut stage) = Stage::container() else { return };
    let shown = both(
        &mut stage,
        Look::Plan,
        SCENARIO,
        "FRACAS_EXECUTION_DEFAULT_COOLDOWN",
        ["3s", "4s"],
    );
    assert_eq!(
        (&shown[0]["out"]["cooldown"], &shown[1]["out"]["cooldown"]),
        (&"3s".into(), &"4s".into())
    );
}

#[test]
fn key_framework_log_format() {
    let mut stage = Stage::sleeper();
    let shown = both(&mut stage, Look::Dry, EXPERIMENT, "FRACAS_LOG_FORMAT", ["text", "json"]);
    let [text, json] = shown.map(|seen| {
        let err = seen["err"].as_str().unwrap().to_owned();
        assert!(!err.is_empty(), "{seen:#}");
        err.lines().all(|line| serde_json::from_str::<Value>(line).is_ok())
    });
    assert_eq!((text, json), (false, true));
}

#[test]
fn key_kurtosis_enclave_name() {
    let Some(mut stage) = Stage::containers() else { return };
    let enclaves = ["@C-1", "@C-2"];
    let shown = both(
        &mut stage,
        Look::Targets,
        SCENARIO,
        "FRACAS_KURTOSIS_ENCLAVE_NAME",
        enclaves,
    );
    for (seen, name) in shown.iter().zip(enclaves) {
        let chosen = seen["out"]["aliases"][0]["chosen"].clone();
        assert_eq!(chosen, serde_json::json!([stage.text(name)]));
    }
}

/// How many runs there are after one that finds three of former years, of 4 KiB each.
fn kept(variable: &str, value: &str) -> usize {
    let mut stage = Stage::sleeper();
    stage.cli.set(variable, value);
    let runs = fracas_linux::state_dir::private_dir(&stage.cli.state().join("runs")).unwrap();
    for run in ["20200101-000000-aaaa", "20210101-000000-aaaa", "20220101-000000-aaaa"] {
        let old = fracas_linux::state_dir::private_dir(&runs.path().join(run)).unwrap();
        fs::write(old.path().join("report.json"), [b' '; 4096]).unwrap();
    }
    let seen = look(&stage, Look::Run, EXPERIMENT);
    assert_eq!(seen["code"], 0, "{seen:#}");
    fs::read_dir(runs.path()).unwrap().count()
}

#[test]
fn key_reporting_keep_runs() {
    let counts = ["2", "0"].map(|runs| kept("FRACAS_REPORTING_KEEP_RUNS", runs));
    assert_eq!(counts, [2, 4]);
}

#[test]
fn key_reporting_keep_size() {
    let counts = ["1B", "1GiB"].map(|size| kept("FRACAS_REPORTING_KEEP_SIZE", size));
    assert_eq!(counts, [1, 4]);
}
