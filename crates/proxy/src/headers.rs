//! What of a message's headers belongs to one connection and must not be passed on (RFC 9110, 7.6.1).

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};

/// Those that are of one connection whoever names them. `Trailer` is passed on, for the trailers are.
static OF_A_CONNECTION: [HeaderName; 8] = [
    CONNECTION,
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
    let takes_trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| token.parse().ok())
        // Whoever names these wants the two ends to disagree about what a message is.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH)
        .collect();
    for name in named.iter().chain(&OF_A_CONNECTION) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The protocol that this message wants to go over to, or goes over to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| asked).cloned()
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

fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
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
            ("transfer-encoding", "chunked"),
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
    fn an_upgrade_must_be_named_by_the_connection() {
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
        let both = headers(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]);
        assert_eq!(upgrade(&both).unwrap(), "websocket");
    }

    #[test]
    fn cookies_become_one_line() {
        let mut crumbs = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut crumbs);
        assert_eq!(crumbs, headers(&[("cookie", "a=1; b=2")]));
    }
}
