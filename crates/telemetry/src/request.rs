//! A request that a proxy was asked, as a span: by the names that OpenTelemetry gives to those of a server of HTTP.

use std::time::{Duration, Instant};

use fracas_core::seed::Seed;
use jiff::Timestamp;

use crate::ids::{SpanId, TraceId};
use crate::span::{Kind, Outcome, Span, Value};

/// Methods that are names of spans. Whoever asks may write anything in their place.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
/// The longest path that is told, in bytes.
const LONGEST: usize = 256;

/// Who asked, as a `traceparent` says it (W3C Trace Context, 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    trace: TraceId,
    span: SpanId,
    is_sampled: bool,
}

impl Parent {
    /// Reads the header. `None`: it is none, and counts for nothing.
    pub fn of(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let version = hex::<1>(parts.next()?)?[0];
        let (trace, span) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
        let flags = hex::<1>(parts.next()?)?[0];
        let has_more = parts.next().is_some();
        let is_valid = version != 0xff && !(version == 0 && has_more) && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self {
            trace,
            span,
            is_sampled: flags & 1 == 1,
        })
    }

    /// Whether whoever asked wants it to be told.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

/// So many bytes in small hexadecimal digits, and nothing else.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate().take_while(|_| is_hex) {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}

/// A request that is open.
#[derive(Debug)]
pub struct Open {
    span: Span,
    begun: Instant,
    faults: Vec<&'static str>,
}

impl Open {
    /// It begins now. `root` and `number` are of this process and of this request alone: of them are the ids that nobody gives.
    pub fn begin(root: u64, number: u64, parent: Option<Parent>, method: &str, path: &str) -> Self {
        let drawn = |what| Seed(root).draw("otlp request", what, number).0.max(1).to_be_bytes();
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&drawn("trace, first half"));
        trace[8..].copy_from_slice(&drawn("trace, second half"));
        let name = METHODS.into_iter().find(|known| *known == method).unwrap_or("HTTP");
        // Before 1970 there was no Fracas.
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default();
        let mut span = Span {
            trace: parent.map_or(trace, |parent| parent.trace),
            id: drawn("span"),
            parent: parent.map(|parent| parent.span),
            kind: Kind::Server,
            name: name.to_owned(),
            began: now,
            ended: now,
            attributes: Vec::new(),
            happened: Vec::new(),
            left_out: 0,
            outcome: Outcome::Unsaid,
        };
        span.know("http.request.method", if name == "HTTP" { "_OTHER" } else { name });
        let mut end = path.len().min(LONGEST);
        while !path.is_char_boundary(end) {
            end -= 1;
        }
        span.know("url.path", &path[..end]);
        Self {
            span,
            begun: Instant::now(),
            faults: Vec::new(),
        }
    }

    /// It met a fault.
    pub fn met(&mut self, fault: &'static str) {
        self.faults.push(fault);
    }

    /// Its answer has begun. Faults held it for so long.
    pub fn answered(&mut self, status: u16, held: Duration) {
        self.span
            .attributes
            .push(("http.response.status_code", Value::Whole(status.into())));
        self.span.know("fracas.held_ms", held.as_secs_f64() * 1e3);
        if status >= 500 {
            self.span.fail(&format!("status {status}"));
        } else {
            self.span.outcome = Outcome::Good;
        }
    }

    /// It is over: with its answer, or without one.
    pub fn end(mut self) -> Span {
        if !self.faults.is_empty() {
            self.span.know("fracas.faults", self.faults.join(","));
        }
        if self.span.outcome == Outcome::Unsaid {
            self.span.fail("it ended without an answer");
        }
        let took = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let ended = self.span.began.saturating_add(took);
        self.span.end(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_is_read_as_the_standard_has_it() {
        let parent = Parent::of(HEADER).unwrap();
        assert_eq!(
            (parent.trace[0], parent.span[7], parent.is_sampled()),
            (0x0a, 0x31, true)
        );
        assert!(!Parent::of(&HEADER.replace("-01", "-00")).unwrap().is_sampled());
        // Later versions may say more.
        assert!(Parent::of(&format!("{}-more", HEADER.replace("00-", "cc-"))).is_some());
        for wrong in [
            "",
            "00",
            &HEADER.to_uppercase(),
            &HEADER.replace("00-", "ff-"),
            &format!("{HEADER}-more"),
            &HEADER.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &HEADER.replace("b7ad6b7169203331", "0000000000000000"),
            &HEADER.replace("b7", "b"),
            &HEADER.replace("b7", "+7"),
            &HEADER.replace("b7", "é"),
        ] {
            assert_eq!(Parent::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_and_paths_are_bounded_and_ids_are_those_of_the_parent() {
        let path = format!("/{}", "é".repeat(1000));
        let span = Open::begin(1, 2, Parent::of(HEADER), "SECRET", &path).end();
        assert_eq!(
            (span.name.as_str(), span.trace[0], span.parent.map(|id| id[7])),
            ("HTTP", 0x0a, Some(0x31))
        );
        let said = |key: &str| {
            span.attributes
                .iter()
                .find(|(known, _)| *known == key)
                .map(|(_, value)| value)
        };
        assert_eq!(said("http.request.method"), Some(&Value::from("_OTHER")));
        assert!(matches!(said("url.path"), Some(Value::Text(text)) if text.len() == LONGEST - 1));
        assert_eq!(span.outcome, Outcome::Bad("it ended without an answer".to_owned()));
        let ids = |root, number| {
            let span = Open::begin(root, number, None, "GET", "/").end();
            (span.trace, span.id, span.parent)
        };
        assert_eq!(ids(1, 2), ids(1, 2));
        assert_ne!(ids(1, 2).0, ids(1, 3).0);
        assert_ne!(ids(1, 2).1, ids(2, 2).1);
        assert_eq!(ids(1, 2).2, None);
    }
}
