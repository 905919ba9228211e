//! What is for people and for the whole document: it is in the report, and in what `validate` says.

use serde_json::Value;

use crate::seen::{Look, keys, look, swap};
use crate::stage::Stage;

const BASE: &str = r#"
apiVersion: fracas.dev/v1
kind: Experiment
metadata: { name: base, description: what for, owner: us, version: v1, tags: [one] }
hypothesis:
  warmup: 0s
  probes:
    - { name: prog, description: why, command: { argv: [/bin/true] }, expect: "== 0" }
targets:
  - { alias: it, process: { pid_file: "@PID" } }
faults:
  - { name: pause, description: how, target: it, inject: { process_pause: {} } }
duration: 20s
"#;

keys! { Stage::sleeper(), Dry, BASE;
    key_metadata_name: "name: base" => "name: other", "/out/name", "base" => "other";
    key_metadata_description: "what for" => "nothing", "/out/description", "what for" => "nothing";
    key_metadata_owner: "owner: us" => "owner: them", "/out/owner", "us" => "them";
    key_metadata_version: "version: v1" => "version: v2", "/out/document_version", "v1" => "v2";
    key_metadata_tags: "[one]" => "[one, two]", "/out/tags", "[\"one\"]" => "[\"one\",\"two\"]";
    key_hypothesis_probes_name: "name: prog" => "name: done", "/out/probes/0/name", "prog" => "done";
    key_hypothesis_probes_description: "why" => "because", "/out/probes/0/description", "why" => "because";
    key_faults_name: "name: pause" => "name: rest", "/out/injections/0/fault", "pause" => "rest";
    key_faults_description: "how" => "so", "/out/faults/0/description", "how" => "so";
}

keys! { Stage::empty(), Validate, BASE.replace("@PID", "/a").as_str();
    key_api_version: "fracas.dev/v1" => "fracas.dev/v2", "/out/0/ok", "true" => "false";
    key_kind: "kind: Experiment" => "kind: Experimnt", "/out/0/ok", "true" => "false";
}

/// The seed decides which of several targets are taken, and in the same way every time.
#[test]
fn key_seed() {
    let stage = Stage::four();
    let document = swap(
        &swap(
            BASE,
            "process: { pid_file: \"@PID\" }",
            "process: { command: \".*@NAME-.*\" }, blast_radius: { percent: 50% }",
        ),
        "duration: 20s",
        "seed: 1\nduration: 20s",
    );
    let chosen = |seed: u32| -> Value {
        let seen = look(&stage, Look::Dry, &swap(&document, "seed: 1", &format!("seed: {seed}")));
        assert_eq!(seen["out"]["seed"], seed, "{seen:#}");
        let mut targets = seen["out"]["injections"].clone();
        for injection in targets.as_array_mut().unwrap() {
            *injection = injection["target"].clone();
        }
        assert_eq!(targets.as_array().unwrap().len(), 2, "{seen:#}");
        targets
    };
    let first = chosen(1);
    // The draw is a function of the seed and of the names that `fracas targets` shows: the seed that decides otherwise is found by it.
    let shown = look(&stage, Look::Targets, &document);
    let names: Vec<String> = shown["out"]["aliases"][0]["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| candidate["identity"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 4, "{shown:#}");
    let expected = |seed: u64| {
        let mut drawn = names.clone();
        drawn.sort_by_key(|name| fracas_core::seed::Seed(seed).draw("target", name, 0));
        drawn.truncate(2);
        drawn.sort();
        Value::from(drawn)
    };
    assert_eq!(first, expected(1));
    let other = (2..100).find(|seed| expected(*seed) != first).unwrap();
    assert_eq!(chosen(other as u32), expected(other));
}
