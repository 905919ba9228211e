use super::{experiment, plain};
use crate::{Source, load, schema};
use fracas_core::experiment::Format;

/// The complete example of seed 0, as its documentation prints it.
const SEED: &str = r#"spec:
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

/// The example of the native format in the design.
const NATIVE: &str = r#"apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: checkout-survives-slow-payments, owner: payments-team, description: "…", tags: [checkout] }
seed: 42                                  # drawn and reported otherwise
hypothesis:
  interval: 5s
  warmup: 30s
  recovery: { within: 60s, stable_for: 15s }
  probes:
    - name: p99
      prometheus: { query: "histogram_quantile(0.99, sum by (le) (rate(x_bucket[1m])))", scrape_interval: 15s }
      expect: "< 0.2"
      abort: "> 1"
      when: [before, during, after]
    - name: front-page
      http: { url: "http://127.0.0.1:8080/", status: 200, timeout: 2s }
      expect: "== 1"
targets:
  - alias: payments
    container: { name: "payments-[0-9]+" }
    blast_radius: { percent: 50, at_least: 1, leave_healthy: 1 }
faults:
  - name: slow-payments
    target: payments
    inject: { delay: { mean: 100ms, jitter: 10ms, direction: egress, to: [ "10.0.0.0/8:5432/tcp" ] } }
    start: 0s
    duration: 2m
duration: 3m
max_duration: 10m
"#;

#[test]
fn seed_zero_s_example_loads_as_it_is_printed() {
    let source = Source {
        name: "dir/memory-pressure-validator.yaml".into(),
        text: SEED.into(),
    };
    let loaded = load(&source, &[], &|_| None).unwrap();
    assert_eq!((loaded.format, loaded.warnings.len()), (Format::ChaosScenario, 0));
    insta::assert_snapshot!(serde_json::to_string_pretty(&loaded.experiment).unwrap());
}

#[test]
fn the_design_s_example_loads_as_it_is_printed() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&experiment(NATIVE)).unwrap());
}

#[test]
fn the_interval_of_a_short_scenario_is_a_quarter_of_it() {
    for (duration, interval) in [("8m", "15s"), ("20s", "5s"), ("200ms", "100ms")] {
        let text = SEED.replace("duration: 8m", &format!("duration: {duration}"));
        assert_eq!(experiment(&text).interval.to_string(), interval);
    }
}

#[test]
fn aliases_and_quotes_are_yaml_s_own() {
    let text = SEED
        .replace("duration: 8m", "duration: &long 8m")
        .replace("warmup: 2m", "warmup: *long");
    assert_eq!(experiment(&text).warmup.to_string(), "8m");
}

#[test]
fn a_suite_is_known_by_its_name() {
    let source = Source {
        name: "a.fracas.toml".into(),
        text: "[a]".into(),
    };
    let problems = load(&source, &[], &|_| None).unwrap_err();
    assert_eq!(problems[0].code.id, "D010");
}

#[test]
fn all_problems_are_found_in_the_order_of_the_document() {
    let text = NATIVE
        .replace("interval: 5s", "interval: 5")
        .replace("http:", "htttp:")
        .replace("percent: 50", "percent: many")
        .replace("duration: 3m", "");
    let problems = plain(&text).unwrap_err();
    let ids: Vec<_> = problems.iter().map(|problem| problem.code.id).collect();
    assert_eq!(ids, ["D005", "D004", "D003", "D004"]);
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| problem.place.as_ref().unwrap().line)
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn schemas_describe_every_key() {
    for format in [Format::Native, Format::ChaosScenario] {
        let schema = schema(format);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let mut stack = vec![&schema];
        let mut keys = 0;
        while let Some(part) = stack.pop() {
            if let Some(properties) = part["properties"].as_object().filter(|_| part["type"] == "object") {
                let variant =
                    part["additionalProperties"] == false && properties.len() == 1 && part.get("description").is_none();
                for (key, value) in properties {
                    keys += 1;
                    assert!(
                        variant || value["description"].is_string() || value["$ref"].is_string(),
                        "{key} in {format:?}"
                    );
                }
            }
            match part {
                serde_json::Value::Object(object) => stack.extend(object.values()),
                serde_json::Value::Array(items) => stack.extend(items),
                _ => {}
            }
        }
        assert!(keys > 60, "{keys}");
    }
}

#[test]
fn a_fault_keeps_the_words_of_its_document() {
    let text = "spec:\n  targets: [{ alias: a, selector: { pattern: a } }]\n  duration: 1m\n  faults:\n    - { phase: p, target: a, type: cpu, \
                params: { cpu_percent: 12.5, cores: 2, method: limit } }\n";
    let written = experiment(text).faults[0].written.clone().unwrap();
    assert_eq!(written.kind, "cpu");
    assert_eq!(
        written.parameters.to_string(),
        r#"{"cores":2,"cpu_percent":12.5,"method":"limit"}"#
    );
    // A number stays a number and a text a text, whatever it means.
    let type_and_params = "type: cpu, params: { cpu_percent: 12.5, cores: 2, method: limit }";
    assert!(text.contains(type_and_params));
    for (given, kept) in [
        (
            "type: container_pause, params: { duration: 1, unpause: true }",
            r#"{"duration":1,"unpause":true}"#,
        ),
        (
            "type: container_pause, params: { duration: '1' }",
            r#"{"duration":"1"}"#,
        ),
        (
            "type: container_pause, params: { duration: 1m30s }",
            r#"{"duration":"1m30s"}"#,
        ),
    ] {
        let written = experiment(&text.replace(type_and_params, given)).faults[0]
            .written
            .clone();
        assert_eq!(written.unwrap().parameters.to_string(), kept);
    }
}
