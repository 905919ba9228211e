//! JSON for a rule to change.

use fracas_core::chaos::{Field, FieldStep, Operation, OperationKind};
use fracas_proxy::is_changed;
use serde_json::{Value, json};

/// The longest list that is made.
const LONGEST: usize = 1000;
/// In bytes, the longest text.
const LARGEST: usize = 8 << 10;

/// A text of JSON that these operations together leave another: what one of them takes another may put back. `None`: none is known that is so small.
pub(super) fn changed_by(operations: &[Operation]) -> Option<String> {
    let mut texts = operations.iter().filter_map(of).map(|document| document.to_string());
    texts.find(|text| text.len() <= LARGEST && is_changed(text, operations))
}

fn of(operation: &Operation) -> Option<Value> {
    let value = operation.value.as_ref().map(|value| &value.0);
    let there = match operation.kind {
        OperationKind::InjectError => return Some(json!({ "jsonrpc": "2.0", "id": 1, "result": 1 })),
        // Another one than whatever is put in its place.
        OperationKind::SetField => json!(["it", "was", value.is_none()]),
        OperationKind::DeleteField => json!(1),
        OperationKind::CorruptBase64 => json!("AAAAAAAAAAAAAAAA"),
        OperationKind::TruncateArray => {
            let stays = value.map_or(Some(0), Value::as_u64)?;
            let count = usize::try_from(stays).ok()?.checked_add(1)?;
            json!(vec![0; (count <= LONGEST).then_some(count)?])
        }
    };
    let field = Field::read(operation.field.as_deref()?).ok()?;
    field.steps().iter().rev().try_fold(there, |there, step| match step {
        FieldStep::Key(key) => Some(json!({ key: there })),
        FieldStep::Index(index) => {
            let mut items = vec![Value::Null; (*index < LONGEST).then_some(*index)?];
            items.push(there);
            Some(Value::Array(items))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Option<String> {
        changed_by(&serde_json::from_str::<Vec<Operation>>(text).unwrap())
    }

    #[test]
    fn a_document_has_what_is_changed() {
        for (operations, expected) in [
            (
                r#"[{ "type": "delete_field", "field": "a.b[2]" }]"#,
                r#"{"a":{"b":[null,null,1]}}"#,
            ),
            (
                r#"[{ "type": "truncate_array", "field": "[\"x.y\"]", "value": 2 }]"#,
                r#"{"x.y":[0,0,0]}"#,
            ),
            (r#"[{ "type": "truncate_array", "field": "a" }]"#, r#"{"a":[0]}"#),
            (
                r#"[{ "type": "corrupt_base64", "field": "a" }]"#,
                r#"{"a":"AAAAAAAAAAAAAAAA"}"#,
            ),
            (
                r#"[{ "type": "inject_error" }]"#,
                r#"{"id":1,"jsonrpc":"2.0","result":1}"#,
            ),
        ] {
            assert_eq!(made(operations).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_one_takes_and_another_puts_back_is_changed_all_the_same() {
        let back = r#"{ "type": "delete_field", "field": "a" }, { "type": "set_field", "field": "a", "value": 1 }"#;
        // 1 would come back.
        assert_eq!(
            made(&format!("[{back}]")).as_deref(),
            Some(r#"{"a":["it","was",false]}"#)
        );
        let gone = r#"[{ "type": "set_field", "field": "a", "value": 1 }, { "type": "delete_field", "field": "a" }]"#;
        assert_eq!(made(gone).as_deref(), Some(r#"{"a":["it","was",false]}"#));
    }

    #[test]
    fn what_would_be_too_large_is_left_to_the_next() {
        let large = r#"{ "type": "truncate_array", "field": "a", "value": 100000 }"#;
        assert_eq!(made(&format!("[{large}]")), None);
        let next = format!(r#"[{large}, {{ "type": "delete_field", "field": "a" }}]"#);
        assert_eq!(made(&next).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(made(r#"[{ "type": "delete_field", "field": "a[1000]" }]"#), None);
    }
}
