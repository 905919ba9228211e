//! Keys of rules for JSON.

use super::{differ, keys};

const RULES: &str = "mutations:
  enabled: true
  rules:
    - name: one
      path_pattern: ^/a
      method_match: status
      probability: 0.5
      operations:
        - { type: set_field, field: a.b, value: 7 }
      stateful: { skip_first: 1, corrupt_every_n: 2, max_corrupted: 3 }
";

keys! {
    key_mutations_enabled: RULES, "true" => "false", "/mutations/enabled", "true" => "false";
    key_mutations_rules_name: RULES, "one" => "two", "/mutations/rules/0/name", "one" => "two";
    key_mutations_rules_path_pattern: RULES, "^/a" => "b$", "/mutations/rules/0/path_pattern", "^/a" => "b$";
    key_mutations_rules_method_match: RULES, "match: status" => "match: call", "/mutations/rules/0/method_match", "status" => "call";
    key_mutations_rules_probability: RULES, "0.5" => "0", "/mutations/rules/0/probability", "0.5" => "0.0";
    key_mutations_rules_operations_type: RULES, "set_field" => "truncate_array", "/mutations/rules/0/operations/0/type", "set_field" => "truncate_array";
    key_mutations_rules_operations_field: RULES, "a.b" => "'c[0]'", "/mutations/rules/0/operations/0/field", "a.b" => "c[0]";
    key_mutations_rules_operations_value: RULES, "value: 7" => "value: [null, x, 0.5, { y: true }]", "/mutations/rules/0/operations/0/value", "7" => r#"[null, "x", 0.5, { "y": true }]"#;
    key_mutations_rules_stateful_skip_first: RULES, "first: 1" => "first: 5", "/mutations/rules/0/stateful/skip_first", "1" => "5";
    key_mutations_rules_stateful_corrupt_every_n: RULES, "n: 2" => "n: 5", "/mutations/rules/0/stateful/corrupt_every_n", "2" => "5";
    key_mutations_rules_stateful_max_corrupted: RULES, "corrupted: 3" => "corrupted: 5", "/mutations/rules/0/stateful/max_corrupted", "3" => "5";
}
