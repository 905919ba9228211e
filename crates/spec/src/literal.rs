//! Documents that we write, so that they can be read again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// As JSON: in lines, for a document has no long ones, and what would be read as a variable is no variable of it.
pub(crate) fn json<T: Serialize + DeserializeOwned>(of: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&escaped(of)?)
}

/// The same with `$${` for each `${` in its texts. Keys stay: in them no variable is looked for.
pub(crate) fn escaped<T: Serialize + DeserializeOwned>(of: &T) -> serde_json::Result<T> {
    let mut value = serde_json::to_value(of)?;
    escape(&mut value);
    // By way of its type, whose keys have an order.
    serde_json::from_value(value)
}

fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(entries) => entries.values_mut().for_each(escape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
