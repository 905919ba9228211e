//! Measurements and what is expected of them. Reading is in `fracas-probe`; here is what a reading means.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{NotAQuantity, Span};

/// One measurement, taken again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// Its name; unique within the experiment.
    pub name: String,
    /// What it is for, in the author's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is measured.
    pub source: Source,
    /// The hypothesis: what must hold.
    pub expect: Option<Expect>,
    /// Danger: when this holds, everything stops.
    pub abort: Option<Expect>,
    /// At which moments it is judged, and over which readings.
    pub when: Vec<When>,
    /// Whether a violation changes the verdict. Always true in native experiments.
    pub critical: bool,
}

/// A moment at which a probe is judged, with the readings that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct When {
    /// Before, during or after the faults.
    pub moment: Moment,
    /// Which readings of the moment.
    pub over: Over,
}

/// The three moments of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// In the baseline, before the first fault.
    Before,
    /// While at least one injection is applied.
    During,
    /// After the rollback.
    After,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::During => "during",
            Self::After => "after",
        })
    }
}

/// Which readings of a moment decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The last one: the state at the end of the moment.
    Last,
    /// Every one: the worst reading decides.
    Whole,
    /// Every one of the last so long, clamped to the moment.
    Window(Span),
}

/// Where a measurement comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// An instant query to Prometheus. Its values: one per series.
    Prometheus(Prometheus),
    /// A request. Its value: 1 or 0, or what `measure` says.
    Http(Http),
    /// A connection. Its value: 1 or 0, or what `measure` says.
    Tcp(Tcp),
    /// A program. Its value: its exit code, or the number it prints.
    Command(Command),
    /// Lines in the logs of containers since the first injection. Its value: how many match.
    Log(Log),
    /// Processes of this machine. Its value: how many match.
    Process(ProcessCount),
}

impl Source {
    /// The key of the source in a document.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prometheus(_) => "prometheus",
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Command(_) => "command",
            Self::Log(_) => "log",
            Self::Process(_) => "process",
        }
    }
}

/// An instant query to Prometheus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// PromQL. Several series: `<` judges the largest, `>` the smallest, `==` and `!=` every one.
    pub query: String,
    /// Base address of the server. Default: the setting `prometheus.url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How often Prometheus scrapes the metric; data older than twice this is stale, and for an abort threshold stale is danger.
    /// Default 15s.
    #[serde(default = "fifteen_seconds")]
    pub scrape_interval: Span,
    /// How long to wait for an answer. Default 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
}

/// An HTTP GET.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// What to ask for.
    pub url: String,
    /// The status that counts as 1. Default: any from 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long to wait for the whole answer. Default 5s.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// What the value is. Default `up`.
    #[serde(default)]
    pub measure: HttpMeasure,
}

/// What the value of an [`Http`] probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpMeasure {
    /// 1 if the answer had the right status, else 0.
    #[default]
    Up,
    /// Seconds until the whole answer was there; no answer is an error.
    Latency,
    /// The status; no answer is an error.
    Status,
}

/// A TCP connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// `host:port`.
    pub address: String,
    /// How long to wait for the connection. Default 5s.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// What the value is. Default `up`.
    #[serde(default)]
    pub measure: TcpMeasure,
}

/// What the value of a [`Tcp`] probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TcpMeasure {
    /// 1 if the connection was made, else 0.
    #[default]
    Up,
    /// Seconds until it was made; none is an error.
    Latency,
}

/// A program, by argument vector: there is no shell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// After this it is killed, with all that it started. Default 10s.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// What the value is. Default `exit_code`.
    #[serde(default)]
    pub measure: CommandMeasure,
}

/// What the value of a [`Command`] probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandMeasure {
    /// The exit code.
    #[default]
    ExitCode,
    /// The number that it prints; a non-zero exit code is an error.
    Number,
}

/// Lines in containers' logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Regular expression that a line must contain.
    pub pattern: String,
    /// The containers of this target alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The containers whose name this regular expression matches; ended ones too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// Processes of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessCount {
    /// Regular expression that the command line must match, anchored at both ends.
    pub command: String,
}

fn five_seconds() -> Span {
    Span::secs(5)
}
fn ten_seconds() -> Span {
    Span::secs(10)
}
fn fifteen_seconds() -> Span {
    Span::secs(15)
}

/// A comparison with a number: `< 0.2`, `== 1`, `> 5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expect {
    /// The comparison.
    pub op: Op,
    /// The number; `5%` is 0.05.
    pub number: f64,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
}

impl Op {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
            Self::Unequal => "!=",
        }
    }
}

impl Expect {
    /// Whether one number satisfies it. NaN satisfies nothing, not even `!=`: it is no measurement.
    pub fn holds(self, value: f64) -> bool {
        !value.is_nan()
            && match self.op {
                Op::Less => value < self.number,
                Op::AtMost => value <= self.number,
                Op::Greater => value > self.number,
                Op::AtLeast => value >= self.number,
                #[expect(clippy::float_cmp, reason = "`== 1` in a document means exactly 1")]
                Op::Equal => value == self.number,
                #[expect(clippy::float_cmp, reason = "`!= 1` in a document means exactly 1")]
                Op::Unequal => value != self.number,
            }
    }

