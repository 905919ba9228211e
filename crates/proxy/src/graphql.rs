//! What GraphQL makes of HTTP: which requests are its, and how it says that something went wrong (GraphQL over HTTP; the specification of
//! GraphQL, 7.1).

mod data;
mod gathered;

use std::sync::Arc;
use std::time::Duration;

use fracas_core::chaos::Graphql;
use hyper::body::Body as _;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::answer::{self, Body};
use crate::identity::Chance;
use crate::service::Shared;
use data::Answer;

/// What is told of a failure.
const WHY: &str = "this error was made by Fracas";
/// In bytes: what is held of an answer.
const LARGEST: usize = 1 << 20;
/// For all of it.
const LIMIT: Duration = Duration::from_secs(5);
/// Nothing is held for longer.
const LONGEST: Duration = Duration::from_hours(1);

#[derive(Debug, Serialize)]
struct Failed<'a> {
    errors: [Failure<'a>; 1],
    data: (),
}

/// An error, as it stands in `errors`.
#[derive(Debug, Serialize)]
struct Failure<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<[&'a str; 1]>,
    extensions: Extensions<'a>,
}

#[derive(Debug, Serialize)]
struct Extensions<'a> {
    code: &'a str,
}

/// Whether the block is about this request.
pub(crate) fn is_about<B>(block: &Graphql, request: &Request<B>) -> bool {
    let uri = request.uri();
    let asks = || match *request.method() {
        Method::POST => is_json(request.headers(), "application/graphql+json"),
        Method::GET => uri
            .query()
            .is_some_and(|query| query.split('&').any(|part| part.starts_with("query="))),
        _ => false,
    };
    uri.path() == block.path && asks()
}

/// The answer to a request that is to fail. `None`: it is not.
pub(crate) fn failure(block: &Graphql, chance: &Chance) -> Option<Response<Body>> {
    if !chance.happens("proxy graphql_error", block.error_probability) {
        return None;
    }
    let code = chance.one_of("proxy graphql_error code", &block.error_codes)?;
    let failed = Failed {
        errors: [Failure {
            message: WHY,
            path: None,
            extensions: Extensions { code },
        }],
        data: (),
    };
    let body = serde_json::to_vec(&failed).ok()?;
    Some(answer::with(StatusCode::OK, "application/json", body))
}

/// Whether the answer to this request is to lose a field.
pub(crate) fn is_partial(block: &Graphql, chance: &Chance) -> bool {
    chance.happens("proxy graphql_partial_data", block.partial_data_probability)
}

/// An answer that meets what is to be done to its data.
pub(crate) async fn meet(
    block: &Graphql,
    chance: &Chance,
    shared: &Arc<Shared>,
    response: Response<Body>,
    mut met: impl FnMut(&'static str),
) -> Response<Body> {
    let is_partial = is_partial(block, chance);
    let for_each = if block.resolver_latency {
        block.resolver_latency_ms
    } else {
        0.0
    };
    let is_told = is_json(response.headers(), "application/graphql-response+json")
        && !response.headers().contains_key(CONTENT_ENCODING)
        && !response.body().is_end_stream();
    if !is_told || !is_partial && for_each == 0.0 {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let whole = match gathered::gather(body, LARGEST, shared.live.room(), LIMIT, shared.pardon()).await {
        Ok(whole) => whole,
        Err(body) => return Response::from_parts(head, body),
    };
    let mut changed = None;
    if let Some(answer) = std::str::from_utf8(&whole.bytes).ok().and_then(Answer::of) {
        let fields = answer.fields();
        if for_each > 0.0 && fields > 0 {
            met("graphql_resolver_latency");
            let delay = Duration::try_from_secs_f64(for_each * fields as f64 / 1000.0).unwrap_or(LONGEST);
            shared.holds(delay.min(LONGEST)).await;
        }
        let is_partial = is_partial && !shared.is_pardoned();
        changed = is_partial.then(|| answer.without_a_field(chance)).flatten();
    }
    if changed.is_some() {
        met("graphql_partial_data");
    }
    let bytes = changed.map_or_else(|| whole.bytes.clone(), Into::into);
    // It was whole, whatever was said of its length before.
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(head, whole.with(bytes))
}

/// What lost a field is JSON, too.
pub(crate) fn fuzz(bytes: &[u8]) {
    let chance = Chance::of_bytes(bytes);
    let text = std::str::from_utf8(bytes).ok().and_then(Answer::of);
    if let Some(new) = text.and_then(|answer| answer.without_a_field(&chance)) {
        assert!(Answer::of(&new).is_some(), "{new}");
    }
}

/// Whether a body is of JSON, or of this kind of it.
fn is_json(headers: &HeaderMap, own: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_path_and_kind() {
        let block = Graphql::default();
        let of = |method: &str, uri: &str, kind: &str| {
            let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, kind);
            is_about(&block, &request.body(()).unwrap())
        };
        let json = "application/json";
        assert!(of("POST", "/graphql", json) && of("POST", "/graphql?a=b", "Application/JSON; charset=utf-8"));
        assert!(of("GET", "/graphql?operationName=a&query=%7Ba%7D", ""));
        for (method, uri, kind) in [
            ("POST", "/graphql/", json),
            ("POST", "/", json),
            ("POST", "/graphql", "text/plain"),
            ("GET", "/graphql", json),
            ("GET", "/graphql?aquery=1", json),
            ("PUT", "/graphql?query=1", json),
        ] {
            assert!(!of(method, uri, kind), "{method} {uri} {kind}");
        }
    }
}
