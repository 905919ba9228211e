//! Answers that break off.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use tokio::time::timeout;

use crate::api::get;
use crate::canned::Canned;
use crate::client::{Curl, Raw, curl};
use crate::http2::Http2;
use crate::stand::{LIMIT, Stand, wish};
use crate::upstream::Upstream;

const PARTIAL: &str = "fault_injection: { http_errors: [], partial_responses: true, partial_response_probability: 1 }";
const TRUNCATED: &str = "fault_injection: { http_errors: [], payload_corruption: true, payload_corruption_probability: 1, \
                         corruption_type: truncate }";
const BOTH: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

/// What was seen of an answer.
#[derive(Debug)]
struct Seen {
    headers: HeaderMap,
    body: Vec<u8>,
    /// Of the stream.
    is_reset: bool,
}

/// By HTTP/2. curl 7 forgets what it has of a stream when it sees its reset.
async fn http2(proxy: &Stand, path: &str, id: usize, data: Vec<u8>) -> Seen {
    let client = Http2::to(proxy.address).await;
    let (mut sender, answered) = client.ask_as("POST", path, &id.to_string());
    let sends = async move {
        // Whose answer has come already takes no more.
        let _gone = sender.send_data(data.into()).await;
    };
    let ((), answer) = tokio::join!(sends, answered);
    let (head, mut body) = answer.into_parts();
    let mut seen = Seen {
        headers: head.headers,
        body: Vec::new(),
        is_reset: false,
    };
    while let Some(frame) = timeout(LIMIT, body.frame()).await.unwrap() {
        match frame {
            Ok(frame) => seen.body.extend(frame.into_data().unwrap()),
            Err(_) => {
                seen.is_reset = true;
                break;
            }
        }
    }
    seen
}

/// By HTTP/1.1.
async fn http1(proxy: &Stand, id: usize, file: &str) -> Curl {
    let id = format!("x-request-id: {id}");
    let data = format!("@{file}");
    curl(&[
        "--http1.1",
        "-H",
        &id,
        "-H",
        "expect:",
        "--data-binary",
        &data,
        &proxy.url("/echo"),
    ])
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_misses_something_and_always_the_same() {
    let place = tempfile::tempdir().unwrap();
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish(PARTIAL).to(&upstream.url()).start();
        for (id, size) in [2, 6, 1000, 300_000, 3_000_000].into_iter().enumerate() {
            let whole: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
            let file = place.path().join("body");
            std::fs::write(&file, &whole).unwrap();
            let mut lengths = Vec::new();
            let mut check = |body: &[u8], announced: &str, fault: &str| {
                assert_eq!((announced, fault), (size.to_string().as_str(), "partial_response"));
                assert!((1..whole.len()).contains(&body.len()), "{} of {size}", body.len());
                assert!(body == &whole[..body.len()], "{} of {size}", body.len());
                lengths.push(body.len());
            };
            for _ in 0..3 {
                let said = http1(&proxy, id, file.to_str().unwrap()).await;
                // Less than was announced.
                assert_eq!((said.code, said.status()), (18, 200), "{size}: {}", said.told);
                check(
                    &said.body,
                    &said.header("content-length"),
                    &said.header("x-fracas-fault"),
                );
                let seen = http2(&proxy, "/echo", id, whole.clone()).await;
                assert!(seen.is_reset, "{size}");
                let header = |name: &str| seen.headers[name].to_str().unwrap();
                check(&seen.body, header("content-length"), header("x-fracas-fault"));
            }
            assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
        }
        assert_eq!(proxy.faults("partial_response"), 30);
    }
}

