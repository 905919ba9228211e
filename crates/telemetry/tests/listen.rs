//! Metrics over real connections: what is answered, what is refused, and that nobody who is slow or many keeps others out for long.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may stop at the first surprise, as tests may"
)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use fracas_telemetry::{Endpoint, Metrics, Serving};

/// Longer than a connection may last, with room for a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn serve() -> (SocketAddr, Serving) {
    let endpoint = Endpoint::bind("0".parse().unwrap()).unwrap();
    let address = endpoint.address();
    (address, endpoint.serve(Metrics::default().page()).unwrap())
}

fn open(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// All that is answered, until the other side closes.
fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // It closed with something of ours unread (RFC 9293, 3.10.4).
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {answer:?}"),
    }
    String::from_utf8(answer).unwrap()
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = open(address);
    stream.write_all(request.as_bytes()).unwrap();
    rest(stream)
}

fn get(address: SocketAddr) -> String {
    ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn metrics_are_read_and_nothing_else_is() {
    let (address, _serving) = serve();
    for (line, status, has) in [
        ("GET /metrics", "200 OK", "fracas_build_info{"),
        ("GET /metrics?name=x", "200 OK", "fracas_build_info{"),
        ("GET /", "404 Not Found", "/metrics"),
        ("GET /metrics/", "404 Not Found", "/metrics"),
        ("POST /metrics", "405 Method Not Allowed", "allow: GET, HEAD"),
        ("DELETE /metrics", "405 Method Not Allowed", "allow: GET, HEAD"),
    ] {
        let answer = ask(address, &format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{line}: {answer}"
        );
        assert!(answer.contains(has), "{line}: {answer}");
    }
}

#[test]
fn head_is_the_same_without_a_body() {
    let (address, _serving) = serve();
    let whole = get(address);
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let length = |answer: &str| {
        let line = answer.lines().find(|line| line.starts_with("content-length: "));
        line.unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    assert_eq!(length(&head), length(&whole));
    assert!(head.ends_with("\r\n\r\n") && head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(
        whole.split_once("\r\n\r\n").unwrap().1.len().to_string(),
        length(&whole)[16..]
    );
}

#[test]
fn the_format_is_what_was_asked_for() {
    let (address, _serving) = serve();
    let old = get(address);
    assert!(
        old.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{old}"
    );
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let new = ask(
        address,
        &format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}\r\n\r\n"),
    );
    assert!(
        new.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
            && new.ends_with("# EOF\n"),
        "{new}"
    );
}

#[test]
fn requests_that_are_too_large_or_none_are_refused() {
    let (address, _serving) = serve();
    let many = "x: 1\r\n".repeat(70);
    let long = format!("x: {}\r\n", "y".repeat(64 << 10));
    for headers in [many, long] {
        let mut stream = open(address);
        // It may close before it has read everything.
        let _sent = stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
        let answer = rest(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let answer = ask(address, "nonsense\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(get(address).starts_with("HTTP/1.1 200"));
}

/// A connection has one request: a second one on it is not answered.
#[test]
fn a_connection_has_one_request() {
    let (address, _serving) = serve();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = ask(address, &[request, request].concat());
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}

/// More clients than there is room for, which say half a word and wait: all are sent away, and others are answered after them.
#[test]
fn who_is_slow_is_sent_away_and_others_are_answered() {
    let (address, _serving) = serve();
    let began = Instant::now();
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = open(address);
            stream.write_all(b"GET /metr").unwrap();
            stream
        })
        .collect();
    // Sixteen of them fill the room for five seconds.
    assert!(get(address).starts_with("HTTP/1.1 200"));
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "there was room: {:?}",
        began.elapsed()
    );
    for stream in slow {
        assert_eq!(rest(stream), "");
    }
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}

/// The end of the run waits for no client, and gives the port back.
#[test]
fn the_end_waits_for_nobody() {
    let (address, serving) = serve();
    let mut silent = open(address);
    silent.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    // Taken, before the end comes: the answer of a later one says so.
    assert!(get(address).starts_with("HTTP/1.1 200"));
    let began = Instant::now();
    drop(serving);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(rest(silent), "");
    Endpoint::bind(address.to_string().parse().unwrap()).unwrap();
}
