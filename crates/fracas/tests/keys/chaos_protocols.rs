//! Keys of what is done to protocols, seen by their clients.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::cli::Cli;
use crate::proxied::Proxied;
use crate::seen::{looks, sees_differ};
use crate::support::LIMIT;

const STATUS: &str = "grpc: { enabled: true, status_codes: [8], status_code_probability: 1 }
";
const CUT: &str =
    "grpc: { stream_interruption_probability: 1.0, interrupt_after_messages: 1, interrupt_status_code: 10 }
";
const RESET: &str = "grpc: { stream_interruption_probability: 1.0, reset_code: 8 }
";
const CLOSES: &str = "websocket: { enabled: true, close_codes: [1011], close_probability: 1 }
";
const DROPS: &str = "websocket: { message_drop_probability: 1 }
";
const CORRUPTS: &str = "websocket: { message_corruption_probability: 1 }
";
const HOLDS: &str = "websocket: { message_delay_ms: 1100, message_delay_probability: 1 }
";
const ERRORS: &str = "graphql: { enabled: true, path: /graphql, error_codes: [FORBIDDEN], error_probability: 1 }
";
const PARTIAL: &str = "graphql: { partial_data_probability: 1 }
";
const RESOLVERS: &str = "graphql: { resolver_latency: true, resolver_latency_ms: 1 }
";

const CALLS: &str = "grpc: { status_codes: [8], status_code_probability: 1, listeners: [main] }
";
const CHATS: &str = "websocket: { message_drop_probability: 1, listeners: [main] }
";
const QUERIES: &str = "graphql: { error_codes: [FORBIDDEN], error_probability: 1, listeners: [main] }
";

const SLOW: &str = "graphql: { resolver_latency: true, resolver_latency_ms: 1100 }
";

/// An upstream, and a way to look at a proxy before it.
type Look = fn(&dyn Fn(&str) -> Proxied) -> String;

/// The time is told apart by two seconds.
fn told_apart(begun: Instant) -> String {
    if begun.elapsed() < Duration::from_secs(2) {
        "short"
    } else {
        "long"
    }
    .to_owned()
}

/// How a call ends whose answer has three messages, and how many of them came.
fn call(start: &dyn Fn(&str) -> Proxied) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let proxy = start(&format!("h2c://{}", listener.local_addr().unwrap()));
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service =
                hyper::service::service_fn(|_: Request<Incoming>| std::future::ready(Ok::<_, Infallible>(three())));
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(served.serve_connection(TokioIo::new(stream), service));
        }
    });
    runtime.block_on(async { tokio::time::timeout(LIMIT, called(proxy.address)).await.unwrap() })
}

fn three() -> Response<Channel<Bytes, Infallible>> {
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        for _ in 0..3 {
            // Whoever is gone by then is gone.
            let _gone = sender.send_data(Bytes::from_static(b"\0\0\0\0\x02hi")).await;
        }
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        sender.send_trailers(trailers).await
    });
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(channel).unwrap()
}

async fn called(to: SocketAddr) -> String {
    let stream = tokio::net::TcpStream::connect(to).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{to}/a/b")).header("content-type", "application/grpc");
    let request = request.body(Full::new(Bytes::from_static(b"\0\0\0\0\0"))).unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    let mut ends = answer.headers().get("grpc-status").cloned();
    let mut length = 0;
    while let Some(frame) = answer.body_mut().frame().await {
        match frame {
            Ok(frame) => {
                length += frame.data_ref().map_or(0, Bytes::len);
                ends = frame
                    .trailers_ref()
                    .map_or(ends, |trailers| trailers.get("grpc-status").cloned());
            }
            Err(error) => {
                let error = std::error::Error::source(&error).unwrap().downcast_ref::<h2::Error>();
                let code = u32::from(error.unwrap().reason().unwrap());
                return format!("{} and reset {code}", length / 7);
            }
        }
    }
    format!("{} and {}", length / 7, ends.unwrap().to_str().unwrap())
}

/// What becomes of a message to a server that says the same, and how long that takes.
fn chat(start: &dyn Fn(&str) -> Proxied) -> (String, Instant) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = start(&format!("http://{}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        head(&mut stream);
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        let mut back = stream.try_clone().unwrap();
        // It ends with the proxy.
        let _end = std::io::copy(&mut stream, &mut back);
    });
    let mut client = TcpStream::connect(proxy.address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .unwrap();
    head(&mut client);
    let begun = Instant::now();
    // Masks of zero are masks, too. A ping behind the message says that it does not come any more.
    client.write_all(b"\x81\x85\0\0\0\0hello\x89\x84\0\0\0\0ping").unwrap();
    let [first, second] = exactly(&mut client);
    let key = if second & 0x80 == 0 {
        Vec::new()
    } else {
        exactly::<4>(&mut client).to_vec()
    };
    let mut payload = vec![0; usize::from(second & 0x7f)];
    client.read_exact(&mut payload).unwrap();
    assert!(key.iter().all(|byte| *byte == 0));
    let said = match first {
        0x88 => format!("closed {}", u16::from_be_bytes([payload[0], payload[1]])),
        0x89 => "lost".to_owned(),
        _ if payload == b"hello" => "hello".to_owned(),
        _ => "another".to_owned(),
    };
    (said, begun)
}

