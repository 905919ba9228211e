//! WebSocket in streams of HTTP/2 (RFC 8441), to upstreams of HTTP/1.1 and of HTTP/2.

/// Does this with the end of a server, whatever it speaks.
macro_rules! with {
    ($opened:expr, $end:ident => $does:expr) => {
        match $opened {
            Opened::Http1($end) => $does,
            Opened::Http2($end) => $does,
        }
    };
}

mod ends;
mod secure;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::ext::Protocol;
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{BINARY, CLOSE, End, MASK, PING, TEXT, closed};
use crate::api::{get, put};
use crate::client::curl;
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::upstream::Upstream;

type Stream = End<TokioIo<Upgraded>>;

/// A connection of a client.
struct Client(SendRequest<Empty<Bytes>>);

/// A handshake, as the upstream saw it.
struct Seen {
    line: String,
    headers: HeaderMap,
}

/// What the client came to, whatever it speaks.
enum Server {
    Http1(TcpListener),
    Http2(SocketAddr, mpsc::Receiver<(Seen, TokioIo<Upgraded>)>),
}

/// The end of a server.
enum Opened {
    Http1(End),
    Http2(Stream),
}

fn request(protocol: &'static str, path: &str, id: &str) -> Request<Empty<Bytes>> {
    Request::connect(format!("http://called.example{path}"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .header("x-request-id", id)
        .extension(Protocol::from_static(protocol))
        .body(Empty::new())
        .unwrap()
}

impl Client {
    /// Waits until the proxy says that it takes WebSocket in streams.
    async fn to(address: SocketAddr) -> Self {
        let (client, takes) = Self::unsure(address).await;
        assert!(takes);
        client
    }

    /// Whether it says so within its first answer.
    async fn unsure(address: SocketAddr) -> (Self, bool) {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let mut connection = Box::pin(connection);
        let mut first = sender.clone();
        let get = Request::get("http://called.example/api/chaos/status").body(Empty::new());
        tokio::select! {
            _end = &mut connection => panic!("it ends"),
            answered = first.send_request(get.unwrap()) => assert!(answered.is_ok()),
        }
        let takes = connection.is_extended_connect_protocol_enabled();
        tokio::spawn(async move {
            // How it ends is seen by its requests.
            let _end = connection.await;
        });
        (Self(sender), takes)
    }

    async fn ask(&mut self, request: Request<Empty<Bytes>>) -> hyper::Result<Response<Incoming>> {
        timeout(LIMIT, self.0.send_request(request)).await.expect("an answer")
    }

    /// Opens one, which must be, and gives the head of the answer.
    async fn open(&mut self, path: &str, id: &str) -> (Stream, Response<()>) {
        let mut response = self.ask(request("websocket", path, id)).await.unwrap();
        assert_eq!(response.status(), 200, "{:?}", response.headers());
        let stream = hyper::upgrade::on(&mut response).await.unwrap();
        let end = End {
            stream: TokioIo::new(stream),
            mask: Some(MASK),
        };
        (end, response.map(drop))
    }

    /// The status of the answer, its faults and its body.
    async fn refused(&mut self, request: Request<Empty<Bytes>>) -> (u16, String, String) {
        let response = self.ask(request).await.unwrap();
        let fault = response.headers().get("x-fracas-fault");
        let fault = fault.map_or("", |fault| fault.to_str().unwrap()).to_owned();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, fault, String::from_utf8(body.to_vec()).unwrap())
    }
}

impl Server {
    async fn http1() -> Self {
        Self::Http1(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    async fn http2() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (came, coming) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let came = came.clone();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    let came = came.clone();
                    async move {
                        let protocol = request.extensions().get::<Protocol>().map_or("", Protocol::as_str);
                        let line = format!("{} {protocol} {}", request.method(), request.uri());
                        let headers = request.headers().clone();
                        tokio::spawn(async move {
                            let stream = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
                            came.send((Seen { line, headers }, stream)).await.unwrap();
                        });
                        let answer = Response::builder().header("sec-websocket-protocol", "chat");
                        answer.body(Empty::<Bytes>::new())
                    }
                });
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).enable_connect_protocol();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self::Http2(address, coming)
    }

    fn url(&self) -> String {
        match self {
            Self::Http1(listener) => format!("http://{}/base", listener.local_addr().unwrap()),
            Self::Http2(address, _) => format!("h2c://{address}/base"),
        }
    }

    /// Opens one, on both sides.
    async fn open(&mut self, client: &mut Client, id: &str) -> (Stream, Response<()>, Opened, Seen) {
        let opened = async {
            match self {
                Self::Http1(listener) => {
                    let stream = listener.accept().await.unwrap().0;
                    let mut end = End { stream, mask: None };
                    let head = end.head().await;
                    let headers = headers_of(&head);
                    goes_over(&mut end.stream, &accept(&headers)).await;
                    let line = head.lines().next().unwrap().to_owned();
                    (Opened::Http1(end), Seen { line, headers })
                }
                Self::Http2(_, coming) => {
                    let (seen, stream) = coming.recv().await.unwrap();
                    (Opened::Http2(End { stream, mask: None }), seen)
                }
            }
        };
        let both = async { tokio::join!(client.open("/chat?room=1", id), opened) };
        let ((client, response), (opened, seen)) = timeout(LIMIT, both).await.expect("both sides in time");
        (client, response, opened, seen)
    }
}

