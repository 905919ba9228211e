//! Answers that the proxy gives itself.

use bytes::Bytes;
use fracas_core::problem::{Problem, Said};
use http_body_util::Full;
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use crate::body::Body;

/// Problem details (RFC 9457). Without a type of its own a problem has the title of its status.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Details<'d> {
    title: &'d str,
    status: u16,
    detail: &'d str,
    /// What is wrong with what was sent, one by one.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(with = "Option<&[Said]>")]
    problems: &'d [Said],
}

/// What went wrong, beside an answer that says it: some protocols have another way.
#[derive(Debug, Clone)]
pub(crate) struct Why(pub(crate) String);

/// An answer with this body.
pub(crate) fn with(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Own(Full::new(body.into())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// That a tunnel is open: nothing but its bytes follows.
pub(crate) fn empty() -> Response<Body> {
    Response::new(Body::Own(Full::default()))
}

/// The answer to a HEAD: what was said to it, and no body. In HTTP/1 hyper leaves the body away by itself, in HTTP/2 it does not.
pub(crate) fn to_head(mut response: Response<Body>) -> Response<Body> {
    let length = match response.body() {
        Body::Own(ours) => ours.size_hint().exact(),
        // No fault is put on the body of a HEAD.
        Body::Passed(_) | Body::Driven(_) | Body::Changed(_) => None,
    };
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Body::Own(Full::default()))
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => with(StatusCode::OK, "application/json", body),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "a value has no form"),
    }
}

/// That something went wrong, and what.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    details(status, detail, &[])
}

/// That something was asked for that is wrong.
pub(crate) fn refused(detail: &str, problems: &[Box<Problem>]) -> Response<Body> {
    let said: Vec<Said> = problems.iter().map(|problem| Said::from(&**problem)).collect();
    details(StatusCode::UNPROCESSABLE_ENTITY, detail, &said)
}

fn details(status: StatusCode, detail: &str, problems: &[Said]) -> Response<Body> {
    let details = Details {
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail,
        problems,
    };
    let body = serde_json::to_vec(&details).unwrap_or_default();
    let mut response = with(status, "application/problem+json", body);
    response.extensions_mut().insert(Why(detail.to_owned()));
    response
}
