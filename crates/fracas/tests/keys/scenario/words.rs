//! What is for people, and for the whole document.

use crate::seen::{Look, keys, look, swap};
use crate::stage::Stage;

const BASE: &str = r#"
apiVersion: chaos/v1
kind: ChaosScenario
metadata: { name: base, description: what for, tags: [one], author: us, version: v1 }
spec:
  targets: [{ alias: it, selector: { pattern: "@C-1" } }]
  duration: 20s
  faults:
    - { phase: squeeze, description: how, target: it, type: memory_pressure, params: { memory_mb: 64 } }
  success_criteria:
    - { name: page, description: why, type: health_check, url: "http://127.0.0.1:1/" }
"#;

keys! { Stage::container(), Dry, BASE;
    key_metadata_name: "name: base" => "name: other", "/out/name", "base" => "other";
    key_metadata_description: "what for" => "nothing", "/out/description", "what for" => "nothing";
    key_metadata_author: "author: us" => "author: them", "/out/owner", "us" => "them";
    key_metadata_version: "version: v1" => "version: v2", "/out/document_version", "v1" => "v2";
    key_metadata_tags: "[one]" => "[one, two]", "/out/tags", "[\"one\"]" => "[\"one\",\"two\"]";
    key_spec_faults_phase: "squeeze" => "press", "/out/injections/0/fault", "squeeze" => "press";
    key_spec_faults_description: "how" => "so", "/out/faults/0/description", "how" => "so";
    key_spec_success_criteria_name: "name: page" => "name: site", "/out/probes/0/name", "page" => "site";
    key_spec_success_criteria_description: "why" => "because", "/out/probes/0/description", "why" => "because";
}

/// What `validate` warns of.
fn warned(old: &str, new: &str) -> String {
    let mut stage = Stage::empty();
    stage.say("C", "web");
    let warnings = |document: &str| {
        let seen = look(&stage, Look::Validate, document);
        assert_eq!(seen["out"][0]["ok"], true, "{seen:#}");
        seen["out"][0]["warnings"].to_string()
    };
    assert_eq!(warnings(BASE), "[]");
    warnings(&swap(BASE, old, new))
}

#[test]
fn key_api_version() {
    assert!(warned("apiVersion: chaos/v1", "apiVersion: chaos/v2").contains("chaos/v2"));
}

#[test]
fn key_kind() {
    assert!(warned("kind: ChaosScenario", "kind: Scenario").contains("Scenario"));
}

/// Nothing is done with it, and that is said.
#[test]
fn key_metadata_references() {
    assert!(warned("version: v1", "version: v1, references: [a]").contains("metadata.references"));
}
