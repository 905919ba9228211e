//! Clients that want the two ends to disagree, or to be waited for.

use std::time::Duration;

use crate::client::Raw;
use crate::stand::wish;
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn messages_without_one_meaning_are_refused() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 1\r\n".repeat(200));
    for (what, request, status) in [
        (
            "two lengths",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
            "400",
        ),
        (
            "no number",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello",
            "400",
        ),
        ("an old fold", "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n", "400"),
        ("a space before the colon", "GET / HTTP/1.1\r\nhost : a\r\n\r\n", "400"),
        (
            "chunks not last",
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "chunks of 1.0",
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            "a coding besides chunks",
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "501",
        ),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
            "400",
        ),
        ("no host", "GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        (
            "a host that is none",
            "GET / HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "a host alone",
            "GET a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n",
            "400",
        ),
        (
            "a user",
            "GET http://u@a/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            "400",
        ),
        ("a long header", &long, "431"),
        ("many headers", &many, "431"),
    ] {
        let mut client = Raw::to(proxy.address).await;
        client.send(request).await;
        let said = client.said().await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {said:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_none_reaches_nobody() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    for chunk in [
        "zz\r\nhello\r\n",
        "-1\r\nhello\r\n",
        "5 5\r\nhello\r\n",
        "ffffffffffffffffff\r\nhello\r\n",
    ] {
        let mut client = Raw::to(proxy.address).await;
        let head = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        client.send(format!("{head}{chunk}0\r\n\r\n")).await;
        let said = client.said().await;
        assert!(!said.contains("HTTP/1.1 2"), "{chunk:?}: {said:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

// A length beside chunks: the chunks count (RFC 9112, 6.3), the length reaches nobody, and what follows is not taken for a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_length_beside_chunks_smuggles_nothing() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    ] {
        let mut client = Raw::to(proxy.address).await;
        let hidden = "GET /hidden HTTP/1.1\r\nhost: a\r\n\r\n";
        let request = format!("POST /echo HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{hidden}");
        client.send(request).await;
        let said = client.said().await;
        assert!(said.matches("HTTP/1.1 ").count() <= 1, "{said}");
    }
    for seen in upstream.seen() {
        assert_eq!((seen.line.as_str(), &seen.body[..]), ("POST /echo", &b"hello"[..]));
        assert_ne!(
            seen.headers
                .get("content-length")
                .map(hyper::http::HeaderValue::as_bytes),
            Some(&b"4"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_silent_connections_are_ended() {
    let proxy = wish("{}").head(Duration::from_millis(200)).start();
    for begin in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n",
        "GET / HTTP/1.1\r\nhost",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = Raw::to(proxy.address).await;
        client.send(begin).await;
        // That it ends is what is seen; the limit of the helper is a hundred times longer.
        client.said().await;
    }
    // Here the limit is also for a request of ours, so it is one that we keep.
    let proxy = wish("{}").head(Duration::from_secs(5)).start();
    let mut client = Raw::to(proxy.address).await;
    client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.said().await;
}
