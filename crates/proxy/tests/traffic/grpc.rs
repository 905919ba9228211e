//! Calls of gRPC, by their bytes; what clients make of them is seen with real ones (`real_clients`, of `fracas`).

mod shares;

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::{get, put};
use crate::client::curl;
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::upstream::Upstream;

/// What became of a call.
#[derive(Debug)]
struct Called {
    headers: HeaderMap,
    http: u16,
    body: Bytes,
    trailers: HeaderMap,
    /// The error code of the reset it ended by.
    reset: Option<u32>,
}

impl Called {
    /// The status, wherever it stands.
    fn status(&self) -> &str {
        let all = self
            .trailers
            .get("grpc-status")
            .or_else(|| self.headers.get("grpc-status"));
        all.map_or("none", |status| status.to_str().unwrap())
    }

    fn message(&self) -> &str {
        let all = self
            .trailers
            .get("grpc-message")
            .or_else(|| self.headers.get("grpc-message"));
        all.map_or("none", |message| message.to_str().unwrap())
    }

    fn faults(&self) -> Vec<&str> {
        self.headers
            .get_all("x-fracas-fault")
            .iter()
            .map(|name| name.to_str().unwrap())
            .collect()
    }
}

fn message(text: &str) -> Vec<u8> {
    let mut all = vec![0];
    all.extend((text.len() as u32).to_be_bytes());
    all.extend(text.as_bytes());
    all
}

type Sender = SendRequest<Full<Bytes>>;

/// A connection.
async fn connect(to: SocketAddr) -> Sender {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        // How it ends is seen by the call.
        let _end = connection.await;
    });
    sender
}

/// Calls, with one message.
async fn call_as(to: SocketAddr, path: &str, id: &str) -> Called {
    call_by(&mut connect(to).await, to, path, id).await
}

/// The same by a connection that is there.
async fn call_by(sender: &mut Sender, to: SocketAddr, path: &str, id: &str) -> Called {
    let request = Request::post(format!("http://{to}{path}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("x-request-id", id)
        .body(Full::new(Bytes::from(message("hello"))))
        .unwrap();
    let asked = timeout(LIMIT, sender.send_request(request)).await.unwrap();
    let (head, mut body) = asked.unwrap().into_parts();
    let (mut all, mut trailers, mut reset) = (Vec::new(), HeaderMap::new(), None);
    while let Some(frame) = timeout(LIMIT, body.frame()).await.unwrap() {
        match frame.map(|frame| frame.into_data().map_err(Frame::into_trailers)) {
            Ok(Ok(data)) => all.extend(data),
            Ok(Err(last)) => trailers = last.unwrap(),
            Err(error) => {
                let error = std::error::Error::source(&error).unwrap().downcast_ref::<h2::Error>();
                reset = Some(u32::from(error.unwrap().reason().unwrap()));
                break;
            }
        }
    }
    Called {
        headers: head.headers,
        http: head.status.as_u16(),
        body: all.into(),
        trailers,
        reset,
    }
}

async fn call(proxy: &Stand, path: &str) -> Called {
    call_as(proxy.address, path, "").await
}

/// A server of gRPC: `/N` sends so many messages in parts of three bytes, `/endless` one and no end.
struct Server {
    url: String,
    /// Says the path of each call that the other side left before its end.
    left: mpsc::UnboundedReceiver<String>,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("h2c://{}", listener.local_addr().unwrap());
        let (leaves, left) = mpsc::unbounded_channel();
        let (asks, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (leaves, asks) = (leaves.clone(), asks.clone());
                let service = service_fn(move |request| {
                    // Whoever does not ask is gone with its test.
                    let _gone = asks.send(request_path(&request));
                    std::future::ready(Ok::<_, Infallible>(answer(&request, leaves.clone())))
                });
                let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                tokio::spawn(served);
            }
        });
        Self { url, left, asked }
    }
}

fn request_path(request: &Request<Incoming>) -> String {
    request.uri().path().to_owned()
}

type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

