//! A reference page from a JSON schema: a section for the document and one for each type in it, with a table of keys.

use std::fmt::Write as _;

use serde_json::Value;

/// The page as Markdown.
pub(super) fn render(schema: &Value) -> String {
    let mut page = String::from("<!-- Written by `cargo xtask docs` from the schema beside it: do not edit. -->\n\n");
    section(&mut page, 1, schema["title"].as_str().unwrap_or("Document"), schema);
    for (name, schema) in definitions(schema) {
        page.push('\n');
        section(&mut page, 2, name, schema);
    }
    page
}

fn definitions(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    ["$defs", "definitions"]
        .into_iter()
        .filter_map(|key| schema[key].as_object())
        .flatten()
}

// Writing to a String cannot fail: the results of write! are dropped in this file.

fn section(page: &mut String, level: usize, name: &str, schema: &Value) {
    let _ = writeln!(page, "{} {name}", "#".repeat(level));
    if let Some(text) = schema["description"].as_str() {
        let _ = writeln!(page, "\n{}", text.trim_end());
    }
    table(page, schema);
    rules(page, schema);
    for list in ["oneOf", "anyOf"] {
        if let Some(forms) = schema[list].as_array() {
            page.push_str("\nOne of:\n\n");
            for form in forms {
                let _ = writeln!(page, "- {}{}", kind(form), said(form));
            }
        }
    }
}

fn table(page: &mut String, schema: &Value) {
    let Some(keys) = schema["properties"].as_object().filter(|keys| !keys.is_empty()) else {
        return;
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    page.push_str("\n| key | value | | meaning |\n|---|---|---|---|\n");
    for (key, schema) in keys {
        let need = match schema.get("default") {
            Some(default) => format!("default `{}`", cell(&default.to_string())),
            None if required.contains(&key.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        let meaning = cell(schema["description"].as_str().unwrap_or_default());
        let _ = writeln!(page, "| `{key}` | {} | {need} | {meaning} |", kind(schema));
    }
}

/// What a key holds where that depends on the type beside it.
fn rules(page: &mut String, schema: &Value) {
    for rule in schema["allOf"].as_array().into_iter().flatten() {
        let types = &rule["if"]["properties"]["type"];
        for (key, schema) in rule["then"]["properties"].as_object().into_iter().flatten() {
            let _ = writeln!(page, "\nWith `type` {}, `{key}` is {}.", kind(types), kind(schema));
        }
    }
}

fn said(schema: &Value) -> String {
    match schema["description"].as_str() {
        Some(text) => format!(": {}", cell(text)),
        None => String::new(),
    }
}

/// What a value is, in a few words, with links to the sections of types.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", cell(&value.to_string()));
    }
    if let Some(values) = schema["enum"].as_array() {
        return joined(values, |value| format!("`{}`", cell(&value.to_string())));
    }
    for list in ["oneOf", "anyOf", "allOf"] {
        if let Some(forms) = schema[list].as_array() {
            return joined(forms, kind);
        }
    }
    match &schema["type"] {
        Value::String(name) => typed(name, schema),
        Value::Array(names) => joined(names, |name| typed(name.as_str().unwrap_or_default(), schema)),
        _ => "anything".to_owned(),
    }
}

fn typed(name: &str, schema: &Value) -> String {
    match (name, &schema["properties"], &schema["additionalProperties"]) {
        ("array", ..) => format!("list of {}", kind(&schema["items"])),
        ("object", Value::Object(keys), _) => {
            let keys: Vec<String> = keys
                .iter()
                .map(|(key, schema)| format!("`{key}:` {}", kind(schema)))
                .collect();
            keys.join(", ")
        }
        ("object", _, of @ Value::Object(_)) => format!("map to {}", kind(of)),
        ("object", ..) => "map".to_owned(),
        ("null", ..) => "nothing".to_owned(),
        (other, ..) => other.to_owned(),
    }
}

fn joined(values: &[Value], text: impl Fn(&Value) -> String) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(" or ")
}

/// Text for one cell: no line ends, no bars.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_depends_on_the_type_is_said() {
        let page = render(&json!({ "allOf": [{
            "if": { "properties": { "type": { "enum": ["memory", "mem"] } } },
            "then": { "properties": { "params": { "$ref": "#/$defs/Memory" } } },
        }] }));
        let line = "With `type` `\"memory\"` or `\"mem\"`, `params` is [Memory](#memory).";
        assert!(page.lines().any(|have| have == line), "{page}");
    }

    #[test]
    fn every_key_stands_in_a_table_with_what_is_known_of_it() {
        let page = render(&json!({
            "title": "Experiment",
            "description": "What is run.",
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "description": "Its\nname | title." },
                "seed": { "type": ["integer", "null"], "default": null },
                "faults": { "type": "array", "items": { "$ref": "#/$defs/Fault" } },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            },
            "$defs": {
                "Fault": { "description": "One fault.", "oneOf": [
                    { "type": "object", "properties": { "kill": { "$ref": "#/$defs/Kill" } }, "description": "Kills." },
                    { "const": "none" },
                ] },
            },
        }));
        for line in [
            "# Experiment",
            "What is run.",
            "| `name` | string | required | Its name \\| title. |",
            "| `seed` | integer or nothing | default `null` |  |",
            "| `faults` | list of [Fault](#fault) |  |  |",
            "| `labels` | map to string |  |  |",
            "## Fault",
            "- `kill:` [Kill](#kill): Kills.",
            "- `\"none\"`",
        ] {
            assert!(page.lines().any(|have| have == line), "no line {line:?} in\n{page}");
        }
    }
}
