//! Hooks that leave this process.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use fracas_core::chaos::{CommandHook, HttpHook};
use fracas_linux::command::run_bounded;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::egress::Reach;

/// In bytes, for an answer of which nobody reads anything.
const LARGEST: usize = 1 << 20;
/// In bytes, for what a program says.
const OUTPUT: usize = 1024;

/// Sends a request, of an orchestration that may run programs or not.
pub(super) async fn send(hook: &HttpHook, reach: &Reach, may_run: bool) -> Result<(), String> {
    let limit = seconds(hook.timeout_seconds);
    let sent = timeout(limit, exchange(hook, reach, may_run)).await;
    sent.unwrap_or_else(|_| Err(format!("{} did not answer within {} s", hook.url, hook.timeout_seconds)))
}

async fn exchange(hook: &HttpHook, reach: &Reach, may_run: bool) -> Result<(), String> {
    let of = |why: String| format!("{}: {why}", hook.url);
    let said = |error: &(dyn std::error::Error + 'static)| of(fracas_core::problem::causes(error).join(": "));
    let uri: Uri = hook
        .url
        .parse()
        .map_err(|error: hyper::http::uri::InvalidUri| said(&error))?;
    let authority = uri.authority().ok_or_else(|| of("it has no host".to_owned()))?;
    let addresses = reach.resolve(authority, uri.path(), may_run).await.map_err(of)?;
    // To the addresses that were looked at, one after the other, and not to what the name means a moment later.
    let stream = TcpStream::connect(&*addresses).await.map_err(|error| said(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| said(&error))?;
    let body = hook.body.clone().unwrap_or_default();
    let method = Method::from_bytes(hook.method.as_bytes()).map_err(|error| said(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority.as_str())
        .header(CONNECTION, "close");
    if serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok() {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| said(&error))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|error| said(&error))?;
        let status = answer.status();
        // Whoever answers is let finish, within bounds.
        let _read = Limited::new(answer.into_body(), LARGEST).collect().await;
        if status.as_u16() < 400 {
            Ok(())
        } else {
            Err(of(format!("the answer was {status}")))
        }
    };
    // It ends when the answer is there; without one, asking fails.
    let driven = async {
        let _ended = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answered = asked => answered,
        never = driven => match never {},
    }
}

/// Runs a program.
pub(super) async fn run(hook: &CommandHook) -> Result<(), String> {
    let name = hook.argv.first().map_or("", String::as_str);
    let finished = run_bounded(&hook.argv, seconds(hook.timeout_seconds), OUTPUT).await;
    let finished = finished.map_err(|error| format!("{name}: {error}"))?;
    if finished.timed_out {
        return Err(format!(
            "{name} did not end within {} s, and was killed",
            hook.timeout_seconds
        ));
    }
    if finished.code == Some(0) {
        return Ok(());
    }
    let how = match (finished.code, finished.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    };
    let said = String::from_utf8_lossy(&finished.stderr);
    let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Err(format!("{name} ended with {how}: {}", said.trim())
        .trim_end_matches([' ', ':'])
        .to_owned())
}

/// What no document has is none at all.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