    /// The value that decides for several series: the one that is hardest on the expectation. NaN is harder than any number.
    /// `None` if there is none.
    pub fn decisive(self, values: &[f64]) -> Option<f64> {
        if let Some(nan) = values.iter().find(|value| value.is_nan()) {
            return Some(*nan);
        }
        let values = values.iter().copied();
        match self.op {
            Op::Less | Op::AtMost => values.reduce(f64::max),
            Op::Greater | Op::AtLeast => values.reduce(f64::min),
            // The first that fails, else any.
            Op::Equal | Op::Unequal => values
                .clone()
                .find(|value| !self.holds(*value))
                .or(values.clone().next()),
        }
    }

    /// Whether all series satisfy it; `None` without data.
    pub fn all_hold(self, values: &[f64]) -> Option<bool> {
        self.decisive(values).map(|value| self.holds(value))
    }

    /// Whether any series satisfies it: how an abort threshold is read, for one series in danger is danger. NaN is danger too.
    pub fn any_holds(self, values: &[f64]) -> Option<bool> {
        if values.is_empty() {
            return None;
        }
        Some(values.iter().any(|value| value.is_nan() || self.holds(*value)))
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op.symbol(), self.number)
    }
}

impl FromStr for Expect {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = |why: &str| {
            NotAQuantity(format!(
                "{text:?} is not a comparison: {why}; write it like \"< 0.2\" or \"== 1\""
            ))
        };
        let trimmed = text.trim();
        let (op, rest) = [
            ("<=", Op::AtMost),
            (">=", Op::AtLeast),
            ("==", Op::Equal),
            ("!=", Op::Unequal),
            ("<", Op::Less),
            (">", Op::Greater),
        ]
        .iter()
        .find_map(|(symbol, op)| trimmed.strip_prefix(symbol).map(|rest| (*op, rest.trim())))
        .ok_or_else(|| bad("it does not begin with <, <=, >, >=, == or !="))?;
        let (digits, scale) = rest
            .strip_suffix('%')
            .map_or((rest, 1.0), |digits| (digits.trim_end(), 0.01));
        let number: f64 = digits.parse().map_err(|_| bad("what follows is not a number"))?;
        if !number.is_finite() {
            return Err(bad("the number is not finite"));
        }
        Ok(Self {
            op,
            number: number * scale,
        })
    }
}

impl Serialize for Expect {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expect".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A comparison with a number: `< 0.2`, `== 1`, `> 5%`.",
            "type": "string",
            "pattern": "^ *(<=|>=|==|!=|<|>) *-?[0-9.]+([eE][-+]?[0-9]+)? *%?$"
        })
    }
}

/// What one measurement gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// The values, one per series; empty is "no data". In JSON, NaN and infinity are texts.
    #[serde(default, with = "crate::number::list")]
    #[schemars(with = "Vec<crate::number::Number>")]
    pub values: Vec<f64>,
    /// How old the data behind it is, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Span>,
    /// Over how long a time a function of the query looks back: `1m` for `rate(x[1m])`. Two readings that are closer share data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Span>,
    /// Whether the data is too old to be believed.
    #[serde(default)]
    pub stale: bool,
    /// Why there is no measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Reading {
    /// A measurement with one value.
    pub fn of(value: f64) -> Self {
        Self {
            values: vec![value],
            age: None,
            range: None,
            stale: false,
            error: None,
        }
    }

    /// No measurement.
    pub fn failed(why: impl Into<String>) -> Self {
        Self {
            values: Vec::new(),
            age: None,
            range: None,
            stale: false,
            error: Some(why.into()),
        }
    }

    /// Why this reading does not satisfy the expectation; `None` if it does. No data, stale data, NaN and errors never do.
    pub fn violates(&self, expect: Expect) -> Option<String> {
        if let Some(why) = self.blind() {
            return Some(why);
        }
        let value = expect.decisive(&self.values)?;
        if expect.holds(value) {
            None
        } else {
            Some(format!("value {value} fails threshold {expect}"))
        }
    }

    /// Why this reading is danger under an abort threshold; `None` if it is not. No measurement counts as danger.
    pub fn endangers(&self, abort: Expect) -> Option<String> {
        if let Some(why) = self.blind() {
            return Some(format!("{why}, and without data nobody knows that it is safe"));
        }
        let culprit = self
            .values
            .iter()
            .copied()
            .find(|value| value.is_nan() || abort.holds(*value))?;
        Some(format!("value {culprit} crosses abort threshold {abort}"))
    }

    /// Why nothing can be concluded from this reading.
    fn blind(&self) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(error.clone());
        }
        if self.values.is_empty() {
            return Some("no data".to_owned());
        }
        if self.stale {
            return Some(
                self.age
                    .map_or_else(|| "data is stale".to_owned(), |age| format!("data is stale: {age} old")),
            );
        }
        None
    }
}

#[cfg(test)]
mod tests;
