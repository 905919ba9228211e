//! What is measured, and what a reading means.

use crate::seen::{Look, keys, look, swap};
use crate::stage::Stage;

/// A document with these probes.
macro_rules! probes {
    ($probes:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\n",
            "hypothesis:\n  interval: 100ms\n  warmup: 0s\n  recovery: { within: 1s, stable_for: 0s }\n",
            "  probes: [{ name: p, ",
            $probes,
            " }]\n",
            "targets: [{ alias: it, process: { pid_file: '@PID' } }]\n",
            "faults: [{ name: f, target: it, inject: { process_pause: {} } }]\nduration: 400ms\n"
        )
    };
}

keys! { Stage::sleeper(), Dry, probes!("command: { argv: [/bin/true] }, expect: '== 0'");
    // What does not hold before the faults ends a run at once.
    key_hypothesis_probes_expect: "'== 0'" => "'== 1'", "/code", "0" => "3";
    key_hypothesis_probes_command_argv: "/bin/true" => "/bin/false", "/reading/values", "[0.0]" => "[1.0]";
}

keys! { Stage::sleeper(), Dry, probes!("command: { argv: [/bin/true] }, abort: '> 0'");
    key_hypothesis_probes_abort: "'> 0'" => "'< 1'", "/code", "0" => "3";
}

keys! { Stage::sleeper(), Dry, probes!("command: { argv: [/bin/echo, '7'], measure: exit_code }");
    key_hypothesis_probes_command_measure: "exit_code" => "number", "/reading/values", "[0.0]" => "[7.0]";
}

keys! { Stage::sleeper(), Dry, probes!("command: { argv: [/bin/sleep, '60'], timeout: 100ms }");
    key_hypothesis_probes_command_timeout: "100ms }" => "200ms }", "/reading/error", "within 100ms" => "within 200ms";
}

keys! { Stage::sleeper().with_service(), Dry, probes!("http: { url: 'http://127.0.0.1:@PORT/healthz', measure: up }");
    key_hypothesis_probes_http_url: "/healthz" => "/nowhere", "/reading/values", "[1.0]" => "[0.0]";
    key_hypothesis_probes_http_measure: "measure: up" => "measure: status", "/reading/values", "[1.0]" => "[200.0]";
}

keys! { Stage::sleeper().with_service(), Dry, probes!("http: { url: 'http://127.0.0.1:@PORT/nowhere', status: 200 }");
    key_hypothesis_probes_http_status: "status: 200" => "status: 404", "/reading/values", "[0.0]" => "[1.0]";
}

keys! { Stage::sleeper().with_silence(), Dry, probes!("http: { url: 'http://127.0.0.1:@MUTE/', timeout: 100ms, measure: latency }");
    key_hypothesis_probes_http_timeout: "timeout: 100ms" => "timeout: 200ms", "/reading/error", "within 100ms" => "within 200ms";
}

keys! { Stage::sleeper().with_service(), Dry, probes!("tcp: { address: '127.0.0.1:@PORT' }");
    // Nobody listens on port 1.
    key_hypothesis_probes_tcp_address: "@PORT" => "1", "/reading/values", "[1.0]" => "[0.0]";
}

keys! { Stage::sleeper().with_silence(), Dry, probes!("tcp: { address: '127.0.0.1:@DEAF', timeout: 100ms, measure: latency }");
    key_hypothesis_probes_tcp_timeout: "timeout: 100ms" => "timeout: 200ms", "/reading/error", "within 100ms" => "within 200ms";
}

keys! { Stage::sleeper().with_silence(), Dry, probes!("tcp: { address: '127.0.0.1:@DEAF', timeout: 100ms, measure: up }");
    // Without a connection there is no time that it took, and that is no 0.
    key_hypothesis_probes_tcp_measure: "measure: up" => "measure: latency", "/reading/values", "[0.0]" => "[]";
}

#[test]
fn key_hypothesis_probes_process_command() {
    let mut stage = Stage::pair();
    stage.process("PID", &["sleep"]);
    let base = probes!("process: { command: '.*@NAME-.*' }");
    let count = |document: &str| look(&stage, Look::Dry, document)["reading"]["values"].clone();
    assert_eq!(count(base), serde_json::json!([2.0]));
    assert_eq!(count(&swap(base, "@NAME-", "@NAME-a")), serde_json::json!([1.0]));
}

