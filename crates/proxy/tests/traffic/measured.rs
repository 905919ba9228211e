//! What is measured and counted, and how the API tells it.

use serde_json::{Value, json};

use crate::api::{get, post};
use crate::client::{Raw, curl};
use crate::stand::{Stand, soon_async, wish};
use crate::upstream::Upstream;

async fn samples(proxy: &Stand) -> Vec<Value> {
    get(proxy, "/metrics/latency").await["samples"]
        .as_array()
        .unwrap()
        .clone()
}

/// An answer is measured when it has ended, and its client may know that first.
async fn measured(proxy: &Stand, count: usize) -> Vec<Value> {
    soon_async("all are measured", async || samples(proxy).await.len() == count).await;
    samples(proxy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_is_a_sample_with_its_whole_time_and_what_a_fault_had_of_it() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let empty =
        json!({ "min_ms": null, "max_ms": null, "avg_ms": null, "p50_ms": null, "p95_ms": null, "p99_ms": null });
    let stats = get(&proxy, "/metrics/latency/stats").await;
    assert_eq!(
        (&stats["count"], &stats["injected"], &stats["p50_ms"]),
        (&json!(0), &empty, &Value::Null)
    );
    curl(&[&proxy.url("/")]).await;
    let unharmed = &measured(&proxy, 1).await[0];
    assert_eq!(unharmed["injected_ms"], 0.0);
    let plain = unharmed["latency_ms"].as_f64().unwrap();
    assert!(plain > 0.0, "{unharmed}");
    crate::api::put(&proxy, "/config/latency", r#"{"fixed_delay_ms": 60}"#).await;
    curl(&[&proxy.url("/")]).await;
    let held = &measured(&proxy, 2).await[1];
    assert_eq!(held["injected_ms"], 60.0);
    assert!(held["latency_ms"].as_f64().unwrap() >= 60.0, "{held}");
    // A time-out that is made is made by us, too.
    let faults = r#"{"http_errors": [], "timeout_errors": true, "timeout_probability": 1, "timeout_ms": 20}"#;
    crate::api::put(&proxy, "/config/faults", faults).await;
    curl(&[&proxy.url("/")]).await;
    let late = &measured(&proxy, 3).await[2];
    assert_eq!(late["injected_ms"], 80.0);
    assert!(late["latency_ms"].as_f64().unwrap() >= 80.0, "{late}");
    let at = |sample: &Value| {
        sample["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert!(at(unharmed) < at(held) && at(held) < at(late));

    let stats = get(&proxy, "/metrics/latency/stats").await;
    assert_eq!(stats["count"], 3);
    assert_eq!(
        (&stats["max_ms"], &stats["p99_ms"]),
        (&late["latency_ms"], &late["latency_ms"])
    );
    assert_eq!(
        (&stats["min_ms"], &stats["p50_ms"]),
        (&json!(plain), &held["latency_ms"])
    );
    let injected = json!({
        "min_ms": 0.0, "max_ms": 80.0, "avg_ms": 140.0 / 3.0, "p50_ms": 60.0, "p95_ms": 80.0, "p99_ms": 80.0,
    });
    assert_eq!(stats["injected"], injected);
}

// What the API answers is no traffic.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_traffic() {
    let proxy = wish("fault_injection: { http_errors: [503], http_error_probability: 1 }").start();
    for _ in 0..3 {
        curl(&[&proxy.url("/")]).await;
    }
    post(&proxy, "/disable").await;
    let mut client = Raw::to(proxy.address).await;
    client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(measured(&proxy, 4).await.len(), 4);
    let stats = get(&proxy, "/stats").await;
    assert_eq!(
        (&stats["requests"], &stats["server_errors"], &stats["faults"]),
        (&json!(4), &json!(3), &json!(3))
    );
    assert_eq!(
        stats["by_class"],
        json!({ "1xx": 0, "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 3 })
    );
    let by_fault = stats["by_fault"].as_object().unwrap();
    assert_eq!(by_fault["http_error"], 3, "{stats}");
    assert_eq!(by_fault.values().filter_map(Value::as_u64).sum::<u64>(), 3);
    // The client's, and the one that asks.
    soon_async("connections that are over are not counted", async || {
        get(&proxy, "/stats").await["connections"] == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_is_shown_and_reset_and_the_bulkhead_is_shown() {
    let config = "circuit_breaker: { failure_threshold: 1, timeout_ms: 3600000 }\n\
                  fault_injection: { http_errors: [501], http_error_probability: 1 }\nbulkhead: { max_concurrent_requests: 7 }";
    let proxy = wish(config).start();
    let breaker = async || get(&proxy, "/resilience/circuit-breakers/proxy").await;
    assert_eq!(
        (&breaker().await["state"], &breaker().await["enabled"]),
        (&json!("closed"), &json!(true))
    );
    let status = async || curl(&[&proxy.url("/")]).await.status();
    assert_eq!((status().await, status().await), (501, 503));
    let open = breaker().await;
    assert_eq!(
        (&open["state"], &open["config"]["failure_threshold"]),
        (&json!("open"), &json!(1))
    );
    assert_eq!(get(&proxy, "/resilience/circuit-breakers").await, json!([open]));
    let said = post(&proxy, "/resilience/circuit-breakers/proxy/reset").await;
    assert_eq!(said.text(), r#"{"message":"Circuit breaker 'proxy' reset"}"#);
    assert_eq!(breaker().await["state"], "closed");
    assert_eq!(status().await, 501);
    let bulkhead = get(&proxy, "/resilience/bulkheads/proxy").await;
    assert_eq!(
        (
            &bulkhead["concurrent_requests"],
            &bulkhead["config"]["max_concurrent_requests"]
        ),
        (&json!(0), &json!(7))
    );
    assert_eq!(get(&proxy, "/resilience/bulkheads").await, json!([bulkhead]));
    for path in ["circuit-breakers/GET%20%2F", "bulkheads/GET%20%2F"] {
        let said = curl(&[&proxy.url(&format!("/api/chaos/resilience/{path}"))]).await;
        assert!(said.status() == 404 && said.text().contains("`proxy`"), "{said:?}");
    }
}
