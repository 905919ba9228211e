//! Each fault, on traffic.

use std::time::{Duration, Instant};

use crate::client::{Raw, curl};
use crate::stand::wish;
use crate::upstream::Upstream;

const BOTH: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

#[tokio::test(flavor = "multi_thread")]
async fn latency_holds_a_request_and_says_so() {
    let upstream = Upstream::start().await;
    let config = "latency: { fixed_delay_ms: 60.5, jitter_percent: 50 }";
    let proxy = wish(config).to(&upstream.url()).start();
    for version in BOTH {
        let begun = Instant::now();
        let said = curl(&[version, "-H", "x-request-id: a", &proxy.url("/")]).await;
        let took = begun.elapsed();
        assert_eq!((said.status(), said.text().as_str()), (200, "hello\n"));
        assert_eq!(said.header("x-fracas-fault"), "latency");
        assert_eq!(said.header("x-fracas-latency-ms"), "60.500");
        let jitter: f64 = said.header("x-fracas-jitter-ms").parse().unwrap();
        assert!(jitter.abs() <= 30.25 && jitter != 0.0, "{jitter}");
        assert!(
            took >= Duration::from_secs_f64((60.5 + jitter) / 1000.0),
            "{took:?} {jitter}"
        );
    }
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    for line in [
        "fracas_proxy_faults_total{fault=\"latency\"} 2\n",
        "fracas_proxy_latency_seconds_count 2\n",
        "fracas_proxy_requests_total{class=\"2xx\"} 2\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_http_come_instead_of_the_upstream() {
    let upstream = Upstream::start().await;
    let config = "fault_injection: { http_errors: [418], http_error_probability: 1 }";
    let proxy = wish(config).to(&upstream.url()).start();
    for version in BOTH {
        let said = curl(&[version, "--data-binary", "x", &proxy.url("/")]).await;
        assert_eq!(
            (said.status(), said.header("x-fracas-fault").as_str()),
            (418, "http_error")
        );
        assert_eq!(said.header("content-type"), "application/problem+json");
    }
    assert!(upstream.seen().is_empty());
}

// A client that still sends would lose the answer if its connection were closed above what nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_body_is_not_lost() {
    let config = "fault_injection: { http_errors: [418], http_error_probability: 1 }";
    let proxy = wish(config).start();
    let mut client = Raw::to(proxy.address).await;
    for _ in 0..3 {
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 500000\r\n\r\n")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 418 "), "{head}");
        client.until("made by Fracas\"}").await;
        client.send("x".repeat(500_000)).await;
    }
    // In HTTP/2 the stream would end without it.
    let url = proxy.url("/");
    for _ in 0..20 {
        let said = curl(&["--http2-prior-knowledge", "--data-binary", "x", &url]).await;
        assert_eq!((said.code, said.status()), (0, 418), "{said:?}");
    }
    let said = curl(&[
        "--http1.1",
        "-H",
        "expect: 100-continue",
        "--data-binary",
        "x",
        &proxy.url("/"),
    ])
    .await;
    assert_eq!(said.status(), 418);
    assert!(!said.told.contains("100 Continue"), "{}", said.told);
}

fn connection_errors(kind: &str) -> String {
    format!(
        "fault_injection: {{ http_errors: [], connection_errors: true, connection_error_probability: 1, \
         connection_error_kind: {kind} }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_fail_as_they_are_asked_to() {
    let upstream = Upstream::start().await;
    for (kind, http1) in [("tcp_reset", 56), ("tcp_close", 52)] {
        let proxy = wish(&connection_errors(kind)).to(&upstream.url()).start();
        let said = curl(&["--http1.1", &proxy.url("/")]).await;
        assert_eq!(said.code, http1, "{kind}: {said:?}");
        assert_eq!(
            said.told.contains("reset by peer"),
            kind == "tcp_reset",
            "{kind}: {said:?}"
        );
        let said = curl(&["--http2-prior-knowledge", &proxy.url("/")]).await;
        assert!(said.code != 0 && said.head.is_empty(), "{kind}: {said:?}");
        let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
        let line = format!("fracas_proxy_faults_total{{fault=\"{kind}\"}} 2\n");
        assert!(metrics.contains(&line), "{kind}: {metrics}");
    }
    let proxy = wish(&connection_errors("http_503")).to(&upstream.url()).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (503, "connection_error")
    );
    assert!(upstream.seen().is_empty());
}

// A socket with data that nobody read is closed by a reset: an end in order has to read first.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_order_is_one_also_behind_a_body() {
    for (kind, in_order) in [("tcp_close", true), ("tcp_reset", false)] {
        let proxy = wish(&connection_errors(kind)).start();
        let mut client = Raw::to(proxy.address).await;
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n")
            .await;
        // A reset is told once, to whoever writes or reads next.
        let sent = client.try_send(&"x".repeat(200_000)).await;
        let said = client.rest().await;
        assert_eq!(sent.is_ok() && said.is_ok(), in_order, "{kind}: {sent:?} {said:?}");
        assert_eq!(said.unwrap_or_default(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_lasts_as_long_as_it_is_asked_to() {
    let config = "fault_injection: { http_errors: [], timeout_errors: true, timeout_ms: 120, timeout_probability: 1 }";
    let proxy = wish(config).start();
    let begun = Instant::now();
    let said = curl(&[&proxy.url("/")]).await;
    assert!(begun.elapsed() >= Duration::from_millis(120));
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (504, "timeout")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_refused_until_there_is_a_token() {
    let proxy = wish("rate_limit: { requests_per_second: 1, burst_size: 2 }").start();
    let mut client = Raw::to(proxy.address).await;
    let begun = Instant::now();
    let mut passed = 0_u32;
    let refused = loop {
        let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        if !head.starts_with("HTTP/1.1 200 ") {
            break head;
        }
        passed += 1;
        // The burst, and a token for each second: the bucket is as old as the proxy, and full until the first request.
        let most = 2.0 + begun.elapsed().as_secs_f64();
        assert!(f64::from(passed) <= most, "{passed} of {most}");
    };
    assert!(passed >= 2, "{passed}");
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(refused.contains("\r\nx-fracas-fault: rate_limit\r\n"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_meet_two_faults() {
    let config = "latency: { fixed_delay_ms: 1 }\nfault_injection: { http_errors: [500], http_error_probability: 1 }";
    let proxy = wish(config).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(said.header("x-fracas-fault"), "latency, http_error");
}
