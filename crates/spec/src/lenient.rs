//! Numbers as seed 0's documents write them: whole, with a fraction, or as a text. Its own reader dropped the kinds that it did not
//! expect without a word, and the fault ran with a default.

use fracas_core::units::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::place::quoted;

/// A number that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Number(pub(crate) f64);

/// A whole number that is not negative; `2.0` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Whole(pub(crate) u32);

/// A length of time: a number of seconds, or a duration such as `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Seconds(pub(crate) Span);

/// Reads a [`Number`].
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let trimmed = text.trim();
    let numeric = trimmed.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match trimmed.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Ok(number),
        _ => Err(format!("must be a number that is not negative, not {}", quoted(text))),
    }
}

/// Reads a [`Whole`].
pub(crate) fn whole(text: &str) -> Result<u32, String> {
    let number = number(text)?;
    if number.fract() == 0.0 && number <= f64::from(u32::MAX) {
        Ok(number as u32)
    } else {
        Err(format!("must be a whole number, not {}", quoted(text)))
    }
}

/// Reads [`Seconds`].
pub(crate) fn seconds(text: &str) -> Result<Span, String> {
    let text = text.trim();
    let written = if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        text.to_owned()
    } else {
        format!("{}s", number(text)?)
    };
    written.parse::<Span>().map_err(|not| format!("is wrong: {not}"))
}

macro_rules! schema {
    ($name:ident, $text:literal, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $text.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(Number, "Number", {
    "description": "A number, also as a text.",
    "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": "^[0-9.]+$" }]
});
schema!(Whole, "Whole", {
    "description": "A whole number, also as a text.",
    "anyOf": [{ "type": "number", "minimum": 0, "multipleOf": 1 }, { "type": "string", "pattern": "^[0-9]+$" }]
});
schema!(Seconds, "Seconds", {
    "description": "A number of seconds, or a duration such as 1m30s.",
    "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": "^([0-9.]+|([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+)$" }]
});
