//! A server that is told something: one address, bounds on everything, and one policy for trying again.
//!
//! Every request has five seconds. One that got no answer, or 429, 502, 503 or 504 (those that the OTLP specification says may be
//! tried again), is sent once more after a second; then it is given up. The body of an answer is read up to 64 KiB.

use std::time::Duration;

use fracas_core::problem::causes;
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode, Url};

/// For one request, from the connection to the end of the answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Between the first try and the second.
const PAUSE: Duration = Duration::from_secs(1);
/// The most of an answer that is read, in bytes.
const LARGEST: usize = 64 << 10;

/// The longest that [`Peer::post`] can take.
pub(crate) const LONGEST: Duration = Duration::from_secs(12);

/// A server.
#[derive(Debug)]
pub(crate) struct Peer {
    url: Url,
    headers: HeaderMap,
    client: Client,
}

/// Why a try failed, and whether another one may help.
struct Failure {
    why: String,
    again: bool,
}

impl Peer {
    /// A server at this address.
    ///
    /// # Errors
    /// If TLS cannot be set up; in words.
    pub(crate) fn new(url: Url, headers: HeaderMap) -> Result<Self, String> {
        // One provider per process; if another part of Fracas was first, its choice is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .timeout(LIMIT)
            .user_agent(concat!("fracas/", env!("CARGO_PKG_VERSION")));
        if url.scheme() == "http" {
            // A machine without certificates of authorities can make no verifier, and here none is needed.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| causes(&error).join(": "))?;
        Ok(Self { url, headers, client })
    }

    /// Sends a body. Gives what was answered.
    ///
    /// # Errors
    /// Why it was not taken, in words, without the address.
    pub(crate) async fn post(&self, content_type: &'static str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        match self.once(content_type, body.clone()).await {
            Err(Failure { again: true, .. }) => {
                tokio::time::sleep(PAUSE).await;
                self.once(content_type, body).await
            }
            done => done,
        }
        .map_err(|failure| failure.why)
    }

    async fn once(&self, content_type: &'static str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let lost = |error: reqwest::Error| Failure {
            again: !error.is_builder(),
            why: causes(&error.without_url()).join(": "),
        };
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header("content-type", content_type).body(body);
        let mut response = request.send().await.map_err(lost)?;
        let status = response.status();
        if !status.is_success() {
            let again = matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            let why = format!("it answered {status}");
            return Err(Failure { why, again });
        }
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            let room = LARGEST - answer.len();
            answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                break;
            }
        }
        Ok(answer)
    }
}
