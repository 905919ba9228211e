//! The text of an answer, in which everything stays where it is but what is changed.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Extensions, Failure};
use crate::identity::Chance;

/// What a field of data that became null was lost by.
const CODE: &str = "INTERNAL_SERVER_ERROR";

/// An answer.
#[derive(Debug)]
pub(super) struct Answer<'t> {
    text: &'t str,
    data: Fields<'t>,
    errors: Option<&'t RawValue>,
}

/// The fields of an object, in their order.
#[derive(Debug)]
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Answer<'t> {
    /// `None`: the text is none, or has no data.
    pub(super) fn of(text: &'t str) -> Option<Self> {
        let all: Fields<'t> = serde_json::from_str(text).ok()?;
        let data = serde_json::from_str(all.last("data")?.get()).ok()?;
        let errors = all.last("errors");
        Some(Self { text, data, errors })
    }

    /// How many fields its data has.
    pub(super) fn fields(&self) -> usize {
        self.data.0.len()
    }

    /// The text with null in the place of a field, and an error that says so. `None`: there is no field that is something else.
    pub(super) fn without_a_field(&self, chance: &Chance) -> Option<String> {
        let all: Vec<&(String, &RawValue)> = self.data.0.iter().filter(|(_, value)| value.get() != "null").collect();
        let (name, value) = chance.one_of("proxy graphql_partial_data field", &all)?;
        let failure = serde_json::to_string(&Failure {
            message: "this field was taken away by Fracas",
            path: Some([name]),
            extensions: Extensions { code: CODE },
        });
        let failure = failure.ok()?;
        let lost = self.place(value.get())?;
        let (at, said) = match self.errors {
            Some(errors) if errors.get().starts_with('[') => {
                let some: Vec<IgnoredAny> = serde_json::from_str(errors.get()).ok()?;
                let comma = if some.is_empty() { "" } else { "," };
                let end = self.place(errors.get())?.end - 1;
                (end..end, format!("{comma}{failure}"))
            }
            // Null, as some have it, or of no sense.
            Some(errors) => (self.place(errors.get())?, format!("[{failure}]")),
            None => {
                let begin = self.text.find('{')? + 1;
                (begin..begin, format!("\"errors\":[{failure}],"))
            }
        };
        let mut changes = [(lost, "null".to_owned()), (at, said)];
        // From behind, so that places before stay what they are.
        changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
        let mut text = self.text.to_owned();
        for (place, new) in changes {
            text.replace_range(place, &new);
        }
        Some(text)
    }

    /// Where a part of the text is.
    fn place(&self, part: &str) -> Option<Range<usize>> {
        let begin = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let place = begin..begin + part.len();
        self.text.get(place.clone()).map(|_| place)
    }
}

impl<'t> Fields<'t> {
    /// Of a name that is there twice the last is what most read.
    fn last(&self, name: &str) -> Option<&'t RawValue> {
        self.0.iter().rfind(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

impl<'t> Deserialize<'t> for Fields<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'t> Visitor<'t> for All {
            type Value = Fields<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Fields<'t>, A::Error> {
                let mut all = Vec::new();
                while let Some(field) = map.next_entry()? {
                    all.push(field);
                }
                Ok(Fields(all))
            }
        }
        from.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn changed(text: &str) -> Option<String> {
        Answer::of(text)?.without_a_field(&Chance::named(1, "a"))
    }

    #[test]
    fn one_field_is_lost_and_an_error_says_which() {
        for (before, others) in [
            ("", 0),
            (r#""errors": [ ],"#, 0),
            (r#""errors": [{"message": "old"}] ,"#, 1),
            (r#""errors":null,"#, 0),
        ] {
            for behind in [true, false] {
                let data = r#""data" : {"a": 1.50 , "b": null, "c": {"d": [1e400, "\u0041"]}}"#;
                let text = if behind {
                    format!("{{ {before} {data} }}")
                } else {
                    format!("{{ {data}, {before} \"extensions\": {{}} }}")
                };
                let new: String = changed(&text).unwrap();
                let fields = Answer::of(&new).unwrap();
                let nulls: Vec<&str> = fields
                    .data
                    .0
                    .iter()
                    .filter(|(_, value)| value.get() == "null")
                    .map(|(name, _)| name.as_str())
                    .collect();
                let lost = nulls.iter().find(|name| **name != "b").unwrap();
                assert_eq!(nulls.len(), 2);
                let errors: Vec<Value> = serde_json::from_str(fields.errors.unwrap().get()).unwrap();
                assert_eq!(errors.len(), others + 1);
                let last = &errors[others];
                assert_eq!(
                    (&last["path"], &last["extensions"]["code"]),
                    (&json!([lost]), &json!(CODE))
                );
                // What is left of the other is as it was, also what no number of ours could hold.
                let kept = if *lost == "a" {
                    r#"{"d": [1e400, "\u0041"]}"#
                } else {
                    "1.50"
                };
                assert!(new.contains(kept), "{new}");
            }
        }
    }

    #[test]
    fn what_has_no_field_to_lose_stays() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"data": null}"#,
            r#"{"data": {}}"#,
            r#"{"data": {"a": null}}"#,
            r#"[{"data": {"a": 1}}]"#,
            r#"{"data": {"a": 1}} x"#,
            r#"{"data": {"a": 1}"#,
        ] {
            assert_eq!(changed(text), None, "{text}");
        }
    }

    #[test]
    fn each_field_is_lost_at_some_time() {
        let text = r#"{"data": {"a": 1, "b": 2, "c": 3}}"#;
        let mut counts = [0; 3];
        for n in 0..3000 {
            let new = Answer::of(text)
                .unwrap()
                .without_a_field(&Chance::named(7, &n.to_string()))
                .unwrap();
            let new = Answer::of(&new).unwrap();
            counts[new.data.0.iter().position(|(_, value)| value.get() == "null").unwrap()] += 1;
        }
        // Five standard deviations of a third of 3000. The draws are fixed by the seed: what holds here, holds always.
        assert!(counts.iter().all(|count| (870..1130).contains(count)), "{counts:?}");
    }
}
