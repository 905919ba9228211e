//! A way that is narrow, lossy and short of connections. In the original a limit holds each message for itself, and connections are never
//! given back (originals, 3.7, 10 and 12).

use std::time::{Duration, Instant};

use crate::api::{get, post, put};
use crate::canned::Canned;
use crate::client::{Raw, curl};
use crate::http2::Http2;
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::upstream::{LARGE, Upstream};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LARGE_ONE: &str = "GET /large HTTP/1.1\r\nhost: a\r\n\r\n";
/// So little passes that nothing ever comes to its end.
const CREEPS: &str = r#"{"bandwidth_limit_bps": 1}"#;
const FREE: &str = r#"{"bandwidth_limit_bps": 0}"#;
const BOTH: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_body_is_named() {
    let upstream = Upstream::start().await;
    let proxy = wish(
        "rate_limit: { requests_per_second: 1, burst_size: 4 }\ntraffic_shaping: { bandwidth_limit_bps: 1000000 }",
    )
    .to(&upstream.url())
    .start();
    let url = proxy.url("/");
    for version in BOTH {
        let said = curl(&[version, &url]).await;
        assert_eq!(said.header("x-fracas-fault"), "bandwidth_throttle", "{version}");
        let said = curl(&[version, "-I", &url]).await;
        assert_eq!(
            (said.status(), said.header("x-fracas-fault").as_str()),
            (200, ""),
            "{version}"
        );
    }
    assert_eq!(proxy.faults("bandwidth_throttle"), 2);
    assert_eq!(get(&proxy, "/status").await["traffic_shaping_enabled"], true);
    assert_eq!(curl(&[&url]).await.header("x-fracas-fault"), "rate_limit");
    let empty = Canned::says("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 1000000 }")
        .to(&empty.url())
        .start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!((said.status(), said.header("x-fracas-fault").as_str()), (204, ""));
    let said = curl(&["-d", "x", &proxy.url("/")]).await;
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (204, "bandwidth_throttle")
    );
}

// Also where the proxy answers for an upstream that does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_up_is_named_without_an_answer() {
    let silent = Canned::says("").await;
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 1000000 }")
        .to(&silent.url())
        .answer(Duration::from_millis(50))
        .start();
    for (words, name) in [(&["-d", "x"][..], "bandwidth_throttle"), (&[], "")] {
        let said = curl(&[words, &[&proxy.url("/")]].concat()).await;
        assert_eq!((said.status(), said.header("x-fracas-fault").as_str()), (504, name));
    }
}

// At this rate it would take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_our_own_pass_besides() {
    let config = "fault_injection: { http_errors: [500], http_error_probability: 1 }\n\
                  traffic_shaping: { bandwidth_limit_bps: 1 }";
    let proxy = wish(config).start();
    for version in BOTH {
        let said = curl(&[version, &proxy.url("/")]).await;
        assert_eq!(
            (said.code, said.status(), said.header("x-fracas-fault").as_str()),
            (0, 500, "http_error")
        );
        assert!(said.body.len() > 60, "{said:?}");
    }
}

