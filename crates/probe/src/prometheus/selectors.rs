//! Which series a query looks at, and how old their newest samples are.
//!
//! An instant query looks back five minutes (`--query.lookback-delta`), so a server that stopped scraping still answers with
//! numbers that look alive. `timestamp(selector)` tells the time of the sample behind each, and that is what is asked here:
//!
//! * Each distinct selector is asked for, at the very time at which the query was evaluated. The oldest selector is the age of the
//!   reading; within a selector its newest series counts, for series come and go with the containers behind them.
//! * `offset` asks for old data on purpose: the age counts from the time that the offset points at. An offset into the future
//!   changes nothing, for the newest sample is still the one of now.
//! * `@` names a time on purpose: such a selector is not judged, whatever the time.
//! * A selector without series has no age and makes nothing stale: `absent(up)`, `errors or vector(0)` and `a unless b` are meant
//!   so. Where no series at all is left, the query itself gives no data, which is never a pass.
//! * But a range outlives its series: `rate(x[5m])` gives numbers for minutes after the last sample of a target that is gone. For
//!   selectors under a range that have no present sample the newest one in the last two scrape intervals is looked for; if there is
//!   none, and the range still holds older samples, the reading is stale, its age unknown.
//! * The age of a recording rule's series is the age of its evaluation: what the rule was made of is not seen.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use fracas_core::units::Span;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, Offset, VectorSelector};

use super::answer::Sample;

/// The longest query, in bytes.
const LONGEST: usize = 16 * 1024;

/// The most of a query that may be outside of quotes. The parser builds a tree whose depth grows with the number of operators
/// (`1+1+1+…`), and walks it recursively: the bound keeps a hostile query from overflowing the stack.
const LONGEST_UNQUOTED: usize = 4 * 1024;

/// How far an instant selector looks back unless the server is told otherwise (`--query.lookback-delta`).
const LOOKBACK: Duration = Duration::from_mins(5);

/// The label by which the answers to several questions in one query are told apart.
const LABEL: &str = "fracas";

/// A vector selector of a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selector {
    /// Its matchers, without modifiers: `{__name__="up",job="x"}`.
    series: String,
    /// Its offset into the past, those of the subqueries around it included, in milliseconds; negative into the future.
    offset_ms: i64,
    /// How far into the past samples can have a say; zero for an instant selector.
    range: Duration,
}

/// The distinct selectors of a query whose age can be judged; or why the query is none.
pub(crate) fn selectors(query: &str) -> Result<BTreeSet<Selector>, String> {
    let mut found = BTreeSet::new();
    walk(&parse(query)?, Reach::default(), &mut found);
    Ok(found)
}

/// The longest range over which functions of the query look back, those with `@` left out; `None` if it has none. No longer than a
/// span can be.
pub(crate) fn longest_range(selectors: &BTreeSet<Selector>) -> Option<Span> {
    let longest = selectors.iter().map(|selector| selector.range).max()?;
    (!longest.is_zero()).then(|| Span(longest).min(Span::MAX))
}

/// Parses a query within the bounds.
pub(crate) fn parse(query: &str) -> Result<Expr, String> {
    if query.trim().is_empty() {
        return Err("the query is empty".to_owned());
    }
    if query.len() > LONGEST {
        return Err(format!(
            "the query has {} bytes, at most {LONGEST} are allowed",
            query.len()
        ));
    }
    let unquoted = unquoted(query);
    if unquoted > LONGEST_UNQUOTED {
        return Err(format!(
            "the query has {unquoted} bytes outside of quotes, at most {LONGEST_UNQUOTED} are allowed"
        ));
    }
    parser::parse(query)
}

/// How many bytes are outside of quoted strings.
fn unquoted(query: &str) -> usize {
    let (mut outside, mut quote, mut escaped) = (0, None, false);
    for byte in query.bytes() {
        match quote {
            None => {
                outside += 1;
                if matches!(byte, b'"' | b'\'' | b'`') {
                    quote = Some(byte);
                }
            }
            Some(_) if escaped => escaped = false,
            // In backquotes a backslash is itself.
            Some(mark) if byte == b'\\' && mark != b'`' => escaped = true,
            Some(mark) if byte == mark => quote = None,
            Some(_) => {}
        }
    }
    outside
}

/// What the expressions around a selector add to it.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    offset_ms: i64,
    range: Duration,
}

impl Reach {
    fn further(self, offset: Option<&Offset>, range: Duration) -> Self {
        let millis = |span: &Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let offset_ms = match offset {
            None => 0,
            Some(Offset::Pos(span)) => millis(span),
            Some(Offset::Neg(span)) => -millis(span),
        };
        Self {
            offset_ms: self.offset_ms.saturating_add(offset_ms),
            range: self.range.saturating_add(range),
        }
    }
}

