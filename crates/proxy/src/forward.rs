//! The way to the upstream and back.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, Parts, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::answer::Body;
use crate::headers;
use crate::tunnel::Tunnels;
use crate::upload::Upload;

/// For a connection to the upstream.
const CONNECT: Duration = Duration::from_secs(10);
/// From a request to the head of its answer.
const ANSWER: Duration = Duration::from_mins(5);
/// For a connection that nobody needs.
const IDLE: Duration = Duration::from_mins(1);
/// So many of these are kept.
const MOST_IDLE: usize = 1024;
/// In bytes, for the head of an answer.
const LARGEST_HEAD: usize = 128 << 10;

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
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    fn uri(&self, path: Option<&PathAndQuery>) -> Option<Uri> {
        let path = path.map_or("/", PathAndQuery::as_str);
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
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

/// Passes requests on.
#[derive(Debug)]
pub(crate) struct Forward {
    upstream: Upstream,
    client: Client<HttpConnector, Upload>,
    tunnels: Tunnels,
}

/// Why there is no answer of the upstream.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

impl Forward {
    pub(crate) fn new(upstream: Upstream, tunnels: Tunnels) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(LARGEST_HEAD)
            .http2_max_header_list_size(LARGEST_HEAD as u32)
            .http2_adaptive_window(true)
            .http2_only(upstream.http2)
            // Whoever the client called is whom the upstream is to be.
            .set_host(false)
            .build(connector);
        Self {
            upstream,
            client,
            tunnels,
        }
    }

    /// Passes a request on, and gives the answer as soon as its head is there.
    pub(crate) async fn pass(&self, mut request: Request<Upload>) -> Result<Response<Body>, NoAnswer> {
        let asked = headers::upgrade(request.headers()).filter(|_| request.version() == Version::HTTP_11);
        let client = asked.is_some().then(|| hyper::upgrade::on(&mut request));
        let version = request.version();
        self.readdress(&mut request)?;
        headers::strip(request.headers_mut());
        headers::add_via(request.headers_mut(), version);
        if let Some(protocol) = asked.filter(|_| !self.upstream.http2) {
            headers::set_upgrade(request.headers_mut(), protocol);
        }
        let response = match timeout(ANSWER, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(NoAnswer {
                    status: StatusCode::BAD_GATEWAY,
                    why: fracas_core::problem::causes(&error).join(": "),
                });
            }
            Err(_) => {
                return Err(NoAnswer {
                    status: StatusCode::GATEWAY_TIMEOUT,
                    why: format!("it did not answer within {} s", ANSWER.as_secs()),
                });
            }
        };
        Ok(self.back(response, client))
    }

    fn readdress(&self, request: &mut Request<Upload>) -> Result<(), NoAnswer> {
        // In HTTP/2, and where a request names the whole address, that is what counts (RFC 9112, 3.2.2).
        if let Some(authority) = request.uri().authority()
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(HOST, host);
        }
        if self.upstream.http2 {
            // HTTP/2 says it by the address.
            request.headers_mut().remove(HOST);
        } else {
            headers::join_cookies(request.headers_mut());
            let host = HeaderValue::from_str(self.upstream.authority());
            if let (false, Ok(host)) = (request.headers().contains_key(HOST), host) {
                request.headers_mut().insert(HOST, host);
            }
        }
        let uri = self.upstream.uri(request.uri().path_and_query());
        *request.uri_mut() = uri.ok_or_else(|| NoAnswer {
            status: StatusCode::BAD_REQUEST,
            why: "the path cannot be passed on".to_owned(),
        })?;
        *request.version_mut() = if self.upstream.http2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        Ok(())
    }

    fn back(&self, mut response: Response<Incoming>, client: Option<hyper::upgrade::OnUpgrade>) -> Response<Body> {
        let protocol = headers::upgrade(response.headers());
        headers::strip(response.headers_mut());
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let (Some(client), Some(protocol)) = (client, protocol)
        {
            let upstream = hyper::upgrade::on(&mut response);
            headers::set_upgrade(response.headers_mut(), protocol);
            self.tunnels.carry(client, upstream);
        }
        response.map(Either::Left)
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
        assert_eq!(upstream.uri(Some(&path)).unwrap(), "http://a:1/base/x?y=1");
        assert_eq!(upstream.uri(None).unwrap(), "http://a:1/base/");
    }
}
