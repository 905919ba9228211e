//! One, ten and fifty percent of a hundred thousand requests: so many, and the same ones, whether one thread serves them or eight do.
//! `websocket`, `grpc` and `graphql` have the same of what is theirs.

use std::net::SocketAddr;

use tokio::runtime::Builder;

use crate::client::Raw;
use crate::stand::wish;

const REQUESTS: usize = 100_000;
/// All that percentages decide about an answer without ending its connection for good. What is decided first is what is left for the others.
const CONFIG: &str = "traffic_shaping: { packet_loss_percent: 1 }
latency: { fixed_delay_ms: 0.01, probability: 0.01 }
fault_injection:
  http_errors: [500]
  http_error_probability: 0.1
  connection_errors: true
  connection_error_probability: 0.1
  timeout_errors: true
  timeout_ms: 1
  timeout_probability: 0.01
  partial_responses: true
  partial_response_probability: 0.01
  payload_corruption: true
  corruption_type: bit_flip
  payload_corruption_probability: 0.5
mutations:
  rules: [{ name: half, probability: 0.5, operations: [{ type: set_field, field: body, value: 1 }] }]
routes:
  - { path: '/routed', fault_injection: { probability: 0.1, fault_types: [{ type: http_error, status_code: 418 }] } }
";

/// What each request met, by its number.
type Met = Vec<String>;

/// A tenth of the requests is of the route.
fn is_routed(request: usize) -> bool {
    request.is_multiple_of(10)
}

async fn asked(address: SocketAddr, requests: Vec<usize>) -> Vec<(usize, String)> {
    let mut client = Raw::to(address).await;
    let mut all = Vec::with_capacity(requests.len());
    for request in requests {
        let path = if is_routed(request) { "/routed" } else { "/" };
        let line = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: request-{request}\r\n\r\n");
        let (head, is_whole) = client.ask_or_end(&line).await;
        let values = head.lines().filter_map(|line| line.strip_prefix("x-fracas-fault: "));
        let met = values.collect::<Vec<_>>().join(" ");
        assert_eq!(is_whole, !met.contains("partial_response"), "{head}");
        all.push((request, met));
        if !is_whole {
            client = Raw::to(address).await;
        }
    }
    all
}

/// Serves by so many threads.
pub(crate) fn by_threads<T>(threads: usize, serving: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serving)
}

/// So many requests, as they come where so many threads serve: four clients for each have a part of them, of several threads from its end.
pub(crate) fn parts(threads: usize, requests: usize) -> Vec<Vec<usize>> {
    let clients = threads * 4;
    let part = |client| (0..requests).filter(move |id| id % clients == client);
    (0..clients)
        .map(|client| match threads {
            1 => part(client).collect(),
            _ => part(client).rev().collect(),
        })
        .collect()
}

/// What they meet, where so many threads serve and ask.
fn met(threads: usize) -> Met {
    by_threads(threads, async {
        let proxy = wish(CONFIG).start();
        let clients: Vec<_> = parts(threads, REQUESTS)
            .into_iter()
            .map(|part| tokio::spawn(asked(proxy.address, part)))
            .collect();
        let mut all = vec![String::new(); REQUESTS];
        for client in clients {
            for (request, met) in client.await.unwrap() {
                all[request] = met;
            }
        }
        all
    })
}

/// Five standard deviations of so many requests to either side. The draws are fixed by the seed.
#[track_caller]
pub(crate) fn is_share_of(fault: &str, count: usize, of: usize, share: f64) {
    let wanted = of as f64 * share;
    let far = (count as f64 - wanted).abs();
    assert!(far <= 5.0 * (wanted * (1.0 - share)).sqrt(), "{fault}: {count} of {of}");
}

/// The same, of those requests that this is about.
#[track_caller]
fn is_share(met: &Met, among: impl Fn(usize, &str) -> bool, fault: &str, share: f64) {
    let of: Vec<&String> = (0..REQUESTS)
        .filter(|id| among(*id, &met[*id]))
        .map(|id| &met[id])
        .collect();
    let count = of.iter().filter(|met| met.split(' ').any(|one| one == fault)).count();
    is_share_of(fault, count, of.len(), share);
}

#[test]
fn a_share_of_a_hundred_thousand_requests_is_the_same_ones_at_one_and_at_eight_threads() {
    let met_by_one = met(1);
    assert!(met_by_one == met(8), "others at 8 threads");
    let comes = |_: usize, met: &str| !met.contains("packet_loss");
    let ends = |met: &str| {
        ["http_error", "connection_error", "timeout"]
            .iter()
            .any(|end| met.contains(end))
    };
    is_share(&met_by_one, |_, _| true, "packet_loss", 0.01);
    is_share(&met_by_one, comes, "latency", 0.01);
    is_share(
        &met_by_one,
        |id, met| comes(id, met) && is_routed(id),
        "http_error",
        0.1,
    );
    let others = |id: usize, met: &str| comes(id, met) && !is_routed(id);
    is_share(&met_by_one, others, "http_error", 0.1);
    let others = |id: usize, met: &str| others(id, met) && !met.contains("http_error");
    is_share(&met_by_one, others, "connection_error", 0.1);
    let others = |id: usize, met: &str| others(id, met) && !met.contains("connection_error");
    is_share(&met_by_one, others, "timeout", 0.01);
    let answered = |id: usize, met: &str| comes(id, met) && !ends(met);
    is_share(&met_by_one, answered, "json_mutation", 0.5);
    let answered = |id: usize, met: &str| answered(id, met) && !is_routed(id);
    is_share(&met_by_one, answered, "payload_corruption", 0.5);
    is_share(&met_by_one, answered, "partial_response", 0.01);
}
