//! What changes the proxy's configuration while requests pass.

use std::time::Duration;

use bytes::Bytes;
use fracas_core::seed::Seed;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Api;

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(150);

/// One change in so many is an orchestration.
const ORCHESTRATIONS: u64 = 12;

/// Whole configurations. Those that end connections are about clients of HTTP/1.1 alone: what goes on in a connection of HTTP/2 ends with
/// it, and only there is each end one request.
const CONFIGS: &[&str] = &[
    "{}",
    r#"{"enabled": false, "fault_injection": {"http_error_probability": 1.0}}"#,
    r#"{"latency": {"random_delay_range_ms": [0.5, 30], "jitter_percent": 20, "probability": 0.5}}"#,
    r#"{"fault_injection": {"http_error_probability": 0.3, "timeout_errors": true, "timeout_ms": 20, "timeout_probability": 0.2}}"#,
    r#"{"fault_injection": {"http_error_probability": 0, "connection_errors": true, "connection_error_probability": 0.3,
        "connection_error_kind": "tcp_reset", "request_matcher": {"headers": [{"name": "x-client", "value": "http1"}]}}}"#,
    r#"{"fault_injection": {"http_error_probability": 0, "connection_errors": true, "connection_error_probability": 0.3,
        "connection_error_kind": "tcp_close", "request_matcher": {"headers": [{"name": "x-client", "value": "http1"}]}}}"#,
    r#"{"fault_injection": {"http_error_probability": 0, "connection_errors": true, "connection_error_probability": 0.3}}"#,
    r#"{"fault_injection": {"http_error_probability": 0, "partial_responses": true, "partial_response_probability": 0.4}}"#,
    r#"{"fault_injection": {"http_error_probability": 0, "payload_corruption": true, "payload_corruption_probability": 0.4,
        "corruption_type": "random_bytes"}}"#,
    r#"{"fault_injection": {"http_error_probability": 0, "payload_corruption": true, "payload_corruption_probability": 0.4,
        "corruption_type": "truncate", "partial_responses": true, "partial_response_probability": 0.2}}"#,
    r#"{"rate_limit": {"requests_per_second": 100, "burst_size": 5, "per_ip": true}}"#,
    r#"{"traffic_shaping": {"bandwidth_limit_bps": 20000000, "packet_loss_percent": 5}}"#,
    r#"{"traffic_shaping": {"max_connections": 6}}"#,
    r#"{"circuit_breaker": {"failure_threshold": 3, "timeout_ms": 50}, "fault_injection": {"http_error_probability": 0.5}}"#,
    r#"{"bulkhead": {"max_concurrent_requests": 2, "max_queue_size": 2, "queue_timeout_ms": 10}, "latency": {"fixed_delay_ms": 10}}"#,
];

const ORCHESTRATION: &str = r#"{"name": "soak", "steps": [
    {"name": "slow", "scenario": {"config": {"latency": {"fixed_delay_ms": 5}}}, "duration_seconds": 0.2},
    {"name": "failing", "scenario": {"name": "service_instability"}, "duration_seconds": 0.2}], "parallel": false}"#;

/// How often something was changed.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) changes: u64,
    pub(crate) orchestrations: u64,
}

/// Changes it until asked to stop, and leaves it as it was at first.
pub(crate) async fn go_on(api: Api, seed: Seed, mut stopping: watch::Receiver<bool>) -> Changed {
    let mut changed = Changed::default();
    let mut pace = tokio::time::interval(PAUSE);
    for ordinal in 0.. {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            _ = pace.tick() => {}
        }
        if ordinal % ORCHESTRATIONS == ORCHESTRATIONS - 1 {
            let started = call(api, "POST", "/orchestration/start", ORCHESTRATION).await;
            changed.orchestrations += u64::from(started == StatusCode::OK);
            continue;
        }
        let which = seed.draw("soak", "change", ordinal).uniform() * CONFIGS.len() as f64;
        let status = call(api, "PUT", "/config", CONFIGS[which as usize]).await;
        // While an orchestration runs nothing else may be changed.
        assert!([StatusCode::OK, StatusCode::CONFLICT].contains(&status), "{status}");
        changed.changes += u64::from(status == StatusCode::OK);
    }
    // This ends an orchestration, too.
    assert_eq!(call(api, "POST", "/reset", "{}").await, StatusCode::OK);
    changed
}

async fn call(api: Api, method: &str, path: &str, body: &'static str) -> StatusCode {
    let stream = TcpStream::connect(api).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    // It ends with the sender.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/chaos{path}"))
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap();
    sender.send_request(request).await.unwrap().status()
}
