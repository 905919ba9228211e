//! A client of the API, for the command line.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// For everything together.
const LIMIT: Duration = Duration::from_secs(10);
/// In bytes, for an answer.
const LARGEST: usize = 16 << 20;

/// What the API answered.
#[derive(Debug)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// Whether that is one of success.
    pub is_success: bool,
    /// The body.
    pub body: String,
}

/// Asks for an address, `http://` alone: GET without a body, POST of JSON with one. Needs a runtime of tokio with its timers and sockets.
///
/// # Errors
/// Why there is no answer within ten seconds.
pub async fn ask(url: &str, body: Option<String>) -> Result<Said, String> {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| format!("this is no address: {error}"))?;
    if request.uri().scheme_str() != Some("http") {
        return Err("the address must begin with http://".to_owned());
    }
    let asked = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request).await.map_err(|error| why(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| why(&*error))?.to_bytes();
        Ok(Said {
            status: status.as_u16(),
            is_success: status.is_success(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    };
    timeout(LIMIT, asked)
        .await
        .unwrap_or_else(|_| Err(format!("not within {} s", LIMIT.as_secs())))
}

fn why(error: &(dyn std::error::Error + 'static)) -> String {
    fracas_core::problem::causes(error).join(": ")
}
