//! Small YAML files that are no documents, such as the tool's settings: the same reader, by a schema that the caller makes.

use std::collections::BTreeMap;

use fracas_core::problem::{Place, Problem, codes};
use serde_json::Value;

use crate::Source;
use crate::place::Sources;
use crate::problems::Problems;
use crate::shape::Shape;
use crate::tree::{Node, Value as Tree};

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// Its values, each of the type that the schema asks for.
    pub value: Value,
    /// Where each value stands, by its path: `prometheus.url`.
    pub places: BTreeMap<String, Place>,
}

/// Reads a file by a JSON schema of maps, lists and scalars; `${NAME}` acts as in a document. `refused` knows keys that used to be:
/// for a path it says what to do instead.
///
/// # Errors
/// All problems: D002 to D005 and D012 with their places, and S004 for a key that is refused.
pub fn typed(
    source: &Source,
    schema: &Value,
    env: &dyn Fn(&str) -> Option<String>,
    refused: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<Typed, Vec<Box<Problem>>> {
    // A file in which everything is commented out asks for nothing.
    if source
        .text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(Typed {
            value: Value::Object(serde_json::Map::new()),
            places: BTreeMap::new(),
        });
    }
    let mut sources = Sources::default();
    sources.add(&source.name, &source.text);
    let mut root = crate::yaml::parse(&source.text, 0, &sources).map_err(|problem| vec![problem])?;
    let mut problems = Problems::new(&sources);
    crate::vars::expand(&mut root, env, &mut problems);
    take_refused(&mut root, "", refused, &mut problems);
    let value = Shape::given(schema.clone()).read(&root, &mut problems);
    let mut places = BTreeMap::new();
    note_places(&root, "", &sources, &mut places);
    match value {
        Some(value) if problems.errors.is_empty() => Ok(Typed { value, places }),
        _ => Err(crate::boxed(crate::sorted(problems))),
    }
}

fn take_refused(
    node: &mut Node,
    path: &str,
    refused: &dyn Fn(&str) -> Option<&'static str>,
    problems: &mut Problems<'_>,
) {
    let Tree::Map(entries) = &mut node.value else { return };
    entries.retain_mut(|entry| {
        let path = below(path, &entry.key);
        let instead = refused(&path);
        if let Some(next) = instead {
            let what = format!("Fracas has no setting `{path}`");
            problems.error_next(&codes::BAD_SETTING, entry.spot, what, next);
        } else {
            take_refused(&mut entry.value, &path, refused, problems);
        }
        instead.is_none()
    });
}

fn note_places(node: &Node, path: &str, sources: &Sources, places: &mut BTreeMap<String, Place>) {
    for entry in node.entries().unwrap_or_default() {
        let path = below(path, &entry.key);
        note_places(&entry.value, &path, sources, places);
        places.insert(path, sources.place(entry.value.spot));
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Typed, Vec<Box<Problem>>> {
        let source = Source {
            name: "config.yaml".to_owned(),
            text: text.to_owned(),
        };
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "web": { "type": "object", "additionalProperties": false, "properties": {
                "url": { "type": "string" },
                "wait": { "$ref": "#/$defs/Span" },
                "keep": { "type": "integer", "format": "uint32" },
            } } },
            "$defs": { "Span": { "type": "string" } },
        });
        let env = |name: &str| (name == "HOST").then(|| "example".to_owned());
        let refused = |path: &str| (path == "web.old").then_some("use the new one");
        typed(&source, &schema, &env, &refused)
    }

    #[test]
    fn values_have_their_types_and_their_places() {
        let typed = read("web:\n  url: http://${HOST}/\n  wait: 2s\n  keep: 7\n").unwrap();
        let expected = json!({ "web": { "url": "http://example/", "wait": "2s", "keep": 7 } });
        assert_eq!(typed.value, expected);
        let place = &typed.places["web.wait"];
        assert_eq!((place.line, place.column), (3, 9));
    }

    #[test]
    fn a_file_of_comments_asks_for_nothing() {
        assert_eq!(read("# nothing\n").unwrap().value, json!({}));
    }

    #[test]
    fn all_problems_are_found_with_their_places() {
        let problems = read("web:\n  ulr: x\n  wait: 5\n  old: true\n").unwrap_err();
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (problem.code.id, problem.place.as_ref().map(|place| place.line)))
            .collect();
        assert_eq!(found, [("D003", Some(2)), ("D004", Some(3)), ("S004", Some(4))]);
        assert_eq!(problems[2].next.as_deref(), Some("use the new one"));
    }
}
