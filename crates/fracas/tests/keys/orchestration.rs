//! Keys of an orchestration, seen by clients of the proxy and by those who ask how it is.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::Cli;
use crate::proxied::Proxied;
use crate::seen::{looks, sees_differ, swap};
use crate::support::{LIMIT, every};

/// Longer than those that are short.
const MOMENT: Duration = Duration::from_millis(100);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// One that is over at once. Nobody comes, so that its first step fails if that is asked.
const SHORT: &str = "name: o
description: of one kind
tags: [a]
parallel: false
loop_orchestration: false
max_iterations: 1
steps:
  - name: first
    duration_seconds: 0.05
    continue_on_failure: false
    assertions: [{ metric: requests, max: 0 }]
  - { name: second, duration_seconds: 0.05 }
";
/// As [`SHORT`], but its first step fails.
const FAILING: &str = "name: o
steps:
  - name: first
    duration_seconds: 0.05
    continue_on_failure: false
    assertions: [{ metric: requests, min: 1 }]
  - { name: second, duration_seconds: 0.05 }
";
/// One that goes on.
const LONG: &str = "name: o
parallel: false
steps:
  - name: first
    scenario: { name: peak_traffic, config: { fault_injection: { http_errors: [500], http_error_probability: 1 } } }
    duration_seconds: 3600
    delay_before_seconds: 0
  - name: second
    scenario: { config: { latency: { fixed_delay_ms: 1 } } }
    duration_seconds: 3600
";
/// One whose scenario says how long it is.
const SAID: &str = "name: o
steps: [{ name: first, scenario: { config: {}, duration_seconds: 3600 } }]
";
/// One that goes on until its time is over.
const LOOP: &str = "name: o
loop_orchestration: true
max_iterations: 2
max_duration_seconds: 1000
steps: [{ name: first, duration_seconds: 0.05 }]
";

/// One of two steps, of which the second asks how the first was.
const ASKING: &str = "name: o
variables: { v: one, w: two }
pre_hooks: [{ record_metric: { name: m, value: 7 } }]
steps:
  - { name: first, duration_seconds: 0.02, variables: { x: three } }
  - { name: second, duration_seconds: 0.02, condition: CONDITION }
";
/// One that says something wherever it can.
const TALKING: &str = "name: o
pre_hooks: [{ log: { message: a } }]
post_hooks: [{ log: { message: d } }]
steps:
  - name: first
    duration_seconds: 0.02
    pre_hooks: [{ log: { message: b } }]
    post_hooks: [{ log: { message: c } }]
";
/// One that fails, and is tried again in a long while.
const TRYING: &str = "name: o
timeout_seconds: 1000
steps:
  - name: first
    duration_seconds: 0.01
    assertions: [{ metric: requests, min: 1 }]
    retry: { max_attempts: 2, delay_seconds: 2000 }
";
/// One that fails eight times, which takes long if the pause doubles.
const DOUBLING: &str = "name: o
timeout_seconds: 1.5
steps:
  - name: first
    duration_seconds: 0.01
    assertions: [{ metric: requests, min: 1 }]
    retry: { max_attempts: 8, delay_seconds: 0.02, exponential_backoff: false }
";
/// One whose scenario is said more of.
const SLOW: &str = "name: o
steps: [{ name: first, duration_seconds: 60, scenario: { name: slow_backend, description: slow , tags: [a] } }]
";
/// One that sets a variable.
const SETTING: &str = "name: o
pre_hooks: [{ set_variable: { name: v, value: one } }]
steps: [{ name: first, duration_seconds: 0.02 }]
";
/// One that records a number.
const RECORDING: &str = "name: o
pre_hooks: [{ record_metric: { name: m, value: 7 } }]
steps: [{ name: first, duration_seconds: 0.02 }]
";
/// One with a report.
const REPORTED: &str = "name: o
enable_reporting: true
report_path: report.json
steps: [{ name: first, duration_seconds: 0.02 }]
";
/// One that asks for something before its step: PORT is that of the proxy, and the answer to what it sends is one of success.
const SENDING: &str = "name: o
steps:
  - name: first
    duration_seconds: 0.02
    pre_hooks:
      - http_request:
          url: http://127.0.0.1:PORT/api/chaos/orchestration/import
          method: POST
          body: '{\"content\": \"name: x\\nsteps: [{ name: a, duration_seconds: 1 }]\"}'
