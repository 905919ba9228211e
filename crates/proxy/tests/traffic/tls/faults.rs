//! Each fault, by TLS.

use std::time::{Duration, Instant};

use super::parts::{Behind, End, HTTP1};
use crate::client::curl;
use crate::stand::{LIMIT, wish};
use crate::upstream::Upstream;

/// How often it is asked. Of what is limited the last one is too many.
const ASKED: usize = 3;

/// A fault by its block, and what of it the last of some requests sees: the status, 0 for none, and how its connection ends.
static FAULTS: &[(&str, &str, u16, End)] = &[
    ("latency", "latency: { fixed_delay_ms: 30 }", 200, End::InOrder),
    (
        "http_error",
        "fault_injection: { http_errors: [418], http_error_probability: 1 }",
        418,
        End::InOrder,
    ),
    (
        "connection_error",
        "fault_injection: { http_errors: [], connection_errors: true, connection_error_probability: 1, connection_error_kind: http_503 }",
        503,
        End::InOrder,
    ),
    (
        "tcp_reset",
        "fault_injection: { http_errors: [], connection_errors: true, connection_error_probability: 1, connection_error_kind: tcp_reset }",
        0,
        End::Reset,
    ),
    (
        "tcp_close",
        "fault_injection: { http_errors: [], connection_errors: true, connection_error_probability: 1, connection_error_kind: tcp_close }",
        0,
        End::BrokenOff,
    ),
    (
        "timeout",
        "fault_injection: { http_errors: [], timeout_errors: true, timeout_ms: 30, timeout_probability: 1 }",
        504,
        End::InOrder,
    ),
    (
        "partial_response",
        "fault_injection: { http_errors: [], partial_responses: true, partial_response_probability: 1 }",
        200,
        End::BrokenOff,
    ),
    (
        "payload_corruption",
        "fault_injection: { http_errors: [], payload_corruption: true, payload_corruption_probability: 1, corruption_type: random_bytes }",
        200,
        End::InOrder,
    ),
    (
        "rate_limit",
        "rate_limit: { requests_per_second: 1, burst_size: 1 }",
        429,
        End::InOrder,
    ),
    (
        "packet_loss",
        "traffic_shaping: { packet_loss_percent: 100 }",
        408,
        End::InOrder,
    ),
    (
        "bandwidth_throttle",
        "traffic_shaping: { bandwidth_limit_bps: 200 }",
        200,
        End::InOrder,
    ),
    (
        "circuit_breaker",
        "fault_injection: { http_errors: [500], http_error_probability: 1 }\ncircuit_breaker: { failure_threshold: 1, timeout_ms: 3600000 }",
        503,
        End::InOrder,
    ),
];

fn is_429((said, _): &(String, End)) -> bool {
    said.starts_with("HTTP/1.1 429 ")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_seen_as_without_it() {
    let upstream = Upstream::start().await;
    for (name, config, status, end) in FAULTS {
        let behind = Behind::of(wish(config).to(&upstream.url()));
        let mut last = None;
        let begun = Instant::now();
        for id in 0.. {
            // Its bucket fills up again, where three handshakes take that long.
            let is_over = *name != "rate_limit" || last.as_ref().is_some_and(is_429) || begun.elapsed() > LIMIT;
            if id >= ASKED && is_over {
                break;
            }
            let mut client = behind.client(&[HTTP1]).await;
            let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n");
            client.send(&request).await;
            last = Some(client.rest().await);
        }
        let took = begun.elapsed();
        let (said, ended) = last.unwrap();
        let seen = said.split(' ').nth(1).and_then(|seen| seen.parse().ok()).unwrap_or(0);
        assert_eq!((seen, &ended), (*status, end), "{name}: {said}");
        if *status > 0 {
            assert!(said.contains(&format!("x-fracas-fault: {name}\r\n")), "{name}: {said}");
        }
        assert!(
            behind.proxy.counted(&format!("faults_total{{fault=\"{name}\"}}")) > 0,
            "{name}"
        );
        let body = said.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        match *name {
            "latency" | "timeout" => assert!(took >= Duration::from_millis(30) * 3, "{took:?}"),
            // 18 bytes, of which the first part has a line that was free.
            "bandwidth_throttle" => assert!(body == "hello\n" && took >= Duration::from_millis(50), "{took:?}"),
            "partial_response" => assert!("hello\n".starts_with(body) && body.len() < 6, "{body:?}"),
            "payload_corruption" => assert!(body != "hello\n", "{body:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_count_connections_and_places_do_so() {
    let upstream = Upstream::start().await;
    for (name, config) in [
        ("connection_limit", "traffic_shaping: { max_connections: 1 }"),
        (
            "bulkhead",
            "bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }",
        ),
    ] {
        let behind = Behind::of(wish(config).to(&upstream.url()));
        let mut inside = behind.client(&[HTTP1]).await;
        inside.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
        inside.until("first").await;
        for version in ["--http1.1", "--http2"] {
            let said = curl(&[version, "--cacert", &behind.ca(), &behind.url("/")]).await;
            assert_eq!((said.status(), said.header("x-fracas-fault").as_str()), (503, name));
        }
        upstream.go_on();
        inside.until("0\r\n\r\n").await;
    }
    let behind = Behind::of(wish("traffic_shaping: { connection_timeout_ms: 50 }").to(&upstream.url()));
    let mut idle = behind.client(&[HTTP1]).await;
    idle.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.until("hello\n").await;
    // Closed in order, with the word of TLS for it.
    assert_eq!(idle.rest().await, (String::new(), End::InOrder));
    assert_eq!(behind.proxy.counted("faults_total{fault=\"connection_timeout\"}"), 1);
}

// It takes an end without the word of TLS for one in order, where no answer was begun.
#[tokio::test(flavor = "multi_thread")]
async fn curl_sees_a_reset_and_an_end_as_without_it() {
    for (kind, http1) in [("tcp_reset", 56), ("tcp_close", 52)] {
        let config = format!(
            "fault_injection: {{ http_errors: [], connection_errors: true, connection_error_probability: 1, \
             connection_error_kind: {kind} }}"
        );
        let behind = Behind::of(wish(&config));
        let said = curl(&["--http1.1", "--cacert", &behind.ca(), &behind.url("/")]).await;
        assert_eq!((said.code, said.head.as_str()), (http1, ""), "{kind}: {said:?}");
        let said = curl(&["--http2", "--cacert", &behind.ca(), &behind.url("/")]).await;
        assert!(said.code != 0 && said.head.is_empty(), "{kind}: {said:?}");
        assert_eq!(behind.proxy.counted(&format!("faults_total{{fault=\"{kind}\"}}")), 2);
    }
}
