//! Requests of GraphQL.

mod shares;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{get, put};
use crate::canned::Canned;
use crate::client::{Curl, curl};
use crate::stand::{Stand, wish};

const WHOLE: &str = r#"{"data":{"user":{"id":"7","score":1.50},"posts":[1,2]}}"#;
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 55\r\netag: \"a\"\r\n\r\n\
                      {\"data\":{\"user\":{\"id\":\"7\",\"score\":1.50},\"posts\":[1,2]}}";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/graphql-response+json; charset=utf-8\r\n\
                       transfer-encoding: chunked\r\n\r\n15\r\n{\"data\":{\"user\":{\"id\"\r\n22\r\n:\"7\",\"score\":1.50},\"posts\":[1,2]}}\r\n0\r\n\r\n";

async fn ask(proxy: &Stand, path: &str) -> Curl {
    let kind = "content-type: application/json";
    curl(&["-H", kind, "-d", r#"{"query":"{user{id} posts}"}"#, &proxy.url(path)]).await
}

fn body(said: &Curl) -> Value {
    serde_json::from_slice(&said.body).unwrap_or_else(|_| panic!("{said:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_fails_as_graphql_says_it() {
    let upstream = Canned::says(ANSWER).await;
    let proxy = wish("graphql: { error_codes: [UNAUTHENTICATED], error_probability: 1 }")
        .to(&upstream.url())
        .start();
    for said in [
        ask(&proxy, "/graphql").await,
        curl(&["--http2-prior-knowledge", &proxy.url("/graphql?query=%7Buser%7D")]).await,
    ] {
        assert_eq!(
            (said.status(), said.header("content-type").as_str()),
            (200, "application/json")
        );
        assert_eq!(said.header("x-fracas-fault"), "graphql_error");
        let body = body(&said);
        assert_eq!(
            (&body["data"], &body["errors"][0]["extensions"]),
            (&Value::Null, &json!({ "code": "UNAUTHENTICATED" }))
        );
        assert!(body["errors"][0]["message"].is_string());
    }
    // What is none is left alone.
    for said in [
        ask(&proxy, "/other").await,
        curl(&["-I", &proxy.url("/graphql?query=a")]).await,
    ] {
        assert_eq!((said.status(), said.header("x-fracas-fault").as_str()), (200, ""));
    }
    put(
        &proxy,
        "/config/graphql",
        r#"{"path": "/other", "error_codes": ["FORBIDDEN"], "error_probability": 1}"#,
    )
    .await;
    assert_eq!(ask(&proxy, "/graphql").await.text(), WHOLE);
    assert_eq!(
        body(&ask(&proxy, "/other").await)["errors"][0]["extensions"]["code"],
        "FORBIDDEN"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_loses_a_field_and_says_which() {
    for (answer, kept_tag) in [(ANSWER, "\"a\""), (CHUNKED, "")] {
        let upstream = Canned::says(answer).await;
        let proxy = wish("graphql: { partial_data_probability: 1 }")
            .to(&upstream.url())
            .start();
        let mut lost = std::collections::BTreeSet::new();
        for n in 0..20 {
            let id = format!("x-request-id: {n}");
            let words = [
                "-H",
                "content-type: application/json",
                "-d",
                "{}",
                "-H",
                &id,
                &proxy.url("/graphql"),
            ];
            let said = curl(&words).await;
            assert_eq!(
                (said.code, said.header("x-fracas-fault").as_str()),
                (0, "graphql_partial_data")
            );
            assert_eq!(said.header("content-length"), said.body.len().to_string());
            assert_eq!(said.header("etag"), kept_tag);
            let body = body(&said);
            let path = body["errors"][0]["path"][0].as_str().unwrap().to_owned();
            assert_eq!(body["data"][&path], Value::Null);
            let kept = if path == "user" {
                r#""posts":[1,2]"#
            } else {
                r#"{"id":"7","score":1.50}"#
            };
            assert!(said.text().contains(kept), "{}", said.text());
            assert_eq!(curl(&words).await.body, said.body);
            lost.insert(path);
        }
        assert_eq!(lost.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_passes_as_it_is() {
    let config = "graphql: { partial_data_probability: 1, resolver_latency: true, resolver_latency_ms: 3600000 }";
    // All that follow are of JSON, so that it is what they say of themselves that counts.
    let coded = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 16\r\n\r\n\
                 {\"data\":{\"a\":1}}";
    let text = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 16\r\n\r\n{\"data\":{\"a\":1}}";
    let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 16\r\n\r\n{\"data\":{\"a\":1}}";
    let parts = "HTTP/1.1 200 OK\r\ncontent-type: multipart/mixed; boundary=-\r\ncontent-length: 16\r\n\r\n{\"data\":{\"a\":1}}";
    let list = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n[{\"data\":{\"a\":1}}]";
    // These are not.
    let broken = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"data\":{\"a\":1";
    let empty = "HTTP/1.1 204 No Content\r\ncontent-type: application/json\r\n\r\n";
    let trailers = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: x-a\r\n\r\n\
                    3\r\n{}\n\r\n0\r\nx-a: 1\r\n\r\n";
    for (answer, whole) in [
        (coded, "{\"data\":{\"a\":1}}"),
        (text, "{\"data\":{\"a\":1}}"),
        (events, "{\"data\":{\"a\":1}}"),
        (parts, "{\"data\":{\"a\":1}}"),
        (list, "[{\"data\":{\"a\":1}}]"),
        (broken, "{\"data\":{\"a\":1"),
        (empty, ""),
        (trailers, "{}\n"),
    ] {
        let upstream = Canned::says(answer).await;
        let proxy = wish(config).to(&upstream.url()).start();
        let said = ask(&proxy, "/graphql").await;
        assert_eq!(
            (said.code, said.text().as_str(), said.header("x-fracas-fault").as_str()),
            (0, whole, ""),
            "{answer}"
        );
    }
    // One that is too large, and one that breaks off.
    let field = "x".repeat(2 << 20);
    let large = format!("{{\"data\":{{\"a\":\"{field}\"}}}}");
    let length = large.len();
    for said in [length, length + 1] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {said}\r\n\r\n{large}"
        );
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{large}\r\n0\r\n\r\n"
        );
        let answer = if said == length { chunked } else { answer };
        let upstream = Canned::says(answer.leak()).await;
        let proxy = wish(config).to(&upstream.url()).start();
        let kind = "content-type: application/json";
        // Nothing more comes of the second, and who waits gives up.
        let got = curl(&["-H", kind, "-d", "{}", "--max-time", "2", &proxy.url("/graphql")]).await;
        assert_eq!(got.code, if said == length { 0 } else { 28 });
        assert!(got.body == large.as_bytes(), "{}", got.body.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_takes_its_time() {
    let upstream = Canned::says(ANSWER).await;
    let proxy = wish("graphql: { resolver_latency: true, resolver_latency_ms: 300 }")
        .to(&upstream.url())
        .start();
    let begun = Instant::now();
    let said = ask(&proxy, "/graphql").await;
    let took = begun.elapsed();
    assert_eq!(
        (said.text().as_str(), said.header("x-fracas-fault").as_str()),
        (WHOLE, "graphql_resolver_latency")
    );
    // Of two fields, and more than of one on a machine that is slow.
    assert!(took >= Duration::from_millis(600), "{took:?}");
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    assert!(metrics.contains("fault=\"graphql_resolver_latency\"} 1\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_changed_by_parts() {
    let upstream = Canned::says(ANSWER).await;
    let proxy = wish("graphql: { enabled: false, resolver_latency_ms: 0.5 }")
        .to(&upstream.url())
        .start();
    for (path, body, message, fault) in [
        (
            "/resolver-latency",
            r#"{"enabled": true}"#,
            "GraphQL resolver latency updated",
            "graphql_resolver_latency",
        ),
        (
            "/resolver-latency",
            r#"{"enabled": false}"#,
            "GraphQL resolver latency updated",
            "",
        ),
        (
            "/partial-data",
            r#"{"probability": 1}"#,
            "GraphQL partial data updated",
            "graphql_partial_data",
        ),
        (
            "/error-codes",
            r#"{"error_codes": ["NOT_FOUND"], "probability": 1}"#,
            "GraphQL error codes updated",
            "graphql_error",
        ),
    ] {
        let url = proxy.url(&format!("/api/chaos/protocols/graphql{path}"));
        let said = curl(&["-H", "content-type: application/json", "-d", body, &url]).await;
        assert_eq!(said.text(), format!(r#"{{"message":"{message}"}}"#));
        assert_eq!(
            ask(&proxy, "/graphql").await.header("x-fracas-fault"),
            fault,
            "{path} {body}"
        );
    }
    let block = get(&proxy, "/config").await["graphql"].clone();
    assert_eq!(
        (&block["resolver_latency_ms"], &block["partial_data_probability"]),
        (&0.5.into(), &1.0.into())
    );
    let url = proxy.url("/api/chaos/protocols/graphql/error-codes");
    let wrong = r#"{"error_codes": ["not found"], "probability": 1}"#;
    assert_eq!(
        curl(&["-H", "content-type: application/json", "-d", wrong, &url])
            .await
            .status(),
        422
    );
}
