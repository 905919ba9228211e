//! The HTTP client under the probes: no proxy from the environment, no redirects, no connection kept, no body without a bound.

use std::error::Error;
use std::sync::Arc;

use fracas_core::problem::{Problem, Result, causes, codes};
use reqwest::{Client, RequestBuilder, Response, Url};

/// The most of a body that is read, in bytes.
pub(crate) const LARGEST_BODY: usize = 4 << 20;

/// A client for all probes of a run.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
    /// Why no certificate can be trusted, where that is so.
    distrust: Option<String>,
}

/// A body, as far as it was read.
#[derive(Debug)]
pub(crate) struct Body {
    /// What was read.
    pub(crate) bytes: Vec<u8>,
    /// Whether there was more than [`LARGEST_BODY`].
    pub(crate) cut: bool,
}

impl Web {
    /// Makes the client.
    ///
    /// # Errors
    ///
    /// P001 if the TLS library cannot be set up. A machine without CA certificates is no error: `http` works on it, and `https`
    /// says what is missing.
    pub(crate) fn new() -> Result<Self> {
        // One provider per process; if another part of Fracas was first, its choice is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match builder().build() {
            Ok(client) => Ok(Self { client, distrust: None }),
            // The verifier of the platform cannot be made without any certificate of an authority (a minimal image without
            // ca-certificates).
            Err(error) => Self::trusting_nobody(causes(&error).join(": ")),
        }
    }

    /// A client for a machine without certificates: everything but https goes on.
    fn trusting_nobody(why: String) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::new(&codes::PROBE_UNREACHABLE, "TLS cannot be set up").because(&error))?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = builder().tls_backend_preconfigured(tls).build().map_err(|error| {
            Problem::new(&codes::PROBE_UNREACHABLE, "the HTTP client cannot be made").because(&error)
        })?;
        Ok(Self {
            client,
            distrust: Some(why),
        })
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// A POST with a form. `reqwest` has forms behind a feature that brings one more crate; an address encodes the same.
    pub(crate) fn post_form(&self, url: Url, pairs: &[(&str, &str)]) -> RequestBuilder {
        let mut form = url.clone();
        form.query_pairs_mut().clear().extend_pairs(pairs);
        self.client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form.query().unwrap_or_default().to_owned())
    }

    /// Why a request failed, with all causes, without the address (it may hold a password).
    pub(crate) fn explain(&self, error: reqwest::Error) -> String {
        let text = causes(&error.without_url()).join(": ");
        match &self.distrust {
            // Only https meets certificates, and the text of every error of theirs says so.
            Some(why) if text.contains("certificate") => {
                format!("{text}; this machine trusts no certificate authority ({why}): install ca-certificates")
            }
            _ => text,
        }
    }

    /// Whether https cannot work because this machine trusts nobody: then a failed request tells nothing about the server.
    pub(crate) fn distrusts(&self, url: &Url) -> bool {
        self.distrust.is_some() && url.scheme() == "https"
    }
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // A kept connection would measure the past: a server that no longer accepts looks well through it.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("fracas/", env!("CARGO_PKG_VERSION")))
}

/// Reads a body up to the bound.
pub(crate) async fn body(mut response: Response) -> Result<Body, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = LARGEST_BODY - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            return Ok(Body { bytes, cut: true });
        }
    }
    Ok(Body { bytes, cut: false })
}

/// An address of a server: `http` or `https`, with a host.
pub(crate) fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not an address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "{text:?} is not an address of the web: it must begin with http:// or https://"
        ));
    }
    Ok(url)
}

/// An address as it may be shown: without user and password.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses without a host, which `address` does not let through.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Whether a failed connection is the fault of this machine, so that it tells nothing about the server: no descriptors, no memory,
/// no free local port. See errno(3), connect(2).
pub(crate) fn ours(error: &(dyn Error + 'static)) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let mut next = Some(error);
    while let Some(error) = next {
        let Some(io) = error.downcast_ref::<std::io::Error>() else {
            next = error.source();
            continue;
        };
        if matches!(io.raw_os_error(), Some(ENFILE | EMFILE))
            || matches!(
                io.kind(),
                std::io::ErrorKind::OutOfMemory | std::io::ErrorKind::AddrNotAvailable
            )
        {
            return true;
        }
        // The source of an error that wraps another is the source of that other: the wrapped one itself is only here.
        next = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
    }
    false
}

#[cfg(test)]
mod tests {
    use fracas_core::probe::{Http, HttpMeasure, Reading};
    use fracas_core::units::Span;

    use super::*;

    async fn up(web: &Web, url: &str) -> Reading {
        let source = Http {
            url: url.to_owned(),
            status: None,
            timeout: Span::secs(5),
            measure: HttpMeasure::Up,
        };
        crate::http::read(web, &source).await
    }

    #[tokio::test]
    async fn a_machine_that_trusts_nobody_measures_http_and_says_why_not_https() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let web = Web::trusting_nobody("no certificates".to_owned()).unwrap();
        assert_eq!(up(&web, &format!("http://{address}/")).await.values, [0.0]);
        let reading = up(&web, &format!("https://{address}/")).await;
        assert!(reading.values.is_empty() && reading.error.is_some(), "{reading:?}");
    }

    #[test]
    fn only_our_own_shortage_is_ours() {
        for (code, is_ours) in [
            (23, true),
            (24, true),
            (12, true),
            (99, true),
            (111, false),
            (110, false),
            (113, false),
        ] {
            assert_eq!(ours(&std::io::Error::from_raw_os_error(code)), is_ours, "{code}");
        }
        let wrapped = std::io::Error::other(std::io::Error::from_raw_os_error(24));
        assert!(ours(&wrapped));
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url = address("https://me:secret@host:9090/x").unwrap();
        assert_eq!(shown(&url), "https://host:9090/x");
    }
}
