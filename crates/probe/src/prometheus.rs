//! Instant queries to Prometheus, and how old the data behind them is.

mod answer;
pub(crate) mod selectors;

use std::time::Duration;

use fracas_core::probe::{Prometheus, Reading};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::units::Span;
use promql_parser::parser::value::ValueType;
use reqwest::Url;

pub(crate) use self::answer::excerpt;
use self::answer::{Refusal, Sample};
use crate::web::{self, Web};

/// Parses arbitrary bytes as an answer of Prometheus: the entry of the fuzzer. Nothing may panic.
pub fn fuzz_answer(bytes: &[u8]) {
    for status in [200, 400, 503] {
        if let Ok(samples) = answer::parse(status, bytes) {
            let selectors = selectors::selectors("up + rate(x[1m])").unwrap_or_default();
            let _ = selectors::age(&selectors, &samples, Duration::from_secs(30));
        }
    }
}

/// Why there is no answer.
enum Trouble {
    /// Nobody answered, or not as HTTP says.
    Unreachable(String),
    /// Somebody answered, but no samples.
    Refused(Refusal),
}

impl Trouble {
    fn words(self, url: &Url) -> String {
        match self {
            Self::Unreachable(why) => format!("Prometheus at {} cannot be reached: {why}", web::shown(url)),
            Self::Refused(refusal) => format!("Prometheus at {}: {refusal}", web::shown(url)),
        }
    }

    fn into_result<T>(self, url: &Url, query: &str) -> Result<T> {
        let at = web::shown(url);
        Err(match self {
            Self::Unreachable(why) => Problem::new(
                &codes::PROBE_UNREACHABLE,
                format!("Prometheus at {at} cannot be reached"),
            )
            .since(why),
            Self::Refused(refusal) => match refusal {
                Refusal::Server(_) => {
                    Problem::new(&codes::PROBE_UNREACHABLE, format!("Prometheus at {at} gives no answer"))
                }
                Refusal::Nonsense(_) => Problem::new(
                    &codes::PROBE_ANSWER,
                    format!("what answers at {at} does not answer like Prometheus"),
                ),
                Refusal::Query(_) | Refusal::Type(_) => {
                    Problem::new(&codes::PROBE_QUERY, format!("the query `{query}` cannot be used"))
                }
            }
            .since(refusal.to_string()),
        })
    }
}

/// The address of the query interface under the server's base address, which may have a path of its own.
fn endpoint(base: &str) -> Result<Url, String> {
    let mut url = web::address(base)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "{base:?} is not the base address of a server: leave out what follows `?` or `#`"
        ));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1", "query"]);
    }
    Ok(url)
}

/// Takes a reading.
pub(crate) async fn read(web: &Web, base: &str, source: &Prometheus) -> Reading {
    let url = match endpoint(base) {
        Ok(url) => url,
        Err(why) => return Reading::failed(why),
    };
    let selectors = match selectors::selectors(&source.query) {
        Ok(selectors) => selectors,
        Err(why) => return Reading::failed(format!("the query cannot be read: {why}")),
    };
    let samples = match ask(web, &url, &source.query, None).await {
        Ok(samples) => samples,
        Err(trouble) => return Reading::failed(trouble.words(&url)),
    };
    let values = samples.iter().map(|sample| sample.value).collect();
    let fresh = fresh(source);
    // Asked for the time of the first evaluation: a scrape in between must not make the values look younger than they are.
    let aged = match (samples.first(), selectors::age_query(&selectors, fresh)) {
        (Some(sample), Some(query)) => match ask(web, &url, &query, Some(sample.time)).await {
            Ok(answer) => Some(selectors::age(&selectors, &answer, fresh)),
            Err(trouble) => {
                return Reading::failed(format!("the age of the data cannot be told: {}", trouble.words(&url)));
            }
        },
        // No data has no age; numbers that come from no series neither.
        _ => None,
    };
    Reading {
        values,
        age: aged.and_then(|aged| aged.age).map(Span),
        range: selectors::longest_range(&selectors),
        stale: aged.is_some_and(|aged| aged.stale),
        error: None,
    }
}

/// Checks before anything is touched: the server answers as Prometheus does, and takes the query and the question for its age. That
/// the query has data is not asked: the series may come with the load.
///
/// # Errors
///
/// P001 if the server cannot be reached, P002 if what answers is not Prometheus, P003 if the query is refused or gives no numbers.
pub(crate) async fn check(web: &Web, base: &str, source: &Prometheus) -> Result<()> {
    let url = endpoint(base).map_err(|why| Problem::new(&codes::PROBE_UNREACHABLE, why))?;
    let refuse = |why: String| {
        Problem::new(
            &codes::PROBE_QUERY,
            format!("the query `{}` cannot be used", source.query),
        )
        .since(why)
    };
    let parsed = selectors::parse(&source.query).map_err(refuse)?;
    if !matches!(parsed.value_type(), ValueType::Vector | ValueType::Scalar) {
        return Err(refuse(format!(
            "it gives a {}; a probe needs numbers: an instant vector or a scalar",
            parsed.value_type()
        )));
    }
    ask(web, &url, &source.query, None)
        .await
        .or_else(|trouble| trouble.into_result(&url, &source.query))?;
    let selectors = selectors::selectors(&source.query).map_err(refuse)?;
    if let Some(query) = selectors::age_query(&selectors, fresh(source)) {
        ask(web, &url, &query, None)
            .await
            .or_else(|trouble| trouble.into_result(&url, &query))?;
    }
    Ok(())
}

/// How old data may be.
fn fresh(source: &Prometheus) -> Duration {
    source.scrape_interval.0.saturating_mul(2)
}

/// Asks one instant query, for now or for a time of the server's clock.
async fn ask(web: &Web, url: &Url, query: &str, time: Option<f64>) -> Result<Vec<Sample>, Trouble> {
    let time = time.map(|time| format!("{time:.3}"));
    let mut form = vec![("query", query)];
    form.extend(time.as_deref().map(|time| ("time", time)));
    let unreachable = |error| Trouble::Unreachable(web.explain(error));
    let response = web.post_form(url.clone(), &form).send().await.map_err(unreachable)?;
    let status = response.status();
    if status.is_redirection() {
        return Err(Trouble::Refused(Refusal::Nonsense(format!(
            "the answer (HTTP {}) sends elsewhere, and redirects are not followed: give the final address",
            status.as_u16()
        ))));
    }
    let body = web::body(response).await.map_err(unreachable)?;
    if body.cut {
        return Err(Trouble::Refused(Refusal::Nonsense(format!(
            "the answer is larger than {} MiB: aggregate in the query, e.g. with max()",
            web::LARGEST_BODY >> 20
        ))));
    }
    answer::parse(status.as_u16(), &body.bytes).map_err(Trouble::Refused)
}