fn exactly<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(exactly::<1>(stream)[0]));
    }
    head
}

fn said(start: &dyn Fn(&str) -> Proxied) -> String {
    chat(start).0
}

fn held(start: &dyn Fn(&str) -> Proxied) -> String {
    let (said, begun) = chat(start);
    assert_eq!(said, "hello");
    told_apart(begun)
}

/// What is said to a query of two fields, and how long it takes.
fn query(start: &dyn Fn(&str) -> Proxied) -> (String, Instant) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = start(&format!("http://{}", listener.local_addr().unwrap()));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        head(&mut stream);
        let body = r#"{"data":{"a":1,"b":2}}"#;
        let length = body.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).unwrap();
        // Until nobody needs it.
        let _end = stream.read_to_end(&mut Vec::new());
    });
    let begun = Instant::now();
    let got = proxy.get("/graphql?query=%7Ba%20b%7D", "a");
    (got.body, begun)
}

fn errors(start: &dyn Fn(&str) -> Proxied) -> String {
    let body: serde_json::Value = serde_json::from_str(&query(start).0).unwrap();
    let codes = body["errors"].as_array().into_iter().flatten();
    let codes: Vec<&str> = codes.filter_map(|error| error["extensions"]["code"].as_str()).collect();
    let lost = if body["data"].is_null() { "nothing" } else { "data" };
    format!("{lost} {}", codes.join(" ")).trim_end().to_owned()
}

fn resolved(start: &dyn Fn(&str) -> Proxied) -> String {
    let (body, begun) = query(start);
    assert_eq!(body, r#"{"data":{"a":1,"b":2}}"#);
    told_apart(begun)
}

#[track_caller]
fn differ(base: &str, old: &str, new: &str, look: Look, before: &str, after: &str) {
    let cli = Cli::new();
    let shown = |config: &str| {
        let file = cli.file("chaos.yaml", config);
        // Another is there, of which a key `listeners` may be.
        let words = ["--seed", "1", "--listener", "other=0", "--chaos-config", &file];
        look(&|upstream| Proxied::start(&cli, &[&words[..], &["--upstream", upstream]].concat()))
    };
    sees_differ(shown, base, (old, new), (before, after));
}

looks! {
    key_grpc_enabled: STATUS, "true" => "false", call, "0 and 8" => "3 and 0";
    key_grpc_status_codes: STATUS, "[8]" => "[13]", call, "0 and 8" => "0 and 13";
    key_grpc_status_code_probability: STATUS, "probability: 1" => "probability: 0", call, "0 and 8" => "3 and 0";
    key_grpc_stream_interruption_probability: CUT, "1.0" => "0", call, "1 and 10" => "3 and 0";
    key_grpc_interrupt_after_messages: CUT, "messages: 1" => "messages: 2", call, "1 and 10" => "2 and 10";
    key_grpc_interrupt_status_code: CUT, "10" => "9", call, "1 and 10" => "1 and 9";
    key_grpc_reset_code: RESET, "8" => "11", call, "1 and reset 8" => "1 and reset 11";
    key_grpc_listeners: CALLS, "main" => "other", call, "0 and 8" => "3 and 0";
    key_websocket_enabled: CLOSES, "true" => "false", said, "closed 1011" => "hello";
    key_websocket_close_codes: CLOSES, "1011" => "4000", said, "closed 1011" => "closed 4000";
    key_websocket_close_probability: CLOSES, "probability: 1" => "probability: 0", said, "closed 1011" => "hello";
    key_websocket_message_drop_probability: DROPS, "1" => "0", said, "lost" => "hello";
    key_websocket_message_corruption_probability: CORRUPTS, "1" => "0", said, "another" => "hello";
    key_websocket_message_delay_ms: HOLDS, "1100" => "1", held, "long" => "short";
    key_websocket_message_delay_probability: HOLDS, "probability: 1" => "probability: 0", held, "long" => "short";
    key_websocket_listeners: CHATS, "main" => "other", said, "lost" => "hello";
    key_graphql_enabled: ERRORS, "true" => "false", errors, "nothing FORBIDDEN" => "data";
    key_graphql_path: ERRORS, "/graphql" => "/other", errors, "nothing FORBIDDEN" => "data";
    key_graphql_error_codes: ERRORS, "FORBIDDEN" => "NOT_FOUND", errors, "nothing FORBIDDEN" => "nothing NOT_FOUND";
    key_graphql_error_probability: ERRORS, "probability: 1" => "probability: 0", errors, "nothing FORBIDDEN" => "data";
    key_graphql_partial_data_probability: PARTIAL, "1" => "0", errors, "data INTERNAL_SERVER_ERROR" => "data";
    key_graphql_listeners: QUERIES, "main" => "other", errors, "nothing FORBIDDEN" => "data";
    key_graphql_resolver_latency: SLOW, "true" => "false", resolved, "long" => "short";
    key_graphql_resolver_latency_ms: RESOLVERS, "_ms: 1" => "_ms: 1100", resolved, "short" => "long";
}