/// The parser's own walk leaves out the parameter of an aggregation, which may hold selectors: `topk(scalar(n), x)`.
fn walk(expr: &Expr, reach: Reach, found: &mut BTreeSet<Selector>) {
    match expr {
        Expr::Aggregate(aggregate) => {
            walk(&aggregate.expr, reach, found);
            if let Some(param) = &aggregate.param {
                walk(param, reach, found);
            }
        }
        Expr::Unary(unary) => walk(&unary.expr, reach, found),
        Expr::Binary(binary) => {
            walk(&binary.lhs, reach, found);
            walk(&binary.rhs, reach, found);
        }
        Expr::Paren(paren) => walk(&paren.expr, reach, found),
        Expr::Subquery(subquery) => {
            if subquery.at.is_none() {
                walk(
                    &subquery.expr,
                    reach.further(subquery.offset.as_ref(), subquery.range),
                    found,
                );
            }
        }
        Expr::Call(call) => {
            for argument in &call.args.args {
                walk(argument, reach, found);
            }
        }
        Expr::VectorSelector(selector) => add(selector, Duration::ZERO, reach, found),
        Expr::MatrixSelector(matrix) => add(&matrix.vs, matrix.range, reach, found),
        // Extensions are made by programs, never by the parser.
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn add(selector: &VectorSelector, range: Duration, reach: Reach, found: &mut BTreeSet<Selector>) {
    if selector.at.is_some() {
        return;
    }
    let name = selector.name.as_ref().map(|name| matcher("__name__", "=", name));
    let matchers = selector.matchers.matchers.iter().map(written);
    let series: Vec<String> = name.into_iter().chain(matchers).collect();
    let reach = reach.further(selector.offset.as_ref(), range);
    found.insert(Selector {
        series: format!("{{{}}}", series.join(",")),
        offset_ms: reach.offset_ms,
        range: reach.range,
    });
}

fn written(from: &Matcher) -> String {
    let op = match from.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Re(_) => "=~",
        MatchOp::NotRe(_) => "!~",
    };
    matcher(&from.name, op, &from.value)
}

/// A matcher as PromQL. The value was unescaped by the parser and is escaped again, as Go has it; all else stands for itself.
fn matcher(name: &str, op: &str, value: &str) -> String {
    let plain = name
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b':');
    let quoted = |text: &str| {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                other => quoted.push(other),
            }
        }
        quoted.push('"');
        quoted
    };
    // Names beyond ASCII are quoted, since Prometheus 3.
    let name = if plain { name.to_owned() } else { quoted(name) };
    format!("{name}{op}{}", quoted(value))
}

/// One query that asks for the age of all selectors at once; `None` if there is nothing to ask.
pub(crate) fn age_query(selectors: &BTreeSet<Selector>, fresh: Duration) -> Option<String> {
    let mut parts = Vec::new();
    for (number, selector) in selectors.iter().enumerate() {
        let offset = match selector.offset_ms {
            0 => String::new(),
            ms => format!(" offset {ms}ms"),
        };
        let series = &selector.series;
        let past = selector.offset_ms.max(0) as f64 / 1000.0;
        let now = format!("time() - {past} - max(timestamp({series}{offset}))");
        parts.push(tagged(&now, Question::Now, number));
        if selector.range > Duration::ZERO {
            // Four looks per scrape interval: the time between the last sample and the mark of its end is never missed.
            let (window, step) = (fresh.as_millis().max(8), (fresh.as_millis() / 8).max(1));
            let recent =
                format!("time() - {past} - max(max_over_time(timestamp({series}{offset})[{window}ms:{step}ms]))");
            parts.push(tagged(&recent, Question::Recent, number));
            let reach = selector.range.saturating_add(LOOKBACK).as_millis();
            let ever = format!("count(count_over_time({series}[{reach}ms]{offset}))");
            parts.push(tagged(&ever, Question::Ever, number));
        }
    }
    (!parts.is_empty()).then(|| parts.join(" or "))
}

/// What is asked about a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Seconds since its newest present sample.
    Now,
    /// Seconds since its newest sample in the last two scrape intervals, present or ended.
    Recent,
    /// Whether its range holds any sample.
    Ever,
}

impl Question {
    fn word(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Recent => "recent",
            Self::Ever => "ever",
        }
    }
}

fn tagged(expr: &str, question: Question, number: usize) -> String {
    let mut tagged = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        tagged,
        "label_replace({expr}, \"{LABEL}\", \"{}-{number}\", \"{LABEL}\", \"\")",
        question.word()
    );
    tagged
}

/// What the answer to [`age_query`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    /// The age of the oldest selector, where all that have a say tell theirs.
    pub(crate) age: Option<Duration>,
    /// Whether that is too old.
    pub(crate) stale: bool,
}

/// Reads the answer to [`age_query`].
pub(crate) fn age(selectors: &BTreeSet<Selector>, answer: &[Sample], fresh: Duration) -> Age {
    let said = |question: Question, number: usize| {
        let tag = format!("{}-{number}", question.word());
        answer
            .iter()
            .find(|sample| sample.labels.get(LABEL) == Some(&tag))
            .map(|sample| sample.value)
    };
    let (mut oldest, mut unknown) = (None::<f64>, false);
    for number in 0..selectors.len() {
        match said(Question::Now, number).or_else(|| said(Question::Recent, number)) {
            Some(seconds) => {
                // An age that is no number is not young.
                let seconds = if seconds.is_nan() { f64::INFINITY } else { seconds };
                oldest = Some(oldest.map_or(seconds, |oldest| oldest.max(seconds)));
            }
            None => unknown |= said(Question::Ever, number).is_some(),
        }
    }
    let age = oldest
        .filter(|_| !unknown)
        // A sample from the future, by a clock that is ahead, is not old. Beyond all measure is unknown.
        .and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    Age {
        age,
        stale: unknown || oldest.is_some_and(|seconds| seconds > fresh.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests;
