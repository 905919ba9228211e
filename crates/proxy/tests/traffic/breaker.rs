//! The circuit breaker, on traffic. In the original faults never open it, and one trial that gets lost keeps it half-open for ever
//! (originals, 3.7, 11).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::api::{get, post, put, send};
use crate::canned::Canned;
use crate::client::{Raw, curl};
use crate::stand::{Stand, soon, soon_async, wish};
use crate::upstream::Upstream;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// After two failures in a row, for an hour.
const TWO: &str = "circuit_breaker: { failure_threshold: 2, timeout_ms: 3600000 }";
/// After one failure, and the next request is a trial: one at a time, and one success closes it.
const ONE: &str =
    "circuit_breaker: { failure_threshold: 1, timeout_ms: 0, half_open_max_requests: 1, success_threshold: 1 }";

async fn state(proxy: &Stand) -> String {
    get(proxy, "/status").await["circuit_breaker_state"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Waits for a state.
async fn until(proxy: &Stand, wanted: &str) {
    let begun = Instant::now();
    while state(proxy).await != wanted {
        assert!(begun.elapsed() < crate::stand::LIMIT, "it is not {wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_open_it_and_then_nothing_passes() {
    let upstream = Upstream::start().await;
    let config = format!("fault_injection: {{ http_errors: [500], http_error_probability: 1 }}\n{TWO}");
    let proxy = wish(&config).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    let begun = Instant::now();
    for _ in 0..2 {
        let head = client.ask(GET).await;
        assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    }
    assert_eq!(state(&proxy).await, "open");
    for _ in 0..2 {
        let head = client.ask(GET).await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains("\r\nx-fracas-fault: circuit_breaker\r\n"), "{head}");
        let after: u64 = head
            .split("retry-after: ")
            .nth(1)
            .unwrap()
            .split("\r\n")
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!((3570..=3600).contains(&after), "{head}");
        // Who comes then is not too early.
        assert!(after as f64 >= 3600.0 - begun.elapsed().as_secs_f64(), "{head}");
    }
    assert!(upstream.seen().is_empty());
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    for line in [
        "fracas_proxy_faults_total{fault=\"circuit_breaker\"} 2\n",
        "fracas_proxy_circuit_breaker_state 1\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_are_failures() {
    for kind in ["tcp_reset", "tcp_close"] {
        let config = format!(
            "fault_injection: {{ http_errors: [], connection_errors: true, connection_error_probability: 1, \
             connection_error_kind: {kind} }}\n{TWO}"
        );
        let proxy = wish(&config).start();
        for _ in 0..2 {
            let mut client = Raw::to(proxy.address).await;
            client.send(GET).await;
            assert_eq!(client.said().await, "", "{kind}");
        }
        assert_eq!(state(&proxy).await, "open", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_or_breaks_off_opens_it() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        // It is never told that this is not all.
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n",
        "no HTTP",
    ] {
        let proxy = wish(TWO).to(&Canned::says(answer).await.url()).start();
        for _ in 0..2 {
            // Whether it gets an answer is not what this is about.
            let _said = curl(&[&proxy.url("/")]).await;
        }
        until(&proxy, "open").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_failure_does_not_open_it() {
    let upstream = Upstream::start().await;
    let config = "fault_injection: { http_errors: [404], http_error_probability: 1 }\n\
                  rate_limit: { requests_per_second: 1, burst_size: 2 }\ncircuit_breaker: { failure_threshold: 1 }";
    let proxy = wish(config).to(&upstream.url()).start();
    for _ in 0..6 {
        let status = curl(&[&proxy.url("/")]).await.status();
        assert!(status == 404 || status == 429, "{status}");
    }
    assert_eq!(state(&proxy).await, "closed");
    // A HEAD has no body to come whole, and a client that goes has seen no failure.
    let proxy = wish("circuit_breaker: { failure_threshold: 1 }")
        .to(&upstream.url())
        .start();
    assert_eq!(curl(&["-I", &proxy.url("/")]).await.status(), 200);
    let mut gone = Raw::to(proxy.address).await;
    gone.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    gone.until("xxxx").await;
    drop(gone);
    soon("it has gone", || proxy.connections() == 0).await;
    assert_eq!(state(&proxy).await, "closed");
    let upstream = Upstream::start().await;
    let proxy = wish("circuit_breaker: { failure_threshold: 1 }")
        .to(&upstream.url())
        .start();
    let mut gone = Raw::to(proxy.address).await;
    gone.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
        .await;
    soon("the upstream is asked", || upstream.connections() > 0).await;
    drop(gone);
    soon("it has gone, too", || proxy.connections() == 0).await;
    assert_eq!(state(&proxy).await, "closed");
}

/// A proxy that is open after its first request, whose trials get these statuses.
async fn opened(sequence: &str, more: &str, breaker: &str) -> Stand {
    let config =
        format!("fault_injection: {{ error_pattern: {{ type: sequential, sequence: {sequence} }} {more} }}\n{breaker}");
    let proxy = wish(&config).start();
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 500);
    assert_eq!(state(&proxy).await, "open");
    proxy
}

#[tokio::test(flavor = "multi_thread")]
async fn trials_close_it_or_open_it_again() {
    let breaker = "circuit_breaker: { failure_threshold: 1, timeout_ms: 0, success_threshold: 2 }";
    let proxy = opened("[500, 200, 500, 200, 200, 200]", "", breaker).await;
    for (status, after) in [
        (200, "half_open"),
        (500, "open"),
        (200, "half_open"),
        (200, "closed"),
        (200, "closed"),
    ] {
        assert_eq!(curl(&[&proxy.url("/")]).await.status(), status);
        // Whoever has read an answer may know it before the proxy does.
        until(&proxy, after).await;
    }
}

// Of a stop one might think that it takes back what the scenario's failures did.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_scenario_opened_stays_open_behind_its_stop_and_an_orchestration_leaves_nothing() {
    let proxy = wish("circuit_breaker: { failure_threshold: 1, timeout_ms: 3600000 }").start();
    let of_scenario = "/scenarios/service_instability";
    post(&proxy, of_scenario).await;
    let mut client = Raw::to(proxy.address).await;
    for number in 0..200 {
        let head = client
            .ask(&format!("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: {number}\r\n\r\n"))
            .await;
        if head.starts_with("HTTP/1.1 5") {
            break;
        }
    }
    assert_eq!(state(&proxy).await, "open");
    let url = proxy.url(&format!("/api/chaos{of_scenario}"));
    assert_eq!(curl(&["-X", "DELETE", &url]).await.status(), 200);
    assert_eq!(get(&proxy, "/status").await["active_scenarios"], json!([]));
    assert_eq!(state(&proxy).await, "open");
    let head = client.ask(GET).await;
    assert!(head.contains("\r\nx-fracas-fault: circuit_breaker\r\n"), "{head}");
    let whole = json!({ "name": "o", "steps": [{ "name": "a", "duration_seconds": 600_000 }] });
    send(&proxy, "/orchestration/start", &whole.to_string()).await;
    until(&proxy, "closed").await;
    assert_eq!(get(&proxy, "/orchestration/status").await["is_running"], true);
    assert_eq!(post(&proxy, "/orchestration/stop").await.status(), 200);
    soon_async("it is over", async || {
        get(&proxy, "/orchestration/status").await["is_running"] == false
    })
    .await;
    assert_eq!(state(&proxy).await, "closed");
    assert!(client.ask(GET).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stays_open_for_its_time() {
    let breaker = "circuit_breaker: { failure_threshold: 1, timeout_ms: 300, success_threshold: 1 }";
    let begun = Instant::now();
    let proxy = opened("[500, 200, 200, 200, 200, 200, 200, 200]", "", breaker).await;
    let mut client = Raw::to(proxy.address).await;
    while client.ask(GET).await.starts_with("HTTP/1.1 503 ") {}
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(state(&proxy).await, "closed");
}

// A client that goes away gives the trial's place back, whatever its request was waiting for.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_is_lost_makes_room_for_another() {
    let held = ", timeout_errors: true, timeout_ms: 3600000, timeout_probability: 1";
    let proxy = opened("[500, 200, 500]", held, ONE).await;
    let mut lost = Raw::to(proxy.address).await;
    lost.send(GET).await;
    until(&proxy, "half_open").await;
    let refused = curl(&[&proxy.url("/")]).await;
    assert_eq!((refused.status(), refused.header("retry-after").as_str()), (503, "1"));
    drop(lost);
    soon("it has gone", || proxy.connections() == 0).await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 500);
    assert_eq!(state(&proxy).await, "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_keeps_nobody_from_being_tried() {
    let upstream = Upstream::start().await;
    let config =
        format!("fault_injection: {{ error_pattern: {{ type: sequential, sequence: [500, 200, 200] }} }}\n{ONE}");
    let proxy = wish(&config).to(&upstream.url()).start();
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 500);
    let mut endless = Raw::to(proxy.address).await;
    endless.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    endless.until("xxxx").await;
    assert_eq!(state(&proxy).await, "half_open");
    assert_eq!(curl(&[&proxy.url("/")]).await.text(), "hello\n");
    until(&proxy, "closed").await;
    drop(endless);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_open_it_once_and_no_more_than_its_trials_pass() {
    let held = ", timeout_errors: true, timeout_ms: 3600000, timeout_probability: 1";
    let breaker = "circuit_breaker: { failure_threshold: 1, timeout_ms: 0, half_open_max_requests: 5 }";
    let calm = "200, ".repeat(99);
    let proxy = opened(&format!("[500, {calm} 200]"), held, breaker).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Raw::to(proxy.address).await;
        client.send(GET).await;
        clients.push(client);
    }
    let metrics = async || curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    let begun = Instant::now();
    for line in ["circuit_breaker\"} 45\n", "timeout\"} 5\n"] {
        let line = format!("fracas_proxy_faults_total{{fault=\"{line}");
        while !metrics().await.contains(&line) {
            assert!(begun.elapsed() < crate::stand::LIMIT, "{}", metrics().await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_within_its_own_upload_is_no_failure_of_the_upstream() {
    let upstream = Upstream::start().await;
    let proxy = wish("circuit_breaker: { failure_threshold: 1, timeout_ms: 3600000 }")
        .to(&upstream.url())
        .start();
    let mut client = Raw::to(proxy.address).await;
    client
        .send("POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    client.until("first").await;
    drop(client);
    soon("it has gone", || proxy.connections() == 0).await;
    assert_eq!(state(&proxy).await, "closed");
}

// Taken for a failure it would open, and for a client that left it would stay half-open.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_proxy_does_to_a_body_is_a_success_of_the_upstream() {
    let upstream = Upstream::start().await;
    for fault in [
        "partial_responses: true, partial_response_probability: 1",
        "payload_corruption: true, payload_corruption_probability: 1, corruption_type: truncate",
        "payload_corruption: true, payload_corruption_probability: 1, corruption_type: bit_flip",
    ] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            // With a length, and without.
            for path in ["/", "/trailers"] {
                let pattern = "error_pattern: { type: sequential, sequence: [500, 200] }";
                let config = format!("fault_injection: {{ {pattern}, {fault} }}\n{ONE}");
                let proxy = wish(&config).to(&upstream.url()).start();
                assert_eq!(curl(&[&proxy.url("/")]).await.status(), 500);
                assert_eq!(state(&proxy).await, "open");
                let said = curl(&[version, &proxy.url(path)]).await;
                // It was hit: curl 7 forgets the head of a stream that is reset at once.
                let is_hit = said.code != 0 || said.header("x-fracas-fault") == "payload_corruption";
                assert!(is_hit, "{fault} {version} {path}: {said:?}");
                until(&proxy, "closed").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_what_the_proxy_does_to_a_body_the_ends_of_others_are_seen() {
    let cut = "partial_responses: true, partial_response_probability: 1";
    let flip = "payload_corruption: true, payload_corruption_probability: 1, corruption_type: bit_flip";
    let broken = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n";
    for fault in [cut, flip] {
        let config = format!("fault_injection: {{ http_errors: [], {fault} }}\n{TWO}");
        let proxy = wish(&config).to(&Canned::says(broken).await.url()).start();
        for _ in 0..2 {
            // Of an upstream that breaks off: it does so before the place that this seed draws for a cut.
            let said = curl(&["-H", "x-request-id: a", &proxy.url("/")]).await;
            assert_ne!((said.code, said.body.len()), (0, 5), "{fault}");
        }
        until(&proxy, "open").await;
    }
    // Of a client that goes away.
    let upstream = Upstream::start().await;
    let config = format!("fault_injection: {{ http_errors: [], {flip} }}\ncircuit_breaker: {{ failure_threshold: 1 }}");
    let proxy = wish(&config).to(&upstream.url()).start();
    let mut gone = Raw::to(proxy.address).await;
    gone.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    gone.until("x-fracas-fault: payload_corruption\r\n").await;
    gone.until("xxxx").await;
    drop(gone);
    soon("it has gone", || proxy.connections() == 0).await;
    assert_eq!(state(&proxy).await, "closed");
}

// A stream of HTTP/2 may end behind its last byte, and a client of HTTP/1 does not wait for that.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_all_its_bytes_has_come_whole() {
    let upstream = Upstream::http2().await;
    let pattern = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 200] } }";
    let proxy = wish(&format!("{pattern}\n{ONE}")).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    for status in [500, 200] {
        let head = client.ask("GET /said HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    until(&proxy, "closed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_is_not_changed_goes_on_and_one_that_is_closes() {
    let proxy = opened(
        "[500, 200, 200, 200, 200, 200, 200]",
        "",
        "circuit_breaker: { failure_threshold: 1 }",
    )
    .await;
    let status = async || curl(&[&proxy.url("/")]).await.status();
    assert_eq!(status().await, 503);
    put(&proxy, "/config/latency", r#"{"fixed_delay_ms": 0}"#).await;
    assert_eq!(status().await, 503);
    post(&proxy, "/disable").await;
    assert_eq!(status().await, 200);
    post(&proxy, "/enable").await;
    assert_eq!(status().await, 503);
    put(&proxy, "/config/circuit-breaker", r#"{"failure_threshold": 2}"#).await;
    assert_eq!(state(&proxy).await, "closed");
    assert_eq!(status().await, 200);
}
