//! What gRPC makes of HTTP: which requests are its calls, and how it says that something went wrong
//! (`PROTOCOL-HTTP2.md` of grpc/grpc).

mod interruption;
pub(crate) mod messages;

use fracas_core::chaos::Grpc;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

use crate::answer::{self, Body, Why};
use crate::identity::Chance;

pub(crate) use interruption::interrupt;
#[cfg(test)]
pub(crate) use interruption::is_interrupted;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The status of a failure that was made, in an answer whose status of HTTP is as near to it as there is one.
#[derive(Debug, Clone, Copy)]
struct Code(u8);

/// The kind of messages of a call. `None`: the request is none.
pub(crate) fn kind<B>(request: &Request<B>) -> Option<HeaderValue> {
    let kind = request.headers().get(CONTENT_TYPE)?;
    let is_call = request.version() == Version::HTTP_2 && request.method() == Method::POST && is_grpc(kind);
    is_call.then(|| kind.clone())
}

/// Not so: `application/grpc-web`.
fn is_grpc(kind: &HeaderValue) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let bytes = kind.as_bytes();
    let begins = bytes
        .get(..NAME.len())
        .is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    begins && matches!(bytes.get(NAME.len()), None | Some(b'+' | b';' | b' '))
}

/// The answer to a call that is to fail. `None`: it is not.
pub(crate) fn failure(block: &Grpc, chance: &Chance) -> Option<Response<Body>> {
    if !chance.happens("proxy grpc_status", block.status_code_probability) {
        return None;
    }
    let code = *chance.one_of("proxy grpc_status code", &block.status_codes)?;
    let mut failed = answer::problem(http(code), "this status was made by Fracas");
    failed.extensions_mut().insert(Code(code));
    Some(failed)
}

/// Says to a call in its own way what went wrong. What the upstream said stays.
pub(crate) fn tell(response: Response<Body>, kind: HeaderValue) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let Some(Why(why)) = head.extensions.remove::<Why>() else {
        return Response::from_parts(head, body);
    };
    let code = head
        .extensions
        .remove::<Code>()
        .map_or_else(|| status(head.status), |Code(code)| code);
    head.status = StatusCode::OK;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, kind);
    put(&mut head.headers, code, &why);
    Response::from_parts(head, Body::Own(http_body_util::Full::default()))
}

/// A status as it stands in headers or trailers.
fn put(headers: &mut HeaderMap, code: u8, why: &str) {
    headers.insert(STATUS, HeaderValue::from(u16::from(code)));
    if let Ok(message) = HeaderValue::from_str(&percent(why)) {
        headers.insert(MESSAGE, message);
    }
}

/// What is no printable ASCII as `%` and its hexadecimal form.
fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    let mut all = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            all.push(char::from(byte));
        } else {
            // A String takes all that is written.
            let _written = write!(all, "%{byte:02X}");
        }
    }
    all
}

/// What an error of HTTP is, as the original of seed 3 has it; and 502, which clients take for the same when it comes as such.
fn status(http: StatusCode) -> u8 {
    match http.as_u16() {
        400 => 3,
        401 => 16,
        403 => 7,
        404 => 5,
        429 => 8,
        500 => 13,
        501 => 12,
        502 | 503 => 14,
        504 => 4,
        _ => 2,
    }
}

/// The other way round (`google/rpc/code.proto`), for whoever judges by the status of HTTP.
fn http(code: u8) -> StatusCode {
    match code {
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        // The client gave up: none of the standard says so.
        1 => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_kind() {
        let of = |version, method: &str, kind: &str| {
            let request = Request::builder()
                .version(version)
                .method(method)
                .header(CONTENT_TYPE, kind);
            super::kind(&request.body(()).unwrap()).is_some()
        };
        for kind in ["application/grpc", "application/grpc+proto", "Application/GRPC;a=b"] {
            assert!(of(Version::HTTP_2, "POST", kind), "{kind}");
        }
        for kind in [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/json",
            "application/grp",
        ] {
            assert!(!of(Version::HTTP_2, "POST", kind), "{kind}");
        }
        assert!(!of(Version::HTTP_11, "POST", "application/grpc"));
        assert!(!of(Version::HTTP_2, "GET", "application/grpc"));
    }

    #[test]
    fn a_message_has_nothing_that_a_header_could_not_say() {
        assert_eq!(percent("100 % of\n\u{e4}"), "100 %25 of%0A%C3%A4");
    }

    #[test]
    fn errors_of_http_have_the_statuses_of_the_original() {
        let map = [
            (400, 3),
            (401, 16),
            (403, 7),
            (404, 5),
            (429, 8),
            (500, 13),
            (501, 12),
            (502, 14),
            (503, 14),
            (504, 4),
            (408, 2),
            (599, 2),
        ];
        for (http, grpc) in map {
            assert_eq!(status(StatusCode::from_u16(http).unwrap()), grpc, "{http}");
        }
    }

    #[test]
    fn a_failure_of_the_server_is_one_for_the_circuit_breaker() {
        let of = |code| http(code).is_server_error();
        assert!([2, 4, 12, 13, 14, 15].into_iter().all(of));
        assert!(![1, 3, 5, 6, 7, 8, 9, 10, 11, 16].into_iter().any(of));
    }
}
