//! Connections that have no request: after a while they are closed.

use std::time::{Duration, Instant};

use crate::api::put;
use crate::client::Raw;
use crate::http2::Http2;
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::upstream::Upstream;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const API: &str = "GET /api/chaos/status HTTP/1.1\r\nhost: localhost\r\n\r\n";
const SHORT: Duration = Duration::from_millis(100);
const CONFIG: &str = "traffic_shaping: { connection_timeout_ms: 100 }";

/// Waits until another connection was closed, which took longer than the limit.
async fn one_is_closed(proxy: &Stand) {
    let mut client = Raw::to(proxy.address).await;
    client.ask(GET).await;
    assert_eq!(client.rest().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_closed_in_order_and_counted() {
    let upstream = Upstream::start().await;
    let proxy = wish(CONFIG).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    let mut begun = Instant::now();
    for _ in 0..3 {
        begun = Instant::now();
        client.ask(GET).await;
    }
    // No reset, or there would be an error.
    assert_eq!(client.rest().await.unwrap(), "");
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(proxy.faults("connection_timeout"), 1);
    let client = Http2::to(proxy.address).await;
    let (body, answered) = client.ask("GET", "/");
    drop(body);
    assert_eq!(answered.await.status(), 200);
    soon("it is closed", || client.is_closed() && proxy.connections() == 0).await;
    assert_eq!(proxy.faults("connection_timeout"), 2);
}

// By default both limits are half a minute. Here both are over when anybody looks, and hyper is looked at first.
#[expect(clippy::disallowed_methods, reason = "nothing else is to run meanwhile")]
#[tokio::test]
async fn it_is_counted_also_where_another_limit_is_as_long() {
    let proxy = wish(CONFIG).head(SHORT).start();
    let mut client = Raw::to(proxy.address).await;
    client.ask(GET).await;
    // tidy: sleep because nothing of this thread, which is the proxy's, too, may run before both limits are over
    std::thread::sleep(SHORT * 3);
    assert_eq!(client.rest().await.unwrap(), "");
    soon("it is counted", || proxy.faults("connection_timeout") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_request_or_had_none_or_uses_the_api_is_left_alone() {
    let upstream = Upstream::start().await;
    let proxy = wish(CONFIG).to(&upstream.url()).start();
    let mut has_one = Raw::to(proxy.address).await;
    has_one.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    has_one.until("first").await;
    let mut had_none = Raw::to(proxy.address).await;
    let mut of_api = Raw::to(proxy.address).await;
    of_api.ask(GET).await;
    of_api.ask(API).await;
    let mut tunnel = Raw::to(proxy.address).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    for _ in 0..2 {
        one_is_closed(&proxy).await;
    }
    assert!(had_none.ask(GET).await.starts_with("HTTP/1.1 200 "));
    assert!(of_api.ask(API).await.starts_with("HTTP/1.1 200 "));
    tunnel.send("loud").await;
    tunnel.until("loud").await;
    upstream.go_on();
    has_one.until("second\r\n0\r\n\r\n").await;
    assert_eq!(has_one.rest().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_on_connections_that_are_open() {
    let proxy = wish("{}").start();
    let mut client = Raw::to(proxy.address).await;
    client.ask(GET).await;
    put(&proxy, "/config/traffic", r#"{"connection_timeout_ms": 1}"#).await;
    let begun = Instant::now();
    assert_eq!(client.rest().await.unwrap(), "");
    assert!(begun.elapsed() < LIMIT / 2);
    // Without a limit, what had too long a pause before is left alone.
    put(&proxy, "/config/traffic", r#"{"connection_timeout_ms": 3600000}"#).await;
    let mut client = Raw::to(proxy.address).await;
    client.ask(GET).await;
    for without in [
        r#"{"enabled": false, "connection_timeout_ms": 1}"#,
        r#"{"connection_timeout_ms": 0}"#,
    ] {
        put(&proxy, "/config/traffic", without).await;
        assert!(client.ask(GET).await.starts_with("HTTP/1.1 200 "), "{without}");
    }
}
