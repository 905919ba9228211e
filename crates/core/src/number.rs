//! Numbers that survive JSON. Measurements may be NaN or infinite, JSON has no word for them, and `serde_json` writes `null`: a
//! record that is read back would then hold "no value" where there was a value, and a bad one.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A floating-point number whose JSON form is a number, or one of the texts `"NaN"`, `"Infinity"`, `"-Infinity"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_nan() {
            to.serialize_str("NaN")
        } else if self.0 == f64::INFINITY {
            to.serialize_str("Infinity")
        } else if self.0 == f64::NEG_INFINITY {
            to.serialize_str("-Infinity")
        } else {
            to.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visit;
        impl serde::de::Visitor<'_> for Visit {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                match text {
                    "NaN" => Ok(Number(f64::NAN)),
                    "Infinity" => Ok(Number(f64::INFINITY)),
                    "-Infinity" => Ok(Number(f64::NEG_INFINITY)),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        from.deserialize_any(Visit)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number; what JSON has no number for is a text.",
            "anyOf": [{ "type": "number" }, { "enum": ["NaN", "Infinity", "-Infinity"] }]
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// For `#[serde(with = "…")]` on a list of `f64`.
pub mod list {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Number;

    /// Writes every value as a [`Number`].
    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().copied().map(Number))
    }

    /// Reads them back.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let numbers = Vec::<Number>::deserialize(from)?;
        Ok(numbers.into_iter().map(|number| number.0).collect())
    }
}

/// For `#[serde(with = "…")]` on an optional `f64`.
pub mod optional {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Number;

    /// Writes the value as a [`Number`], or `null`.
    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(to)
    }

    /// Reads it back.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Number>::deserialize(from)?.map(|number| number.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_has_no_number_for_is_a_text_and_reads_back() {
        for (value, text) in [
            (f64::NAN, r#""NaN""#),
            (f64::INFINITY, r#""Infinity""#),
            (f64::NEG_INFINITY, r#""-Infinity""#),
            (1.5, "1.5"),
        ] {
            assert_eq!(serde_json::to_string(&Number(value)).unwrap(), text);
            let back: Number = serde_json::from_str(text).unwrap();
            assert_eq!(back.0.to_bits(), value.to_bits(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Number>("3").unwrap(), Number(3.0));
        assert_eq!(serde_json::from_str::<Number>("-3").unwrap(), Number(-3.0));
        for bad in [r#""nan""#, r#""1""#, "null", "[]"] {
            assert!(serde_json::from_str::<Number>(bad).is_err(), "{bad}");
        }
    }

    // Without serde_json's `float_roundtrip` one in eleven numbers is misread by the last bit, the first two of these among them.
    #[test]
    fn every_bit_of_a_number_reads_back() {
        for value in [
            0.090_422_252_909_423_85,
            3.903_093_367_826_586_5,
            f64::MIN_POSITIVE,
            f64::MAX,
        ] {
            let text = serde_json::to_string(&Number(value)).unwrap();
            assert_eq!(serde_json::from_str::<Number>(&text).unwrap(), Number(value), "{text}");
        }
    }
}
