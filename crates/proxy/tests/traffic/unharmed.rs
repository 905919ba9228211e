//! Without a fault nothing is harmed.

use std::time::Instant;

use bytes::Bytes;

use crate::client::{Raw, curl};
use crate::http2::{Http2, read};
use crate::stand::{LIMIT, soon, wish};
use crate::upstream::Upstream;
use crate::windows::held_up;

const BOTH: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_pass_whole() {
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish("{}").to(&upstream.url()).start();
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("large");
        let large: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(&file, &large).unwrap();
        let data = format!("@{}", file.display());
        for version in BOTH {
            let url = proxy.url("/echo?a=1&b=%2F");
            let words = [version, "-X", "PUT", "-H", "x-kept: 1", "--data-binary", &data, &url];
            let said = curl(&words).await;
            assert_eq!((said.code, said.status()), (0, 200), "{said:?}");
            assert!(said.body == large, "{} of {} bytes", said.body.len(), large.len());
            let seen = upstream.seen().pop().unwrap();
            assert_eq!(seen.line, "PUT /echo?a=1&b=%2F");
            assert_eq!(seen.headers["x-kept"], "1");
            assert!(seen.body == large);
        }
        assert_eq!(proxy.ended().await.cut, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_one_connection_does_not_pass() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let url = proxy.url("/");
    let own = [
        "-H",
        "connection: x-mine",
        "-H",
        "x-mine: 1",
        "-H",
        "te: gzip",
        "-H",
        "proxy-authorization: x",
    ];
    let said = curl(&[["--http1.1", "-H", "host: shop.example"].as_slice(), &own, &[&url]].concat()).await;
    assert_eq!(said.text(), "hello\n");
    assert_eq!(
        (said.header("x-upstream"), said.header("x-own")),
        ("yes".to_owned(), String::new())
    );
    assert_eq!(said.header("keep-alive"), "");
    let headers = upstream.seen().pop().unwrap().headers;
    assert_eq!(
        (&headers["host"], &headers["via"]),
        (&"shop.example".parse().unwrap(), &"1.1 fracas".parse().unwrap())
    );
    for name in ["x-mine", "te", "proxy-authorization", "connection"] {
        assert!(!headers.contains_key(name), "{name}: {headers:?}");
    }
    // HTTP/2 says by other means whom it calls.
    curl(&[
        "--http2-prior-knowledge",
        "-H",
        "cookie: a=1",
        "-H",
        "cookie: b=2",
        &url,
    ])
    .await;
    let headers = upstream.seen().pop().unwrap().headers;
    assert_eq!(headers["host"], proxy.address.to_string().as_str());
    assert_eq!(headers["cookie"], "a=1; b=2");
    assert_eq!(headers["via"], "2 fracas");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_on_both_sides() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    for _ in 0..3 {
        let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    }
    // Whether the next request finds the connection of the last one free is decided by the scheduler. Were none kept, none ever would.
    let begun = Instant::now();
    while upstream.seen().len() == upstream.connections() {
        assert!(begun.elapsed() < LIMIT, "each request has a connection of its own");
        curl(&[&proxy.url("/")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_passes_with_every_method() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    for method in ["GET", "HEAD", "DELETE", "POST"] {
        let mut client = Raw::to(proxy.address).await;
        let head = format!("{method} /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        client.send(format!("{head}5\r\nhello\r\n0\r\n\r\n")).await;
        client.until("\r\n\r\n").await;
        let client = Http2::to(proxy.address).await;
        let (mut body, answered) = client.ask(method, "/echo");
        let sends = async {
            body.send_data("hello".into()).await.unwrap();
            drop(body);
        };
        let ((), answer) = tokio::join!(sends, answered);
        assert_eq!(answer.status(), 200, "{method}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 2, "{method}");
        upstream.forget();
        for seen in seen {
            assert_eq!((seen.line, &seen.body[..]), (format!("{method} /echo"), &b"hello"[..]));
        }
    }
    // What has no body gets none.
    curl(&[&proxy.url("/")]).await;
    assert!(!upstream.seen()[0].headers.contains_key("transfer-encoding"));
}

// In HTTP/2 a body behind a HEAD is an error of the stream.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_our_own_have_no_body_for_a_head() {
    let refused = "fault_injection: { http_errors: [418], http_error_probability: 1 }";
    for (config, path, status) in [("{}", "/", 200), (refused, "/", 418), ("{}", "/api/chaos/status", 405)] {
        let proxy = wish(config).start();
        let url = proxy.url(path);
        for version in BOTH {
            let said = curl(&[version, "-I", &url]).await;
            assert_eq!((said.code, said.status()), (0, status), "{said:?}");
            let length: u32 = said.header("content-length").parse().unwrap();
            assert!(length > 0, "{said:?}");
        }
    }
}

// Who asks to go over to HTTP/2 in this way is answered in HTTP/1.1, and the upstream does not hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_goes_over_to_http2() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    let asks = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n";
    let head = client.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{asks}\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let headers = upstream.seen().pop().unwrap().headers;
    for name in ["connection", "upgrade", "http2-settings"] {
        assert!(!headers.contains_key(name), "{name}: {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_http2_hears_whom_the_client_called() {
    let upstream = Upstream::http2().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    for version in BOTH {
        curl(&[version, "-H", "host: shop.example", &proxy.url("/")]).await;
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.authority.as_deref(), Some("shop.example"), "{version}");
    }
    // That of a client is opened anew when it has ended.
    let mut client = Raw::to(proxy.address).await;
    let ask = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert!(client.ask(ask).await.starts_with("HTTP/1.1 200 "));
    upstream.hang_up();
    let begun = Instant::now();
    // A request that was on its way then is lost, and nobody knows whether the upstream has acted on it.
    while !client.ask(ask).await.starts_with("HTTP/1.1 200 ") {
        assert!(begun.elapsed() < LIMIT, "no connection is opened anew");
    }
    assert_eq!(upstream.connections(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_trailers_and_invitations_pass() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let said = curl(&["-I", &proxy.url("/")]).await;
    assert_eq!(
        (said.status(), said.header("content-length").as_str()),
        (200, "6"),
        "{said:?}"
    );
    let mut client = Raw::to(proxy.address).await;
    client
        .send("GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n")
        .await;
    let whole = client.until("\r\nx-sum: 7\r\n\r\n").await;
    assert!(whole.contains("seven"), "{whole}");
    let asks = ["--http1.1", "-H", "expect: 100-continue", "--data-binary", "x"];
    let url = proxy.url("/echo");
    let said = curl(&[asks.as_slice(), &[&url]].concat()).await;
    assert!(said.told.contains("HTTP/1.1 100 Continue"), "{}", said.told);
    assert_eq!(said.text(), "x");
}

// The original kept whole bodies (originals, 3.7, 12).
#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_in_both_directions() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("first").await;
    upstream.go_on();
    client.until("second").await;
    let mut client = Raw::to(proxy.address).await;
    client
        .send("POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    client.until("one").await;
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    client.until("two\r\n0\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_holds_up_the_upstream() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("xxxx").await;
    let before = held_up(|| upstream.sent()).await;
    // Buffers of sockets are there, and no more.
    assert!(before < 64 << 20, "{before} bytes");
    client.skip(16 << 20).await;
    soon("it goes on", || upstream.sent() > before).await;
}

// An upstream may refuse a body before it has all of it. A client that goes on sending must get the answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_end_of_the_body_arrives() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let url = proxy.url("/refused");
    let body = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&body, "x".repeat(400_000)).unwrap();
    let data = format!("@{}", body.path().display());
    for _ in 0..10 {
        let said = curl(&["--http1.1", "-H", "expect:", "--data-binary", &data, &url]).await;
        assert_eq!(
            (said.code, said.status(), said.text().as_str()),
            (0, 413, "too large"),
            "{said:?}"
        );
        // Not curl: in HTTP/2 it ends a body that was refused before it is as long as it said, which is an error of its own.
        let client = Http2::to(proxy.address).await;
        let (mut body, answered) = client.ask("POST", "/refused");
        let sends = async {
            for _ in 0..8 {
                body.send_data(Bytes::from("x".repeat(50_000))).await.unwrap();
            }
            drop(body);
        };
        let ((), answer) = tokio::join!(sends, answered);
        assert_eq!(read(answer).await, "too large");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_passes_once_both_agreed() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    let ask = "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: shout\r\n\r\n";
    client.send(ask).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains("\r\nupgrade: shout\r\n") && head.contains("\r\nconnection: upgrade\r\n"),
        "{head}"
    );
    for word in ["one", "two"] {
        client.send(word).await;
        client.until(word).await;
    }
    assert_eq!(upstream.seen()[0].headers["upgrade"], "shout");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_the_proxy_answers() {
    let proxy = wish("{}").start();
    for version in BOTH {
        let said = curl(&[version, "--data-binary", "12345", &proxy.url("/a?b")]).await;
        assert_eq!(said.text(), r#"{"method":"POST","path":"/a","body":5}"#, "{said:?}");
    }
    let mut client = Raw::to(proxy.address).await;
    let head = client
        .ask("CONNECT else.example:80 HTTP/1.1\r\nhost: else.example:80\r\n\r\n")
        .await;
    assert!(head.starts_with("HTTP/1.1 501 "), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_there_is_said() {
    // It has the port for as long as the test, and nobody listens there.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = closed.local_addr().unwrap();
    let proxy = wish("{}").to(&format!("http://{address}")).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(said.status(), 502);
    assert!(said.text().contains("Connection refused"), "{}", said.text());
    assert_eq!(said.header("x-fracas-fault"), "");
}
