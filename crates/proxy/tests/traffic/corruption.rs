//! Answers whose bytes are not the upstream's. In the original both the switch and the probability were ignored (originals, 3.7, 9).

use crate::canned::Canned;
use crate::client::{Curl, Raw, curl};
use crate::stand::{Stand, wish};
use crate::upstream::Upstream;

const BOTH: [&str; 2] = ["--http1.1", "--http2-prior-knowledge"];

fn config(kind: &str) -> String {
    format!(
        "fault_injection: {{ http_errors: [], payload_corruption: true, payload_corruption_probability: 1, \
         corruption_type: {kind} }}"
    )
}

async fn echo(proxy: &Stand, path: &str, version: &str, id: usize, file: &str) -> Curl {
    let id = format!("x-request-id: {id}");
    let data = format!("@{file}");
    let url = proxy.url(path);
    curl(&[version, "-H", &id, "-H", "expect:", "--data-binary", &data, &url]).await
}

fn whole(size: u32) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenth_of_the_bytes_is_hit_whatever_the_protocols_and_parts() {
    let place = tempfile::NamedTempFile::new().unwrap();
    let file = place.path().to_str().unwrap();
    for (kind, most_bits) in [("bit_flip", 1), ("random_bytes", 8)] {
        for (id, size) in [1, 95, 200_000].into_iter().enumerate() {
            let whole = whole(size);
            std::fs::write(file, &whole).unwrap();
            let mut bodies = Vec::new();
            for upstream in [Upstream::start().await, Upstream::http2().await] {
                let proxy = wish(&config(kind)).to(&upstream.url()).start();
                for version in BOTH {
                    // With its length, and without.
                    for path in ["/echo", "/stream"] {
                        let said = echo(&proxy, path, version, id, file).await;
                        assert_eq!((said.code, said.status()), (0, 200), "{}", said.told);
                        assert_eq!(said.header("x-fracas-fault"), "payload_corruption");
                        bodies.push(said.body);
                    }
                }
                assert_eq!(proxy.faults("payload_corruption"), 4);
            }
            let one = &bodies[0];
            assert_eq!(one.len(), whole.len());
            let bits = one.iter().zip(&whole).map(|(one, other)| (one ^ other).count_ones());
            assert!(bits.clone().all(|bits| bits <= most_bits), "{kind}");
            let hit = bits.filter(|bits| *bits > 0).count();
            assert!(
                (1..=2).contains(&hit) || hit == whole.len() / 10 || hit == whole.len() / 10 + 1,
                "{kind}: {hit} of {size}"
            );
            assert!(bodies.iter().all(|body| body == one), "{kind} {size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_the_upstream_stay() {
    // It says that it is packed, and whoever would unpack it on the way would fail.
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\netag: \"a\"\r\nrepr-digest: sha-256=:AAAA:\r\n\
                  content-encoding: gzip\r\ncontent-length: 20\r\n\r\n01234567890123456789";
    for (kind, length) in [("bit_flip", 20..=20), ("random_bytes", 20..=20), ("truncate", 10..=18)] {
        let proxy = wish(&config(kind)).to(&Canned::says(answer).await.url()).start();
        let said = curl(&[&proxy.url("/")]).await;
        assert_eq!(
            (said.code, said.header("etag").as_str()),
            (0, "\"a\""),
            "{kind}: {said:?}"
        );
        assert_eq!(said.header("repr-digest"), "sha-256=:AAAA:");
        assert_eq!(said.header("content-encoding"), "gzip");
        assert_eq!(said.header("content-length"), said.body.len().to_string());
        assert!(length.contains(&said.body.len()), "{kind}: {said:?}");
        assert_ne!(said.text(), "01234567890123456789", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_truncated_is_a_whole_message() {
    let place = tempfile::NamedTempFile::new().unwrap();
    let file = place.path().to_str().unwrap();
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish(&config("truncate")).to(&upstream.url()).start();
        for (id, size) in [1, 2, 1_000_000].into_iter().enumerate() {
            let whole = whole(size);
            std::fs::write(file, &whole).unwrap();
            let mut lengths = Vec::new();
            for version in BOTH {
                let said = echo(&proxy, "/echo", version, id, file).await;
                assert_eq!((said.code, said.status()), (0, 200), "{}", said.told);
                assert_eq!(said.header("content-length"), said.body.len().to_string());
                assert!(said.body.len() < whole.len() && said.body == whole[..said.body.len()]);
                lengths.push(said.body.len());
            }
            assert_eq!(lengths[0], lengths[1]);
        }
        // In one connection there is another answer behind it.
        let mut client = Raw::to(proxy.address).await;
        for _ in 0..3 {
            let head = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_length_what_is_truncated_ends_in_order_all_the_same() {
    let upstream = Upstream::start().await;
    let proxy = wish(&config("truncate")).to(&upstream.url()).start();
    for version in BOTH {
        let said = curl(&[version, &proxy.url("/endless")]).await;
        assert_eq!(
            (said.code, said.header("x-fracas-fault").as_str()),
            (0, "payload_corruption")
        );
        assert!((1..=16384).contains(&said.body.len()), "{}", said.body.len());
        // The draw is more than its five bytes; its trailers are behind the last.
        let said = curl(&[version, "-H", "x-request-id: a", &proxy.url("/trailers")]).await;
        assert_eq!((said.code, said.text().as_str()), (0, "seve"), "{said:?}");
        assert_eq!(said.header("x-sum"), "");
    }
    // Nothing but its last byte waits for what comes behind.
    let mut client = Raw::to(proxy.address).await;
    client
        .send("GET /two HTTP/1.1\r\nhost: a\r\nx-request-id: a\r\n\r\n")
        .await;
    client.until("firs").await;
    upstream.go_on();
    client.until("tsecon\r\n0\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupted_streams_with_its_trailers() {
    let upstream = Upstream::start().await;
    let proxy = wish(&config("bit_flip")).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // The first byte is hit, and at most one of the next ten.
    client.until("\r\n\r\n5\r\n").await;
    upstream.go_on();
    client.until("\r\n6\r\n").await;
    client.until("\r\n0\r\n\r\n").await;
    let mut client = Raw::to(proxy.address).await;
    client
        .send("GET /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n")
        .await;
    client.until("\r\nx-sum: 7\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_byte_is_neither_named_nor_counted() {
    for kind in ["random_bytes", "truncate", "bit_flip"] {
        for answer in [
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nconnection: close\r\ncontent-length: 500\r\n\r\n",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let proxy = wish(&config(kind)).to(&Canned::says(answer).await.url()).start();
            let said = curl(&[&proxy.url("/")]).await;
            assert_eq!(
                (said.code, said.header("x-fracas-fault").as_str()),
                (0, ""),
                "{answer}: {said:?}"
            );
            assert_eq!(proxy.faults("payload_corruption"), 0, "{answer}");
        }
        let upstream = Upstream::start().await;
        let proxy = wish(&config(kind)).to(&upstream.url()).start();
        let said = curl(&["-I", &proxy.url("/")]).await;
        assert_eq!(
            (said.header("x-fracas-fault"), said.header("content-length")),
            (String::new(), "6".to_owned())
        );
        assert_eq!(proxy.faults("payload_corruption"), 0);
        // Nor has an answer of the proxy's own.
        let proxy = wish(&config(kind)).start();
        assert_eq!(curl(&["-I", &proxy.url("/")]).await.header("x-fracas-fault"), "");
        assert_eq!(proxy.faults("payload_corruption"), 0);
    }
}

// What breaks off is what was corrupted.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_may_be_corrupted_and_break_off() {
    let both = config("bit_flip").replace(" }", ", partial_responses: true, partial_response_probability: 1 }");
    let upstream = Upstream::start().await;
    let place = tempfile::NamedTempFile::new().unwrap();
    let file = place.path().to_str().unwrap();
    std::fs::write(file, whole(400_000)).unwrap();
    let (both, one) = (
        wish(&both).to(&upstream.url()).start(),
        wish(&config("bit_flip")).to(&upstream.url()).start(),
    );
    let said = echo(&both, "/echo", "--http1.1", 1, file).await;
    assert_eq!(said.header("x-fracas-fault"), "payload_corruption, partial_response");
    assert!(said.code == 18 && !said.body.is_empty(), "{}", said.told);
    let corrupted = echo(&one, "/echo", "--http1.1", 1, file).await.body;
    assert!(said.body == corrupted[..said.body.len()]);
}
