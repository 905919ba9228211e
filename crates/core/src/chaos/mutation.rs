//! JSON in answers that becomes another.

mod field;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use field::{Field, Step};

/// In bytes: what a pattern may become, and how long it may be.
const COMPILED: usize = 256 << 10;
const PATTERN: usize = 512;

/// Changes the JSON in the bodies of answers.
///
/// Of several rules the first that a request matches counts, and no other. To be changed a body must be whole and be JSON: one that is larger
/// than 10 MiB, compressed or a part of another (206), of which `content-type` says that it is something else, or that does not come within
/// `--upstream-timeout`, passes as it is, and so do all while 128 MiB of bodies, of requests and answers as they came, are held: what becomes
/// of a body takes memory besides, while it is changed up to three times as much. What no rule can change, because its probability is 0 or it
/// has changed as many as it may, is not read and not counted by it. Everything but what is changed stays to the letter, also
/// the order of keys and the digits of numbers; so do all headers but `content-length`, also a digest of the body. A changed answer has a
/// header `x-fracas-mutation` with the name of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mutations {
    /// Whether this block is on.
    pub enabled: bool,
    /// The rules, at most 64.
    pub rules: Vec<MutationRule>,
    /// Which listeners of the proxy it is about; for requests that come to others the block is not there. `main` is the listener of
    /// `--listen`, others have the names that `--listener` gives them; a name of none is refused. Without it: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
}

/// What becomes of some answers. A rule that is not changed goes on counting when others are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MutationRule {
    /// Its name, which no other rule has: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// A regular expression that is found in the path, without the query. Without it: all paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_pattern: Option<String>,
    /// A regular expression that is found in the `method` of the JSON-RPC call in the request: a map whose `method` is a text of at most 256
    /// bytes; of two the last counts. The request is read for that, whole up to 10 MiB, and goes on as it was; one in chunks is read only if it
    /// says that it is JSON. One that is larger, or no call, does not match, and neither does a batch, a list of calls. Without it: all
    /// methods, and what is no call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method_match: Option<String>,
    /// How many answers are changed, of those that `stateful` leaves: from 0 to 1, by seed and identity.
    #[serde(default = "always")]
    pub probability: f64,
    /// What is done, one after the other. What has no place in an answer does nothing; an answer to which nothing was done passes. At most 32.
    pub operations: Vec<Operation>,
    /// Which answers are changed, by their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stateful: Option<Stateful>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: OperationKind,
    /// Of all but `inject_error`: where. Keys with a dot between, and the place in a list in brackets, from 0 on: `result.items[0].name`. A key
    /// that has a dot itself is written `["a.b"]`. At most 256 bytes and 32 parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Of `set_field`: any value. Of `truncate_array`: how many items stay; without it none.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub value: Option<Anything>,
}

/// What is done to JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// `field` becomes `value`. Keys on the way that are not there are made; of a list the place behind its last item can be set.
    SetField,
    /// `field` is removed, also if its key is there twice.
    DeleteField,
    /// The text at `field`, which is base64, becomes that of other bytes: one bit of the first, and of one of each ten behind, is turned.
    CorruptBase64,
    /// Of the list at `field` the first items stay.
    TruncateArray,
    /// The answer becomes an error of JSON-RPC 2.0, with the code -32000 and the `id` that it had. What would come behind is not done.
    InjectError,
}

/// Which of the answers that a rule is about are changed. They are counted as they come, so this repeats only where their order does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stateful {
    /// So many pass first.
    pub skip_first: u64,
    /// Behind those, each so-manieth is changed. 0 and 1: each.
    pub corrupt_every_n: u64,
    /// So many are changed at most. 0: there is no limit.
    pub max_corrupted: u64,
}

/// Any value: a text, a number, `true`, `false`, `null`, a list or a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Anything(pub Value);

impl Mutations {
    /// So many rules there are at most.
    pub const MOST: usize = 64;

    /// Whether any answer is changed.
    pub fn does_anything(&self) -> bool {
        self.enabled && self.rules.iter().any(|rule| rule.probability > 0.0)
    }

    /// Takes over the rules of another: of two with the same name the latter counts, in the place of the former; others come behind.
    pub(super) fn put(&mut self, over: &Self) {
        for rule in &over.rules {
            match self.rules.iter_mut().find(|known| known.name == rule.name) {
                Some(known) => known.clone_from(rule),
                None => self.rules.push(rule.clone()),
            }
        }
    }
}

impl MutationRule {
    /// A pattern of a rule, with bounds on what it may cost.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn pattern(text: &str) -> Result<Regex, String> {
        if text.len() > PATTERN {
            return Err(format!("it is longer than {PATTERN} bytes"));
        }
        let built = RegexBuilder::new(text)
            .size_limit(COMPILED)
            .dfa_size_limit(COMPILED)
            .build();
        built.map_err(|error| error.to_string())
    }
}

impl OperationKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::SetField => "set_field",
            Self::DeleteField => "delete_field",
            Self::CorruptBase64 => "corrupt_base64",
            Self::TruncateArray => "truncate_array",
            Self::InjectError => "inject_error",
        }
    }
}

impl Default for Mutations {
    fn default() -> Self {
        Self {
            enabled: true,
            rules: Vec::new(),
            listeners: Vec::new(),
        }
    }
}

impl JsonSchema for Anything {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Anything".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Any value: a text, a number, `true`, `false`, `null`, a list or a map." })
    }
}

fn always() -> f64 {
    1.0
}

/// `null` is a value, too.
fn said<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Anything>, D::Error> {
    Anything::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Mutations {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn of_two_with_the_same_name_the_latter_counts_where_the_former_stood() {
        let mut one = rules(
            r#"{ "rules": [{ "name": "a", "operations": [] }, { "name": "b", "operations": [] }, { "name": "c", "operations": [] }] }"#,
        );
        one.put(&rules(
            r#"{ "rules": [{ "name": "d", "operations": [] }, { "name": "b", "probability": 0, "operations": [] }] }"#,
        ));
        let shown: Vec<_> = one
            .rules
            .iter()
            .map(|rule| (rule.name.as_str(), rule.probability))
            .collect();
        assert_eq!(shown, [("a", 1.0), ("b", 0.0), ("c", 1.0), ("d", 1.0)]);
    }

    #[test]
    fn null_is_a_value_and_nothing_is_none() {
        let of = |text: &str| serde_json::from_str::<Operation>(text).unwrap().value;
        assert_eq!(
            of(r#"{ "type": "set_field", "field": "a", "value": null }"#),
            Some(Anything(Value::Null))
        );
        assert_eq!(of(r#"{ "type": "set_field", "field": "a" }"#), None);
    }

    #[test]
    fn a_pattern_that_would_cost_too_much_is_refused() {
        assert!(MutationRule::pattern("^/users/[0-9]+$").is_ok());
        for text in ["(", r"(\w{500}){500}", &"a".repeat(PATTERN + 1)] {
            assert!(MutationRule::pattern(text).is_err(), "{text}");
        }
    }
}