fn answer(request: &Request<Incoming>, leaves: mpsc::UnboundedSender<String>) -> Response<Body> {
    let path = request_path(request);
    let (mut sender, channel) = Channel::new(1);
    let response = Response::builder().header("content-type", "application/grpc+proto");
    if path == "/fails" {
        let only = response.header("grpc-status", "5").body(Either::Left(Full::default()));
        return only.unwrap();
    }
    tokio::spawn(async move {
        let whole = async {
            let count = path[1..].parse::<u32>().unwrap_or(1);
            let all: Vec<u8> = (0..count).flat_map(|n| message(&format!("message {n}"))).collect();
            for part in all.chunks(3) {
                sender.send_data(Bytes::copy_from_slice(part)).await.ok()?;
            }
            if path == "/endless" {
                // Empty parts, until nobody takes them.
                while sender.send_data(Bytes::from_static(b"\0\0\0\0\0")).await.is_ok() {}
                return None;
            }
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            sender.send_trailers(trailers).await.ok()
        };
        if whole.await.is_none() {
            // Whoever does not look is gone with its test.
            let _gone = leaves.send(path);
        }
    });
    response.body(Either::Right(channel)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_fails_as_grpc_says_it_and_never_reaches_the_upstream() {
    let mut server = Server::start().await;
    let proxy = wish("grpc: { status_codes: [8], status_code_probability: 1 }")
        .to(&server.url)
        .start();
    let called = call(&proxy, "/3").await;
    assert_eq!((called.http, called.status(), called.body.len()), (200, "8", 0));
    assert_eq!(called.headers["content-type"], "application/grpc+proto");
    // Its head is all there is.
    assert!(called.trailers.is_empty(), "{called:?}");
    assert_eq!(called.message(), "this status was made by Fracas");
    assert_eq!(called.faults(), ["grpc_status"]);
    assert_eq!(proxy.faults("grpc_status"), 1);
    assert!(server.asked.try_recv().is_err());
    // What is no call is left alone: to the upstream it goes.
    let other = wish("grpc: { status_codes: [8], status_code_probability: 1 }").start();
    for kind in ["application/json", "application/grpc-web+proto"] {
        let kind = format!("content-type: {kind}");
        let said = curl(&["--http2-prior-knowledge", "-d", "x", "-H", &kind, &other.url("/")]).await;
        assert_eq!((said.status(), said.header("x-fracas-fault")), (200, String::new()));
    }
    let grpc = ["-d", "x", "-H", "content-type: application/grpc"];
    let said = curl(&[&["--http1.1"], &grpc[..], &[&other.url("/")]].concat()).await;
    assert_eq!(said.header("x-fracas-fault"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_proxy_says_by_itself_is_said_as_grpc_says_it() {
    let server = Server::start().await;
    for (http, grpc) in [
        (400, "3"),
        (401, "16"),
        (403, "7"),
        (404, "5"),
        (429, "8"),
        (500, "13"),
        (501, "12"),
        (502, "14"),
        (503, "14"),
        (504, "4"),
        (418, "2"),
    ] {
        let config = format!("fault_injection: {{ http_errors: [{http}], http_error_probability: 1 }}");
        let proxy = wish(&config).to(&server.url).start();
        let called = call(&proxy, "/1").await;
        assert_eq!((called.http, called.status()), (200, grpc), "{http}");
        assert_eq!(called.faults(), ["http_error"], "{http}");
        // Who does not speak it is told as ever.
        assert_eq!(
            curl(&["--http2-prior-knowledge", &proxy.url("/1")]).await.status(),
            http
        );
    }
    let refusals = [
        (
            "rate_limit: { requests_per_second: 1, burst_size: 1 }",
            "8",
            "Rate limit exceeded",
        ),
        (
            "traffic_shaping: { packet_loss_percent: 100 }",
            "2",
            "this request was lost by Fracas",
        ),
        (
            "fault_injection: { http_errors: [], timeout_errors: true, timeout_ms: 1, timeout_probability: 1 }",
            "4",
            "this time-out was made by Fracas",
        ),
    ];
    for (config, status, message) in refusals {
        let proxy = wish(config).to(&server.url).start();
        // Of the limit the first passes.
        call(&proxy, "/1").await;
        let called = call(&proxy, "/1").await;
        assert_eq!((called.status(), called.message()), (status, message), "{config}");
    }
    // Nobody is there.
    let called = call(&wish("{}").to("h2c://127.0.0.1:1").start(), "/1").await;
    assert_eq!(called.status(), "14", "{called:?}");
    assert!(called.message().starts_with("no answer of the upstream"), "{called:?}");
    // What an upstream of HTTP says is its own.
    let upstream = Upstream::http2().await;
    let called = call(&wish("{}").to(&upstream.url()).start(), "/refused").await;
    assert_eq!((called.http, called.status()), (413, "none"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_behind_its_messages_with_a_status() {
    let mut server = Server::start().await;
    let three: Vec<u8> = (0..3).flat_map(|n| message(&format!("message {n}"))).collect();
    for (keys, after, status) in [
        ("", 1, "14"),
        ("interrupt_after_messages: 3, interrupt_status_code: 10", 3, "10"),
        ("interrupt_after_messages: 0", 0, "14"),
    ] {
        let config = format!("grpc: {{ stream_interruption_probability: 1, {keys} }}");
        let proxy = wish(&config).to(&server.url).start();
        for path in ["/7", "/endless"] {
            let called = call(&proxy, path).await;
            if path == "/7" {
                assert!(called.body == three[..three.len() / 3 * after], "{keys}: {called:?}");
            }
            assert_eq!(
                (called.http, called.status(), called.reset),
                (200, status, None),
                "{keys} {path}"
            );
            assert_eq!(called.message(), "this stream was cut off by Fracas");
            assert_eq!(called.faults(), ["grpc_stream_interruption"]);
            if path == "/endless" {
                // The upstream is told. Of the other it may have sent all by then.
                while timeout(LIMIT, server.left.recv()).await.unwrap().unwrap() != path {}
            }
        }
        assert_eq!(proxy.faults("grpc_stream_interruption"), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_cut_by_a_reset_with_the_code_that_was_asked() {
    let server = Server::start().await;
    for code in [2, 7, 8, 11] {
        let config =
            format!("grpc: {{ stream_interruption_probability: 1, interrupt_after_messages: 2, reset_code: {code} }}");
        let proxy = wish(&config).to(&server.url).start();
        for _ in 0..20 {
            let called = call(&proxy, "/5").await;
            assert_eq!((called.http, called.status(), called.reset), (200, "none", Some(code)));
            // What was sent before is there, each time.
            assert_eq!(called.body, [message("message 0"), message("message 1")].concat());
        }
    }
    let config = "grpc: { stream_interruption_probability: 1, interrupt_after_messages: 0, reset_code: 8 }";
    let proxy = wish(config).to(&server.url).start();
    for _ in 0..20 {
        // Also if that is the head alone.
        let called = call(&proxy, "/5").await;
        assert_eq!((called.http, called.reset, called.body.len()), (200, Some(8), 0));
        assert_eq!(called.faults(), ["grpc_stream_interruption"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_before_ends_as_ever() {
    let server = Server::start().await;
    let proxy = wish("grpc: { stream_interruption_probability: 1, interrupt_after_messages: 3 }")
        .to(&server.url)
        .start();
    let called = call(&proxy, "/2").await;
    assert_eq!((called.status(), called.body.len()), ("0", 2 * (5 + "message 0".len())));
    // There is no stream to be cut.
    let called = call(&proxy, "/fails").await;
    assert_eq!((called.status(), called.faults().len()), ("5", 0));
    assert_eq!(proxy.faults("grpc_stream_interruption"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_calls_fail_whoever_comes_first() {
    let server = Server::start().await;
    let failed = async |seed: u64, order: Vec<u32>| {
        let config = "grpc: { status_codes: [13, 14], status_code_probability: 0.3 }";
        let proxy = wish(config).seed(seed).to(&server.url).start();
        let mut all = std::collections::BTreeMap::new();
        for n in order {
            all.insert(
                n,
                call_as(proxy.address, "/1", &format!("call-{n}"))
                    .await
                    .status()
                    .to_owned(),
            );
        }
        all
    };
    let one = failed(1, (0..60).collect()).await;
    for status in ["0", "13", "14"] {
        assert!(one.values().any(|one| one == status), "{one:?}");
    }
    assert_eq!(failed(1, (0..60).rev().collect()).await, one);
    assert_ne!(failed(2, (0..60).collect()).await, one);
}

// Of its own failures the circuit breaker sees what HTTP would have said (originals, 3.7, 11).
#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_were_made_open_the_circuit_breaker() {
    let server = Server::start().await;
    for (code, opens) in [(14, true), (5, false)] {
        let config = format!(
            "grpc: {{ status_codes: [{code}], status_code_probability: 1 }}\ncircuit_breaker: {{ failure_threshold: 2 }}"
        );
        let proxy = wish(&config).to(&server.url).start();
        for _ in 0..3 {
            call(&proxy, "/1").await;
        }
        let state = get(&proxy, "/status").await["circuit_breaker_state"].clone();
        assert_eq!(state == "open", opens, "{code}: {state}");
        let last = call(&proxy, "/1").await;
        assert_eq!(last.faults() == ["circuit_breaker"], opens, "{last:?}");
        assert_eq!(last.status(), if opens { "14" } else { "5" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_changed_from_the_next_call_on_also_by_parts() {
    let server = Server::start().await;
    let proxy = wish("{}").to(&server.url).start();
    assert_eq!(call(&proxy, "/2").await.status(), "0");
    put(
        &proxy,
        "/config/grpc",
        r#"{"status_codes": [9], "status_code_probability": 1}"#,
    )
    .await;
    assert_eq!(call(&proxy, "/2").await.status(), "9");
    put(
        &proxy,
        "/config/grpc",
        r#"{"enabled": false, "interrupt_status_code": 6}"#,
    )
    .await;
    assert_eq!(call(&proxy, "/2").await.status(), "0");
    let post = async |path: &str, body: &str| {
        let url = proxy.url(&format!("/api/chaos/protocols/grpc{path}"));
        curl(&["-H", "content-type: application/json", "-d", body, &url]).await
    };
    // A part switches on the block, and leaves the others.
    let said = post("/stream-interruption", r#"{"probability": 1}"#).await;
    assert_eq!(said.text(), r#"{"message":"gRPC stream interruption updated"}"#);
    assert_eq!(call(&proxy, "/2").await.status(), "6");
    let said = post("/status-codes", r#"{"status_codes": [13, 14], "probability": 1}"#).await;
    assert_eq!(said.text(), r#"{"message":"gRPC status codes updated"}"#);
    assert!(["13", "14"].contains(&call(&proxy, "/2").await.status()));
    let block = get(&proxy, "/config").await["grpc"].clone();
    assert_eq!(
        (
            &block["stream_interruption_probability"],
            &block["interrupt_status_code"]
        ),
        (&1.0.into(), &6.into())
    );
    for (path, wrong) in [
        ("/status-codes", r#"{"status_codes": [0], "probability": 1}"#),
        ("/status-codes", r#"{"status_codes": [17], "probability": 1}"#),
        ("/status-codes", r#"{"status_codes": [3]}"#),
        ("/stream-interruption", r#"{"probability": 1.5}"#),
        ("/stream-interruption", r#"{"probability": 1, "after": 2}"#),
        ("/stream-interruption", ""),
    ] {
        assert_eq!(post(path, wrong).await.status(), 422, "{path} {wrong}");
    }
}

// A change in the middle of a stream is for the next one; and one that ends with its proxy is ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_on_keeps_to_what_was_when_it_began() {
    let server = Server::start().await;
    let mut proxy = wish("grpc: { stream_interruption_probability: 1, interrupt_after_messages: 100000000 }")
        .to(&server.url)
        .patience(std::time::Duration::from_millis(100))
        .start();
    let address = proxy.address;
    let goes_on = tokio::spawn(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://{address}/endless"))
            .header("content-type", "application/grpc")
            .body(Full::new(Bytes::from(message("hello"))))
            .unwrap();
        let mut body = sender.send_request(request).await.unwrap().into_body();
        let mut count = 0;
        while let Some(Ok(frame)) = body.frame().await {
            count += usize::from(frame.is_data());
            if count == 50 {
                put_off(address).await;
            }
        }
        count
    });
    soon("it goes on", || proxy.connections() > 0).await;
    // Long after the change it still comes.
    let begun = std::time::Instant::now();
    while get(&proxy, "/config").await["grpc"]["enabled"] != false {
        assert!(begun.elapsed() < LIMIT);
    }
    assert!(!goes_on.is_finished());
    // Of those who asked for the configuration: curl is gone before its connection is.
    soon("it is alone", || proxy.connections() == 1).await;
    proxy.ask_to_stop();
    assert_eq!(proxy.ended().await.cut, 1);
    assert!(timeout(LIMIT, goes_on).await.unwrap().unwrap() > 50);
}

async fn put_off(address: SocketAddr) {
    let url = format!("http://{address}/api/chaos/config/grpc");
    curl(&[
        "-X",
        "PUT",
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"enabled": false}"#,
        &url,
    ])
    .await;
}
