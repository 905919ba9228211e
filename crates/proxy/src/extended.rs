//! WebSocket in a stream of HTTP/2 (an extended CONNECT, RFC 8441): on the way in it becomes what it is in HTTP/1.1, so that all that is about a
//! handshake there is about it, too, and on the way out the answer becomes one of HTTP/2 again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::ext::Protocol;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::answer::{self, Body};
use crate::headers;
use crate::websocket::Session;

const NAME: &str = "websocket";

/// The request is one of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extended;

/// Makes the handshake that it stands for, if it is one.
pub(crate) fn begin<B>(request: &mut Request<B>) {
    let is_one = request.method() == Method::CONNECT
        && request
            .extensions()
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case(NAME));
    if is_one {
        request.extensions_mut().remove::<Protocol>();
        request.extensions_mut().insert(Extended);
        *request.method_mut() = Method::GET;
        headers::set_upgrade(request.headers_mut(), HeaderValue::from_static(NAME));
    }
}

/// Whether it is an extended CONNECT to another protocol.
pub(crate) fn is_other<B>(request: &Request<B>) -> bool {
    request.extensions().get::<Protocol>().is_some()
}

/// Whether it stands for one.
pub(crate) fn is_one<B>(request: &Request<B>) -> bool {
    request.extensions().get::<Extended>().is_some()
}

/// What in HTTP/1.1 the client says (RFC 6455, 4.1), and in HTTP/2 nobody: a number, for each stream another, whatever its client calls it. Gives
/// what an upstream makes of it that goes over.
pub(crate) fn put_key(headers: &mut HeaderMap, session: &Session) -> Option<HeaderValue> {
    let (connection, request) = session.number;
    let chance = session
        .chance
        .part(&format!("connection {connection} request {request}"));
    let draw = |ordinal| chance.draw("proxy websocket key", ordinal);
    let key = STANDARD.encode([draw(0).to_be_bytes(), draw(1).to_be_bytes()].concat());
    let accept = accept(&key);
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).ok()?);
    accept
}

/// By this an upstream shows that it has read a key (RFC 6455, 4.2.2).
fn accept(key: &str) -> Option<HeaderValue> {
    let text = [key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    HeaderValue::from_str(&STANDARD.encode(hash)).ok()
}

/// Makes an extended CONNECT again, for an upstream of HTTP/2.
pub(crate) fn connect<B>(request: &mut Request<B>) {
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static(NAME));
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
}

/// What is answered to one. In HTTP/2 every success goes over to the protocol, so none is one that has not.
pub(crate) fn unless_success(response: Response<Body>) -> Response<Body> {
    if response.status().is_success() {
        answer::problem(StatusCode::BAD_GATEWAY, "there is an answer, and no WebSocket")
    } else {
        response
    }
}

/// That it went over, in HTTP/2.
pub(crate) fn end(mut response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
            response.headers_mut().remove(name);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_as_the_standard_shows_it() {
        let accepted = accept("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
