//! What an orchestration does besides what it does to traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happens before or after a step, or an orchestration. It fails or does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Hook {
    /// Sets a variable. Never fails.
    SetVariable(VariableHook),
    /// Adds a line to the `log` of its status, which keeps the last 100. Never fails.
    Log(LogHook),
    /// Sends a request. Fails if there is no answer, or one with a status of 400 or more.
    HttpRequest(HttpHook),
    /// Runs a program on the machine of the proxy. Fails unless its exit code is 0. Only from a file that was given to the proxy itself, or
    /// with `--allow-exec`.
    Command(CommandHook),
    /// Records a number, for conditions, assertions and the `metrics` of its status. Never fails.
    RecordMetric(MetricHook),
}

/// A variable that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VariableHook {
    /// Its name. At most 1000 characters.
    pub name: String,
    /// What it is from now on. At most 1000 characters.
    pub value: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogHook {
    /// What it says. At most 1000 characters.
    pub message: String,
}

/// A request that is sent. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpHook {
    /// To where: `http://host:port/path`, on this machine unless the proxy was started with `--allow-upstream` for its network. Never an
    /// address that is link-local, or one by which clouds tell about their machines. Nor the proxy's own APIs (beneath `/api/chaos/`, the
    /// addresses of `--api-listen`, `--toxiproxy-api` and `--metrics-listen`), unless the orchestration may run programs: by `--orchestration`
    /// of `fracas proxy`, or `--allow-exec`. Its traffic may be asked for as any other. A name is looked up once for each request. At most
    /// 1000 characters.
    pub url: String,
    /// Its method.
    #[serde(default = "get")]
    pub method: String,
    /// Its body, which is said to be JSON if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How long it may take, in seconds: from 0.001 to 60.
    #[serde(default = "ten")]
    pub timeout_seconds: f64,
}

/// A program that is run, by its argument vector: there is no shell. What it prints is thrown away, but for the beginning of what it says
/// when it fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandHook {
    /// The program and its arguments.
    #[schemars(length(min = 1))]
    pub argv: Vec<String>,
    /// How long it may take, in seconds: from 0.001 to 60. Then it is killed, with what it began.
    #[serde(default = "ten")]
    pub timeout_seconds: f64,
}

/// A number that is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricHook {
    /// Its name: not one of those that are measured. At most 1000 characters.
    pub name: String,
    /// What it is from now on.
    pub value: f64,
}

/// How often a step that failed is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often it is tried at most, the first time included: from 1 to 100.
    pub max_attempts: u32,
    /// How many seconds pass before it is tried again. At most an hour, 3600.
    #[serde(default)]
    pub delay_seconds: f64,
    /// Whether that doubles each time, up to an hour.
    #[serde(default)]
    pub exponential_backoff: bool,
}

fn get() -> String {
    "GET".to_owned()
}

fn ten() -> f64 {
    10.0
}

impl Hook {
    /// As it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetVariable(_) => "set_variable",
            Self::Log(_) => "log",
            Self::HttpRequest(_) => "http_request",
            Self::Command(_) => "command",
            Self::RecordMetric(_) => "record_metric",
        }
    }
}

impl Retry {
    /// In seconds; the longest that there is between two attempts.
    const LONGEST: f64 = 3600.0;

    /// How many seconds pass after so many attempts.
    pub fn delay(&self, attempts: u32) -> f64 {
        let doubled = if self.exponential_backoff {
            attempts.saturating_sub(1)
        } else {
            0
        };
        let factor = 2_f64.powi(i32::try_from(doubled).unwrap_or(i32::MAX));
        (self.delay_seconds * factor).min(Self::LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_or_double_up_to_an_hour() {
        let retry = |exponential_backoff| Retry {
            max_attempts: 100,
            delay_seconds: 3.0,
            exponential_backoff,
        };
        let delays = |doubles| [1, 2, 3, 100].map(|attempts| retry(doubles).delay(attempts) as u32);
        assert_eq!(delays(false), [3; 4]);
        assert_eq!(delays(true), [3, 6, 12, 3600]);
    }
}
