//! Where requests go.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, Parts, PathAndQuery, Scheme};

/// Where requests go: `http://host:port/base`, or `h2c://host:port/base` for HTTP/2 without TLS, as gRPC servers want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    authority: Authority,
    /// Stands before every path; without a slash at its end.
    base: String,
    http2: bool,
}

impl Upstream {
    /// The host and port.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether it speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.http2
    }

    /// The address of a path behind the base, of the host that the client called.
    pub(crate) fn uri(&self, called: Authority, path: Option<&PathAndQuery>) -> Option<Uri> {
        let path = path.map_or("/", PathAndQuery::as_str);
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(called);
        parts.path_and_query = Some(match self.base.as_str() {
            "" => path.parse().ok()?,
            base => format!("{base}{path}").parse().ok()?,
        });
        Uri::from_parts(parts).ok()
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            Err(format!(
                "{why}: write it like http://127.0.0.1:8080 or h2c://127.0.0.1:50051"
            ))
        };
        let (http2, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("h2c", rest)) => (true, rest),
            Some(("https", _)) => return wrong("TLS to an upstream is not available yet"),
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
        match authority.parse::<Authority>() {
            Ok(authority)
                if !authority.host().is_empty() && (base.is_empty() || base.parse::<PathAndQuery>().is_ok()) =>
            {
                Ok(Self { authority, base, http2 })
            }
            _ => wrong("is no address of a server"),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.http2 { "h2c" } else { "http" };
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
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "127.0.0.1:8080",
            "https://127.0.0.1",
            "ftp://x",
            "http://",
            "http://a@b",
            "http://a/?q",
            "http://a b",
        ] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }

    #[test]
    fn paths_stand_behind_the_base() {
        let upstream: Upstream = "http://a:1/base".parse().unwrap();
        let path: PathAndQuery = "/x?y=1".parse().unwrap();
        let uri = |path| upstream.uri(upstream.authority().clone(), path).unwrap();
        assert_eq!(uri(Some(&path)), "http://a:1/base/x?y=1");
        assert_eq!(uri(None), "http://a:1/base/");
    }
}