keys! { Stage::sleeper().with_prometheus(), Dry, probes!("prometheus: { query: 'vector(1)', url: '@PROMETHEUS' }");
    key_hypothesis_probes_prometheus_query: "vector(1)" => "vector(2)", "/reading/values", "[1.0]" => "[2.0]";
    // The service answers too, but not as Prometheus does.
    key_hypothesis_probes_prometheus_url: "@PROMETHEUS" => "http://127.0.0.1:@PORT", "/code", "0" => "2";
}

keys! { Stage::sleeper().with_prometheus(), Dry, probes!("prometheus: { query: 'up', scrape_interval: 15s }");
    // The service is scraped every 250 ms: no data is as young as two milliseconds for long.
    key_hypothesis_probes_prometheus_scrape_interval: "15s" => "1ms", "/reading/stale", "false" => "true";
}

keys! { Stage::sleeper().with_silence(), Dry, probes!("prometheus: { query: up, url: 'http://127.0.0.1:@MUTE', timeout: 200ms }");
    // Asked before anything is touched.
    key_hypothesis_probes_prometheus_timeout: "timeout: 200ms" => "timeout: 100ms", "/err", "within 200ms" => "within 100ms";
}

/// A run on a container that writes a line every 10 ms, with a probe of its log that is judged while the fault is on.
macro_rules! logs {
    ($log:literal) => {
        concat!(
            "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: { name: base }\n",
            "hypothesis:\n  interval: 100ms\n  warmup: 0s\n  recovery: { within: 1s, stable_for: 0s }\n",
            "  probes: [{ name: p, log: { ",
            $log,
            " }, when: [during], expect: '>= 0' }]\n",
            "targets:\n  - { alias: it, container: { name: '@C-1' } }\n",
            "faults: [{ name: f, target: it, inject: { memory_limit: { limit: 512MiB } } }]\nduration: 800ms\n"
        )
    };
}

/// The number of lines that was counted last, and why nothing was counted.
fn counted(stage: &Stage, document: &str) -> (f64, String) {
    let seen = look(stage, Look::Run, document);
    let moment = &seen["out"]["probes"][0]["moments"][0];
    (
        moment["stats"]["max"].as_f64().unwrap_or_default(),
        moment["error"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn key_hypothesis_probes_log_pattern() {
    let Some(stage) = Stage::container_that(&["log", "tick", "10"]) else {
        return;
    };
    let base = logs!("pattern: tick, container: '@C-1'");
    assert!(counted(&stage, base).0 >= 1.0);
    assert_eq!(
        counted(&stage, &swap(base, "pattern: tick", "pattern: tock")),
        (0.0, String::new())
    );
}

#[test]
fn key_hypothesis_probes_log_container() {
    let Some(stage) = Stage::container_that(&["log", "tick", "10"]) else {
        return;
    };
    let base = logs!("pattern: tick, container: '@C-1'");
    assert!(counted(&stage, base).0 >= 1.0);
    let (lines, why) = counted(&stage, &swap(base, "container: '@C-1'", "container: '@C-2'"));
    assert!(lines == 0.0 && why.contains("no container"), "{lines} {why}");
}

/// One alias is a container that writes, the other one that does not.
#[test]
fn key_hypothesis_probes_log_target() {
    let Some(stage) = Stage::container_that(&["log", "tick", "10"]) else {
        return;
    };
    let stage = stage.with_another();
    let base = swap(
        logs!("pattern: tick, target: it"),
        "faults:",
        "  - { alias: quiet, container: { name: '@OTHER' } }\nfaults:",
    );
    assert!(counted(&stage, &base).0 >= 1.0);
    let other = swap(&base, "pattern: tick, target: it", "pattern: tick, target: quiet");
    assert_eq!(counted(&stage, &other), (0.0, String::new()));
}

/// What is only recorded stands in the report under its query.
#[test]
fn key_metrics() {
    let Some(stage) = Stage::sleeper().with_prometheus() else {
        return;
    };
    let base = swap(
        probes!("command: { argv: [/bin/true] }"),
        "duration: 400ms",
        // An answer must come before the end.
        "duration: 1500ms\nmetrics: ['vector(3)']",
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
