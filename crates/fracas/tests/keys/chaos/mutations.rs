//! Keys of rules for JSON, seen by clients of the proxy.

use super::{Proxied, differ};
use crate::seen::looks;

const RULES: &str = "mutations:
  enabled: true
  rules:
    - name: one
      path_pattern: ^/$
      probability: 1.0
      operations:
        - { type: set_field, field: path, value: 7 }
";
const CALL: &str =
    "mutations: { rules: [{ name: one, method_match: a, operations: [{ type: delete_field, field: path }] }] }
";
const STATEFUL: &str = "mutations:
  rules:
    - name: one
      operations: [{ type: delete_field, field: path }]
      stateful: { skip_first: 0, corrupt_every_n: 0, max_corrupted: 0 }
";

fn body(proxy: &Proxied) -> String {
    proxy.get("/", "a").body
}

pub(super) fn rule(proxy: &Proxied) -> String {
    proxy.get("/", "a").header("x-fracas-mutation").to_owned()
}

/// By which rule the answer to a call is changed.
fn call(proxy: &Proxied) -> String {
    proxy.post(r#"{"method":"a"}"#).header("x-fracas-mutation").to_owned()
}

/// Which of some answers are changed.
fn which(proxy: &Proxied) -> String {
    let is = |n: u32| rule_of(proxy, n) == "one";
    (1..=6)
        .filter(|n| is(*n))
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

fn rule_of(proxy: &Proxied, id: u32) -> String {
    let got = proxy.get("/", &id.to_string());
    got.header("x-fracas-mutation").to_owned()
}

/// How many of some answers are changed.
fn share(proxy: &Proxied) -> String {
    match (0..20).filter(|n| rule_of(proxy, *n) == "one").count() {
        20 => "all",
        0 => "none",
        _ => "some",
    }
    .to_owned()
}

looks! {
    key_mutations_enabled: RULES, "true" => "false", rule, "one" => "none";
    key_mutations_rules_name: RULES, "one" => "two", rule, "one" => "two";
    key_mutations_rules_path_pattern: RULES, "^/$" => "^/a", rule, "one" => "none";
    key_mutations_rules_method_match: CALL, "match: a" => "match: b", call, "one" => "none";
    key_mutations_rules_probability: RULES, "1.0" => "0.5", share, "all" => "some";
    key_mutations_rules_operations_type: RULES, "set_field, field: path, value: 7" => "delete_field, field: path", body, r#"{"method":"GET","path":7,"body":0}"# => r#"{"method":"GET","body":0}"#;
    key_mutations_rules_operations_field: RULES, "field: path" => "field: a.b", body, r#"{"method":"GET","path":7,"body":0}"# => r#"{"method":"GET","path":"/","body":0,"a":{"b":7}}"#;
    key_mutations_rules_operations_value: RULES, "value: 7" => "value: [null]", body, r#"{"method":"GET","path":7,"body":0}"# => r#"{"method":"GET","path":[null],"body":0}"#;
    key_mutations_rules_stateful_skip_first: STATEFUL, "first: 0" => "first: 2", which, "1 2 3 4 5 6" => "3 4 5 6";
    key_mutations_rules_stateful_corrupt_every_n: STATEFUL, "n: 0" => "n: 3", which, "1 2 3 4 5 6" => "3 6";
    key_mutations_rules_stateful_max_corrupted: STATEFUL, "corrupted: 0" => "corrupted: 2", which, "1 2 3 4 5 6" => "1 2";
}
