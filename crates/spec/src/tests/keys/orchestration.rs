//! Keys of an orchestration.

use serde_json::Value;

use super::keys;
use crate::{Source, orchestration};

const WHOLE: &str = "name: o
description: of one kind
tags: [a]
parallel: true
loop_orchestration: true
max_iterations: 3
max_duration_seconds: 60
steps:
  - name: first
    scenario: { name: slow_backend, config: { rate_limit: { burst_size: 5 } }, duration_seconds: 30 }
    duration_seconds: 10
    delay_before_seconds: 1
    continue_on_failure: true
    assertions: [{ metric: requests, min: 2, max: 4 }]
";

/// The two differ at `at` and nowhere else.
fn differ(base: &str, old: &str, new: &str, at: &str, before: &str, after: &str) {
    let read = |text: &str| {
        let source = Source {
            name: "a.yaml".to_owned(),
            text: text.to_owned(),
        };
        let read = orchestration(&source, &|_| None, None).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        serde_json::to_value(read).unwrap()
    };
    assert_eq!(base.matches(old).count(), 1, "{old:?} must be there once");
    let (one, other) = (read(base), read(&base.replace(old, new)));
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|_| Value::from(text));
    assert_eq!(one.pointer(at), Some(&json(before)));
    assert_eq!(other.pointer(at), Some(&json(after)));
    let mut same = one;
    *same.pointer_mut(at).unwrap() = json(after);
    assert_eq!(same, other, "more than {at} differs");
}

keys! {
    key_name: WHOLE, "name: o" => "name: p", "/name", "o" => "p";
    key_description: WHOLE, "of one kind" => "of another", "/description", "of one kind" => "of another";
    key_tags: WHOLE, "[a]" => "[a, b]", "/tags", r#"["a"]"# => r#"["a", "b"]"#;
    key_parallel: WHOLE, "parallel: true" => "parallel: false", "/parallel", "true" => "false";
    key_loop_orchestration: WHOLE, "loop_orchestration: true" => "loop_orchestration: false", "/loop_orchestration", "true" => "false";
    key_max_iterations: WHOLE, "max_iterations: 3" => "max_iterations: 0", "/max_iterations", "3" => "0";
    key_max_duration_seconds: WHOLE, "60" => "0.5", "/max_duration_seconds", "60.0" => "0.5";
    key_steps_name: WHOLE, "name: first" => "name: only", "/steps/0/name", "first" => "only";
    key_steps_scenario_name: WHOLE, "slow_backend" => "peak_traffic", "/steps/0/scenario/name", "slow_backend" => "peak_traffic";
    key_steps_scenario_config: WHOLE, "burst_size: 5" => "burst_size: 6", "/steps/0/scenario/config/rate_limit/burst_size", "5" => "6";
    key_steps_scenario_duration_seconds: WHOLE, "duration_seconds: 30" => "duration_seconds: 40", "/steps/0/scenario/duration_seconds", "30.0" => "40.0";
    key_steps_duration_seconds: WHOLE, "duration_seconds: 10\n" => "duration_seconds: 20\n", "/steps/0/duration_seconds", "10.0" => "20.0";
    key_steps_delay_before_seconds: WHOLE, "delay_before_seconds: 1" => "delay_before_seconds: 0", "/steps/0/delay_before_seconds", "1.0" => "0.0";
    key_steps_continue_on_failure: WHOLE, "continue_on_failure: true" => "continue_on_failure: false", "/steps/0/continue_on_failure", "true" => "false";
    key_steps_assertions_metric: WHOLE, "metric: requests" => "metric: faults", "/steps/0/assertions/0/metric", "requests" => "faults";
    key_steps_assertions_min: WHOLE, "min: 2" => "min: 3", "/steps/0/assertions/0/min", "2.0" => "3.0";
    key_steps_assertions_max: WHOLE, "max: 4" => "max: 5", "/steps/0/assertions/0/max", "4.0" => "5.0";
}