/// One of each: what comes down, what goes up, and what goes both ways.
async fn under_way(proxy: &Stand) -> [Raw; 3] {
    let mut all = [(); 3].map(|()| None);
    for one in &mut all {
        *one = Some(Raw::to(proxy.address).await);
    }
    let [mut down, mut up, mut tunnel] = all.map(Option::unwrap);
    down.send(LARGE_ONE).await;
    down.until("\r\n\r\nx").await;
    up.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
        .await;
    up.send("x".repeat(1000)).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    tunnel.send("o".repeat(100)).await;
    tunnel.until("o").await;
    [down, up, tunnel]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_ends_lets_go_what_is_passing() {
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 20 }").to(&upstream.url());
        let proxy = proxy.start();
        let mut down = Raw::to(proxy.address).await;
        down.send(LARGE_ONE).await;
        down.until("\r\n\r\nx").await;
        let mut up = Raw::to(proxy.address).await;
        up.send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n")
            .await;
        up.send("x".repeat(1000)).await;
        let by_http2 = Http2::to(proxy.address).await;
        let (body, answered) = by_http2.ask("GET", "/large");
        drop(body);
        let answer = answered.await;
        put(&proxy, "/config/traffic", FREE).await;
        down.skip(LARGE as u64 - 100).await;
        up.until(&"x".repeat(1000)).await;
        assert_eq!(crate::http2::read(answer).await.len(), LARGE);
    }
    // A tunnel, too; and the end of the whole block is one of the limit.
    let upstream = Upstream::start().await;
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 20 }").to(&upstream.url());
    let proxy = proxy.start();
    let [_down, _up, mut tunnel] = under_way(&proxy).await;
    post(&proxy, "/disable").await;
    tunnel.until(&"o".repeat(99)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_begins_holds_what_is_passing() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("xxxx").await;
    put(&proxy, "/config/traffic", CREEPS).await;
    let reads = tokio::spawn(async move { client.skip(u64::MAX).await });
    // What is on its way comes; then the upstream is not asked for more, although the client takes all.
    let mut last = (upstream.sent(), Instant::now());
    soon("it creeps", || {
        let sent = upstream.sent();
        if sent != last.0 {
            last = (sent, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(300)
    })
    .await;
    put(&proxy, "/config/traffic", FREE).await;
    soon("it flows", || upstream.sent() > last.0 + 10_000_000).await;
    reads.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_or_sends_nothing_holds_up_nobody() {
    let upstream = Upstream::start().await;
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 20000000 }").to(&upstream.url());
    let proxy = proxy.start();
    let mut takes_nothing = Raw::to(proxy.address).await;
    takes_nothing.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let by_http2 = Http2::to(proxy.address).await;
    let (body, answered) = by_http2.ask("GET", "/endless");
    drop(body);
    let _kept = answered.await;
    let mut sends_nothing = Raw::to(proxy.address).await;
    sends_nothing
        .send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
        .await;
    // Nothing more of the two passes.
    let mut last = (0, Instant::now());
    soon("they are full", || {
        let sent = upstream.sent();
        if sent != last.0 {
            last = (sent, Instant::now());
        }
        sent > 0 && last.1.elapsed() > Duration::from_millis(300)
    })
    .await;
    let begun = Instant::now();
    for version in BOTH {
        let said = curl(&[version, &proxy.url("/large")]).await;
        assert_eq!((said.code, said.body.len()), (0, LARGE), "{}", said.told);
    }
    assert!(begun.elapsed() < LIMIT / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_end_what_can_and_ends() {
    let upstream = Upstream::start().await;
    // Half a second for an answer.
    let mut proxy = wish("traffic_shaping: { bandwidth_limit_bps: 12 }")
        .to(&upstream.url())
        .start();
    let mut client = Raw::to(proxy.address).await;
    client.send(GET).await;
    client.until("\r\n\r\nh").await;
    proxy.ask_to_stop();
    client.until("ello\n").await;
    assert_eq!(proxy.ended().await.cut, 0);
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 20 }").patience(Duration::from_millis(200));
    let proxy = proxy.to(&upstream.url()).start();
    let _open = under_way(&proxy).await;
    let begun = Instant::now();
    assert_eq!(proxy.ended().await.cut, 3);
    assert!(begun.elapsed() < LIMIT / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_held_is_a_whole_one_for_the_breaker() {
    let upstream = Upstream::start().await;
    let config = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 200] } }\n\
                  circuit_breaker: { failure_threshold: 1, timeout_ms: 0, success_threshold: 1 }\n\
                  traffic_shaping: { bandwidth_limit_bps: 100 }";
    for path in ["/", "/trailers"] {
        let proxy = wish(config).to(&upstream.url()).start();
        assert_eq!(curl(&[&proxy.url("/")]).await.status(), 500);
        assert_eq!(curl(&[&proxy.url(path)]).await.status(), 200);
        let begun = Instant::now();
        while get(&proxy, "/status").await["circuit_breaker_state"] != "closed" {
            assert!(begun.elapsed() < LIMIT, "{path}");
        }
    }
}

// Whoever breaks off waits until nobody holds his bytes, also who holds them for their turn.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_a_body_is_the_same_in_a_narrow_way() {
    let upstream = Upstream::start().await;
    for fault in [
        "partial_responses: true, partial_response_probability: 1",
        "payload_corruption: true, payload_corruption_probability: 1, corruption_type: truncate",
    ] {
        let wide = format!("fault_injection: {{ http_errors: [], {fault} }}\n");
        let narrow = format!("{wide}traffic_shaping: {{ bandwidth_limit_bps: 10000000 }}");
        let proxies = [&wide, &narrow].map(|config| wish(config).to(&upstream.url()).start());
        let mut seen = Vec::new();
        for proxy in &proxies {
            let said = curl(&["--http1.1", "-H", "x-request-id: a", &proxy.url("/large")]).await;
            seen.push((said.code, said.body.len()));
        }
        assert_eq!(seen[0], seen[1], "{fault}");
        assert!((1..LARGE).contains(&seen[0].1), "{fault}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_up_by_the_limit_is_nobodys_silence() {
    let upstream = Upstream::start().await;
    let limit = Duration::from_millis(300);
    // Twelve bytes take longer than anybody may be silent.
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 2 }")
        .silence(limit)
        .answer(limit)
        .to(&upstream.url())
        .start();
    let mut client = Raw::to(proxy.address).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nxxx")
        .await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_lost_is_decided_by_the_seed() {
    let upstream = Upstream::start().await;
    let proxy = |seed| {
        let wish = wish("traffic_shaping: { packet_loss_percent: 30 }").to(&upstream.url());
        wish.seed(seed).start()
    };
    let lost = async |proxy: &Stand| {
        let mut client = Raw::to(proxy.address).await;
        let mut lost = Vec::new();
        for id in 0..200 {
            let head = client
                .ask(&format!("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n"))
                .await;
            if head.starts_with("HTTP/1.1 408 ") {
                assert!(head.contains("\r\nx-fracas-fault: packet_loss\r\n"), "{head}");
                lost.push(id);
            } else {
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            }
        }
        lost
    };
    let (one, other) = (proxy(1), proxy(2));
    let first = lost(&one).await;
    // Five standard deviations; the draws are fixed by the seed.
    assert!((28..=92).contains(&first.len()), "{first:?}");
    assert_eq!(lost(&one).await, first);
    assert_ne!(lost(&other).await, first);
    assert_eq!(one.faults("packet_loss") as usize, first.len() * 2);
    let id = format!("x-request-id: {}", first[0]);
    upstream.forget();
    for version in BOTH {
        assert_eq!(curl(&[version, "-H", &id, &one.url("/")]).await.status(), 408);
    }
    assert!(upstream.seen().is_empty());
}

async fn status(client: &mut Raw) -> String {
    client.ask(GET).await[9..12].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_connections_have_requests_and_give_their_place_back() {
    let upstream = Upstream::start().await;
    let proxy = wish("traffic_shaping: { max_connections: 2, connection_timeout_ms: 0 }").to(&upstream.url());
    let proxy = proxy.start();
    // Again and again: none is lost.
    for _ in 0..5 {
        let [mut first, mut second] = [Raw::to(proxy.address).await, Raw::to(proxy.address).await];
        assert_eq!([status(&mut first).await, status(&mut second).await], ["200", "200"]);
        for version in BOTH {
            let said = curl(&[version, &proxy.url("/")]).await;
            assert_eq!(
                (said.status(), said.header("x-fracas-fault").as_str()),
                (503, "connection_limit")
            );
        }
        let mut refused = Raw::to(proxy.address).await;
        let head = refused.ask(GET).await;
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        assert_eq!(refused.rest().await.unwrap(), "");
        // Who is in stays in, and calls of the API need no place.
        assert_eq!([status(&mut first).await, status(&mut second).await], ["200", "200"]);
        drop((first, second));
        soon("they are closed", || proxy.connections() == 0).await;
    }
    assert_eq!(proxy.faults("connection_limit"), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_counts_once_and_as_a_tunnel_too() {
    let upstream = Upstream::start().await;
    let proxy = wish("traffic_shaping: { max_connections: 1 }")
        .to(&upstream.url())
        .start();
    let by_http2 = Http2::to(proxy.address).await;
    let (one, first) = by_http2.ask("POST", "/stream");
    let (other, second) = by_http2.ask("POST", "/stream");
    assert_eq!([first.await.status(), second.await.status()], [200, 200]);
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
    // One of HTTP/2 that was refused stays open, and gets the place when there is one.
    let refused = Http2::to(proxy.address).await;
    let ask = async || {
        let (body, answered) = refused.ask("GET", "/");
        drop(body);
        answered.await.status()
    };
    assert_eq!(ask().await, 503);
    drop((one, other, by_http2));
    let begun = Instant::now();
    while ask().await != 200 {
        assert!(begun.elapsed() < LIMIT);
    }
    drop(refused);
    soon("it is closed", || proxy.connections() == 0).await;
    let mut tunnel = Raw::to(proxy.address).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
    put(&proxy, "/config/traffic", r#"{"max_connections": 2}"#).await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    put(&proxy, "/config/traffic", r#"{"max_connections": 1}"#).await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
    // Who is in stays in.
    tunnel.send("loud").await;
    tunnel.until("loud").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_from_before_there_was_a_limit_count_too() {
    let proxy = wish("{}").start();
    let mut before = Raw::to(proxy.address).await;
    assert_eq!(status(&mut before).await, "200");
    put(&proxy, "/config/traffic", r#"{"max_connections": 1}"#).await;
    let mut after = Raw::to(proxy.address).await;
    assert_eq!(status(&mut after).await, "503");
    assert_eq!(status(&mut before).await, "200");
    drop(before);
    soon("its place is free", || proxy.connections() == 0).await;
    let mut last = Raw::to(proxy.address).await;
    assert_eq!(status(&mut last).await, "200");
}
