//! Every key of every format has a test of its name: two documents that differ only in that key give experiments that differ in
//! what the key means, and in nothing else.

use serde_json::Value;

use super::{experiment, swap};
use crate::{chaos_schema, orchestration_schema, schema};
use fracas_core::experiment::Format;

mod chaos;
mod native;
mod native_inject;
mod orchestration;
mod profile;
mod scenario;

/// Two experiments that differ at `at`; see [`differ_in`].
fn differ(base: &str, old: &str, new: &str, at: &str, before: &str, after: &str) {
    differ_in(meant, base, (old, new), at, (before, after));
}

/// Reads `base` and `base` with the first of `change` replaced by the second, and compares what they mean: at `at` (a JSON pointer) stands the first
/// of `shown` in one and the second in the other, and nowhere else is any difference.
fn differ_in(meant: impl Fn(&str) -> Value, base: &str, change: (&str, &str), at: &str, shown: (&str, &str)) {
    let (one, other) = (meant(base), meant(&swap(base, change.0, change.1)));
    let (before, after) = shown;
    let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let seen = |value: &Value| {
        value
            .pointer(at)
            .cloned()
            .unwrap_or_else(|| panic!("nothing at {at} in {value:#}"))
    };
    assert_eq!(seen(&one), json(before), "before, at {at}");
    assert_eq!(seen(&other), json(after), "after, at {at}");
    let mut same = one;
    *same.pointer_mut(at).unwrap() = seen(&other);
    assert_eq!(same, other, "more than {at} differs");
}

/// The experiment without the document's own words, which differ with every parameter and mean nothing.
fn meant(text: &str) -> Value {
    let mut experiment = experiment(text);
    for fault in &mut experiment.faults {
        fault.written = None;
    }
    serde_json::to_value(experiment).unwrap()
}

/// Tests of keys: name, base document, `old => new` in it, and where what is meant changes from what to what, by the caller's `differ`.
macro_rules! keys {
    ($($name:ident: $base:expr, $old:literal => $new:literal, $at:literal, $before:literal => $after:literal;)*) => {
        $(#[test] fn $name() { differ($base, $old, $new, $at, $before, $after); })*
    };
}
use keys;

/// The names of the leaves of a schema: every key that does not only hold other keys.
fn leaves(root: &Value, schema: &Value, path: &str, out: &mut Vec<String>) {
    let linked = schema["$ref"].as_str().and_then(|link| link.strip_prefix("#/$defs/"));
    let schema = linked.map_or(schema, |name| &root["$defs"][name]);
    let before = out.len();
    let join = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}_{key}")
        }
    };
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    for properties in variants
        .chain([schema])
        .filter_map(|part| part["properties"].as_object())
    {
        let ruled = schema["allOf"].is_array();
        for (key, value) in properties.iter().filter(|(key, _)| !(ruled && *key == "params")) {
            leaves(root, value, &join(key), out);
        }
    }
    for rule in schema["allOf"].as_array().into_iter().flatten() {
        let kind = rule["if"]["properties"]["type"]["enum"][0].as_str().unwrap();
        leaves(
            root,
            &rule["then"]["properties"]["params"],
            &join(&format!("params_{kind}")),
            out,
        );
    }
    if schema["items"].is_object() {
        leaves(root, &schema["items"], path, out);
    }
    if out.len() == before && !path.is_empty() {
        out.push(path.replace("apiVersion", "api_version"));
    }
}

/// What stands in several places of an orchestration, or in itself: its keys have tests once.
const PARTS: [(&str, &str); 3] = [("Hook", "hook"), ("Condition", "condition"), ("Assertion", "assertion")];

/// Without the keys of a `ChaosConfig`, which have tests of their own, and those of parts.
fn bare(mut schema: Value) -> Value {
    for part in PARTS.map(|(part, _)| part).into_iter().chain(["ChaosConfig"]) {
        schema["$defs"][part] = serde_json::json!({ "type": "object" });
    }
    schema
}

#[test]
fn every_key_has_its_test() {
    for (format, schema, tests, least) in [
        (
            "experiment",
            bare(schema(Format::Native)),
            concat!(
                include_str!("keys/native.rs"),
                include_str!("keys/native_inject.rs"),
                include_str!("keys/profile.rs"),
                include_str!("series.rs")
            ),
            80,
        ),
        (
            "scenario",
            schema(Format::ChaosScenario),
            include_str!("keys/scenario.rs"),
            50,
        ),
        (
            "proxy",
            chaos_schema(),
            concat!(
                include_str!("keys/chaos.rs"),
                include_str!("keys/chaos/listeners.rs"),
                include_str!("keys/chaos/mutations.rs"),
                include_str!("keys/chaos/routes.rs")
            ),
            20,
        ),
        (
            "orchestration",
            bare(orchestration_schema()),
            include_str!("keys/orchestration.rs"),
            10,
        ),
    ] {
        let mut keys = Vec::new();
        leaves(&schema, &schema, "", &mut keys);
        if format == "orchestration" {
            for (part, path) in PARTS {
                leaves(&schema, &orchestration_schema()["$defs"][part], path, &mut keys);
            }
        }
        keys.dedup();
        assert!(
            keys.len() >= least,
            "the walker found only {} keys in {format:?}",
            keys.len()
        );
        let tested = |key: &String| [":", "("].iter().any(|end| tests.contains(&format!(" key_{key}{end}")));
        let missing: Vec<_> = keys.iter().filter(|key| !tested(key)).collect();
        assert!(
            missing.is_empty(),
            "keys of {format:?} without a test `key_NAME`: {missing:#?}"
        );
    }
}
