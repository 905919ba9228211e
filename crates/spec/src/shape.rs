//! The shape of a document: its JSON schema, made from the Rust types, is also what reads it. So schema and reader cannot differ,
//! and every problem is found in one pass, at its place.

mod leaf;

use fracas_core::problem::codes;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use crate::place::quoted;
use crate::problems::{Problems, listed, nearest};
use crate::tree::{Entry, Node};

/// A word of a later version of Fracas: (name of the schema, key) to what it is.
pub(crate) type Later = fn(&str, &str) -> Option<&'static str>;

/// The schema of what may be any value.
const ANYTHING: &str = "Anything";

/// The schema of a document.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    root: Value,
    later: Later,
}

/// A schema with the name under which it is defined, if it has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'s> {
    name: &'s str,
    schema: &'s Value,
}

impl Shape {
    /// The shape of a type.
    pub(crate) fn of<T: JsonSchema>(later: Later) -> Self {
        let mut root = schemars::schema_for!(T).to_value();
        without_null(&mut root);
        Self { root, later }
    }

    /// The shape that a schema describes.
    pub(crate) fn given(root: Value) -> Self {
        Self {
            root,
            later: |_, _| None,
        }
    }

    /// Adds a definition that no field refers to by itself, with those that it needs.
    pub(crate) fn define(&mut self, name: &str, mut schema: Value) {
        without_null(&mut schema);
        let inner = schema.as_object_mut().and_then(|schema| {
            schema.remove("$schema");
            schema.remove("$defs")
        });
        let Some(definitions) = self.root["$defs"].as_object_mut() else {
            return;
        };
        if let Some(Value::Object(inner)) = inner {
            definitions.extend(inner);
        }
        definitions.insert(name.to_owned(), schema);
    }

    /// The schema as JSON.
    pub(crate) fn json(&self) -> &Value {
        &self.root
    }

