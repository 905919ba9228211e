//! Where requests go.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, Parts, PathAndQuery, Scheme};

use crate::tls::place::Place;

/// Where requests go: `http://host:port/base`, `h2c://host:port/base` for HTTP/2 without TLS, as gRPC servers want it, or
/// `https://host:port/base` for TLS, in which the upstream chooses between HTTP/2 and HTTP/1.1. `tcp://host:port` is where connections go that
/// are not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    authority: Authority,
    /// Stands before every path; without a slash at its end.
    base: String,
    speaks: Speaks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
    Tls,
    Tcp,
}

impl Upstream {
    /// The host and port.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A name, or an address without brackets.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> u16 {
        let usual = if self.is_tls() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(usual)
    }

    /// Whether it speaks HTTP/2 without TLS.
    pub(crate) fn is_http2(&self) -> bool {
        self.speaks == Speaks::Http2
    }

    /// Where it is, if it is one of TCP: that speaks no HTTP which the proxy could read.
    pub fn tcp(&self) -> Option<Place> {
        let place = || self.authority.as_str().parse().ok();
        (self.speaks == Speaks::Tcp).then(place).flatten()
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.speaks == Speaks::Tls
    }

    /// A path behind the base, as HTTP/1.1 asks for it; with the host that the client called, as HTTP/2 does.
    pub(crate) fn uri(&self, called: Option<Authority>, path: Option<&PathAndQuery>) -> Option<Uri> {
        let path = match (self.base.as_str(), path) {
            // An empty one shows itself as a slash, and in a line without a host would be nothing.
            ("", Some(path)) if path.as_str() != "/" => path.clone(),
            (base, path) => format!("{base}{}", path.map_or("/", PathAndQuery::as_str))
                .parse()
                .ok()?,
        };
        let mut parts = Parts::default();
        if called.is_some() {
            parts.scheme = Some(if self.is_tls() { Scheme::HTTPS } else { Scheme::HTTP });
        }
        parts.authority = called;
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).ok()
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!(
                "{why}: write it like http://127.0.0.1:8080, h2c://127.0.0.1:50051 or https://example.org"
            ))
        };
        let (speaks, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Speaks::Http1, rest),
            Some(("h2c", rest)) => (Speaks::Http2, rest),
            Some(("https", rest)) => (Speaks::Tls, rest),
            Some(("tcp", rest)) => (Speaks::Tcp, rest),
            Some(_) => return wrong("is of a scheme that is not known"),
            None => return wrong("has no scheme"),
        };
        if rest.contains(['?', '#']) {
            return wrong("has a query");
        }
        let (authority, base) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return wrong("has a user");
        }
        let base = base.trim_end_matches('/').to_owned();
        if speaks == Speaks::Tcp && (!base.is_empty() || authority.parse::<Place>().is_err()) {
            return wrong("one of TCP is a host and a port");
        }
        match authority.parse::<Authority>() {
            Ok(authority)
                if !authority.host().is_empty() && (base.is_empty() || base.parse::<PathAndQuery>().is_ok()) =>
            {
                Ok(Self {
                    authority,
                    base,
                    speaks,
                })
            }
            _ => wrong("is no address of a server"),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.speaks {
            Speaks::Http1 => "http",
            Speaks::Http2 => "h2c",
            Speaks::Tls => "https",
            Speaks::Tcp => "tcp",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_read_and_shown() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("h2c://service:50051/base/", "h2c://service:50051/base"),
            ("https://example.org", "https://example.org"),
            ("tcp://[::1]:443", "tcp://[::1]:443"),
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:8080",
            "ftp://x",
            "tcp://x",
            "tcp://x:1/base",
            "http://",
            "http://a@b",
            "http://a/?q",
            "http://a b",
        ] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }

    #[test]
    fn without_a_port_it_is_the_usual_one() {
        let port = |text: &str| text.parse::<Upstream>().unwrap().port();
        assert_eq!((port("http://a"), port("h2c://a"), port("https://a")), (80, 80, 443));
        assert_eq!((port("http://a:1"), port("https://[::1]:2/b")), (1, 2));
    }

    #[test]
    fn paths_stand_behind_the_base() {
        let upstream: Upstream = "http://a:1/base".parse().unwrap();
        let path: PathAndQuery = "/x?y=1".parse().unwrap();
        let called = || Some(upstream.authority().clone());
        let uri = |called, path| upstream.uri(called, path).unwrap();
        assert_eq!(uri(called(), Some(&path)), "http://a:1/base/x?y=1");
        assert_eq!(uri(called(), None), "http://a:1/base/");
        assert_eq!(uri(None, Some(&path)), "/base/x?y=1");
        let plain: Upstream = "http://a:1".parse().unwrap();
        assert_eq!(plain.uri(None, Some(&path)).unwrap(), path.as_str());
        assert_eq!(plain.uri(None, None).unwrap(), "/");
        let nothing: Uri = "http://a#f".parse().unwrap();
        assert_eq!(plain.uri(None, nothing.path_and_query()).unwrap().to_string(), "/");
        let query: Uri = "http://a?q".parse().unwrap();
        assert_eq!(plain.uri(None, query.path_and_query()).unwrap().to_string(), "/?q");
    }
}
