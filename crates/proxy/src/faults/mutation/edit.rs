//! What is done to the text of JSON: everything but what is changed stays to the letter.

use fracas_core::chaos::{Field, FieldStep, Operation, OperationKind};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::base64;
use super::place::{Member, Place, find, first_items};
use crate::faults::corruption;
use crate::identity::Chance;

/// The code of errors that a server of JSON-RPC may define (JSON-RPC 2.0, 5.1).
const CODE: i32 = -32_000;
/// So often a key is removed that is there more than once.
const TWINS: usize = 8;

/// Changes a text, which is JSON. `None`: nothing has come of it.
pub(super) fn apply(text: &str, operations: &[Operation], chance: &Chance) -> Option<String> {
    let mut now = None;
    for (number, operation) in operations.iter().enumerate() {
        let before = now.as_deref().unwrap_or(text);
        let next = one(before, operation, (chance, number as u64)).filter(|next| next != before);
        let ends = next.is_some() && operation.kind == OperationKind::InjectError;
        now = next.or(now);
        if ends {
            break;
        }
    }
    now.filter(|now| now != text)
}

fn one(text: &str, operation: &Operation, drawn: (&Chance, u64)) -> Option<String> {
    // What each needs was asked for when the configuration was read.
    let value = operation.value.as_ref().map(|value| &value.0);
    if operation.kind == OperationKind::InjectError {
        return error(text);
    }
    let field = Field::read(operation.field.as_deref()?).ok()?;
    match operation.kind {
        OperationKind::SetField => set(text, &field, value?),
        OperationKind::DeleteField => delete(text, &field),
        OperationKind::CorruptBase64 => corrupt(text, &field, drawn),
        OperationKind::TruncateArray => truncate(text, &field, value.and_then(Value::as_u64).unwrap_or(0)),
        OperationKind::InjectError => None,
    }
}

fn replaced(text: &str, from: usize, to: usize, with: &str) -> String {
    [&text[..from], with, &text[to..]].concat()
}

fn set(text: &str, field: &Field, value: &Value) -> Option<String> {
    match find(text, field.steps()) {
        Place::There(member) => Some(replaced(text, member.value.start, member.value.end, &value.to_string())),
        Place::Missing { within, is_empty, step } => {
            let (missing, rest) = field.steps().get(step..)?.split_first()?;
            let value = rest.iter().rev().try_fold(value.clone(), |value, step| match step {
                FieldStep::Key(key) => Some(json!({ key: value })),
                // Nobody knows what stands before it in a list that is not there.
                FieldStep::Index(_) => None,
            })?;
            let comma = if is_empty { "" } else { "," };
            let is_map = text[within.clone()].starts_with('{');
            let put = match missing {
                FieldStep::Key(key) if is_map => format!("{comma}{}:{value}", json!(key)),
                _ => format!("{comma}{value}"),
            };
            let end = within.end - 1;
            Some(replaced(text, end, end, &put))
        }
        Place::Nowhere => None,
    }
}

/// Removes a field. A key may be there more than once, and readers differ in which one they take.
fn delete(text: &str, field: &Field) -> Option<String> {
    let mut now: Option<String> = None;
    for _ in 0..TWINS {
        let before = now.as_deref().unwrap_or(text);
        let Place::There(member) = find(before, field.steps()) else {
            break;
        };
        let is_list = before[member.within.clone()].starts_with('[');
        now = Some(without(before, &member));
        // In a list another one is in its place.
        if is_list {
            break;
        }
    }
    now
}

fn without(text: &str, member: &Member) -> String {
    let end = member.value.end;
    match member.before {
        Some(before) => replaced(text, before, end, ""),
        None => {
            // With the comma behind it, if there is one.
            let rest = text[end..].trim_start();
            let comma = rest.strip_prefix(',').map_or(end, |rest| text.len() - rest.len());
            replaced(text, member.within.start + 1, comma, "")
        }
    }
}

/// `number`: of the operation. Two that turned the same bits would leave what was there.
fn corrupt(text: &str, field: &Field, (chance, number): (&Chance, u64)) -> Option<String> {
    let Place::There(member) = find(text, field.steps()) else {
        return None;
    };
    let said: String = serde_json::from_str(&text[member.value.clone()]).ok()?;
    let (mut bytes, form) = base64::decode(&said)?;
    corruption::turn_bits(&mut bytes, chance, number);
    let said = json!(base64::encode(&bytes, form)).to_string();
    Some(replaced(text, member.value.start, member.value.end, &said))
}

fn truncate(text: &str, field: &Field, count: u64) -> Option<String> {
    let Place::There(member) = find(text, field.steps()) else {
        return None;
    };
    let (end, items) = first_items(&text[member.value.clone()], count)?;
    (items > count).then(|| replaced(text, member.value.start + end, member.value.end - 1, ""))
}

