//! Every key of every document has two tests named after it: `key_` and the path of the key, joined by underscores. One is in
//! `crates/spec` and shows that the key reaches the experiment; the other is in `crates/fracas/tests/keys` and shows two runs that
//! differ in what is observed, in a file whose path begins like the format. A setting has the second one alone.
//!
//! `hypothesis.probes[].expect` has the tests `key_hypothesis_probes_expect`; a prefix may tell the formats apart
//! (`key_scenario_…`). A key that holds other keys is covered when one of these is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{File, Finding};

/// What may stand between `key_` and the path.
const PREFIXES: &[&str] = &["", "native", "experiment", "scenario", "chaosscenario"];

/// Where keys are seen at work.
const SEEN: &str = "crates/fracas/tests/keys/";

/// The part of that folder for each schema.
const FORMATS: &[(&str, &str)] = &[
    ("experiment", "native"),
    ("chaos-scenario", "scenario"),
    ("chaos-config", "chaos"),
    ("orchestration", "orchestration"),
];

/// What stands in several places of an orchestration, or in itself: its keys have tests once, `key_hook_…`.
const PARTS: [&str; 3] = ["Hook", "Condition", "Assertion"];

/// The table of the settings.
const SETTINGS: &str = "docs/reference/settings.md";

/// All keys without a test, of all `docs/reference/*.schema.json` and of the settings.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let read = test_names(files, "crates/spec/");
    let mut findings = Vec::new();
    let schemas = files.iter().filter_map(|file| {
        let name = file
            .path
            .strip_prefix("docs/reference/")?
            .strip_suffix(".schema.json")?;
        Some((file, name))
    });
    for (file, name) in schemas {
        let mut schema: Value = match serde_json::from_str(&file.text) {
            Ok(schema) => schema,
            Err(error) => {
                findings.push(format!("{}: is no JSON: {error}", file.path));
                continue;
            }
        };
        // What a step does, and a worker in front of a port, is a document of its own, with tests of its own.
        let mut parts = Vec::new();
        if matches!(name, "orchestration" | "experiment") && schema["$defs"]["ChaosConfig"].is_object() {
            schema["$defs"]["ChaosConfig"] = serde_json::json!({ "type": "object" });
            for part in PARTS {
                let bare = serde_json::json!({ "type": "object" });
                let whole = std::mem::replace(&mut schema["$defs"][part], bare);
                parts.push((part.to_ascii_lowercase(), whole));
            }
        }
        let folder = FORMATS.iter().find(|(format, _)| *format == name);
        let place = format!("{SEEN}{}", folder.map_or(name, |(_, folder)| folder));
        for (names, place) in [(&read, "crates/spec/"), (&test_names(files, &place), &place)] {
            let whole = uncovered(&schema, &schema, names, &[]);
            let of_parts = parts
                .iter()
                .flat_map(|(path, part)| uncovered(&schema, part, names, std::slice::from_ref(path)));
            for path in whole.into_iter().chain(of_parts) {
                findings.push(format!(
                    "{}: key `{}` has no test key_{} in {place}",
                    file.path,
                    path.join("."),
                    path.join("_")
                ));
            }
        }
    }
    findings.extend(settings(files));
    findings
}

/// The settings without a test.
fn settings(files: &[File]) -> Vec<Finding> {
    let place = format!("{SEEN}settings");
    let names = test_names(files, &place);
    let table = files.iter().find(|file| file.path == SETTINGS);
    let rows = table.into_iter().flat_map(File::lines);
    rows.map_while(|(_, line)| (!line.starts_with("## ")).then_some(line))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|key| !names.contains(&squeeze(key)))
        .map(|key| {
            let test = key.replace('.', "_");
            format!("{SETTINGS}: setting `{key}` has no test key_{test} in {place}")
        })
        .collect()
}

