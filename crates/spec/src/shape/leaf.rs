//! Scalars: what their key wants decides what they are.

use fracas_core::names::{Address, NamePattern};
use fracas_core::probe::Expect;
use fracas_core::traffic::{Network, Peer, Service};
use fracas_core::units::{NotAQuantity, Percent, Rate, Size, Span};
use serde_json::Value;

use crate::lenient;
use crate::place::quoted;
use crate::problems::{listed, nearest};
use crate::tree::Scalar;

/// Why a scalar is not what its key wants.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) next: Option<String>,
}

impl Wrong {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: None,
        }
    }
}

/// A quantity's own message says what is expected, and quotes the text.
fn quantity(not: &NotAQuantity) -> Wrong {
    let (what, next) = match not.0.rsplit_once("; ") {
        Some((what, next)) => (what, Some(next.to_owned())),
        None => (not.0.as_str(), None),
    };
    Wrong {
        what: format!("is wrong: {}", crate::place::printable(what)),
        next,
    }
}

/// Reads a scalar by the name of its definition or, without one, by its JSON type.
pub(super) fn read(name: &str, schema: &Value, scalar: &Scalar) -> Result<Value, Wrong> {
    let text = scalar.text.as_str();
    if text.len() > 64 && !matches!(name, "" | "Text" | "NamePattern" | "Peer") {
        return Err(Wrong::new(format!(
            "is too long to be {}: {}",
            wanted(name, schema),
            quoted(text)
        )));
    }
    let parsed = match name {
        "Span" => text.parse::<Span>().map(drop),
        "Size" => text.parse::<Size>().map(drop),
        "Percent" => text.parse::<Percent>().map(drop),
        "Rate" => text.parse::<Rate>().map(drop),
        "Network" => text.parse::<Network>().map(drop),
        "Peer" => text.parse::<Peer>().map(drop),
        "Service" => text.parse::<Service>().map(drop),
        "NamePattern" => text.parse::<NamePattern>().map(drop),
        "Address" => text.parse::<Address>().map(drop),
        "Expect" => text.parse::<Expect>().map(drop),
        "Signal" => {
            let upper = text.to_ascii_uppercase();
            let short = upper.strip_prefix("SIG").unwrap_or(&upper);
            return choice(schema, short, text);
        }
        "Number" => return lenient::number(text).map(Into::into).map_err(Wrong::new),
        "Whole" => return lenient::whole(text).map(Into::into).map_err(Wrong::new),
        "Seconds" => {
            return lenient::seconds(text)
                .map(|span| span.to_string().into())
                .map_err(Wrong::new);
        }
        _ => return plain(schema, scalar),
    };
    parsed.map(|()| Value::from(text)).map_err(|not| quantity(&not))
}

fn plain(schema: &Value, scalar: &Scalar) -> Result<Value, Wrong> {
    let text = scalar.text.as_str();
    if words(schema).next().is_some() {
        return choice(schema, text, text);
    }
    match schema["type"].as_str() {
        Some("boolean") => scalar.as_bool().map(Value::from).ok_or_else(|| Wrong {
            what: format!("must be `true` or `false`, not {}", quoted(text)),
            next: Some("write true or false, without quotes".to_owned()),
        }),
        Some("integer") => integer(schema, scalar),
        Some("number") => match scalar.as_number() {
            Some(number) if scalar.plain => Ok(number.into()),
            _ => Err(Wrong::new(format!("must be a number, not {}", quoted(text)))),
        },
        // Whoever writes `version: 1.0` or `pattern: 404` means the text.
        _ => Ok(text.into()),
    }
}

fn integer(schema: &Value, scalar: &Scalar) -> Result<Value, Wrong> {
    let text = scalar.text.as_str();
    let format = schema["format"].as_str().unwrap_or_default();
    let largest = match format {
        "uint8" => u64::from(u8::MAX),
        "uint16" => u64::from(u16::MAX),
        "uint32" => u64::from(u32::MAX),
        _ => u64::MAX,
    };
    let wrong = || {
        Wrong::new(format!(
            "must be a whole number from 0 to {largest}, not {}",
            quoted(text)
        ))
    };
    let digits = scalar.plain && !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(number) if digits && number <= largest => Ok(number.into()),
        _ => Err(wrong()),
    }
}

/// The words that a schema allows, if it names them.
pub(super) fn words(schema: &Value) -> impl Iterator<Item = &str> {
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    let constants = variants.chain([schema]).filter_map(|one| one["const"].as_str());
    let named = schema["oneOf"].as_array().into_iter().flatten().chain([schema]);
    constants.chain(
        named
            .filter_map(|one| one["enum"].as_array())
            .flatten()
            .filter_map(Value::as_str),
    )
}

fn choice(schema: &Value, word: &str, written: &str) -> Result<Value, Wrong> {
    if words(schema).any(|known| known == word) {
        return Ok(word.into());
    }
    let next = match nearest(word, words(schema)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("use one of {}", listed(words(schema))),
    };
    Err(Wrong {
        what: format!("cannot be {}", quoted(written)),
        next: Some(next),
    })
}

/// What a key wants, in a person's words.
pub(super) fn wanted(name: &str, schema: &Value) -> &'static str {
    match name {
        "Span" => "a duration",
        "Size" => "a size",
        "Percent" => "a percentage",
        "Network" => "an address or a network",
        "Expect" => "a comparison",
        "Signal" => "a signal",
        "Number" | "Whole" => "a number",
        "Seconds" => "a number of seconds",
        _ if words(schema).next().is_some() => "one word of a list",
        _ => match schema["type"].as_str() {
            Some("boolean") => "true or false",
            Some("integer") => "a whole number",
            Some("number") => "a number",
            _ => "a text",
        },
    }
}
