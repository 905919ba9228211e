//! Prometheus' answers, as <https://prometheus.io/docs/prometheus/latest/querying/api/> describes them. Hostile until parsed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The most series of one reading: each becomes a value in the events of a run.
const MOST_SERIES: usize = 10_000;

/// One series of an instant query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// The time of the evaluation, in seconds since 1970 by the server's clock.
    pub(crate) time: f64,
    /// Its value; may be NaN or infinite.
    pub(crate) value: f64,
}

/// Why an answer gives no samples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The server understood the request and refused the query.
    #[error("Prometheus refused the query: {0}")]
    Query(String),
    /// The server could not answer: overloaded, starting, out of time.
    #[error("Prometheus could not answer: {0}")]
    Server(String),
    /// The query gives something that is no number.
    #[error("the query gives {0}; a probe needs numbers: an instant vector or a scalar")]
    Type(String),
    /// This is not what Prometheus answers.
    #[error("{0}")]
    Nonsense(String),
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<Data>,
    #[serde(rename = "errorType")]
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Value,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
}

/// Parses the answer to an instant query. `status` is that of HTTP. Warnings in the answer are left alone: they come with results.
pub(crate) fn parse(status: u16, body: &[u8]) -> Result<Vec<Sample>, Refusal> {
    let nonsense = |why: &str| Refusal::Nonsense(format!("the answer (HTTP {status}) {why}"));
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| {
        if looks_like_html(body) {
            nonsense("is HTML: is this really the address of Prometheus?")
        } else if body.trim_ascii().is_empty() {
            nonsense("is empty: is this really the address of Prometheus?")
        } else {
            nonsense(&format!("is not that of Prometheus ({error}): {}", excerpt(body)))
        }
    })?;
    match envelope.status.as_str() {
        "error" => return Err(refusal(&envelope)),
        "success" => {}
        other => {
            return Err(nonsense(&format!(
                "has the unknown status {}",
                excerpt(other.as_bytes())
            )));
        }
    }
    let data = envelope
        .data
        .ok_or_else(|| nonsense("says success and holds no data"))?;
    match data.result_type.as_str() {
        "vector" => vector(data.result).map_err(|why| nonsense(&why)),
        "scalar" => {
            let value = serde_json::from_value(data.result)
                .map_err(|error| nonsense(&format!("holds a scalar of the wrong form: {error}")))?;
            Ok(vec![sample(BTreeMap::new(), value).map_err(|why| nonsense(&why))?])
        }
        "matrix" => Err(Refusal::Type(
            "a range vector; take one value of it, e.g. with rate() or max_over_time()".to_owned(),
        )),
        "string" => Err(Refusal::Type("a string".to_owned())),
        other => Err(Refusal::Type(format!("a result of type {}", excerpt(other.as_bytes())))),
    }
}

fn refusal(envelope: &Envelope) -> Refusal {
    let kind = envelope.error_type.as_deref().unwrap_or("unknown");
    let said = envelope.error.as_deref().unwrap_or("no reason given");
    let text = format!("{}: {}", excerpt(kind.as_bytes()), excerpt(said.as_bytes()));
    match kind {
        // The query's own fault: it does not parse, or cannot be evaluated on these series.
        "bad_data" | "execution" => Refusal::Query(text),
        _ => Refusal::Server(text),
    }
}

fn vector(result: Value) -> Result<Vec<Sample>, String> {
    let Value::Array(items) = result else {
        return Err("says vector and holds none".to_owned());
    };
    if items.len() > MOST_SERIES {
        return Err(format!(
            "holds {} series, at most {MOST_SERIES} are read: aggregate in the query, e.g. with max()",
            items.len()
        ));
    }
    items
        .into_iter()
        .map(|item| {
            let series: Series =
                serde_json::from_value(item).map_err(|error| format!("holds a series of the wrong form: {error}"))?;
            let value = series.value.ok_or_else(|| {
                "holds a series without a number, perhaps a native histogram: take a number of it, e.g. with \
                 histogram_quantile()"
                    .to_owned()
            })?;
            sample(series.metric, value)
        })
        .collect()
}

fn sample(labels: BTreeMap<String, String>, (time, text): (f64, String)) -> Result<Sample, String> {
    // Go writes NaN, +Inf and -Inf; Rust reads them.
    let value = text
        .parse()
        .map_err(|_| format!("holds the value {}, which is no number", excerpt(text.as_bytes())))?;
    Ok(Sample { labels, time, value })
}

fn looks_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// The beginning of a foreign text, safe to print: no control characters, at most 200 characters.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MOST: usize = 200;
    // Lossy decoding of the head only: a character is at most 4 bytes.
    let head = String::from_utf8_lossy(&text[..text.len().min(MOST * 4)]);
    let mut excerpt: String = head
        .trim()
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if head.trim().chars().count() > MOST || text.len() > MOST * 4 {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests;
