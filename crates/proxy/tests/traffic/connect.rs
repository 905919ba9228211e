//! Tunnels that clients ask for.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::handshake;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::api::get;
use crate::client::{Raw, curl};
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::upstream::{LARGE, Upstream};

fn ask(to: &str) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n\r\n")
}

async fn answered(proxy: &Stand, to: &str) -> String {
    answered_at(proxy.address, to.to_owned()).await
}

/// The head of the answer to who asks for a tunnel at this address.
pub(crate) async fn answered_at(at: SocketAddr, to: String) -> String {
    let mut client = Raw::to(at).await;
    client.ask(&ask(&to)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_leads_to_whom_it_was_asked_for_and_is_counted_and_waited_for() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let mut proxy = wish("{}").to(&other.url()).connects(&[]).start();
    for host in ["127.0.0.1", "localhost"] {
        let mut client = Raw::to(proxy.address).await;
        let head = client.ask(&ask(&format!("{host}:{}", upstream.port()))).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            !head.contains("content-length") && !head.contains("transfer-encoding"),
            "{head}"
        );
        client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        client.skip(LARGE as u64 / 2).await;
    }
    assert_eq!(upstream.seen().len(), 2);
    // What is no CONNECT goes where it went.
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    assert_eq!(other.seen().len(), 1);
    let mut open = Raw::to(proxy.address).await;
    open.ask(&ask(&format!("127.0.0.1:{}", upstream.port()))).await;
    open.send("GET /two HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    open.until("first").await;
    soon("one is open", || proxy.connections() == 1).await;
    proxy.ask_to_stop();
    upstream.go_on();
    assert!(open.rest().await.unwrap().contains("second"));
    assert_eq!(proxy.ended().await.cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_http2_is_a_tunnel_too() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").connects(&[]).start();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("127.0.0.1:{}", upstream.port()))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut tunnel = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        tunnel
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut said = String::new();
        tunnel.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("hello\n"), "{said}");
    }
    assert_eq!(upstream.seen().len(), 2);
}

