//! `${NAME}` and `${NAME:-default}` in scalar values. Keys, and a bare `$NAME` (PromQL, regular expressions), are left alone;
//! `$${` stands for `${`.

use fracas_core::problem::codes;

use crate::place::quoted;
use crate::problems::Problems;
use crate::tree::{Node, Value};

/// The longest value that a variable may make.
const LONGEST: usize = 64 * 1024;

/// Replaces variables in every scalar below `node`.
pub(crate) fn expand(node: &mut Node, env: &dyn Fn(&str) -> Option<String>, problems: &mut Problems<'_>) {
    match &mut node.value {
        Value::List(items) => {
            for item in items {
                expand(item, env, problems);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                expand(&mut entry.value, env, problems);
            }
        }
        Value::Scalar(scalar) => {
            if scalar.text.contains("${") {
                match replace(&scalar.text, env) {
                    Ok(text) => scalar.text = text,
                    Err((what, next)) => problems.error_next(&codes::UNSET_VARIABLE, node.spot, what, next),
                }
            }
        }
    }
}

fn replace(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        if out.ends_with('$') {
            out.push('{');
            rest = after;
            continue;
        }
        let literal = "write `$${` where `${` itself is meant".to_owned();
        let end = after
            .find('}')
            .ok_or_else(|| ("`${` is never closed".to_owned(), literal.clone()))?;
        let (name, default) = match after[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&after[..end], None),
        };
        let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            return Err((format!("{} is not the name of a variable", quoted(name)), literal));
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Err(("a default cannot hold another variable".to_owned(), literal));
        }
        // As in a shell, `:-` also stands in for an empty value.
        let value = match (env(name), default) {
            (Some(value), None) => value,
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default.to_owned(),
            (None, None) => {
                return Err((
                    format!("the environment variable {} is not set", quoted(name)),
                    format!("set {name}, or write `${{{name}:-default}}`"),
                ));
            }
        };
        out.push_str(&value);
        if out.len() > LONGEST {
            return Err((
                format!("the value of {} is too long", quoted(name)),
                "shorten it".to_owned(),
            ));
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}