/// An error of JSON-RPC. Only a map can be an answer of it.
fn error(text: &str) -> Option<String> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let id = match find(text, &[FieldStep::Key("id".to_owned())]) {
        Place::There(member) => serde_json::from_str::<&RawValue>(&text[member.value]).map_or("null", RawValue::get),
        Place::Missing { .. } | Place::Nowhere => "null",
    };
    let error = json!({ "code": CODE, "message": "this error was made by Fracas" });
    Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, operations: &str) -> String {
        let operations: Vec<Operation> = serde_json::from_str(&format!("[{operations}]")).unwrap();
        apply(text, &operations, &Chance::named(1, "a")).unwrap_or_else(|| "as it was".to_owned())
    }

    #[test]
    fn a_field_is_set_and_all_else_stays_to_the_letter() {
        let set = |text: &str, field: &str, value: &str| {
            let field = json!(field);
            changed(
                text,
                &format!(r#"{{ "type": "set_field", "field": {field}, "value": {value} }}"#),
            )
        };
        // No number is read as one that is near it, and no key changes its place.
        let text = "{ \"z\": 123456789012345678901234567890, \"a\":1.50 ,\"list\": [ 1,{\"n\":\"\\u00e4\"} ]}\n";
        for (field, value, old, new) in [
            ("a", "7", "1.50", "7"),
            ("z", "null", "123456789012345678901234567890", "null"),
            ("list[1].n", "\"b\"", "\"\\u00e4\"", "\"b\""),
            ("list.0", "{\"x\":[]}", " 1,", " {\"x\":[]},"),
            ("list[2]", "true", "} ]}", "} ,true]}"),
            ("list[1].m", "2", "e4\"}", "e4\",\"m\":2}"),
            ("b.c.d", "3", " ]}\n", " ],\"b\":{\"c\":{\"d\":3}}}\n"),
        ] {
            assert_eq!(set(text, field, value), text.replacen(old, new, 1), "{field}");
        }
        assert_eq!(set("{}", "a", "1"), "{\"a\":1}");
        assert_eq!(set("[ ]", "[0]", "1"), "[ 1]");
        for field in ["list[3]", "a.b", "list.x", "b[0]", "[0]"] {
            assert_eq!(set(text, field, "1"), "as it was", "{field}");
        }
        assert_eq!(set(text, "a", "1.50"), text.replace("1.50", "1.5"));
        assert_eq!(set("{\"a\":1}", "a", "1"), "as it was");
    }

    #[test]
    fn a_field_is_removed_with_its_comma() {
        let delete =
            |text: &str, field: &str| changed(text, &format!(r#"{{ "type": "delete_field", "field": "{field}" }}"#));
        for (text, field, expected) in [
            ("{\"a\":1}", "a", "{}"),
            ("{ \"a\":1 , \"b\":2 }", "a", "{ \"b\":2 }"),
            ("{ \"a\":1 , \"b\":2 }", "b", "{ \"a\":1 }"),
            ("{\"a\":1,\"b\":2,\"c\":3}", "b", "{\"a\":1,\"c\":3}"),
            ("{\"a\":1,\"b\":2,\"a\":3}", "a", "{\"b\":2}"),
            ("[1,2,3]", "[0]", "[2,3]"),
            ("[1,2,3]", "[2]", "[1,2]"),
            ("{\"r\":[{\"n\":1}]}", "r[0].n", "{\"r\":[{}]}"),
            ("{\"a\":1}", "b", "as it was"),
            ("{\"a\":1}", "a.b", "as it was"),
        ] {
            assert_eq!(delete(text, field), expected, "{text} {field}");
        }
    }

    #[test]
    fn lists_are_cut_behind_their_first_items() {
        let cut =
            |text: &str, value: &str| changed(text, &format!(r#"{{ "type": "truncate_array", "field": "a"{value} }}"#));
        let text = "{\"a\":[ 1, [2] ,3 ]}";
        assert_eq!(cut(text, ", \"value\": 2"), "{\"a\":[ 1, [2]]}");
        assert_eq!(cut(text, ""), "{\"a\":[]}");
        assert_eq!(cut(text, ", \"value\": 3"), "as it was");
        assert_eq!(cut("{\"a\":{}}", ""), "as it was");
    }

    #[test]
    fn base64_stays_base64_of_other_bytes() {
        let corrupt = |said: &str| {
            changed(
                &format!("{{\"a\":\"{said}\"}}"),
                r#"{ "type": "corrupt_base64", "field": "a" }"#,
            )
        };
        for said in ["aGVsbG8gd29ybGQ=", "aGVsbG8gd29ybGQ", "_-__", "AA=="] {
            let now = corrupt(said);
            let now: Value = serde_json::from_str(&now).unwrap_or_else(|_| panic!("{said}: {now}"));
            let now = now["a"].as_str().unwrap();
            assert!(now != said && now.len() == said.len(), "{said}: {now}");
            assert_eq!(now.ends_with('='), said.ends_with('='), "{said}: {now}");
        }
        for said in ["", "not base64!", "a"] {
            assert_eq!(corrupt(said), "as it was", "{said}");
        }
        assert_eq!(
            changed("{\"a\":7}", r#"{ "type": "corrupt_base64", "field": "a" }"#),
            "as it was"
        );
    }

    #[test]
    fn two_operations_turn_other_bits() {
        let corrupt = r#"{ "type": "corrupt_base64", "field": "a" }"#;
        let text = format!("{{\"a\":\"{}\"}}", "AAAA".repeat(100));
        let [none, once, twice] = [String::new(), corrupt.to_owned(), format!("{corrupt}, {corrupt}")]
            .map(|operations| changed(&text, &operations));
        assert_eq!(none, "as it was");
        assert!(twice != "as it was" && twice != text && twice != once, "{twice}");
    }

    /// Some JSON, at most so deep.
    fn some(chance: &Chance, at: &mut u64, depth: u32) -> Value {
        *at += 1;
        let drawn = chance.draw("test", *at);
        let mut inner = || some(chance, at, depth.saturating_sub(1));
        match drawn % if depth > 0 { 6 } else { 3 } {
            0 => json!(drawn / 6 % 100),
            1 => json!(["", "a", "\"]},[{\\", "ä"][drawn as usize / 6 % 4]),
            2 => Value::Null,
            3 => (0..drawn / 6 % 4).map(|_| inner()).collect(),
            _ => {
                let keys = ["a", "b", "c.d", "0"][..drawn as usize / 6 % 5].iter();
                Value::Object(keys.map(|key| ((*key).to_owned(), inner())).collect())
            }
        }
    }

    /// What stands at a place, by another way.
    fn at<'v>(value: &'v mut Value, steps: &[FieldStep]) -> Option<&'v mut Value> {
        steps.iter().try_fold(value, |value, step| match (value, step) {
            (Value::Object(map), FieldStep::Key(key)) => map.get_mut(key),
            (Value::Array(list), FieldStep::Index(index)) => list.get_mut(*index),
            (Value::Array(list), FieldStep::Key(key)) => list.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        })
    }

    // The draws are fixed by the seed: what holds here, holds always.
    #[test]
    fn a_text_is_changed_as_its_value_would_be() {
        let chance = Chance::named(11, "a");
        let fields = ["a", "a.b", "b[0]", "[1]", "[0].a", "[\"c.d\"].a", "0", "a.0.b", "a.c.d"];
        let (mut drawn, mut changes) = (0, 0);
        for n in 0..20_000 {
            let value = some(&chance, &mut drawn, 4);
            let text = if n % 2 == 0 {
                value.to_string()
            } else {
                serde_json::to_string_pretty(&value).unwrap()
            };
            let field = Field::read(fields[n % fields.len()]).unwrap();
            let (last, way) = field.steps().split_last().unwrap();
            let read = |text: Option<String>| text.map(|text| serde_json::from_str::<Value>(&text).unwrap());
            let mut expected = value.clone();
            let is_there = at(&mut expected, field.steps()).is_some();
            let set_there = at(&mut expected, field.steps()).map(|there| *there = json!("new"));
            let seen = read(set(&text, &field, &json!("new")));
            if is_there {
                assert_eq!((seen.as_ref(), set_there), (Some(&expected), Some(())), "{text}");
            } else if let Some(seen) = &seen {
                // It is there now, and nothing else is another.
                let mut now = seen.clone();
                assert_eq!(at(&mut now, field.steps()), Some(&mut json!("new")), "{text}");
            }
            changes += usize::from(seen.is_some());
            let removed = read(delete(&text, &field));
            let mut expected = value.clone();
            let gone = at(&mut expected, way).and_then(|within| match (within, last) {
                (Value::Object(map), FieldStep::Key(key)) => map.remove(key),
                (Value::Array(list), FieldStep::Index(index)) if *index < list.len() => Some(list.remove(*index)),
                (Value::Array(list), FieldStep::Key(key)) => {
                    let index = key.parse::<usize>().ok().filter(|index| *index < list.len())?;
                    Some(list.remove(index))
                }
                _ => None,
            });
            assert_eq!(removed, gone.map(|_| expected), "{text}");
        }
        // Enough of either.
        assert!((3000..17_000).contains(&changes), "{changes}");
    }

    #[test]
    fn an_error_keeps_the_id_and_ends_the_chain() {
        let of = |text: &str| {
            changed(
                text,
                r#"{ "type": "inject_error" }, { "type": "set_field", "field": "x", "value": 1 }"#,
            )
        };
        let expected = |id: &str| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32000,\"message\":\"this error was made by Fracas\"}}}}"
            )
        };
        assert_eq!(of("{\"result\":7,\"id\":\"x\\u0041\"}"), expected("\"x\\u0041\""));
        assert_eq!(
            of(" {\"id\": 12345678901234567890123 }"),
            expected("12345678901234567890123")
        );
        assert_eq!(of("{}"), expected("null"));
        assert_eq!(of("[]"), "as it was");
    }

    #[test]
    fn one_that_has_no_place_leaves_the_others() {
        let both = r#"{ "type": "delete_field", "field": "no" }, { "type": "set_field", "field": "b", "value": 2 }, { "type": "delete_field", "field": "a" }"#;
        assert_eq!(changed("{\"a\":1}", both), "{\"b\":2}");
        let back =
            r#"{ "type": "set_field", "field": "a", "value": 2 }, { "type": "set_field", "field": "a", "value": 1 }"#;
        assert_eq!(changed("{\"a\":1}", back), "as it was");
    }
}
