//! What hooks and steps leave for those behind them, and how often a step is judged.

use fracas_proxy::Orchestrations;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::orchestrations::{ended, fails, start};
use crate::stand::{Stand, wish};

/// How an orchestration of this name and these keys is when it is over.
async fn over(proxy: &Stand, mut whole: Value) -> Value {
    whole["name"] = json!("o");
    let said = start(proxy, whole).await;
    assert_eq!(said.status(), 200, "{}", said.text());
    ended(proxy).await
}

/// A step of a moment.
fn step(name: &str, mut keys: Value) -> Value {
    keys["name"] = json!(name);
    keys["duration_seconds"] = json!(0.01);
    keys
}

fn states(over: &Value) -> Vec<&str> {
    let steps = over["steps"].as_array().unwrap().iter();
    steps.map(|step| step["state"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_and_recorded_is_known_to_those_behind() {
    let proxy = wish("{}").start();
    let is = |variable: &str, value: &str| json!({ "type": "equals", "variable": variable, "value": value });
    let recorded = json!({ "type": "metric_threshold", "metric": "m", "operator": "equals", "threshold": 7 });
    let hooks =
        json!([{ "set_variable": { "name": "v", "value": "two" } }, { "record_metric": { "name": "m", "value": 7 } }]);
    let steps = [
        step("before", json!({ "condition": is("v", "two") })),
        step("sets", json!({ "post_hooks": hooks })),
        step(
            "knows",
            json!({ "condition": is("v", "two"), "variables": { "w": "set" } }),
        ),
        step("counts", json!({ "condition": recorded })),
        step("inherits", json!({ "condition": is("w", "set") })),
    ];
    let over = over(&proxy, json!({ "variables": { "v": "one" }, "steps": steps })).await;
    assert_eq!(states(&over), ["skipped", "passed", "passed", "passed", "passed"]);
    assert_eq!(over["variables"], json!({ "v": "two", "w": "set" }));
    assert_eq!(over["metrics"], json!({ "m": 7.0 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_hundred_lines_are_kept() {
    let proxy = wish("{}").start();
    let lines = |from: usize| -> Vec<Value> {
        let line = |number: usize| json!({ "log": { "message": number.to_string() } });
        (from..from + 20).map(line).collect()
    };
    let steps: Vec<Value> = (0..6)
        .map(|number| step("says", json!({ "pre_hooks": lines(number * 20) })))
        .collect();
    let over = over(&proxy, json!({ "steps": steps })).await;
    let log = over["log"].as_array().unwrap().iter();
    let said: Vec<&str> = log.map(|line| line["message"].as_str().unwrap()).collect();
    let last: Vec<String> = (20..120).map(|number| number.to_string()).collect();
    assert_eq!(said, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_steps_of_a_name_each_is_meant() {
    let proxy = wish("{}").start();
    let never = json!([{ "metric": "requests", "min": 1000 }]);
    let fails = step("a", json!({ "assertions": never, "continue_on_failure": true }));
    for (second, state) in [(step("a", json!({})), "completed"), (fails, "failed")] {
        let over = over(
            &proxy,
            json!({ "steps": [step("a", json!({})), second], "assertions": [{ "type": "step_succeeded", "step": "a" }] }),
        )
        .await;
        assert_eq!(over["state"], state, "{over}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_step_of_an_iteration_has_none_before_it() {
    let proxy = wish("{}").start();
    let first = step("first", json!({ "condition": { "type": "previous_step_succeeded" } }));
    let steps = json!([first, step("second", json!({}))]);
    let over = over(
        &proxy,
        json!({ "loop_orchestration": true, "max_iterations": 3, "steps": steps }),
    )
    .await;
    assert_eq!(
        (&over["steps"][0]["skipped"], &over["steps"][1]["passed"]),
        (&json!(3), &json!(3))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_between_attempts_become_longer_if_they_are_to() {
    let proxy = wish("{}").start();
    let never = json!([{ "metric": "requests", "min": 1000 }]);
    let retry = json!({ "max_attempts": 3, "delay_seconds": 0.2, "exponential_backoff": true });
    let over = over(
        &proxy,
        json!({ "steps": [step("a", json!({ "retry": retry, "assertions": never }))] }),
    )
    .await;
    let at = |key: &str| over[key].as_str().unwrap().parse::<Timestamp>().unwrap();
    let took = at("started_at").duration_until(at("ended_at")).as_secs_f64();
    assert_eq!(over["steps"][0]["attempts"], 3);
    // 0.2 and 0.4, and three times the step.
    assert!(took >= 0.6, "{took}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_unless_it_is_switched_off() {
    let place = tempfile::tempdir().unwrap();
    let proxy = wish("{}")
        .orchestrations(Orchestrations {
            allow_exec: true,
            ..Orchestrations::default()
        })
        .start();
    for is_on in [false, true] {
        let path = place.path().join(is_on.to_string());
        let steps = [step("a", json!({}))];
        let whole = json!({ "enable_reporting": is_on, "report_path": path.to_str().unwrap(), "steps": steps });
        assert_eq!(over(&proxy, whole).await["state"], "completed");
        assert_eq!(path.exists(), is_on);
    }
}

// 400 is an answer of a server that did not do what the hook asked for, as 500 is.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_an_error_is_a_failure_of_its_hook() {
    for status in [400, 404, 499, 500, 599] {
        let server = wish(&format!(
            "fault_injection: {{ http_errors: [{status}], http_error_probability: 1 }}"
        ))
        .start();
        let proxy = wish("{}").start();
        let mut asks = fails("a", 503, 0.01);
        asks["pre_hooks"] = json!([{ "http_request": { "url": server.url("/") } }]);
        let over = over(&proxy, json!({ "steps": [asks] })).await;
        let why = over["steps"][0]["failures"][0].as_str().unwrap();
        assert!(why.contains(&format!("the answer was {status}")), "{why}");
    }
}
