//! What is changed while requests pass. The original built its faults once, at its start, whatever the API said (originals, 3.7, 7).

use serde_json::{Value, json};

use crate::canned::Canned;
use crate::client::{Curl, Raw, curl};
use crate::stand::{Stand, wish};
use crate::upstream::Upstream;

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

pub(crate) async fn put(proxy: &Stand, path: &str, body: &str) -> Curl {
    let url = format!("http://{}/api/chaos{path}", proxy.api);
    curl(&[
        "-X",
        "PUT",
        "-H",
        "content-type: application/json",
        "--data-binary",
        body,
        &url,
    ])
    .await
}

/// What is sent as JSON by POST.
pub(crate) async fn send(proxy: &Stand, path: &str, body: &str) -> Curl {
    let url = format!("http://{}/api/chaos{path}", proxy.api);
    let kind = "content-type: application/json";
    curl(&["-X", "POST", "-H", kind, "--data-binary", body, &url]).await
}

pub(crate) async fn post(proxy: &Stand, path: &str) -> Curl {
    curl(&["-X", "POST", &format!("http://{}/api/chaos{path}", proxy.api)]).await
}

pub(crate) async fn get(proxy: &Stand, path: &str) -> Value {
    let said = curl(&[&format!("http://{}/api/chaos{path}", proxy.api)]).await;
    serde_json::from_slice(&said.body).unwrap_or_else(|_| panic!("{said:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_acts_from_the_next_request_on_in_connections_that_are_open() {
    let proxy = wish("{}").start();
    let mut client = Raw::to(proxy.address).await;
    let head = client.ask(GET).await;
    assert!(!head.contains("x-fracas-fault"), "{head}");
    for (path, body, message, sign) in [
        (
            "/config/latency",
            r#"{"fixed_delay_ms": 1}"#,
            "Latency configuration updated",
            "x-fracas-latency-ms: 1.000",
        ),
        (
            "/config/latency",
            r#"{"fixed_delay_ms": 2}"#,
            "Latency configuration updated",
            "x-fracas-latency-ms: 2.000",
        ),
        (
            "/config/rate-limit",
            r#"{"requests_per_second": 1, "burst_size": 1}"#,
            "Rate limit configuration updated",
            "x-fracas-latency-ms: 2.000",
        ),
        (
            "/config/rate-limit",
            r#"{"enabled": false}"#,
            "Rate limit configuration updated",
            "x-fracas-fault: latency\r\n",
        ),
        (
            "/config/faults",
            r#"{"http_errors": [599], "http_error_probability": 1}"#,
            "Fault injection configuration updated",
            "HTTP/1.1 599 ",
        ),
        (
            "/config/traffic",
            r#"{"packet_loss_percent": 100}"#,
            "Traffic shaping configuration updated",
            "x-fracas-fault: packet_loss\r\n",
        ),
        (
            "/config/traffic",
            r#"{"enabled": false}"#,
            "Traffic shaping configuration updated",
            "HTTP/1.1 599 ",
        ),
        (
            "/config/circuit-breaker",
            r#"{"failure_threshold": 1}"#,
            "Circuit breaker configuration updated",
            "HTTP/1.1 599 ",
        ),
        (
            "/config/faults",
            r#"{"enabled": false}"#,
            "Fault injection configuration updated",
            "x-fracas-fault: circuit_breaker\r\n",
        ),
        (
            "/config",
            r#"{"latency": {"fixed_delay_ms": 3}}"#,
            "Chaos configuration updated",
            "x-fracas-latency-ms: 3.000",
        ),
    ] {
        let said = put(&proxy, path, body).await;
        assert_eq!(
            (said.status(), said.text()),
            (200, json!({ "message": message }).to_string()),
            "{path}"
        );
        let head = client.ask(GET).await;
        assert!(head.contains(sign), "{path} {body}: {head}");
    }
}

/// How many of a hundred requests pass a limit. Buckets get a token each second, so that half a bucket is told from a whole one.
async fn passed(client: &mut Raw) -> usize {
    let mut passed = 0;
    for _ in 0..100 {
        let head = client.ask(GET).await;
        if head.starts_with("HTTP/1.1 200 ") {
            passed += 1;
        } else {
            assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_changed_acts_and_one_that_is_not_goes_on() {
    let proxy = wish("rate_limit: { requests_per_second: 1, burst_size: 60 }").start();
    let mut client = Raw::to(proxy.address).await;
    assert!((60..100).contains(&passed(&mut client).await));
    // Another block does not fill the bucket.
    put(&proxy, "/config/faults", r#"{"http_errors": []}"#).await;
    assert!(passed(&mut client).await < 30);
    // Nor does a while without it.
    post(&proxy, "/disable").await;
    assert_eq!(passed(&mut client).await, 100);
    post(&proxy, "/enable").await;
    assert!(passed(&mut client).await < 30);
    put(
        &proxy,
        "/config/rate-limit",
        r#"{"requests_per_second": 1, "burst_size": 61}"#,
    )
    .await;
    assert!(passed(&mut client).await > 60);
}

// `enable` did nothing where the original was started without chaos, and `disable` left the faults of TCP on.
#[tokio::test(flavor = "multi_thread")]
async fn all_is_switched_on_and_off() {
    let proxy = wish("{}").start();
    let faults = r#"{"http_errors": [], "connection_errors": true, "connection_error_probability": 1, "connection_error_kind": "tcp_reset"}"#;
    assert_eq!(
        post(&proxy, "/disable").await.text(),
        r#"{"message":"Chaos engineering disabled"}"#
    );
    put(&proxy, "/config/faults", faults).await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    assert_eq!(get(&proxy, "/status").await["fault_injection_enabled"], false);
    assert_eq!(
        post(&proxy, "/enable").await.text(),
        r#"{"message":"Chaos engineering enabled"}"#
    );
    assert_eq!(curl(&[&proxy.url("/")]).await.code, 56);
    let status = json!({
        "enabled": true, "active_scenarios": [], "latency_enabled": false, "fault_injection_enabled": true,
        "rate_limit_enabled": false, "traffic_shaping_enabled": false, "circuit_breaker_enabled": false,
        "circuit_breaker_state": "closed", "bulkhead_enabled": false, "bulkhead_concurrent_requests": 0,
        "bulkhead_queued_requests": 0, "active_routes": [], "active_mutations": [], "seed": 42,
        "listeners": [{ "name": "main", "address": proxy.address.to_string(), "upstream": null }],
    });
    assert_eq!(get(&proxy, "/status").await, status);
    post(&proxy, "/disable").await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    post(&proxy, "/enable").await;
    assert_eq!(
        post(&proxy, "/reset").await.text(),
        r#"{"message":"Chaos configuration reset"}"#
    );
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    assert_eq!(get(&proxy, "/config").await, json!({ "enabled": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_status_says_which_routes_and_rules_act() {
    let rule = |name: &str, more: &str| {
        format!("{{ name: {name}, {more} operations: [{{ type: set_field, field: a, value: 2 }}] }}")
    };
    let rules = [
        rule("once", "stateful: { max_corrupted: 1 },"),
        rule("never", "probability: 0,"),
        rule("always", ""),
    ];
    let config = format!(
        "routes: [{{ method: get, path: '/a/{{b}}' }}, {{ path: /c }}]\nmutations: {{ rules: [{}] }}",
        rules.join(", ")
    );
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
    let proxy = wish(&config).to(&Canned::says(answer).await.url()).start();
    let acts = async || {
        let status = get(&proxy, "/status").await;
        json!([status["active_routes"], status["active_mutations"]])
    };
    let routes = ["GET /a/{b}", "/c"];
    assert_eq!(acts().await, json!([routes, ["once", "always"]]));
    assert_eq!(curl(&[&proxy.url("/")]).await.text(), r#"{"a":2}"#);
    assert_eq!(acts().await, json!([routes, ["always"]]));
    post(&proxy, "/disable").await;
    assert_eq!(acts().await, json!([[], []]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_can_be_written() {
    let proxy = wish("latency: { random_delay_range_ms: [1, 2] }\nfault_injection: {}\nrate_limit: {}\ntraffic_shaping: {}\ncircuit_breaker: {}\nbulkhead: {}").start();
    let config = get(&proxy, "/config").await;
    assert_eq!(config["fault_injection"]["http_errors"], json!([500, 502, 503, 504]));
    post(&proxy, "/reset").await;
    assert_eq!(put(&proxy, "/config", &config.to_string()).await.status(), 200);
    assert_eq!(get(&proxy, "/config").await, config);
}

// Every error of the original's was a 404.
#[tokio::test(flavor = "multi_thread")]
async fn each_error_has_its_status() {
    let proxy = wish("{}").start();
    let api = |path: &str| proxy.url(&format!("/api/chaos{path}"));
    assert_eq!(curl(&[&api("/nothing")]).await.status(), 404);
    let said = curl(&["-X", "DELETE", &api("/config")]).await;
    assert_eq!((said.status(), said.header("allow").as_str()), (405, "GET, PUT"));
    let said = curl(&["-X", "PUT", "--data-binary", "{}", &api("/config")]).await;
    assert_eq!(said.status(), 415);
    let said = put(
        &proxy,
        "/config",
        "{\n  \"latency\": { \"fixed_delay\": 5 },\n  \"fault_injection\": { \"mockai_enabled\": true }\n}",
    )
    .await;
    assert_eq!(
        (said.status(), said.header("content-type").as_str()),
        (422, "application/problem+json")
    );
    let details: Value = serde_json::from_slice(&said.body).unwrap();
    let problems = details["problems"].as_array().unwrap();
    let place = |index: usize| {
        (
            &problems[index]["code"],
            &problems[index]["place"]["line"],
            &problems[index]["place"]["column"],
        )
    };
    assert_eq!(place(0), (&json!("D003"), &json!(2), &json!(16)), "{details:#}");
    assert_eq!(place(1), (&json!("D010"), &json!(3), &json!(24)), "{details:#}");
    let large = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&large, "x".repeat((1 << 20) + 1)).unwrap();
    let said = put(&proxy, "/config", &format!("@{}", large.path().display())).await;
    assert_eq!(said.status(), 413);
    // A file may name variables of ours; whoever is in the network may not.
    let said = put(&proxy, "/config", r#"{"latency": {"fixed_delay_ms": "${HOME}"}}"#).await;
    assert!(said.status() == 422 && said.text().contains("D012"), "{said:?}");
    assert_eq!(get(&proxy, "/config").await, json!({ "enabled": true }));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_kept_out() {
    let proxy = wish("{}").start();
    let url = proxy.url("/api/chaos/disable");
    for header in ["origin: http://evil.example", "origin: null", "host: rebound.example"] {
        let said = curl(&["-X", "POST", "-H", header, &url]).await;
        assert_eq!(said.status(), 403, "{header}: {said:?}");
    }
    let said = curl(&["-X", "POST", "-H", "sec-fetch-site: cross-site", &url]).await;
    assert_eq!(said.status(), 403, "{said:?}");
    assert_eq!(get(&proxy, "/status").await["enabled"], true);
}

// What a server of this machine passes on comes from this machine, whoever asked it.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_proxy_passed_on_is_kept_out() {
    let headers = [
        "forwarded: for=192.0.2.1",
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: a",
        "x-real-ip: 192.0.2.1",
        "via: 1.1 other",
    ];
    let proxy = wish("{}").start();
    for header in headers {
        let said = curl(&["-X", "POST", "-H", header, &proxy.url("/api/chaos/disable")]).await;
        assert_eq!(said.status(), 403, "{header}: {said:?}");
        assert!(said.text().contains("--api-listen"), "{}", said.text());
    }
    // And so another proxy of ours before this one.
    let before = wish("{}").to(&proxy.url("")).api_elsewhere().start();
    let said = curl(&["-X", "POST", &before.url("/api/chaos/disable")]).await;
    assert_eq!(said.status(), 403, "{said:?}");
    assert_eq!(get(&proxy, "/status").await["enabled"], true);
    // An address of its own is for whoever reaches it.
    let proxy = wish("{}").api_elsewhere().start();
    let url = format!("http://{}/api/chaos/status", proxy.api);
    for header in headers {
        assert_eq!(curl(&["-H", header, &url]).await.status(), 200, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_hits_the_api_and_its_requests_count_for_nothing() {
    let config = "latency: { fixed_delay_ms: 3600000 }\nrate_limit: { requests_per_second: 1, burst_size: 1 }\n\
                  fault_injection: { http_error_probability: 1 }";
    let proxy = wish(config).start();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let said = curl(&[version, &proxy.url("/api/chaos/status")]).await;
        assert_eq!((said.status(), said.header("x-fracas-fault").as_str()), (200, ""));
    }
    let metrics = curl(&[&proxy.url("/api/chaos/metrics")]).await.text();
    let counts: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("fracas_proxy_requests_total{"))
        .map(|sample| sample.split_once("} ").unwrap().1)
        .collect();
    assert_eq!(counts, ["0"; 5], "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_elsewhere_leaves_the_path_to_the_upstream() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).api_elsewhere().start();
    assert_eq!(curl(&[&proxy.url("/api/chaos/status")]).await.text(), "hello\n");
    assert_eq!(get(&proxy, "/status").await["enabled"], true);
    assert_eq!(curl(&[&format!("http://{}/", proxy.api)]).await.status(), 404);
}
