//! One answer. The request's line and headers are all that is looked at.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::metrics::{Form, Page};

const PATH: &str = "/metrics";

/// What is answered to this.
pub(super) fn answer<B>(request: &Request<B>, page: &Page) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return plain(StatusCode::NOT_FOUND, "there is nothing but /metrics\n");
    }
    // That the answer to HEAD has no body is seen to by hyper.
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read, by GET or HEAD\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let accepts = request.headers().get_all(ACCEPT).iter();
    let accepts: Vec<_> = accepts.filter_map(|accept| accept.to_str().ok()).collect();
    let form = Form::accepted(&accepts.join(","));
    match page.text(form) {
        Ok(text) => said(StatusCode::OK, form.content_type(), text.into()),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "a value has no form\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    said(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn said(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
