//! WebSocket in a stream of HTTP/2 (an extended CONNECT, RFC 8441): on the way in it becomes what it is in HTTP/1.1, so that all that is about a
//! handshake there is about it, too, and on the way out the answer becomes one of HTTP/2 again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::ext::Protocol;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};

use crate::answer::{self, Body};
use crate::headers;
use crate::identity::Chance;
use crate::service::FAULT;

const NAME: &str = "websocket";

/// The request is one of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extended;

/// Makes the handshake that it stands for. Whether it was one.
pub(crate) fn begin<B>(request: &mut Request<B>) -> bool {
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
    is_one
}

/// Whether it is an extended CONNECT to another protocol.
pub(crate) fn is_other<B>(request: &Request<B>) -> bool {
    request.extensions().get::<Protocol>().is_some()
}

/// What in HTTP/1.1 the client says (RFC 6455, 4.1), and in HTTP/2 nobody: some number. What the upstream makes of it is not looked at: that it goes
/// over is said by its 101.
pub(crate) fn put_key(headers: &mut HeaderMap, chance: &Chance) {
    let draw = |ordinal| chance.draw("proxy websocket key", ordinal);
    let key = STANDARD.encode([draw(0).to_be_bytes(), draw(1).to_be_bytes()].concat());
    if let Ok(key) = HeaderValue::from_str(&key) {
        headers.entry(SEC_WEBSOCKET_KEY).or_insert(key);
    }
}

/// Makes an extended CONNECT again, for an upstream of HTTP/2.
pub(crate) fn connect<B>(request: &mut Request<B>) {
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static(NAME));
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
}

/// Its answer, in HTTP/2. There every success goes over to the protocol, so none does that has not.
pub(crate) fn end(mut response: Response<Body>) -> Response<Body> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
            response.headers_mut().remove(name);
        }
        return response;
    }
    if !status.is_success() {
        return response;
    }
    let mut own = answer::problem(StatusCode::BAD_GATEWAY, "there is an answer, and no WebSocket");
    for fault in response.headers().get_all(FAULT) {
        own.headers_mut().append(FAULT, fault.clone());
    }
    own
}
