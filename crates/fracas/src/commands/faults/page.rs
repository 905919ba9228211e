//! Faults as lines, as a text, and as the reference page.

use std::fmt::Write as _;

use serde_json::Value;

use super::Shown;

/// One line of the list.
pub(super) fn line(fault: &Shown) -> String {
    let first = fault
        .does
        .split_once(". ")
        .map_or(fault.does.as_str(), |(first, _)| first);
    format!("{:<18} {}\n", fault.name, first.trim_end_matches('.'))
}

/// Everything about one fault, for a terminal.
pub(super) fn whole(fault: &Shown) -> String {
    let mut text = format!("{}\n  {}\n\n  Undo: {}\n", fault.name, fault.does, fault.undo);
    let _ = writeln!(text, "  Needs: {}", needs(fault));
    if fault.parameters.is_empty() {
        text.push_str("\n  No parameters.\n");
    } else {
        text.push_str("\n  Parameters\n");
    }
    for parameter in &fault.parameters {
        let required = if parameter.required { ", required" } else { "" };
        let _ = writeln!(text, "    {} ({}{required})", parameter.name, parameter.kind);
        let _ = writeln!(text, "        {}", parameter.meaning);
    }
    let _ = write!(text, "\n  inject: {}\n", fault.example);
    text
}

/// The reference page of all faults.
pub(super) fn markdown(faults: &[Shown]) -> String {
    let mut page = String::from(
        "# Faults\n\nA fault stands in a document as a map with a single key: `inject: { memory_limit: { limit: 512MiB } }`.\n",
    );
    for fault in faults {
        let _ = write!(
            page,
            "\n## {}\n\n{}\n\nUndo: {}\n\nNeeds: {}\n",
            fault.name,
            fault.does,
            fault.undo,
            needs(fault)
        );
        if !fault.parameters.is_empty() {
            page.push_str("\n| parameter | value | | meaning |\n|---|---|---|---|\n");
        }
        for parameter in &fault.parameters {
            let required = if parameter.required { "required" } else { "" };
            let meaning = parameter.meaning.replace('|', "\\|");
            let _ = writeln!(
                page,
                "| `{}` | {} | {required} | {meaning} |",
                parameter.name, parameter.kind
            );
        }
        let _ = write!(page, "\n```yaml\ninject: {}\n```\n", fault.example);
    }
    page
}

fn needs(fault: &Shown) -> String {
    if fault.needs.is_empty() {
        "nothing special".to_owned()
    } else {
        fault.needs.join(", ")
    }
}

/// What a value is, in a few words.
pub(super) fn kind(property: &Value, schema: &Value) -> String {
    if let Some(link) = property["$ref"].as_str() {
        let name = link.rsplit('/').next().unwrap_or(link);
        return match name {
            "Span" => "duration".to_owned(),
            "Size" => "size".to_owned(),
            "Percent" => "percentage".to_owned(),
            _ => match schema.pointer(link.trim_start_matches('#')) {
                Some(definition) => kind(definition, schema),
                None => name.to_lowercase(),
            },
        };
    }
    let words: Vec<&str> = ["oneOf", "anyOf"]
        .iter()
        .filter_map(|list| property[*list].as_array())
        .flatten()
        .chain([property])
        .flat_map(|one| {
            let many = one["enum"].as_array().into_iter().flatten();
            many.chain(one.get("const")).filter_map(Value::as_str)
        })
        .collect();
    if !words.is_empty() {
        // An alias with a prefix (SIGKILL for KILL) says nothing new.
        let alias = |word: &str| word.strip_prefix("SIG").is_some_and(|bare| words.contains(&bare));
        let shown: Vec<&str> = words.iter().copied().filter(|word| !alias(word)).collect();
        return shown.join(" or ");
    }
    match property["type"].as_str() {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("string") => "text".to_owned(),
        Some("object") => "map".to_owned(),
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}
