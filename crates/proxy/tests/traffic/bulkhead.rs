//! The bulkhead, on traffic: who has a place, for how long, and who gets the next.

use std::time::{Duration, Instant};

use crate::api::{get, post, put};
use crate::client::{Raw, curl};
use crate::stand::{LIMIT, Stand, wish};
use crate::upstream::Upstream;

const HOLD: &str = "GET /two HTTP/1.1\r\nhost: a\r\n\r\n";

/// How many have a place, and how many wait.
async fn counts(proxy: &Stand) -> (u64, u64) {
    let status = get(proxy, "/status").await;
    let count = |key: &str| status[key].as_u64().unwrap();
    (count("bulkhead_concurrent_requests"), count("bulkhead_queued_requests"))
}

async fn until(proxy: &Stand, wanted: (u64, u64)) {
    let begun = Instant::now();
    while counts(proxy).await != wanted {
        assert!(begun.elapsed() < LIMIT, "{:?} is not {wanted:?}", counts(proxy).await);
    }
}

/// A client that has the head and a part of its answer, and waits for the rest.
async fn holder(proxy: &Stand) -> Raw {
    let mut client = Raw::to(proxy.address).await;
    client.send(HOLD).await;
    client.until("first").await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_is_refused_until_a_body_has_ended() {
    let upstream = Upstream::start().await;
    let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
        .to(&upstream.url())
        .start();
    let mut inside = holder(&proxy).await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let said = curl(&[version, &proxy.url("/")]).await;
        assert_eq!(
            (said.status(), said.header("x-fracas-fault").as_str()),
            (503, "bulkhead"),
            "{version}"
        );
    }
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    for line in [
        "fracas_proxy_faults_total{fault=\"bulkhead\"} 2\n",
        "fracas_proxy_bulkhead_concurrent_requests 1\n",
        "fracas_proxy_bulkhead_queued_requests 0\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // The head has gone long before: it is the end of the body that counts.
    upstream.go_on();
    inside.until("0\r\n\r\n").await;
    until(&proxy, (0, 0)).await;
    for version in ["--http1.1", "--http2-prior-knowledge", "-I"] {
        assert_eq!(curl(&[version, &proxy.url("/")]).await.status(), 200, "{version}");
        until(&proxy, (0, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_gives_its_place_back() {
    let upstream = Upstream::start().await;
    let config =
        "latency: { fixed_delay_ms: 3600000 }\nbulkhead: { max_concurrent_requests: 1, queue_timeout_ms: 3600000 }";
    let proxy = wish(config).to(&upstream.url()).start();
    // Before its head.
    let mut held = Raw::to(proxy.address).await;
    held.send(HOLD).await;
    until(&proxy, (1, 0)).await;
    let mut queued = Raw::to(proxy.address).await;
    queued.send(HOLD).await;
    until(&proxy, (1, 1)).await;
    // From the queue, and from its place.
    drop(queued);
    until(&proxy, (1, 0)).await;
    drop(held);
    until(&proxy, (0, 0)).await;
    // In the middle of its body.
    put(&proxy, "/config/latency", r#"{"enabled": false}"#).await;
    let mut endless = Raw::to(proxy.address).await;
    endless.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    endless.until("xxxx").await;
    assert_eq!(counts(&proxy).await, (1, 0));
    drop(endless);
    until(&proxy, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_holds_no_place() {
    let upstream = Upstream::start().await;
    let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
        .to(&upstream.url())
        .start();
    let inside = holder(&proxy).await;
    upstream.hang_up();
    assert!(!inside.said().await.contains("second"));
    until(&proxy, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_has_its_place_until_it_ends() {
    let upstream = Upstream::start().await;
    let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
        .to(&upstream.url())
        .start();
    let mut tunnel = Raw::to(proxy.address).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    for _ in 0..3 {
        tunnel.send("x").await;
        tunnel.until("x").await;
        assert_eq!(counts(&proxy).await, (1, 0));
    }
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
    drop(tunnel);
    until(&proxy, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_served_in_its_order() {
    let upstream = Upstream::start().await;
    let config = "bulkhead: { max_concurrent_requests: 1, max_queue_size: 3, queue_timeout_ms: 3600000 }";
    let proxy = wish(config).to(&upstream.url()).start();
    let mut inside = holder(&proxy).await;
    let mut queue = Vec::new();
    for n in 0..3 {
        let mut client = Raw::to(proxy.address).await;
        client.send(format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        until(&proxy, (1, n + 1)).await;
        queue.push(client);
    }
    // Whoever is one too many is told at once.
    assert_eq!(curl(&[&proxy.url("/3")]).await.status(), 503);
    upstream.go_on();
    inside.until("0\r\n\r\n").await;
    for client in &mut queue {
        client.until("hello\n").await;
    }
    let lines: Vec<String> = upstream.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["GET /two", "GET /0", "GET /1", "GET /2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_is_refused() {
    let upstream = Upstream::start().await;
    let config = "bulkhead: { max_concurrent_requests: 1, queue_timeout_ms: 200 }";
    let proxy = wish(config).to(&upstream.url()).start();
    let _inside = holder(&proxy).await;
    let begun = Instant::now();
    let said = curl(&[&proxy.url("/")]).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (503, "bulkhead")
    );
    assert!(said.text().contains("in time"), "{}", said.text());
    assert_eq!(counts(&proxy).await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_at_once_and_takes_nobody_s_place() {
    let upstream = Upstream::start().await;
    let config = "bulkhead: { max_concurrent_requests: 1, queue_timeout_ms: 3600000 }";
    let proxy = wish(config).to(&upstream.url()).start();
    let _one = holder(&proxy).await;
    let mut second = Raw::to(proxy.address).await;
    second.send(HOLD).await;
    until(&proxy, (1, 1)).await;
    let more = r#"{"max_concurrent_requests": 2, "max_queue_size": 0}"#;
    let said = put(&proxy, "/config/bulkhead", more).await;
    assert_eq!(said.text(), r#"{"message":"Bulkhead configuration updated"}"#);
    second.until("first").await;
    put(
        &proxy,
        "/config/bulkhead",
        r#"{"max_concurrent_requests": 1, "max_queue_size": 0}"#,
    )
    .await;
    // Both are still there, and nobody else gets in; another block changes nothing of that.
    put(&proxy, "/config/latency", r#"{"fixed_delay_ms": 0}"#).await;
    assert_eq!(counts(&proxy).await, (2, 0));
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
    post(&proxy, "/disable").await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    post(&proxy, "/enable").await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
}

// Behind the breaker and before the limit: what a full bulkhead refuses opens the one, and costs no token of the other.
#[tokio::test(flavor = "multi_thread")]
async fn it_stands_between_the_breaker_and_the_limit() {
    let upstream = Upstream::start().await;
    let config = "circuit_breaker: { failure_threshold: 2 }\nbulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }\n\
                  rate_limit: { requests_per_second: 1, burst_size: 1 }";
    let proxy = wish(config).to(&upstream.url()).start();
    let _inside = holder(&proxy).await;
    let mut client = Raw::to(proxy.address).await;
    for fault in ["bulkhead", "bulkhead", "circuit_breaker"] {
        let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(
            head.contains(&format!("\r\nx-fracas-fault: {fault}\r\n")),
            "{fault}: {head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_never_exceed_their_places_and_leave_none_behind() {
    let proxy =
        wish("latency: { fixed_delay_ms: 1 }\nbulkhead: { max_concurrent_requests: 3, max_queue_size: 100, queue_timeout_ms: 3600000 }").start();
    let clients: Vec<_> = (0..20)
        .map(|n| {
            let at = proxy.address;
            tokio::spawn(async move {
                for round in 0..10 {
                    let mut client = Raw::to(at).await;
                    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
                    // Some of them go away without their answer.
                    if (n + round) % 3 != 0 {
                        let head = client.until("\r\n\r\n").await;
                        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                    }
                }
            })
        })
        .collect();
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        let (inside, _) = counts(&proxy).await;
        assert!(inside <= 3, "{inside}");
    }
    for client in clients {
        client.await.unwrap();
    }
    until(&proxy, (0, 0)).await;
}
