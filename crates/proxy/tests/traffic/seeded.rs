//! The same requests meet the same faults (originals, 3.7, 13: the original has no seed).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::client::Raw;
use crate::stand::{Stand, wish};

const REQUESTS: usize = 1000;

async fn failed_of(proxy: &Stand, ids: Vec<usize>, name: &str) -> BTreeSet<usize> {
    let mut client = Raw::to(proxy.address).await;
    let mut failed = BTreeSet::new();
    for id in ids {
        let head = client
            .ask(&format!("GET / HTTP/1.1\r\nhost: a\r\n{name}: request-{id}\r\n\r\n"))
            .await;
        if head.starts_with("HTTP/1.1 500 ") {
            failed.insert(id);
        } else {
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        }
    }
    failed
}

async fn failed(seed: u64, connections: usize, name: &'static str) -> BTreeSet<usize> {
    let config = "fault_injection: { http_errors: [500], http_error_probability: 0.1 }";
    let proxy = Arc::new(wish(config).seed(seed).start());
    let clients: Vec<_> = (0..connections)
        .map(|client| {
            let proxy = Arc::clone(&proxy);
            // Whoever has more than one takes its part from the end.
            let ids = (0..REQUESTS).rev().filter(|id| id % connections == client).collect();
            tokio::spawn(async move { failed_of(&proxy, ids, name).await })
        })
        .collect();
    let mut all = BTreeSet::new();
    for client in clients {
        all.extend(client.await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_requests_fail_whoever_comes_first() {
    let one = failed(42, 1, "x-request-id").await;
    // Five standard deviations of a tenth of a thousand. The draws are fixed by the seed.
    assert!((53..=147).contains(&one.len()), "{}", one.len());
    assert_eq!(failed(42, 8, "x-request-id").await, one);
    assert_ne!(failed(43, 8, "x-request-id").await, one);
    let traced = failed(42, 1, "traceparent").await;
    assert_eq!(failed(42, 8, "traceparent").await, traced);
}