impl Opened {
    async fn send(&mut self, first: u8, payload: &[u8]) {
        with!(self, end => end.send(first, payload).await);
    }

    async fn frame_of_other(&mut self) -> (u8, Vec<u8>) {
        with!(self, end => end.frame_of_other().await)
    }

    async fn rest(&mut self) -> Vec<u8> {
        with!(self, end => end.rest().await)
    }
}

fn headers_of(head: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    headers
}

/// What is made of the key (RFC 6455, 4.2.2).
fn accept(headers: &HeaderMap) -> String {
    let key = headers["sec-websocket-key"].to_str().unwrap();
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

async fn goes_over(stream: &mut TcpStream, accept: &str) {
    let answers = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\n\r\n"
    );
    stream.write_all(answers.as_bytes()).await.unwrap();
}

async fn both_kinds() -> [Server; 2] {
    [Server::http1().await, Server::http2().await]
}

fn counted(proxy: &Stand, name: &str) -> u32 {
    proxy.counted(&format!("faults_total{{fault=\"{name}\"}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_passes_in_both_directions_to_upstreams_of_both_kinds() {
    for mut server in both_kinds().await {
        let proxy = wish("{}").to(&server.url()).start();
        let mut client = Client::to(proxy.address).await;
        let (mut end, response, mut upstream, seen) = server.open(&mut client, "a").await;
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
        // It is counted as its client sees it.
        assert_eq!(proxy.counted("requests_total{class=\"2xx\"}"), 1);
        for none in ["sec-websocket-accept", "upgrade", "connection"] {
            assert!(!response.headers().contains_key(none), "{none}");
        }
        let of = |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(of("sec-websocket-version"), Some("13"));
        assert_eq!(of("via"), Some("2 fracas"));
        if matches!(server, Server::Http1(_)) {
            assert_eq!(seen.line, "GET /base/chat?room=1 HTTP/1.1");
            assert_eq!((of("host"), of("upgrade")), (Some("called.example"), Some("websocket")));
            assert_eq!(
                (of("connection"), of("sec-websocket-key").map(str::len)),
                (Some("upgrade"), Some(24))
            );
        } else {
            let line = "CONNECT websocket http://called.example/base/chat?room=1";
            assert_eq!((seen.line.as_str(), of("sec-websocket-key")), (line, None));
        }
        // Another beside it, and a request between.
        let (mut other, _, mut other_upstream, _) = server.open(&mut client, "b").await;
        let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        for (first, payload) in [(TEXT, &b"hello"[..]), (PING, b""), (BINARY, &large)] {
            end.send(first, payload).await;
            assert!(upstream.frame_of_other().await == (first, payload.to_vec()));
            other.send(first, b"other").await;
            upstream.send(first, payload).await;
            assert!(end.frame_of_other().await == (first, payload.to_vec()));
            assert_eq!(other_upstream.frame_of_other().await, (first, b"other".to_vec()));
        }
        // The end of one direction is not that of the other.
        end.stream.shutdown().await.unwrap();
        assert!(upstream.rest().await.is_empty());
        upstream.send(TEXT, b"behind").await;
        assert_eq!(end.frame_of_other().await, (TEXT, b"behind".to_vec()));
        drop(upstream);
        assert!(end.rest().await.is_empty());
        drop(other);
        assert!(other_upstream.rest().await.is_empty());
        drop(other_upstream);
        assert_eq!(proxy.ended().await.cut, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_meet_what_they_meet_in_http1() {
    for mut server in both_kinds().await {
        let proxy = wish("{}").to(&server.url()).start();
        let mut client = Client::to(proxy.address).await;
        let (mut end, _, mut upstream, _) = server.open(&mut client, "a").await;
        end.send(TEXT, b"first").await;
        assert_eq!(upstream.frame_of_other().await, (TEXT, b"first".to_vec()));
        // In a connection that is open.
        put(&proxy, "/config/websocket", r#"{"message_drop_probability": 1}"#).await;
        end.send(TEXT, b"lost").await;
        end.send(PING, b"ping").await;
        assert_eq!(upstream.frame_of_other().await, (PING, b"ping".to_vec()));
        assert_eq!(counted(&proxy, "websocket_message_drop"), 1);
        put(&proxy, "/config/websocket", r#"{"message_corruption_probability": 1}"#).await;
        upstream.send(BINARY, &[0; 100]).await;
        let (first, came) = end.frame_of_other().await;
        assert_eq!((first, came.len()), (BINARY, 100));
        assert_eq!(came.iter().filter(|byte| **byte != 0).count(), 10);
        put(&proxy, "/config/websocket", r#"{"message_delay_ms": 150}"#).await;
        let begun = Instant::now();
        end.send(TEXT, b"late").await;
        assert_eq!(upstream.frame_of_other().await, (TEXT, b"late".to_vec()));
        assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
        put(
            &proxy,
            "/config/websocket",
            r#"{"close_codes": [1011], "close_probability": 1}"#,
        )
        .await;
        end.send(TEXT, b"hello").await;
        assert_eq!(
            (upstream.frame_of_other().await, end.frame_of_other().await),
            (closed(1011), closed(1011))
        );
        upstream.send(CLOSE, &1011u16.to_be_bytes()).await;
        end.send(CLOSE, &1011u16.to_be_bytes()).await;
        assert!(upstream.rest().await.is_empty() && end.rest().await.is_empty());
        assert_eq!(counted(&proxy, "websocket_close"), 1);
    }
}

// A client is who it is by its name.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_messages_are_lost_as_in_http1() {
    let config = "websocket: { message_drop_probability: 0.5 }";
    let mut server = Server::http1().await;
    let proxy = wish(config).to(&server.url()).start();
    let mut client = Client::to(proxy.address).await;
    let (mut end, _, mut upstream, _) = server.open(&mut client, "same").await;
    let by_http1 = super::Both::as_of(config, "same").await;
    let (mut other, mut other_upstream) = (by_http1.client, by_http1.upstream);
    for n in 0..40 {
        end.send(BINARY, &[n]).await;
        other.send(BINARY, &[n]).await;
    }
    end.send(PING, b"last").await;
    other.send(PING, b"last").await;
    let mut came = 0;
    loop {
        let frame = upstream.frame_of_other().await;
        assert_eq!(other_upstream.frame_of_other().await, frame);
        if frame.0 == PING {
            break;
        }
        came += 1;
    }
    assert!((8..32).contains(&came), "{came}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_meets_what_requests_meet() {
    let mut server = Server::http1().await;
    let config = "routes: [{ path: /never, method: GET, fault_injection: { fault_types: [{ type: http_error, status_code: 503 }] } }]
latency: { fixed_delay_ms: 20 }
bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }";
    // It leads to the upstream, also where tunnels lead elsewhere.
    let proxy = wish(config).to(&server.url()).connects(&[]).start();
    let mut client = Client::to(proxy.address).await;
    let (status, fault, _) = client.refused(request("websocket", "/never", "a")).await;
    assert_eq!((status, fault.as_str()), (503, "latency"));
    let (end, response, upstream, _) = server.open(&mut client, "a").await;
    assert_eq!(response.headers()["x-fracas-latency-ms"], "20.000");
    // It has its place as long as it is open.
    let url = proxy.url("/never");
    let said = curl(&[&url]).await;
    assert_eq!(
        (said.status(), said.header("x-fracas-fault").as_str()),
        (503, "bulkhead")
    );
    drop((end, upstream));
    let begun = Instant::now();
    while curl(&[&url]).await.header("x-fracas-fault").contains("bulkhead") {
        assert!(begun.elapsed() < LIMIT);
    }
    // Another protocol is no tunnel, and the API is no upstream.
    for (protocol, path) in [("connect-udp", "/"), ("websocket", "/api/chaos/status")] {
        let said = client.ask(request(protocol, path, "a")).await.unwrap();
        assert_eq!(said.status(), StatusCode::NOT_IMPLEMENTED, "{protocol} {path}");
    }
}

// In HTTP/2 each success is a stream that goes over.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_go_over_is_no_success() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Client::to(proxy.address).await;
    let (status, _, body) = client.refused(request("websocket", "/", "a")).await;
    assert!(
        status == 502 && body.contains("did not go over to WebSocket"),
        "{status} {body}"
    );
    // Neither is an answer of ours.
    let graphql = "{\"error_codes\": [\"DOWN\"], \"error_probability\": 1, \"path\": \"/\"}";
    put(&proxy, "/config/graphql", graphql).await;
    put(&proxy, "/config/latency", r#"{"fixed_delay_ms": 2}"#).await;
    let refused = client.ask(request("websocket", "/?query=a", "a")).await.unwrap();
    assert_eq!(refused.status(), 502);
    let faults: Vec<_> = refused.headers().get_all("x-fracas-fault").iter().collect();
    assert_eq!(faults, ["latency", "graphql_error"]);
    assert_eq!(refused.headers()["x-fracas-latency-ms"], "2.000");
    // It is counted as it is told.
    assert_eq!(proxy.counted("requests_total{class=\"5xx\"}"), 2);
    // Nor is one in the way of gRPC.
    let mut call = request("websocket", "/", "a");
    call.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let (status, _, body) = client.refused(call).await;
    assert!(
        status == 502 && body.contains("did not go over to WebSocket"),
        "{status} {body}"
    );
    // One of HTTP/2 that takes none.
    let upstream = Upstream::http2().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Client::to(proxy.address).await;
    let (status, _, body) = client.refused(request("websocket", "/", "a")).await;
    assert!(status == 502 && body.contains("RFC 8441"), "{status} {body}");
}

// In HTTP/1.1 the client looks, and in HTTP/2 it knows of no key.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_of_one_stream_alone_and_what_is_made_of_another_is_no_success() {
    let mut server = Server::http1().await;
    let proxy = wish("{}").to(&server.url()).start();
    let mut client = Client::to(proxy.address).await;
    let mut keys = Vec::new();
    let mut upstreams = Vec::new();
    for _ in 0..2 {
        let (end, _, upstream, seen) = server.open(&mut client, "same").await;
        keys.push(seen.headers["sec-websocket-key"].clone());
        upstreams.push((end, upstream));
    }
    assert_ne!(keys[0], keys[1]);
    let Server::Http1(listener) = &server else {
        unreachable!()
    };
    let answers = async {
        let stream = listener.accept().await.unwrap().0;
        let mut end = End { stream, mask: None };
        end.head().await;
        goes_over(&mut end.stream, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").await;
        end
    };
    let mut asked = request("websocket", "/", "same");
    // Of a client of HTTP/2 it means nothing.
    asked
        .headers_mut()
        .insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
    let both = async { tokio::join!(client.refused(asked), answers) };
    let ((status, _, body), _end) = timeout(LIMIT, both).await.unwrap();
    assert!(
        status == 502 && body.contains("Sec-WebSocket-Accept"),
        "{status} {body}"
    );
}

// Nobody is told that it can be had, and who asks all the same gets nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_there_is_none() {
    let proxy = wish("{}").connects(&[]).start();
    let (mut client, takes) = Client::unsure(proxy.address).await;
    assert!(!takes);
    assert!(client.ask(request("websocket", "/", "a")).await.is_err());
}

// Browsers go by a reset, and an upstream need not say anything to the end that it sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_it_also_before_an_upstream_that_goes_on() {
    for mut server in both_kinds().await {
        let proxy = wish("bulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }")
            .to(&server.url())
            .start();
        let mut client = Client::to(proxy.address).await;
        let (mut end, _, mut upstream, _) = server.open(&mut client, "a").await;
        end.send(TEXT, b"hello").await;
        assert_eq!(upstream.frame_of_other().await, (TEXT, b"hello".to_vec()));
        drop(end);
        until_free(&proxy).await;
        // So does the end of the connection, when the client has ended its direction before.
        let (mut end, _, other_upstream, _) = server.open(&mut client, "b").await;
        end.stream.shutdown().await.unwrap();
        drop((end, client));
        until_free(&proxy).await;
        // Neither upstream has ended its own.
        drop((upstream, other_upstream));
        assert_eq!(proxy.ended().await.cut, 0);
    }
}

/// Waits until the bulkhead is empty.
async fn until_free(proxy: &Stand) {
    let begun = Instant::now();
    while get(proxy, "/status").await["bulkhead_concurrent_requests"] != 0 {
        assert!(begun.elapsed() < LIMIT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_an_open_stream_is_not_idle() {
    for mut server in both_kinds().await {
        let proxy = wish("{}").to(&server.url()).start();
        let mut client = Client::to(proxy.address).await;
        let (mut end, _, mut upstream, _) = server.open(&mut client, "a").await;
        let limit = put(&proxy, "/config/traffic", r#"{"connection_timeout_ms": 50}"#).await;
        assert_eq!(limit.status(), 200);
        let begun = Instant::now();
        soon("a while is over", || begun.elapsed() > Duration::from_millis(200)).await;
        end.send(TEXT, b"still").await;
        assert_eq!(upstream.frame_of_other().await, (TEXT, b"still".to_vec()));
        drop((end, upstream));
        soon("it is closed", || client.0.is_closed()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_proxy_waits_for_it_and_cuts_it_off_at_last() {
    for mut server in both_kinds().await {
        let mut proxy = wish("{}").to(&server.url()).patience(Duration::from_secs(2)).start();
        let mut client = Client::to(proxy.address).await;
        let (mut end, _, mut upstream, _) = server.open(&mut client, "a").await;
        proxy.ask_to_stop();
        end.send(TEXT, b"still").await;
        assert_eq!(upstream.frame_of_other().await, (TEXT, b"still".to_vec()));
        // The stream, and the connection that it is in.
        assert_eq!(proxy.ended().await.cut, 2);
        let mut rest = Vec::new();
        // By whatever it ends.
        let _broke_off = timeout(LIMIT, end.stream.read_to_end(&mut rest))
            .await
            .expect("it ends");
        assert!(rest.is_empty());
    }
}