/// The bytes in chunks, and whether their end was said.
fn chunks(said: &str) -> (String, bool) {
    let (_, mut rest) = said.split_once("\r\n\r\n").unwrap();
    let mut bytes = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (bytes, true);
        }
        bytes.push_str(&behind[..size]);
        rest = behind[size..].strip_prefix("\r\n").unwrap();
    }
    assert_eq!(rest, "");
    (bytes, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_length_the_end_is_missing() {
    let upstream = Upstream::start().await;
    let proxy = wish(PARTIAL).to(&upstream.url()).start();
    let ask = |path: &str, id: usize| format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n");
    let mut lengths = Vec::new();
    for id in [0, 0, 1] {
        let mut client = Raw::to(proxy.address).await;
        client.send(ask("/endless", id)).await;
        let (bytes, is_whole) = chunks(&client.said().await);
        assert!(!is_whole && (1..=16384).contains(&bytes.len()), "{}", bytes.len());
        let seen = http2(&proxy, "/endless", id, Vec::new()).await;
        assert_eq!((seen.is_reset, seen.body.len()), (true, bytes.len()));
        lengths.push(bytes.len());
    }
    assert_eq!(lengths[0], lengths[1]);
    assert_ne!(lengths[0], lengths[2]);
    // One that is shorter ends where it ends, as if it went on; its trailers are behind that.
    let mut client = Raw::to(proxy.address).await;
    client.send(ask("/trailers", 0)).await;
    let said = client.said().await;
    assert!(said.contains("x-fracas-fault: partial_response\r\n"), "{said}");
    assert_eq!(chunks(&said), ("seven".to_owned(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_not_held_back() {
    let upstream = Upstream::start().await;
    let proxy = wish(PARTIAL).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client
        .send("GET /two HTTP/1.1\r\nhost: a\r\nx-request-id: 0\r\n\r\n")
        .await;
    client.until("first").await;
    upstream.go_on();
    let rest = client.said().await;
    assert!(rest.contains("second") && !rest.contains("\r\n0\r\n"), "{rest:?}");
}

// What is named in the head must be known by then.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_waits_for_the_first_byte_and_no_longer_than_for_an_answer() {
    let upstream = Upstream::start().await;
    let limit = Duration::from_millis(300);
    for (config, name, least) in [
        (PARTIAL, "partial_response", limit),
        (TRUNCATED, "payload_corruption", limit),
        ("enabled: false", "nothing", Duration::ZERO),
    ] {
        let proxy = wish(config).to(&upstream.url()).answer(limit).start();
        let mut client = Raw::to(proxy.address).await;
        let begun = Instant::now();
        client
            .send("POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(begun.elapsed() >= least, "{name}");
        assert!(!head.contains("x-fracas-fault"), "{name}: {head}");
        // What was not named is not done.
        client.send("5\r\nseven\r\n0\r\n\r\n").await;
        client.until("5\r\nseven\r\n0\r\n\r\n").await;
        let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
        assert!(!metrics.contains(&format!("fault=\"{name}\"}} 1")), "{name}: {metrics}");
    }
}

// What of a request was not read makes the end of its connection a reset, and that takes away what the client has not read by then.
#[tokio::test(flavor = "multi_thread")]
async fn who_still_sends_gets_all_that_is_seen_and_an_end() {
    // It does not wait for the body.
    let upstream =
        Canned::says("HTTP/1.1 413 Too Large\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123456789").await;
    let proxy = wish(PARTIAL).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    let length = 300_000;
    client
        .send(format!(
            "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
    client.until("\r\n\r\n0").await;
    for part in vec![b'x'; length].chunks(30_000) {
        client.send(part).await;
    }
    let rest = client.rest().await.unwrap();
    assert!(rest.len() < 9 && "123456789".starts_with(&rest), "{rest}");
    assert_eq!(proxy.faults("partial_response"), 1);
}

// It is the proxy's own, as it is with an upstream.
#[tokio::test(flavor = "multi_thread")]
async fn a_problem_of_the_responder_is_not_harmed() {
    for config in [PARTIAL, TRUNCATED] {
        let proxy = wish(config).silence(Duration::from_millis(50)).start();
        let mut client = Raw::to(proxy.address).await;
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 408 ") && !head.contains("x-fracas-fault"),
            "{head}"
        );
        client.until("}").await;
    }
}

// Whoever sends it may wait for an answer to that very byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_stream_ends_where_it_pauses() {
    let upstream = Upstream::start().await;
    let proxy = wish(TRUNCATED).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client
        .send("POST /stream HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        .await;
    let said = client.until("\r\n0\r\n\r\n").await;
    assert!(said.contains("\r\n4\r\nfirs\r\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_cut_off_gives_its_place_back() {
    let upstream = Upstream::start().await;
    let config = format!("{PARTIAL}\nbulkhead: {{ max_concurrent_requests: 1, max_queue_size: 0 }}");
    let proxy = wish(&config).to(&upstream.url()).start();
    for version in BOTH {
        // A length would let the client go before the proxy knows it.
        let said = curl(&[version, &proxy.url("/endless")]).await;
        assert_ne!(said.code, 0, "{said:?}");
        let begun = Instant::now();
        while get(&proxy, "/status").await["bulkhead_concurrent_requests"] != 0 {
            assert!(begun.elapsed() < LIMIT, "{version}");
        }
    }
    assert_eq!(proxy.faults("partial_response"), 2);
}

// Who has no body, or none that can end early, has met nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_break_off_is_neither_named_nor_counted() {
    for answer in [
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nconnection: close\r\ncontent-length: 500\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n1",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let proxy = wish(PARTIAL).to(&Canned::says(answer).await.url()).start();
        for version in BOTH {
            let said = curl(&[version, &proxy.url("/")]).await;
            assert_eq!(
                (said.code, said.header("x-fracas-fault").as_str()),
                (0, ""),
                "{answer}: {said:?}"
            );
        }
        assert_eq!(proxy.faults("partial_response"), 0, "{answer}");
    }
    let upstream = Upstream::start().await;
    let proxy = wish(PARTIAL).to(&upstream.url()).start();
    for version in BOTH {
        let said = curl(&[version, "-I", &proxy.url("/")]).await;
        assert_eq!((said.code, said.header("x-fracas-fault").as_str()), (0, ""), "{said:?}");
        assert_eq!(said.header("content-length"), "6");
    }
    // The end of such a body is that of its connection, early or not.
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /trailers HTTP/1.0\r\nhost: a\r\n\r\n").await;
    let said = client.said().await;
    assert!(said.ends_with("seven") && !said.contains("x-fracas-fault"), "{said}");
    let mut client = Raw::to(proxy.address).await;
    let ask = "GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
    client.send(ask).await;
    let head = client.until("\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 101 ") && !head.contains("x-fracas-fault"),
        "{head}"
    );
    client.send("one").await;
    client.until("one").await;
    assert_eq!(proxy.faults("partial_response"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxys_own_errors_are_whole() {
    let config = "fault_injection: { http_errors: [500], http_error_probability: 1, partial_responses: true, \
                  partial_response_probability: 1 }";
    let proxy = wish(config).start();
    let said = curl(&[&proxy.url("/")]).await;
    assert_eq!(
        (said.code, said.header("x-fracas-fault").as_str()),
        (0, "http_error"),
        "{said:?}"
    );
}
