//! Keys of an orchestration.

use serde_json::Value;

use super::{differ_in, keys};
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
    scenario: { name: slow_backend, description: slow, tags: [b], config: { rate_limit: { burst_size: 5 } }, duration_seconds: 30 }
    duration_seconds: 10
    delay_before_seconds: 1
    continue_on_failure: true
    assertions: [{ metric: requests, min: 2, max: 4 }]
";

const ADVANCED: &str = "name: o
timeout_seconds: 3600
enable_reporting: true
report_path: report.json
variables: { v: one }
pre_hooks: [{ log: { message: before } }]
post_hooks: [{ log: { message: after } }]
assertions: [{ type: step_succeeded, step: first }]
steps:
  - name: first
    duration_seconds: 10
    condition: { type: exists, variable: v }
    variables: { w: two }
    pre_hooks: [{ log: { message: begins } }]
    post_hooks: [{ log: { message: ends } }]
    timeout_seconds: 60
    retry: { max_attempts: 3, delay_seconds: 4, exponential_backoff: true }
    assertions: [{ type: step_failed, step: first }]
";

const HOOKS: &str = "name: o
pre_hooks:
  - set_variable: { name: v, value: one }
  - log: { message: hello }
  - http_request: { url: http://127.0.0.1/a, method: PUT, body: x, timeout_seconds: 5 }
  - command: { argv: [/bin/true], timeout_seconds: 6 }
  - record_metric: { name: m, value: 7 }
steps: [{ name: a, duration_seconds: 1 }]
";

const CONDITIONS: &str = "name: o
variables: { v: one, w: two }
steps:
  - { name: a, duration_seconds: 1, condition: { type: equals, variable: v, value: 5 } }
  - { name: b, duration_seconds: 1, condition: { type: and, conditions: [{ type: previous_step_failed }] } }
  - { name: c, duration_seconds: 1, condition: { type: not, condition: { type: previous_step_succeeded } } }
  - { name: d, duration_seconds: 1, condition: { type: metric_threshold, metric: requests, operator: less_than, threshold: 8 } }
";

const ASSERTIONS: &str = "name: o
variables: { v: one, w: two }
assertions:
  - { metric: requests, min: 2, max: 4 }
  - { type: variable_equals, variable: v, expected: one }
  - { type: step_succeeded, step: a }
  - { type: condition, condition: { type: exists, variable: w } }
steps: [{ name: a, duration_seconds: 1 }, { name: b, duration_seconds: 1 }]
";

fn meant(text: &str) -> Value {
    let source = Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    let read = orchestration(&source, &|_| None, None).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    serde_json::to_value(read).unwrap()
}

fn differ(base: &str, old: &str, new: &str, at: &str, before: &str, after: &str) {
    differ_in(meant, base, (old, new), at, (before, after));
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
    key_steps_assertions: WHOLE, "min: 2" => "min: 3", "/steps/0/assertions/0/min", "2.0" => "3.0";
    key_steps_scenario_description: WHOLE, "description: slow" => "description: slower", "/steps/0/scenario/description", "slow" => "slower";
    key_steps_scenario_tags: WHOLE, "[b]" => "[b, c]", "/steps/0/scenario/tags", r#"["b"]"# => r#"["b", "c"]"#;
    key_timeout_seconds: ADVANCED, "3600" => "1800", "/timeout_seconds", "3600.0" => "1800.0";
    key_enable_reporting: ADVANCED, "reporting: true" => "reporting: false", "/enable_reporting", "true" => "false";
    key_report_path: ADVANCED, "report.json" => "other.json", "/report_path", "report.json" => "other.json";
    key_variables: ADVANCED, "v: one" => "v: 1", "/variables/v", "one" => "\"1\"";
    key_pre_hooks: ADVANCED, "before" => "soon", "/pre_hooks/0/log/message", "before" => "soon";
    key_post_hooks: ADVANCED, "after" => "late", "/post_hooks/0/log/message", "after" => "late";
    key_assertions: ADVANCED, "type: step_succeeded" => "type: step_failed", "/assertions/0/type", "step_succeeded" => "step_failed";
    key_steps_condition: ADVANCED, "variable: v" => "variable: w", "/steps/0/condition/variable", "v" => "w";
    key_steps_variables: ADVANCED, "w: two" => "w: three", "/steps/0/variables/w", "two" => "three";
    key_steps_pre_hooks: ADVANCED, "begins" => "soon", "/steps/0/pre_hooks/0/log/message", "begins" => "soon";
    key_steps_post_hooks: ADVANCED, "ends" => "late", "/steps/0/post_hooks/0/log/message", "ends" => "late";
    key_steps_timeout_seconds: ADVANCED, "60\n    retry" => "61\n    retry", "/steps/0/timeout_seconds", "60.0" => "61.0";
    key_steps_retry_max_attempts: ADVANCED, "max_attempts: 3" => "max_attempts: 5", "/steps/0/retry/max_attempts", "3" => "5";
    key_steps_retry_delay_seconds: ADVANCED, "delay_seconds: 4" => "delay_seconds: 0.5", "/steps/0/retry/delay_seconds", "4.0" => "0.5";
    key_steps_retry_exponential_backoff: ADVANCED, "backoff: true" => "backoff: false", "/steps/0/retry/exponential_backoff", "true" => "false";
    key_hook_set_variable_name: HOOKS, "name: v" => "name: w", "/pre_hooks/0/set_variable/name", "v" => "w";
    key_hook_set_variable_value: HOOKS, "value: one" => "value: two", "/pre_hooks/0/set_variable/value", "one" => "two";
    key_hook_log_message: HOOKS, "hello" => "bye", "/pre_hooks/1/log/message", "hello" => "bye";
    key_hook_http_request_url: HOOKS, "/a," => "/b,", "/pre_hooks/2/http_request/url", "http://127.0.0.1/a" => "http://127.0.0.1/b";
    key_hook_http_request_method: HOOKS, "PUT" => "POST", "/pre_hooks/2/http_request/method", "PUT" => "POST";
    key_hook_http_request_body: HOOKS, "body: x" => "body: y", "/pre_hooks/2/http_request/body", "x" => "y";
    key_hook_http_request_timeout_seconds: HOOKS, "timeout_seconds: 5" => "timeout_seconds: 50", "/pre_hooks/2/http_request/timeout_seconds", "5.0" => "50.0";
    key_hook_command_argv: HOOKS, "true" => "false", "/pre_hooks/3/command/argv", r#"["/bin/true"]"# => r#"["/bin/false"]"#;
    key_hook_command_timeout_seconds: HOOKS, "timeout_seconds: 6" => "timeout_seconds: 60", "/pre_hooks/3/command/timeout_seconds", "6.0" => "60.0";
    key_hook_record_metric_name: HOOKS, "name: m" => "name: n", "/pre_hooks/4/record_metric/name", "m" => "n";
    key_hook_record_metric_value: HOOKS, "value: 7" => "value: 0.5", "/pre_hooks/4/record_metric/value", "7.0" => "0.5";
    key_condition_type: CONDITIONS, "type: equals" => "type: not_equals", "/steps/0/condition/type", "equals" => "not_equals";
    key_condition_variable: CONDITIONS, "variable: v" => "variable: w", "/steps/0/condition/variable", "v" => "w";
    key_condition_value: CONDITIONS, "value: 5" => "value: x", "/steps/0/condition/value", "\"5\"" => "x";
    key_condition_conditions: CONDITIONS, "[{ type: previous_step_failed }]" => "[{ type: exists, variable: v }]", "/steps/1/condition/conditions", r#"[{ "type": "previous_step_failed" }]"# => r#"[{ "type": "exists", "variable": "v" }]"#;
    key_condition_condition: CONDITIONS, "type: previous_step_succeeded" => "type: previous_step_failed ", "/steps/2/condition/condition/type", "previous_step_succeeded" => "previous_step_failed";
    key_condition_metric: CONDITIONS, "metric: requests" => "metric: faults", "/steps/3/condition/metric", "requests" => "faults";
    key_condition_operator: CONDITIONS, "operator: less_than" => "operator: less_than_or_equal", "/steps/3/condition/operator", "less_than" => "less_than_or_equal";
    key_condition_threshold: CONDITIONS, "threshold: 8" => "threshold: 9", "/steps/3/condition/threshold", "8.0" => "9.0";
    key_assertion_type: ASSERTIONS, "type: step_succeeded" => "type: step_failed", "/assertions/2/type", "step_succeeded" => "step_failed";
    key_assertion_metric: ASSERTIONS, "metric: requests" => "metric: faults", "/assertions/0/metric", "requests" => "faults";
    key_assertion_min: ASSERTIONS, "min: 2" => "min: 3", "/assertions/0/min", "2.0" => "3.0";
    key_assertion_max: ASSERTIONS, "max: 4" => "max: 5", "/assertions/0/max", "4.0" => "5.0";
    key_assertion_variable: ASSERTIONS, "variable: v" => "variable: w ", "/assertions/1/variable", "v" => "w";
    key_assertion_expected: ASSERTIONS, "expected: one" => "expected: two", "/assertions/1/expected", "one" => "two";
    key_assertion_step: ASSERTIONS, "step: a" => "step: b", "/assertions/2/step", "a" => "b";
    key_assertion_condition: ASSERTIONS, "variable: w" => "variable: v ", "/assertions/3/condition/variable", "w" => "v";
}
