//! Which requests meet an error, by a pattern. The original has these, and its HTTP never asks them (originals, 3.7, 9).

use std::collections::BTreeSet;

use crate::client::{Raw, curl};
use crate::stand::{Stand, wish};

/// A proxy whose errors have this pattern.
fn by(pattern: &str) -> Stand {
    wish(&format!(
        "fault_injection: {{ http_errors: [500], error_pattern: {{ {pattern} }} }}"
    ))
    .start()
}

/// The statuses of so many requests in one connection, one after the other.
async fn statuses(client: &mut Raw, count: usize, headers: &str) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        let head = client.ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
        all.push(head[9..12].to_owned());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_goes_through_all_connections() {
    let proxy = by("type: sequential, sequence: [503, 200, 429]");
    let (mut one, mut other) = (Raw::to(proxy.address).await, Raw::to(proxy.address).await);
    let mut all = Vec::new();
    for _ in 0..3 {
        all.extend(statuses(&mut one, 1, "").await);
        all.extend(statuses(&mut other, 1, "").await);
    }
    assert_eq!(all, ["503", "200", "429", "503", "200", "429"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_counted_in_its_interval() {
    let proxy = by("type: burst, count: 3, interval_ms: 3600000");
    let mut client = Raw::to(proxy.address).await;
    assert_eq!(
        statuses(&mut client, 6, "").await,
        ["500", "500", "500", "200", "200", "200"]
    );
    // Intervals that are over before all have come: with each begins another.
    let proxy = by("type: burst, count: 1, interval_ms: 1");
    let mut client = Raw::to(proxy.address).await;
    let all = statuses(&mut client, 1000, "").await;
    assert!(all.iter().filter(|status| *status == "500").count() > 1);
}

async fn chosen(proxy: &Stand, ids: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let mut client = Raw::to(proxy.address).await;
    let mut chosen = BTreeSet::new();
    for id in ids {
        if statuses(&mut client, 1, &format!("x-request-id: {id}\r\n")).await == ["500"] {
            chosen.insert(id);
        }
    }
    chosen
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_chooses_the_same_requests_in_any_order() {
    let random = || by("type: random, probability: 0.3");
    let forth = chosen(&random(), 0..200).await;
    // Five standard deviations of 200 times 0.3. The draws are fixed by the seed.
    assert!((28..=92).contains(&forth.len()), "{}", forth.len());
    assert_eq!(chosen(&random(), (0..200).rev()).await, forth);
    // And the same that the key of chance alone chooses.
    let plain = wish("fault_injection: { http_errors: [500], http_error_probability: 0.3 }").start();
    assert_eq!(chosen(&plain, 0..200).await, forth);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_that_the_block_is_about_are_counted() {
    let config = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 503] }, \
                  request_matcher: { headers: [{ name: x-canary }] } }";
    let proxy = wish(config).start();
    let mut client = Raw::to(proxy.address).await;
    let mut all = Vec::new();
    for headers in ["", "x-canary: 1\r\n", "", "x-canary: 1\r\n", "x-canary: 1\r\n"] {
        all.extend(statuses(&mut client, 1, headers).await);
    }
    assert_eq!(all, ["200", "500", "200", "503", "500"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_that_is_not_changed_goes_on() {
    let proxy = by("type: sequential, sequence: [500, 501, 502, 503]");
    let mut client = Raw::to(proxy.address).await;
    assert_eq!(statuses(&mut client, 2, "").await, ["500", "501"]);
    let url = proxy.url("/api/chaos/config/faults");
    let put = async |body: &str| {
        let json = ["-X", "PUT", "-H", "content-type: application/json", "--data-binary"];
        assert_eq!(
            curl(&[&json[..], &[body, url.as_str()]].concat()).await.status(),
            200,
            "{body}"
        );
    };
    put(r#"{"timeout_ms": 1, "error_pattern": {"type": "sequential", "sequence": [500, 501, 502, 503]}}"#).await;
    assert_eq!(statuses(&mut client, 1, "").await, ["502"]);
    put(r#"{"error_pattern": {"type": "sequential", "sequence": [504, 505]}}"#).await;
    assert_eq!(statuses(&mut client, 2, "").await, ["504", "505"]);
}