    /// The whole document.
    pub(crate) fn whole(&self) -> Part<'_> {
        Part {
            name: "",
            schema: &self.root,
        }
    }

    /// Follows a reference to its definition.
    fn resolve<'s>(&'s self, schema: &'s Value) -> Part<'s> {
        let name = schema["$ref"].as_str().and_then(|link| link.strip_prefix("#/$defs/"));
        match name.and_then(|name| Some((name, self.root["$defs"].get(name)?))) {
            Some((name, schema)) => Part { name, schema },
            None => Part { name: "", schema },
        }
    }

    /// The keys that a map of this kind knows, in this place: some depend on what else the map holds.
    pub(crate) fn keys(part: Part<'_>) -> Vec<&str> {
        let variants = part.schema["oneOf"].as_array().into_iter().flatten();
        variants
            .chain([part.schema])
            .filter_map(|schema| schema["properties"].as_object())
            .flat_map(|properties| properties.keys().map(String::as_str))
            .collect()
    }

    /// The shape of what stands under a key of a map, if there is such a key.
    pub(crate) fn child<'s>(&'s self, part: Part<'s>, map: &[Entry], key: &str) -> Option<Part<'s>> {
        let said = |name: &str| map.iter().find(|entry| entry.key == name)?.value.scalar();
        let conditional = part.schema["allOf"].as_array().into_iter().flatten().find_map(|rule| {
            let wanted = rule["if"]["properties"].as_object()?;
            let met = wanted.iter().all(|(name, condition)| {
                let values = condition["enum"].as_array();
                let said = said(name).map(|scalar| scalar.text.as_str());
                values.is_some_and(|values| values.iter().any(|value| value.as_str() == said))
            });
            if met { rule["then"]["properties"].get(key) } else { None }
        });
        let variant = || {
            let variants = part.schema["oneOf"].as_array().into_iter().flatten();
            variants
                .filter_map(|schema| schema["properties"].as_object())
                .find_map(|keys| keys.get(key))
        };
        conditional
            .or_else(|| part.schema["properties"].get(key))
            .or_else(variant)
            .or_else(|| Self::is_open(part).then(|| &part.schema["additionalProperties"]))
            .map(|schema| self.resolve(schema))
    }

    /// What a key will mean in a later version, if that is known.
    pub(crate) fn later(&self, part: Part<'_>, key: &str) -> Option<&'static str> {
        (self.later)(part.name, key)
    }

    /// Whether a map of this kind takes any key.
    pub(crate) fn is_open(part: Part<'_>) -> bool {
        let rest = &part.schema["additionalProperties"];
        rest.is_object() || *rest == true
    }

    /// The shape of the items of a list, if it is one.
    pub(crate) fn item<'s>(&'s self, part: Part<'s>) -> Option<Part<'s>> {
        part.schema.get("items").map(|items| self.resolve(items))
    }

    /// Whether maps stand here.
    pub(crate) fn is_map(part: Part<'_>) -> bool {
        part.schema["type"] == "object" || part.schema["oneOf"][0]["properties"].is_object()
    }

    /// Reads a document into JSON of the types that the schema was made from; `None` if there was a problem, which is then noted.
    pub(crate) fn read(&self, node: &Node, problems: &mut Problems<'_>) -> Option<Value> {
        self.part(self.whole(), node, "the document", problems)
    }

    fn part(&self, part: Part<'_>, node: &Node, path: &str, problems: &mut Problems<'_>) -> Option<Value> {
        // Parameters of a fault that this version does not do: nobody reads them.
        if *part.schema == true {
            return Some(Value::Null);
        }
        let at = titled(path);
        if part.name == ANYTHING {
            if let Some(spot) = node.inexact() {
                let what = format!("{at} has a whole number beyond 64 bits, of which another would be made");
                problems.error_next(&codes::WRONG_VALUE, spot, what, "write it as a text, in quotes");
                return None;
            }
            return Some(node.anything());
        }
        let null = node.scalar().is_some_and(crate::tree::Scalar::is_null);
        if Self::is_map(part) {
            let Some(entries) = node.entries() else {
                let next = if null {
                    "write its keys, or `{}` for none"
                } else {
                    "see the key's description with `fracas schema`"
                };
                problems.error_next(
                    &codes::WRONG_VALUE,
                    node.spot,
                    format!("{at} must be a map, not {}", node.kind()),
                    next,
                );
                return None;
            };
            return if part.schema["oneOf"].is_array() {
                self.variant(part, node, entries, path, problems)
            } else {
                self.map(part, node, entries, path, problems)
            };
        }
        if let Some(shape) = self.item(part) {
            let Some(items) = node.items() else {
                let next = "write a list: `[a, b]`, or one item per line after `- `";
                problems.error_next(
                    &codes::WRONG_VALUE,
                    node.spot,
                    format!("{at} must be a list, not {}", node.kind()),
                    next,
                );
                return None;
            };
            if items.len() < part.schema["minItems"].as_u64().unwrap_or(0) as usize {
                problems.error(&codes::WRONG_VALUE, node.spot, format!("{at} must not be empty"));
                return None;
            }
            let bounds = (part.schema["minItems"].as_u64(), part.schema["maxItems"].as_u64());
            if let (Some(least), Some(most)) = bounds
                && !(least..=most).contains(&(items.len() as u64))
            {
                let what = format!("{at} must hold {most} values, not {}", items.len());
                problems.error(&codes::WRONG_VALUE, node.spot, what);
                return None;
            }
            let read: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| self.part(shape, item, &format!("{path}[{index}]"), problems))
                .collect();
            return read.into_iter().collect::<Option<Vec<_>>>().map(Value::Array);
        }
        let Some(scalar) = node.scalar() else {
            problems.error(
                &codes::WRONG_VALUE,
                node.spot,
                format!(
                    "`{path}` must be {}, not {}",
                    leaf::wanted(part.name, part.schema),
                    node.kind()
                ),
            );
            return None;
        };
        if null {
            let next = "write a value, or remove the key";
            problems.error_next(&codes::WRONG_VALUE, node.spot, format!("{at} has no value"), next);
            return None;
        }
        match leaf::read(part.name, part.schema, scalar) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let what = format!("`{path}` {}", wrong.what);
                match wrong.next {
                    Some(next) => problems.error_next(&codes::WRONG_VALUE, node.spot, what, next),
                    None => problems.error(&codes::WRONG_VALUE, node.spot, what),
                }
                None
            }
        }
    }

    /// A map with exactly one key, which says what the rest is.
    fn variant(
        &self,
        part: Part<'_>,
        node: &Node,
        entries: &[Entry],
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Value> {
        if entries.len() != 1 {
            let at = titled(path);
            let known = listed(Self::keys(part));
            let spot = entries.get(1).map_or(node.spot, |entry| entry.spot);
            let what = format!("{at} must hold exactly one key, not {}", entries.len());
            problems.error_next(&codes::WRONG_VALUE, spot, what, format!("keep one of {known}"));
            return None;
        }
        let entry = &entries[0];
        let Some(shape) = self.child(part, entries, &entry.key) else {
            self.unknown(part, entry, path, problems);
            return None;
        };
        let value = self.part(shape, &entry.value, &below(path, &entry.key), problems)?;
        Some(Value::Object(Map::from_iter([(entry.key.clone(), value)])))
    }

    fn map(
        &self,
        part: Part<'_>,
        node: &Node,
        entries: &[Entry],
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Value> {
        let at = titled(path);
        let mut out = Map::new();
        let mut whole = true;
        for entry in entries {
            let Some(shape) = self.child(part, entries, &entry.key) else {
                whole = false;
                self.unknown(part, entry, path, problems);
                continue;
            };
            match self.part(shape, &entry.value, &below(path, &entry.key), problems) {
                Some(value) => drop(out.insert(entry.key.clone(), value)),
                None => whole = false,
            }
        }
        for key in part.schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !entries.iter().any(|entry| entry.key == key) {
                whole = false;
                problems.error(&codes::MISSING_KEY, node.spot, format!("{at} has no `{key}`"));
            }
        }
        if entries.len() < part.schema["minProperties"].as_u64().unwrap_or(0) as usize {
            whole = false;
            problems.error(&codes::WRONG_VALUE, node.spot, format!("{at} must not be empty"));
        }
        whole.then_some(Value::Object(out))
    }

    fn unknown(&self, part: Part<'_>, entry: &Entry, path: &str, problems: &mut Problems<'_>) {
        let key = quoted(&entry.key);
        if let Some(what) = (self.later)(part.name, &entry.key) {
            return problems.error(
                &codes::NOT_AVAILABLE,
                entry.spot,
                format!("{key} in `{path}` is not available yet: {what}"),
            );
        }
        let at = titled(path);
        let known = Self::keys(part);
        let next = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if entry.key == "<<" => "merge keys are not part of YAML 1.2; write the keys out".to_owned(),
            None if known.is_empty() => "remove it: no keys are allowed here".to_owned(),
            None => format!("known here: {}", listed(known)),
        };
        problems.error_next(&codes::UNKNOWN_KEY, entry.spot, format!("{at} has no key {key}"), next);
    }
}

/// A path in a sentence.
fn titled(path: &str) -> String {
    if path == "the document" {
        path.to_owned()
    } else {
        format!("`{path}`")
    }
}

/// The path of a key in a message.
fn below(path: &str, key: &str) -> String {
    let key: String = crate::place::printable(key).chars().take(60).collect();
    if path == "the document" {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// An optional value in Rust may be null; in a document it is left out, and an empty value is a mistake.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            // Rustdoc's links are for Rust's readers.
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            if let Some(Value::Array(any)) = object.get_mut("anyOf") {
                any.retain(|schema| schema["type"] != "null");
                if let [Value::Object(only)] = any.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
