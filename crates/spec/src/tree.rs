//! A document as a tree in which everything knows its position. Types are decided late, by whoever wants the value.

use crate::place::Spot;

/// One value with its position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) spot: Spot,
    /// What it is.
    pub(crate) value: Value,
}

/// The three shapes of YAML.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A text, number, truth value or nothing.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name, in the order of the document.
    Map(Vec<Entry>),
}

/// A scalar as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// The text, escapes resolved.
    pub(crate) text: String,
    /// Whether it was written without quotes, so that it may be a number, a truth value or nothing.
    pub(crate) plain: bool,
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) spot: Spot,
    /// The value.
    pub(crate) value: Node,
}

impl Scalar {
    /// Whether it is YAML's nothing.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The truth value that it is, by the core schema of YAML 1.2: `yes` and `on` are texts.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            "true" | "True" | "TRUE" if self.plain => Some(true),
            "false" | "False" | "FALSE" if self.plain => Some(false),
            _ => None,
        }
    }

    fn anything(&self) -> serde_json::Value {
        if self.is_null() {
            return serde_json::Value::Null;
        }
        if let Some(truth) = self.as_bool() {
            return truth.into();
        }
        let text = self.text.as_str();
        let whole = || {
            text.parse::<i64>()
                .map(Into::into)
                .or_else(|_| text.parse::<u64>().map(Into::into))
        };
        match self.as_number().filter(|_| self.plain) {
            Some(number) => whole().unwrap_or_else(|_| number.into()),
            None => text.into(),
        }
    }

    /// Whether it is a whole number of which [`Scalar::anything`] would make another one.
    fn is_inexact(&self) -> bool {
        let digits = self.text.strip_prefix(['+', '-']).unwrap_or(&self.text);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        self.plain && is_whole && self.text.parse::<i64>().is_err() && self.text.parse::<u64>().is_err()
    }

    /// The number that it is, if it is a finite one.
    pub(crate) fn as_number(&self) -> Option<f64> {
        // Rust also reads `inf`, `nan` and `infinity`; in a document those are words.
        let numeric = self.text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
        let number: f64 = self.text.parse().ok()?;
        (numeric && number.is_finite()).then_some(number)
    }
}

impl Node {
    /// The scalar, if it is one.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The entries, if it is a map.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub(crate) fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// What it is, by the core schema of YAML 1.2 and without its numbers in other bases: `0x10` is a text.
    pub(crate) fn anything(&self) -> serde_json::Value {
        match &self.value {
            Value::Scalar(scalar) => scalar.anything(),
            Value::List(items) => items.iter().map(Self::anything).collect(),
            Value::Map(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.clone(), entry.value.anything()));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// Where a whole number is, in it, that is too large to be kept to the digit, or too small.
    pub(crate) fn inexact(&self) -> Option<Spot> {
        match &self.value {
            Value::Scalar(scalar) => scalar.is_inexact().then_some(self.spot),
            Value::List(items) => items.iter().find_map(Self::inexact),
            Value::Map(entries) => entries.iter().find_map(|entry| entry.value.inexact()),
        }
    }

    /// The entry of a map under a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// The value of a map under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value under a path such as `faults[0].inject`; where the path ends early, the last value on it.
    pub(crate) fn nearest(&self, path: &str) -> &Self {
        self.follow(path).0
    }

    /// The value under a path, if there is one.
    pub(crate) fn find(&self, path: &str) -> Option<&Self> {
        let (node, whole) = self.follow(path);
        whole.then_some(node)
    }

    /// Follows a path as far as it goes, and tells whether that is its end.
    fn follow(&self, path: &str) -> (&Self, bool) {
        let mut node = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']') {
                Some(index) => index
                    .parse()
                    .ok()
                    .and_then(|index: usize| node.items().and_then(|items| items.get(index))),
                None => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// How many values there are, itself included.
    pub(crate) fn count(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.count()).sum(),
        }
    }

    /// How long its keys and texts are together.
    pub(crate) fn bytes(&self) -> usize {
        match &self.value {
            Value::Scalar(scalar) => scalar.text.len(),
            Value::List(items) => items.iter().map(Self::bytes).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + entry.value.bytes()).sum(),
        }
    }

    /// What it is, in a person's words.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "empty",
            Value::Scalar(scalar) if scalar.as_bool().is_some() => "a truth value",
            Value::Scalar(scalar) if scalar.plain && scalar.as_number().is_some() => "a number",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
