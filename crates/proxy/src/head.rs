//! What the head of a request must be before anything is done about it: what two ends may understand in two ways goes to nobody.

use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};

use crate::{extended, headers};

/// Why a request goes to nobody, behind the status that says so. `None`: it may go.
pub(crate) fn wrong<B>(request: &Request<B>, opens_tunnels: bool) -> Option<(StatusCode, &'static str)> {
    if headers::is_coded(request.headers()) {
        let why = "a body may come in chunks, and in no other transfer coding";
        return Some((StatusCode::NOT_IMPLEMENTED, why));
    }
    if let Some(why) = address(request) {
        return Some((StatusCode::BAD_REQUEST, why));
    }
    if extended::is_other(request) {
        let why = "of the protocols that a stream may go over to (RFC 8441) this proxy knows websocket alone";
        return Some((StatusCode::NOT_IMPLEMENTED, why));
    }
    let why = "this proxy opens no tunnels to other hosts; with `--connect` it does";
    (request.method() == Method::CONNECT && !opens_tunnels).then_some((StatusCode::NOT_IMPLEMENTED, why))
}

/// What is wrong with whom a request calls (RFC 9112, 3.2 and 3.3).
fn address<B>(request: &Request<B>) -> Option<&'static str> {
    let uri = request.uri();
    if let Some(authority) = uri.authority() {
        if uri.scheme().is_none() && request.method() != Method::CONNECT {
            return Some("a host alone is the address of a CONNECT");
        }
        if authority.as_str().contains('@') {
            return Some("an address with a user is none of HTTP");
        }
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => Some("the request has two Host headers"),
        (Some(host), None) if !is_host(host) => Some("the Host is no name of a host"),
        (None, None) if request.version() == Version::HTTP_11 => Some("the request has no Host"),
        _ => None,
    }
}

/// An empty one is that of a server without a name.
fn is_host(host: &HeaderValue) -> bool {
    host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_one_meaning_is_named() {
        let of = |uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            wrong(&request.body(()).unwrap(), false).map_or(200, |(status, _)| status.as_u16())
        };
        let host = ("host", "a:1");
        assert_eq!(of("/", &[host]), 200);
        assert_eq!(of("/", &[("host", "")]), 200);
        assert_eq!(of("http://b/", &[host]), 200);
        assert_eq!(of("/", &[host, ("transfer-encoding", "Chunked")]), 200);
        assert_eq!(of("/", &[]), 400);
        assert_eq!(of("/", &[host, host]), 400);
        assert_eq!(of("/", &[("host", "a b")]), 400);
        assert_eq!(of("/", &[("host", "u@a")]), 400);
        assert_eq!(of("http://u@a/", &[host]), 400);
        assert_eq!(of("a:1", &[host]), 400);
        for coding in ["gzip, chunked", "gzip", "chunked, chunked"] {
            assert_eq!(of("/", &[host, ("transfer-encoding", coding)]), 501, "{coding}");
        }
    }
}