";
/// One that waits for an answer that does not come.
const HELD: &str = "name: o
parallel: true
steps:
  - { name: slow, scenario: { config: { latency: { fixed_delay_ms: 3600000 } } }, duration_seconds: 3600 }
  - name: asks
    duration_seconds: 1
    delay_before_seconds: 0.01
    pre_hooks: [{ http_request: { url: http://127.0.0.1:PORT/, timeout_seconds: 60 } }]
";
/// One that runs a program before its step.
const RUNNING: &str = "name: o
steps:
  - name: first
    duration_seconds: 0.02
    pre_hooks: [{ command: { argv: [/bin/sleep, 0], timeout_seconds: 5 } }]
";
/// One whose program takes long.
const WAITING: &str = "name: o
steps:
  - name: first
    duration_seconds: 0.02
    timeout_seconds: 30
    pre_hooks: [{ command: { argv: [/bin/sleep, 1000], timeout_seconds: 50 } }]
";
/// One that is judged at its end. Its second step is skipped.
const JUDGED: &str = "name: o
variables: { v: one, w: two }
assertions: [ASSERTION]
steps:
  - { name: first, duration_seconds: 0.02 }
  - { name: second, duration_seconds: 0.02, condition: { type: previous_step_failed } }
";

/// With a condition, or an assertion, in its place.
fn with(base: &str, what: &str) -> String {
    let (place, _) = [("CONDITION", ASKING), ("ASSERTION", JUDGED)]
        .into_iter()
        .find(|(_, known)| *known == base)
        .unwrap();
    swap(base, place, what)
}

/// A way to look at an orchestration that was begun.
type Look = fn(&Proxied, &dyn Fn() -> Value) -> String;

/// What is told when it is over, at this place.
fn told(status: &dyn Fn() -> Value, at: &str) -> String {
    let over = every(PAUSE, LIMIT, "it is over", || {
        let now = status();
        (now["is_running"] == false).then_some(now)
    });
    over.pointer(at).unwrap().to_string()
}

fn name(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/name")
}

fn description(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/description")
}

fn tags(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/tags")
}

/// The lines of its log, when it is over.
fn log(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/state");
    let lines = status()["log"].as_array().cloned().unwrap_or_default();
    lines
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

fn state(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/state")
}

fn variables(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/variables")
}

fn metrics(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/metrics")
}

fn attempts(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/steps/0/attempts")
}

fn scenario(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    let scenario = status()["steps"][0]["scenario"].clone();
    format!("{} {}", scenario["description"], scenario["tags"])
}

/// Where the report is, if it is there.
fn report(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/state");
    let said = status()["report"].as_str().unwrap_or("none").to_owned();
    said.trim_start_matches("written to ").to_owned()
}

fn first_name(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/steps/0/name")
}

fn first(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/steps/0/state")
}

fn second(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/steps/1/state")
}

fn iterations(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    told(status, "/iteration")
}

/// Whether it is over soon.
fn far(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    let begun = Instant::now();
    let now = every(PAUSE, LIMIT, "it has gone on for a moment, or is over", || {
        let now = status();
        // One that is late has all its time behind it; so has one whose last step is to be tried again.
        let is_far = now["progress"].as_f64().unwrap() < 0.01 || now["steps"][0]["state"] == "waiting";
        let goes_on = begun.elapsed() > MOMENT && is_far;
        (now["is_running"] == false || goes_on).then_some(now)
    });
    if now["is_running"] == true {
        "goes on"
    } else {
        "is over"
    }
    .to_owned()
}

/// What a client gets, and how late.
fn got(proxy: &Proxied, _: &dyn Fn() -> Value) -> String {
    let got = proxy.get("/", "a");
    format!("{} {}", got.status(), got.header("x-fracas-latency-ms"))
}

/// Whether one of a hundred is refused for their number.
fn limited(proxy: &Proxied, _: &dyn Fn() -> Value) -> String {
    let refused = (0..100).any(|_| proxy.get("/", "a").status() == "429");
    refused.to_string()
}

/// What of the requests was wrong.
fn why(_: &Proxied, status: &dyn Fn() -> Value) -> String {
    let why = told(status, "/steps/0/failures/0");
    why.trim_matches('"').split([' ', ':']).next().unwrap().to_owned()
}

/// What a client gets once a step of a moment is over: nothing, or another step.
fn settled(proxy: &Proxied, status: &dyn Fn() -> Value) -> String {
    every(PAUSE, LIMIT, "a step that is long is on", || {
        let now = status();
        let on = |index: usize| now["steps"][index]["state"] == "running";
        // The first is on for an hour, or was over long ago.
        (on(1) || on(0) && now["progress"].as_f64().unwrap() > 1e-4).then_some(())
    });
    got(proxy, status)
}

#[track_caller]
fn differ(base: &str, old: &str, new: &str, look: Look, before: &str, after: &str) {
    let cli = Cli::new();
    let shown = |document: &str| {
        let proxy = Proxied::start(&cli, &["--seed", "1", "--allow-exec"]);
        let base = format!("http://{}", proxy.address);
        let document = document.replace("PORT", &proxy.address.port().to_string());
        let file = cli.file("orchestration.yaml", &document);
        let said = cli.run(&["orchestrate", "start", "--file", &file, "--base-url", &base]);
        assert_eq!(said.code, 0, "{}", said.err);
        let status = || serde_json::from_str(&proxy.get("/api/chaos/orchestration/status", "a").body).unwrap();
        let seen = look(&proxy, &status);
        if ["report.json", "other.json"].contains(&seen.as_str()) {
            let report = std::fs::read_to_string(cli.place().join(&seen)).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["state"], "completed");
        }
        seen
    };
    sees_differ(shown, base, (old, new), (before, after));
}

looks! {
    key_name: SHORT, "name: o\n" => "name: p\n", name, "\"o\"" => "\"p\"";
    key_description: SHORT, "of one kind" => "of another", description, "\"of one kind\"" => "\"of another\"";
    key_tags: SHORT, "[a]" => "[b]", tags, "[\"a\"]" => "[\"b\"]";
    key_parallel: LONG, "parallel: false" => "parallel: true", got, "500 none" => "500 1.000";
    key_loop_orchestration: LOOP, "loop_orchestration: true" => "loop_orchestration: false", iterations, "2" => "1";
    key_max_iterations: LOOP, "max_iterations: 2" => "max_iterations: 3", iterations, "2" => "3";
    key_max_duration_seconds: LONG, "parallel: false" => "max_duration_seconds: 0.05", far, "goes on" => "is over";
    key_steps_name: SHORT, "name: first" => "name: only", first_name, "\"first\"" => "\"only\"";
    key_steps_scenario_name: LONG, "name: peak_traffic, " => "", limited, "true" => "false";
    key_steps_scenario_config: LONG, "[500]" => "[502]", got, "500 none" => "502 none";
    key_steps_scenario_duration_seconds: SAID, "duration_seconds: 3600" => "duration_seconds: 0.05", far, "goes on" => "is over";
    key_steps_duration_seconds: LONG, "3600\n    delay" => "0.001\n    delay", settled, "500 none" => "200 1.000";
    key_steps_delay_before_seconds: LONG, "delay_before_seconds: 0" => "delay_before_seconds: 3600", got, "500 none" => "200 none";
    key_steps_continue_on_failure: FAILING, "continue_on_failure: false" => "continue_on_failure: true", second, "\"pending\"" => "\"passed\"";
    key_steps_assertions: FAILING, "min: 1" => "min: 0", first, "\"failed\"" => "\"passed\"";
    key_steps_scenario_description: SLOW, "slow " => "slower", scenario, "\"slow\" [\"a\"]" => "\"slower\" [\"a\"]";
    key_steps_scenario_tags: SLOW, "[a]" => "[b]", scenario, "\"slow\" [\"a\"]" => "\"slow\" [\"b\"]";
    key_timeout_seconds: TRYING, "timeout_seconds: 1000" => "timeout_seconds: 0.05", far, "goes on" => "is over";
    key_variables: with(ASKING, "{ type: equals, variable: v, value: one }"), "v: one" => "v: five", second, "\"passed\"" => "\"skipped\"";
    key_pre_hooks: TALKING, "message: a" => "message: x", log, "a b c d" => "x b c d";
    key_post_hooks: TALKING, "message: d" => "message: x", log, "a b c d" => "a b c x";
    key_steps_pre_hooks: TALKING, "message: b" => "message: x", log, "a b c d" => "a x c d";
    key_steps_post_hooks: TALKING, "message: c" => "message: x", log, "a b c d" => "a b x d";
    key_assertions: with(JUDGED, "{ metric: requests, max: 0 }"), "max: 0" => "min: 1", state, "\"completed\"" => "\"failed\"";
    key_enable_reporting: REPORTED, "true" => "false", report, "report.json" => "none";
    key_report_path: REPORTED, "report.json" => "other.json", report, "report.json" => "other.json";
    key_steps_condition: with(ASKING, "{ type: exists, variable: v }"), "{ type: exists, variable: v }" => "{ type: previous_step_failed }", second, "\"passed\"" => "\"skipped\"";
    key_steps_variables: with(ASKING, "{ type: equals, variable: x, value: three }"), "x: three" => "x: four", second, "\"passed\"" => "\"skipped\"";
    key_steps_timeout_seconds: WAITING, "timeout_seconds: 30" => "timeout_seconds: 0.05", far, "goes on" => "is over";
    key_steps_retry_max_attempts: DOUBLING, "max_attempts: 8" => "max_attempts: 3", attempts, "8" => "3";
    key_steps_retry_delay_seconds: TRYING, "delay_seconds: 2000" => "delay_seconds: 0", far, "goes on" => "is over";
    key_steps_retry_exponential_backoff: DOUBLING, "backoff: false" => "backoff: true", first, "\"failed\"" => "\"cut\"";
    key_hook_set_variable_name: SETTING, "name: v" => "name: w", variables, r#"{"v":"one"}"# => r#"{"w":"one"}"#;
    key_hook_set_variable_value: SETTING, "value: one" => "value: two", variables, r#"{"v":"one"}"# => r#"{"v":"two"}"#;
    key_hook_log_message: TALKING, "message: a" => "message: hello", log, "a b c d" => "hello b c d";
    key_hook_http_request_url: SENDING, "import" => "imports", first, "\"passed\"" => "\"failed\"";
    key_hook_http_request_method: SENDING, "POST" => "PUT", first, "\"passed\"" => "\"failed\"";
    key_hook_http_request_body: SENDING, "content" => "contents", first, "\"passed\"" => "\"failed\"";
    key_hook_http_request_timeout_seconds: HELD, "timeout_seconds: 60" => "timeout_seconds: 0.05", far, "goes on" => "is over";
    key_hook_command_argv: RUNNING, "[/bin/sleep, 0]" => "[/bin/sleep, x]", first, "\"passed\"" => "\"failed\"";
    key_hook_command_timeout_seconds: WAITING, "timeout_seconds: 50" => "timeout_seconds: 0.05", far, "goes on" => "is over";
    key_hook_record_metric_name: RECORDING, "name: m" => "name: n", metrics, r#"{"m":7.0}"# => r#"{"n":7.0}"#;
    key_hook_record_metric_value: RECORDING, "value: 7" => "value: 8", metrics, r#"{"m":7.0}"# => r#"{"m":8.0}"#;
    key_condition_type: with(ASKING, "{ type: previous_step_succeeded }"), "previous_step_succeeded" => "previous_step_failed", second, "\"passed\"" => "\"skipped\"";
    key_condition_variable: with(ASKING, "{ type: equals, variable: v, value: one }"), "variable: v" => "variable: w", second, "\"passed\"" => "\"skipped\"";
    key_condition_value: with(ASKING, "{ type: equals, variable: v, value: one }"), "value: one" => "value: two", second, "\"passed\"" => "\"skipped\"";
    key_condition_conditions: with(ASKING, "{ type: and, conditions: [{ type: previous_step_succeeded }] }"), "step_succeeded" => "step_failed", second, "\"passed\"" => "\"skipped\"";
    key_condition_condition: with(ASKING, "{ type: not, condition: { type: previous_step_failed } }"), "step_failed" => "step_succeeded", second, "\"passed\"" => "\"skipped\"";
    key_condition_metric: with(ASKING, "{ type: metric_threshold, metric: m, operator: less_than, threshold: 8 }"), "metric: m," => "metric: error_rate,", second, "\"passed\"" => "\"skipped\"";
    key_condition_operator: with(ASKING, "{ type: metric_threshold, metric: m, operator: less_than, threshold: 8 }"), "less_than" => "greater_than", second, "\"passed\"" => "\"skipped\"";
    key_condition_threshold: with(ASKING, "{ type: metric_threshold, metric: m, operator: less_than, threshold: 8 }"), "threshold: 8" => "threshold: 7", second, "\"passed\"" => "\"skipped\"";
    key_assertion_type: with(JUDGED, "{ type: step_succeeded, step: first }"), "step_succeeded" => "step_failed", state, "\"completed\"" => "\"failed\"";
    key_assertion_metric: FAILING, "metric: requests" => "metric: error_rate", why, "requests" => "error_rate";
    key_assertion_min: FAILING, "min: 1" => "min: 0", first, "\"failed\"" => "\"passed\"";
    key_assertion_max: SHORT, "max: 0" => "max: -1", first, "\"passed\"" => "\"failed\"";
    key_assertion_variable: with(JUDGED, "{ type: variable_equals, variable: v, expected: one }"), "variable: v" => "variable: w", state, "\"completed\"" => "\"failed\"";
    key_assertion_expected: with(JUDGED, "{ type: variable_equals, variable: v, expected: one }"), "expected: one" => "expected: two", state, "\"completed\"" => "\"failed\"";
    key_assertion_step: with(JUDGED, "{ type: step_succeeded, step: first }"), "step: first" => "step: second", state, "\"completed\"" => "\"failed\"";
    key_assertion_condition: with(JUDGED, "{ type: condition, condition: { type: equals, variable: v, value: one } }"), "value: one" => "value: two", state, "\"completed\"" => "\"failed\"";
}