/// Names of functions in files whose path begins so that begin with `key_`, squeezed.
fn test_names(files: &[File], place: &str) -> BTreeSet<String> {
    files
        .iter()
        .filter(|file| file.path.starts_with(place) && file.is_rust())
        .flat_map(File::code)
        .flat_map(|(_, line)| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter_map(|word| word.strip_prefix("key_"))
        .map(squeeze)
        .collect()
}

/// Without what tells `apiVersion` from `api_version`.
fn squeeze(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn uncovered(root: &Value, schema: &Value, names: &BTreeSet<String>, path: &[String]) -> Vec<Vec<String>> {
    let mut keys = BTreeSet::new();
    Walk {
        root,
        keys: &mut keys,
        followed: Vec::new(),
    }
    .schema(schema, path);
    let tested = |path: &[String]| {
        let path = squeeze(&path.concat());
        PREFIXES.iter().any(|prefix| names.contains(&format!("{prefix}{path}")))
    };
    let covered: Vec<&Vec<String>> = keys.iter().filter(|path| tested(path)).collect();
    keys.iter()
        .filter(|path| !covered.iter().any(|deeper| deeper.starts_with(path)))
        .cloned()
        .collect()
}

/// A walk over a schema that follows references, each only once on the way down.
struct Walk<'a> {
    root: &'a Value,
    keys: &'a mut BTreeSet<Vec<String>>,
    followed: Vec<String>,
}

impl Walk<'_> {
    fn schema(&mut self, schema: &Value, path: &[String]) {
        if let Some(reference) = schema["$ref"].as_str()
            && let Some(pointer) = reference.strip_prefix('#')
            && !self.followed.iter().any(|followed| followed == reference)
            && let Some(to) = self.root.pointer(pointer)
        {
            self.followed.push(reference.to_owned());
            let to = to.clone();
            self.schema(&to, path);
            self.followed.pop();
        }
        let rules = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice);
        let ruled = rules.iter().any(|rule| rule["then"].is_object());
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = [path, std::slice::from_ref(key)].concat();
            // Where rules say what stands in `params`, they are asked instead.
            if !(ruled && key == "params") {
                self.schema(inner, &path);
            }
            self.keys.insert(path);
        }
        for rule in rules {
            self.rule(rule, path);
        }
        for list in ["oneOf", "anyOf", "allOf", "prefixItems"] {
            for inner in schema[list].as_array().into_iter().flatten() {
                self.schema(inner, path);
            }
        }
        for one in ["items", "additionalProperties"] {
            if schema[one].is_object() {
                self.schema(&schema[one], path);
            }
        }
    }

    /// `if` the type is this, `then` the parameters are these: their keys have the type in their path (`params_cpu_stress_cores`).
    fn rule(&mut self, rule: &Value, path: &[String]) {
        if let Some(kind) = rule["if"]["properties"]["type"]["enum"][0].as_str() {
            let path = [path, &["params".to_owned(), kind.to_owned()]].concat();
            self.schema(&rule["then"]["properties"]["params"], &path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    const SCHEMA: &str = r##"{
        "properties": {
            "apiVersion": { "type": "string" },
            "faults": { "type": "array", "items": { "$ref": "#/$defs/Fault" } }
        },
        "$defs": { "Fault": {
            "properties": { "name": {}, "again": { "$ref": "#/$defs/Fault" } },
            "oneOf": [ { "properties": { "kill": { "properties": { "count": {} } } } } ]
        } }
    }"##;

    /// What is missing where both lists have these tests.
    fn missing(tests: &str) -> Vec<String> {
        let findings = missing_of(tests, tests);
        let (read, seen): (Vec<_>, Vec<_>) = findings.into_iter().partition(|one| one.ends_with(" in crates/spec/"));
        assert_eq!(read.len(), seen.len(), "{read:#?} {seen:#?}");
        read
    }

    fn missing_of(read: &str, seen: &str) -> Vec<String> {
        check(&[
            file("docs/reference/experiment.schema.json", SCHEMA),
            file("crates/spec/tests/keys.rs", read),
            file("crates/fracas/tests/keys/native/all.rs", seen),
        ])
    }

    #[test]
    fn a_key_must_be_read_and_seen_at_work() {
        let all =
            "fn key_api_version() {} fn key_faults_name() {} fn key_faults_again() {} fn key_faults_kill_count() {}";
        assert_eq!(missing_of(all, all), Vec::<String>::new());
        let not_seen = missing_of(all, &all.replace("key_faults_again", "other"));
        assert_eq!(not_seen.len(), 1, "{not_seen:#?}");
        assert!(not_seen[0].ends_with("no test key_faults_again in crates/fracas/tests/keys/native"));
        assert_eq!(missing_of(&all.replace("key_faults_again", "other"), all).len(), 1);
    }

    #[test]
    fn a_setting_must_be_seen_at_work() {
        let table = "| setting | value |\n|---|---|\n| `state.dir` | path |\n| `docker.host` | text |\n\n## Others\n\n| `old` | x |\n";
        let findings = check(&[
            file("docs/reference/settings.md", table),
            file("crates/fracas/tests/keys/settings.rs", "fn key_state_dir() {}"),
        ]);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].contains("setting `docker.host` has no test key_docker_host"));
    }

    #[test]
    fn every_key_needs_its_test() {
        let findings = missing("");
        assert_eq!(findings.len(), 6, "{findings:#?}");
        assert!(
            findings
                .iter()
                .any(|finding| finding.contains("test key_faults_kill_count in")),
            "{findings:#?}"
        );
    }

    #[test]
    fn a_test_covers_its_key_and_those_around_it() {
        let tests = "fn key_api_version() {}\nfn key_native_faults_name() {}\nkey!(key_faults_kill_count, a, b);\n";
        let findings = missing(tests);
        assert_eq!(findings.len(), 1, "{findings:#?}");
        assert!(findings[0].contains("faults.again"), "{findings:#?}");
        assert_eq!(missing(&format!("{tests}fn key_faults_again() {{}}")).len(), 0);
    }

    #[test]
    fn a_test_in_a_comment_or_elsewhere_covers_nothing() {
        assert_eq!(missing("// fn key_api_version() {}").len(), 6);
        let schema = file("docs/reference/a.schema.json", "{\"properties\":{\"a\":{}}}");
        assert_eq!(check(&[schema, file("crates/core/src/a.rs", "fn key_a() {}")]).len(), 2);
    }

    #[test]
    fn parameters_by_type_have_the_type_in_their_path() {
        let schema = r#"{ "properties": { "type": {}, "params": { "properties": { "n": {} } } }, "allOf": [
            { "if": { "properties": { "type": { "enum": ["pause", "freeze"] } } },
              "then": { "properties": { "params": { "properties": { "n": {} } } } } } ] }"#;
        let check = |tests: &str| {
            check(&[
                file("docs/reference/a.schema.json", schema),
                file("crates/spec/tests/keys.rs", tests),
                file("crates/fracas/tests/keys/a.rs", tests),
            ])
        };
        assert_eq!(check("fn key_type() {} fn key_params_n() {}").len(), 4);
        assert!(check("fn key_type() {} fn key_params_pause_n() {}").is_empty());
    }

    #[test]
    fn a_schema_that_is_no_json_is_found() {
        assert_eq!(check(&[file("docs/reference/a.schema.json", "{")]).len(), 1);
    }
}