// Its connection is not without a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_in_http2_keeps_its_connection_open() {
    let upstream = Upstream::start().await;
    let proxy = wish("traffic_shaping: { connection_timeout_ms: 50 }")
        .connects(&[])
        .start();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(Method::CONNECT);
    let request = request.uri(format!("127.0.0.1:{}", upstream.port()));
    let answer = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    let mut tunnel = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    // Two that have none are closed meanwhile, one after the other.
    for _ in 0..2 {
        let mut idle = Raw::to(proxy.address).await;
        idle.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!(idle.rest().await.unwrap(), "");
    }
    assert_eq!(proxy.counted("faults_total{fault=\"connection_timeout\"}"), 2);
    assert!(!sender.is_closed());
    tunnel.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(tunnel.read_u8().await.unwrap(), b'H');
    // Without its tunnel it is.
    drop(tunnel);
    soon("it is closed", || proxy.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_in_http2_that_is_reset_ends_before_a_server_that_goes_on() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
        .connects(&[])
        .start();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(Method::CONNECT);
    let request = request.uri(server.local_addr().unwrap().to_string());
    let answer = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    let _server = server.accept().await.unwrap().0;
    drop(hyper::upgrade::on(answer).await.unwrap());
    let begun = Instant::now();
    while get(&proxy, "/status").await["bulkhead_concurrent_requests"] != 0 {
        assert!(begun.elapsed() < LIMIT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_and_what_is_not_there_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let upstream = Upstream::start().await;
    let server = format!("127.0.0.1:{}", upstream.port());
    let off = wish("{}").start();
    assert!(answered(&off, &server).await.starts_with("HTTP/1.1 501 "));
    let proxy = wish("{}").connects(&[]).start();
    for (to, status) in [
        ("192.0.2.1:80".to_owned(), "403"),
        ("169.254.169.254:80".to_owned(), "403"),
        ("[fe80::1]:80".to_owned(), "403"),
        ("[::ffff:192.0.2.1]:80".to_owned(), "403"),
        // Its own port: who comes by it would be of this machine for the API.
        (proxy.address.to_string(), "403"),
        (format!("localhost:{}", proxy.address.port()), "403"),
        (closed.to_string(), "502"),
        ("127.0.0.1:0".to_owned(), "400"),
        ("nobody.invalid:80".to_owned(), "502"),
    ] {
        let head = answered(&proxy, &to).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{to}: {head}");
    }
    // Those that are named are allowed instead of the loopback.
    let elsewhere = wish("{}").connects(&["10.0.0.0/8"]).start();
    assert!(answered(&elsewhere, &server).await.starts_with("HTTP/1.1 403 "));
    let here = wish("{}").connects(&["10.0.0.0/8", "127.0.0.0/8"]).start();
    assert!(answered(&here, &server).await.starts_with("HTTP/1.1 200 "));
    assert!(upstream.seen().is_empty());
}

// By any address of this machine; and nobody's else.
#[tokio::test(flavor = "multi_thread")]
async fn its_own_api_is_reached_by_none_of_its_addresses() {
    let own = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: it asks the kernel by which address it would be.
    if own.connect("198.51.100.1:9").is_err() {
        return println!("skipped: this machine has no address but the loopback");
    }
    let own = own.local_addr().unwrap().ip();
    let proxy = wish("{}").api_at((own, 0).into()).connects(&["0.0.0.0/0"]).start();
    assert_eq!(proxy.api.ip(), own);
    let head = answered(&proxy, &proxy.api.to_string()).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let other = tokio::net::TcpListener::bind((own, 0)).await.unwrap();
    let head = answered(&proxy, &other.local_addr().unwrap().to_string()).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_act_on_the_request_and_a_limit_on_what_passes() {
    let upstream = Upstream::start().await;
    let to = format!("127.0.0.1:{}", upstream.port());
    for (config, status, fault) in [
        ("latency: { fixed_delay_ms: 30 }", "200", "latency"),
        (
            "fault_injection: { http_errors: [418], http_error_probability: 1 }",
            "418",
            "http_error",
        ),
        (
            "rate_limit: { requests_per_second: 1, burst_size: 1 }",
            "429",
            "rate_limit",
        ),
        ("traffic_shaping: { packet_loss_percent: 100 }", "408", "packet_loss"),
        (
            "traffic_shaping: { bandwidth_limit_bps: 10000 }",
            "200",
            "bandwidth_throttle",
        ),
        // There is no body to be cut.
        (
            "fault_injection: { http_errors: [], partial_responses: true, partial_response_probability: 1 }\nlatency: { fixed_delay_ms: 1 }",
            "200",
            "latency",
        ),
    ] {
        let proxy = wish(config).connects(&[]).start();
        let mut heads = Vec::new();
        for _ in 0..2 {
            heads.push(answered(&proxy, &to).await);
        }
        let head = &heads[1];
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{config}: {head}");
        assert!(
            head.contains(&format!("x-fracas-fault: {fault}\r\n")),
            "{config}: {head}"
        );
    }
    let reset = "fault_injection: { http_errors: [], connection_errors: true, connection_error_probability: 1, connection_error_kind: tcp_reset }";
    let proxy = wish(reset).connects(&[]).start();
    let mut client = Raw::to(proxy.address).await;
    client.send(ask(&to)).await;
    assert!(client.rest().await.is_err());
    let proxy = wish("traffic_shaping: { bandwidth_limit_bps: 10000 }")
        .connects(&[])
        .start();
    let mut client = Raw::to(proxy.address).await;
    client.ask(&ask(&to)).await;
    let begun = Instant::now();
    client
        .send(format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n{}",
            "x".repeat(1000)
        ))
        .await;
    client.until(&"x".repeat(1000)).await;
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_has_its_place_in_the_bulkhead_until_it_ends() {
    let upstream = Upstream::start().await;
    let to = format!("127.0.0.1:{}", upstream.port());
    let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
        .connects(&[])
        .start();
    let mut client = Raw::to(proxy.address).await;
    client.ask(&ask(&to)).await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 503);
    drop(client);
    soon("it has ended", || proxy.connections() == 0).await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
}

// Of a socket nobody reads any more that has ended its direction; so nobody hears by that when it is closed.
#[tokio::test(flavor = "multi_thread")]
async fn who_ended_one_direction_and_is_gone_holds_no_tunnel() {
    for is_client in [true, false] {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
            .connects(&[])
            .start();
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        let asks = ask(&server.local_addr().unwrap().to_string());
        client.write_all(asks.as_bytes()).await.unwrap();
        let mut server = server.accept().await.unwrap().0;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let (goes, stays) = if is_client {
            (&mut client, &mut server)
        } else {
            (&mut server, &mut client)
        };
        goes.write_all(b"last").await.unwrap();
        goes.shutdown().await.unwrap();
        let mut last = String::new();
        stays.read_to_string(&mut last).await.unwrap();
        assert_eq!(last, "last");
        // Whoever only says no more is answered all the same, however long it takes: it is looked at each second.
        let begun = Instant::now();
        soon("a while is over", || begun.elapsed() > Duration::from_millis(1500)).await;
        stays.write_all(b"s").await.unwrap();
        assert_eq!(goes.read_u8().await.unwrap(), b's');
        assert_eq!(proxy.connections(), 1);
        goes.set_zero_linger().unwrap();
        if is_client {
            drop(client);
        } else {
            drop(server);
        }
        soon("it is over", || proxy.connections() == 0).await;
        assert_eq!(proxy.counted("bulkhead_concurrent_requests"), 0);
    }
}
