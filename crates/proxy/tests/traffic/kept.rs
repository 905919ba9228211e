//! Connections to an upstream: kept for the next request, and let go.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use crate::client::{Raw, curl};
use crate::stand::{LIMIT, soon, wish};
use crate::upstream::Upstream;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server whose every byte a test writes itself, and its address.
fn raw() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The next connection.
fn next(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Reads the head of a request, and nothing behind it.
fn head(mut stream: &TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_back_whatever_the_answer_was() {
    let (listener, url) = raw();
    let proxy = wish("{}").to(&url).start();
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
    ];
    let served = spawn_blocking(move || {
        let mut stream = next(&listener);
        for answer in answers.iter().chain(&[answers[0]]) {
            head(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    // With another connection the server would have gone on waiting in the first.
    for _ in 0..=answers.len() {
        let said = curl(&["-H", "te: trailers", &proxy.url("/")]).await;
        assert_eq!(said.code, 0, "{}", said.told);
    }
    served.await.unwrap();
}

// Behind an upload somebody else has to give it back, which may be after the next request has come.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_given_back_behind_an_upload() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    for turn in 1..=100 {
        let ask = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
        let mut client = Raw::to(proxy.address).await;
        client.send(ask).await;
        client.until("hi").await;
        if upstream.connections() < turn {
            return;
        }
    }
    panic!("each had a connection of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_ended_meets_no_request() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    for turn in 1..=20 {
        assert!(client.ask(GET).await.starts_with("HTTP/1.1 200"), "{turn}");
        assert_eq!(upstream.connections(), turn);
        upstream.hang_up();
        soon("it has ended", || proxy_sees_none(upstream.port())).await;
    }
}

/// Whether every connection to this port was closed by the side that was called, or is gone: nothing is on its way any more.
fn proxy_sees_none(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let called = format!(":{port:04X}");
    // 01 is ESTABLISHED (include/net/tcp_states.h).
    !table.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words[2].ends_with(&called) && words[3] == "01"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_needs_is_closed() {
    let (listener, url) = raw();
    let unused = Duration::from_millis(300);
    let proxy = wish("{}").to(&url).unused(unused).start();
    let served = spawn_blocking(move || {
        let mut stream = next(&listener);
        head(&stream);
        let begun = Instant::now();
        stream.write_all(OK).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        begun.elapsed()
    });
    let mut client = Raw::to(proxy.address).await;
    assert!(client.ask(GET).await.starts_with("HTTP/1.1 200"));
    assert!(served.await.unwrap() >= unused);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_answer_nobody_takes_is_closed() {
    let (listener, url) = raw();
    let proxy = wish("{}").to(&url).start();
    let served = spawn_blocking(move || {
        let mut stream = next(&listener);
        head(&stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")
            .unwrap();
        // A reset is as good.
        stream.read(&mut [0; 1]).unwrap_or(0)
    });
    let mut client = Raw::to(proxy.address).await;
    client.send(GET).await;
    client.until("ok").await;
    drop(client);
    assert_eq!(served.await.unwrap(), 0);
}

// Whoever drives a connection reads and writes in it: who does not take the answer yet must be able to send all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_sends_before_it_reads_is_not_held_up() {
    const MUCH: usize = 16 << 20;
    let (listener, url) = raw();
    let proxy = wish("{}").to(&url).start();
    let served = spawn_blocking(move || {
        let mut stream = next(&listener);
        head(&stream);
        let mut writes = stream.try_clone().unwrap();
        let answers = std::thread::spawn(move || {
            write!(writes, "HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n").unwrap();
            writes.write_all(&vec![b'a'; MUCH]).unwrap();
        });
        let mut room = vec![0; MUCH];
        stream.read_exact(&mut room).unwrap();
        answers.join().unwrap();
    });
    let address = proxy.address;
    let asked = spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {MUCH}\r\n\r\n").unwrap();
        stream.write_all(&vec![b'q'; MUCH]).unwrap();
        let mut room = vec![0; MUCH];
        stream.read_exact(&mut room).unwrap();
    });
    asked.await.unwrap();
    served.await.unwrap();
}
