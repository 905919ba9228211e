//! Upstreams that say what a client must not get as it stands.

use std::time::Duration;

use crate::canned::Canned;
use crate::client::{Raw, curl};
use crate::stand::wish;
use crate::upstream::Upstream;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

// Whoever believed the length would take the rest of the body for another answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_chunks_does_not_pass() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let proxy = wish("{}").to(&Canned::says(answer).await.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.send(GET).await;
    let whole = client.until("hello\r\n0\r\n\r\n").await;
    assert!(!whole.contains("content-length"), "{whole}");
    let said = curl(&["--http2-prior-knowledge", &proxy.url("/")]).await;
    assert_eq!(
        (said.text().as_str(), said.header("content-length").as_str()),
        ("hello", "")
    );
}

// The header that names a coding belongs to the connection, so that the client would get a body that it cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_coding_besides_chunks_is_an_error() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let proxy = wish("{}").to(&Canned::says(answer).await.url()).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(said.status(), 502);
    assert!(said.text().contains("transfer coding"), "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_nobody_asked_for_is_an_error() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
    let proxy = wish("{}").to(&Canned::says(answer).await.url()).start();
    for asks in ["", "connection: upgrade\r\nupgrade: whisper\r\n"] {
        let mut client = Raw::to(proxy.address).await;
        let head = client.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{asks}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{asks:?}: {head}");
    }
}

// A client of 1.1 that is answered in 1.0 closes its connection.
#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_that_of_the_proxy() {
    let answer = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let proxy = wish("{}").to(&Canned::says(answer).await.url()).start();
    let mut client = Raw::to(proxy.address).await;
    for _ in 0..2 {
        let head = client.ask(GET).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_answer_is_waited_for_no_longer_than_asked() {
    let proxy = wish("{}")
        .to(&Canned::says("").await.url())
        .answer(Duration::from_millis(50))
        .start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(said.status(), 504);
    assert!(said.text().contains("within 0.05 s"), "{}", said.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_a_request_takes_no_time_of_the_upstream() {
    let upstream = Upstream::start().await;
    let proxy = wish("latency: { fixed_delay_ms: 3100 }")
        .to(&upstream.url())
        .answer(Duration::from_secs(3))
        .start();
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
}

// Its client is slower than the limit, and nobody's answer is late.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_takes_no_time_of_the_upstream() {
    let limit = Duration::from_millis(100);
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish("{}").to(&upstream.url()).answer(limit).start();
        let mut client = Raw::to(proxy.address).await;
        client
            .send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nhe")
            .await;
        // tidy: sleep because the pause of the client is what is tested
        tokio::time::sleep(limit * 4).await;
        client.send("re").await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_may_say_a_hundred_headers_and_no_more() {
    for (count, status) in [(99, "200"), (100, "502")] {
        let many = "x-one: 1\r\n".repeat(count);
        let answer = format!("HTTP/1.1 200 OK\r\n{many}content-length: 2\r\n\r\nhi");
        let proxy = wish("{}").to(&Canned::says(answer.leak()).await.url()).start();
        let mut client = Raw::to(proxy.address).await;
        client
            .send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        let said = client.rest().await.unwrap();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said}");
        let is_passed = status == "200";
        assert_eq!(said.matches("x-one: 1\r\n").count(), if is_passed { count } else { 0 });
        assert_eq!(said.contains("message head is too large"), !is_passed, "{said}");
    }
}
