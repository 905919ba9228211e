//! Which requests meet the faults of a block, by what they are.

use crate::client::{Curl, Raw, curl};
use crate::http2::Http2;
use crate::stand::{Stand, wish};
use crate::upstream::Upstream;

/// A proxy that answers 500 to those that meet this.
async fn about(matcher: &str) -> (Stand, Upstream) {
    let upstream = Upstream::start().await;
    let config = format!(
        "fault_injection: {{ http_errors: [500], http_error_probability: 1, request_matcher: {{ {matcher} }} }}"
    );
    let proxy = wish(&config).to(&upstream.url()).start();
    (proxy, upstream)
}

async fn ask(proxy: &Stand, words: &[&str]) -> Curl {
    curl(&[words, &[&proxy.url("/echo")]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_the_address_of_the_connection() {
    let (proxy, _upstream) = about("source_ips: [127.0.0.2, 10.0.0.0/8]").await;
    assert_eq!(ask(&proxy, &["--interface", "127.0.0.2"]).await.status(), 500);
    // What a client says of itself is no address of its.
    for header in ["x-forwarded-for: 127.0.0.2", "x-real-ip: 10.0.0.1"] {
        let said = ask(&proxy, &["--interface", "127.0.0.3", "-H", header]).await;
        assert_eq!(
            (said.status(), said.header("x-fracas-fault").as_str()),
            (200, ""),
            "{header}"
        );
    }
    // Whoever is not meant is not counted.
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    assert!(
        metrics.contains("fracas_proxy_faults_total{fault=\"http_error\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_headers_are_needed() {
    let (proxy, _upstream) = about("headers: [{ name: X-Tenant, value: a }, { name: x-canary }]").await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let both = ask(&proxy, &[version, "-H", "x-tenant: a", "-H", "x-canary: 0"]).await;
        assert_eq!(both.status(), 500, "{version}");
        assert_eq!(
            ask(&proxy, &[version, "-H", "x-tenant: a"]).await.status(),
            200,
            "{version}"
        );
        let other = ask(&proxy, &[version, "-H", "x-tenant: b", "-H", "x-canary: 0"]).await;
        assert_eq!(other.status(), 200, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_those_that_are_known_before_the_body() {
    let (proxy, upstream) = about("min_body_size_bytes: 3, max_body_size_bytes: 5").await;
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for (body, status) in [("xx", 200), ("xxx", 500), ("xxxxx", 500), ("xxxxxx", 200)] {
            let said = ask(&proxy, &[version, "--data-binary", body]).await;
            assert_eq!(said.status(), status, "{version} {body}");
        }
        assert_eq!(ask(&proxy, &[version]).await.status(), 200, "{version}");
    }
    upstream.forget();
    // Four bytes, and nobody knows it in time: they are passed on as they come.
    let mut client = Raw::to(proxy.address).await;
    client
        .send("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nxx\r\n")
        .await;
    client.send("2\r\nxx\r\n0\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(upstream.seen()[0].body, "xxxx");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_bodies_in_chunks() {
    let (proxy, _upstream) = about("chunked_only: true").await;
    let chunked = ["--http1.1", "-H", "transfer-encoding: chunked", "--data-binary", "x"];
    assert_eq!(ask(&proxy, &chunked).await.status(), 500);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        assert_eq!(
            ask(&proxy, &[version, "--data-binary", "x"]).await.status(),
            200,
            "{version}"
        );
        assert_eq!(ask(&proxy, &[version]).await.status(), 200, "{version}");
    }
    // In HTTP/2 every body comes in parts; the one without a length is what chunks are in HTTP/1.1.
    let (_body, answered) = Http2::to(proxy.address).await.ask("POST", "/echo");
    assert_eq!(answered.await.status(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_harmed_of_those_alone_that_are_meant() {
    let upstream = Upstream::start().await;
    for (fault, name, code) in [
        (
            "partial_responses: true, partial_response_probability: 1",
            "partial_response",
            18,
        ),
        (
            "payload_corruption: true, payload_corruption_probability: 1, corruption_type: bit_flip",
            "payload_corruption",
            0,
        ),
    ] {
        let config = format!(
            "fault_injection: {{ http_errors: [], {fault}, request_matcher: {{ headers: [{{ name: x-canary }}] }} }}"
        );
        let proxy = wish(&config).to(&upstream.url()).start();
        let said = curl(&[&proxy.url("/")]).await;
        assert_eq!(
            (said.code, said.header("x-fracas-fault").as_str(), said.text().as_str()),
            (0, "", "hello\n"),
            "{name}"
        );
        let said = curl(&["-H", "x-canary: 1", &proxy.url("/")]).await;
        assert_eq!((said.code, said.header("x-fracas-fault").as_str()), (code, name));
        assert_ne!(said.text(), "hello\n", "{name}");
    }
}

// The other blocks have no matcher: they are about all requests.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_matcher_of_its_block_alone() {
    let config = "latency: { fixed_delay_ms: 1 }\nfault_injection: { http_errors: [500], http_error_probability: 1, \
                  request_matcher: { headers: [{ name: x-canary }] } }";
    let proxy = wish(config).start();
    assert_eq!(ask(&proxy, &[]).await.header("x-fracas-fault"), "latency");
    let said = ask(&proxy, &["-H", "x-canary: 1"]).await;
    assert_eq!(said.header("x-fracas-fault"), "latency, http_error");
}
