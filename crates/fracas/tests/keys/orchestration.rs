//! Keys of an orchestration, seen by clients of the proxy and by those who ask how it is.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::Cli;
use crate::proxied::Proxied;
use crate::seen::swap;
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
        // One that is late has all its time behind it.
        let goes_on = begun.elapsed() > MOMENT && now["progress"].as_f64().unwrap() < 0.01;
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
        let proxy = Proxied::start(&cli, &["--seed", "1"]);
        let base = format!("http://{}", proxy.address);
        let file = cli.file("orchestration.yaml", document);
        let said = cli.run(&["orchestrate", "start", "--file", &file, "--base-url", &base]);
        assert_eq!(said.code, 0, "{}", said.err);
        let status = || serde_json::from_str(&proxy.get("/api/chaos/orchestration/status", "a").body).unwrap();
        look(&proxy, &status)
    };
    assert_eq!(shown(base), before, "{base}");
    let other = swap(base, old, new);
    assert_eq!(shown(&other), after, "{other}");
}

macro_rules! keys {
    ($($name:ident: $base:expr, $old:literal => $new:literal, $look:expr, $before:literal => $after:literal;)*) => {
        $(#[test] fn $name() { differ($base, $old, $new, $look, $before, $after); })*
    };
}

keys! {
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
    key_steps_assertions_metric: FAILING, "metric: requests" => "metric: error_rate", why, "requests" => "error_rate";
    key_steps_assertions_min: FAILING, "min: 1" => "min: 0", first, "\"failed\"" => "\"passed\"";
    key_steps_assertions_max: SHORT, "max: 0" => "max: -1", first, "\"passed\"" => "\"failed\"";
}
