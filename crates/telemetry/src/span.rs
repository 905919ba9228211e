//! A finished piece of a run, before it is put into the form of OTLP.

use crate::ids::{SpanId, TraceId};

/// The longest text of an attribute, in bytes: answers and errors of others may be of any length.
const LONGEST: usize = 1024;
/// So many things happen within one span at most, as the SDKs of OpenTelemetry have it; more are counted.
const MOST_HAPPENED: usize = 128;

/// One piece, with beginning and end.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The run's.
    pub trace: TraceId,
    /// Its own.
    pub id: SpanId,
    /// In which it lies; `None` for the run itself.
    pub parent: Option<SpanId>,
    /// Whose work it is.
    pub kind: Kind,
    /// What it is, of few different words.
    pub name: String,
    /// Nanoseconds since 1970.
    pub began: u64,
    /// Nanoseconds since 1970.
    pub ended: u64,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
    /// What happened within it, at most 128.
    pub happened: Vec<Happened>,
    /// How much more happened.
    pub left_out: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// Whose work a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Our own.
    #[default]
    Internal,
    /// That of a server, for somebody who asked.
    Server,
}

/// A name and a value.
pub type Attribute = (&'static str, Value);

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text, cut where it is longer than 1024 bytes.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// Something without a length that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// Nanoseconds since 1970.
    pub at: u64,
    /// What.
    pub name: &'static str,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Outcome {
    /// Nothing is said of it.
    #[default]
    Unsaid,
    /// Well.
    Good,
    /// Badly; why.
    Bad(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(cut(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        // A seed uses all 64 bits, which an attribute has not: its digits are kept.
        i64::try_from(number).map_or_else(|_| Self::Text(number.to_string()), Self::Whole)
    }
}

impl Span {
    /// Adds what is known.
    pub(crate) fn know(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    /// Adds something that happened, as far as there is room.
    pub(crate) fn happen(&mut self, at: u64, name: &'static str, attributes: Vec<Attribute>) {
        if self.happened.len() < MOST_HAPPENED {
            self.happened.push(Happened { at, name, attributes });
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    /// It went badly. The first reason stays.
    pub(crate) fn fail(&mut self, why: &str) {
        if !matches!(self.outcome, Outcome::Bad(_)) {
            self.outcome = Outcome::Bad(cut(why));
        }
    }

    /// It ends here; never before it began.
    pub(crate) fn end(mut self, at: u64) -> Self {
        self.ended = at.max(self.began);
        self
    }
}

/// The beginning of a text, as far as it is taken.
fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_what_happens_are_bounded() {
        let long = "é".repeat(LONGEST);
        let Value::Text(kept) = Value::from(&long) else {
            panic!()
        };
        assert_eq!(kept.len(), LONGEST);
        let mut span = Span {
            trace: [1; 16],
            id: [1; 8],
            parent: None,
            kind: Kind::default(),
            name: "x".to_owned(),
            began: 5,
            ended: 0,
            attributes: Vec::new(),
            happened: Vec::new(),
            left_out: 0,
            outcome: Outcome::default(),
        };
        for at in 0..130 {
            span.happen(at, "note", Vec::new());
        }
        assert_eq!((span.happened.len(), span.left_out), (MOST_HAPPENED, 2));
        span.fail("first");
        span.fail("second");
        assert_eq!(span.outcome, Outcome::Bad("first".to_owned()));
        assert_eq!(span.end(3).ended, 5, "no span ends before it begins");
    }

    #[test]
    fn a_seed_keeps_all_its_digits() {
        assert_eq!(Value::from(7_u64), Value::Whole(7));
        assert_eq!(Value::from(u64::MAX), Value::Text(u64::MAX.to_string()));
    }
}
