//! What of a message's headers belongs to one connection and must not be passed on (RFC 9110, 7.6.1).

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};

/// Those that are of one connection whoever names them. `Trailer` is passed on, for the trailers are.
static OF_A_CONNECTION: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
];

/// Takes away what is of this connection alone.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let takes_trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case(b"trailers"));
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        // Whoever names these wants the two ends to disagree about what a message is.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    // Of both it is the chunks that count, and a length beside them is passed on by nobody (RFC 9112, 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    for name in named.iter().chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether the body has a transfer coding besides its chunks, which would be lost with the header that names it.
pub(crate) fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = tokens(headers, &TRANSFER_ENCODING);
    let first = codings.next();
    first.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"chunked")) || codings.next().is_some()
}

/// The protocol that this message wants to go over to, or goes over to. HTTP/2 is not one of them: it begins with words of its own (RFC 9113,
/// 3.1), and whoever asks for it in this way takes HTTP/1.1 as well.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let to_http2 = tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case(b"h2c"));
    headers.get(UPGRADE).filter(|_| asked && !to_http2).cloned()
}

/// Whether this protocol is one of those that were asked for.
pub(crate) fn offers(asked: &HeaderValue, protocol: &HeaderValue) -> bool {
    let protocol = protocol.as_bytes().trim_ascii();
    let mut all = asked.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    all.any(|one| one.eq_ignore_ascii_case(protocol))
}

/// Says that a message goes over to another protocol.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Says who passed the message on (RFC 9110, 7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, version: hyper::Version) {
    let via = if version == hyper::Version::HTTP_2 {
        "2 fracas"
    } else {
        "1.1 fracas"
    };
    headers.append(VIA, HeaderValue::from_static(via));
}

/// Cookies in one line, as HTTP/1.1 wants them (RFC 9113, 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// The members of a list, which may hold bytes that are no text: whoever skipped those would miss the rest.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_is_of_a_connection_stays_there() {
        let mut all = headers(&[
            ("connection", "close, X-Own"),
            ("connection", "host, content-length"),
            ("x-own", "1"),
            ("host", "a"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "secret"),
            ("http2-settings", "AAMAAABk"),
            ("te", "trailers, deflate"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        strip(&mut all);
        let expected = headers(&[
            ("host", "a"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("accept", "*/*"),
        ]);
        assert_eq!(all, expected);
    }

    #[test]
    fn a_length_beside_chunks_goes_with_them() {
        let mut both = headers(&[("content-length", "3"), ("transfer-encoding", "chunked")]);
        strip(&mut both);
        assert_eq!(both, HeaderMap::new());
    }

    #[test]
    fn what_is_no_text_hides_nothing_behind_it() {
        let mut all = headers(&[("x-own", "1")]);
        all.insert(CONNECTION, HeaderValue::from_bytes(b"\xff, x-own").unwrap());
        strip(&mut all);
        assert_eq!(all, HeaderMap::new());
    }

    #[test]
    fn an_upgrade_must_be_named_by_the_connection() {
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
        let both = headers(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]);
        assert_eq!(upgrade(&both).unwrap(), "websocket");
        let http2 = headers(&[("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings")]);
        assert_eq!(upgrade(&http2), None);
    }

    #[test]
    fn only_a_protocol_that_was_asked_for_was_offered() {
        let asked = HeaderValue::from_static("shout, WebSocket");
        assert!(offers(&asked, &HeaderValue::from_static("websocket")));
        assert!(!offers(&asked, &HeaderValue::from_static("whisper")));
    }

    #[test]
    fn cookies_become_one_line() {
        let mut crumbs = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut crumbs);
        assert_eq!(crumbs, headers(&[("cookie", "a=1; b=2")]));
    }
}
