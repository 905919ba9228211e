//! Keys of a proxy's configuration, seen by its clients.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::cli::Cli;
use crate::proxied::{Proxied, get};
use crate::seen::{looks, sees_differ};
use crate::support::{LIMIT as LONGEST, soon};

const FIXED: &str = "enabled: true
latency: { enabled: true, fixed_delay_ms: 2, jitter_percent: 0, probability: 1.0 }
";
const RANGE: &str = "latency: { random_delay_range_ms: [1, 1] }
";
const NORMAL: &str = "latency: { distribution: { normal: { mean_ms: 3, std_dev_ms: 0 } } }
";
const EXPONENTIAL: &str = "latency: { distribution: { exponential: { lambda: 1 } } }
";
const PARETO: &str = "latency: { distribution: { pareto: { mean_ms: 3, std_dev_ms: 0 } } }
";
const FAULTS: &str = "fault_injection:
  enabled: true
  http_errors: [500]
  http_error_probability: 1
";
const CONNECTIONS: &str = "fault_injection:
  http_errors: []
  connection_errors: true
  connection_error_probability: 1.0
  connection_error_kind: tcp_close
";
const TIMEOUTS: &str = "fault_injection:
  http_errors: []
  timeout_errors: true
  timeout_ms: 1
  timeout_probability: 1.0
";
const PARTIAL: &str = "fault_injection:
  http_errors: []
  partial_responses: true
  partial_response_probability: 1.0
";
const CORRUPTION: &str = "fault_injection:
  http_errors: []
  payload_corruption: true
  payload_corruption_probability: 1.0
  corruption_type: bit_flip
";
const BURST: &str =
    "fault_injection: { http_errors: [500], error_pattern: { type: burst, count: 1, interval_ms: 3600000 } }
";
const RANDOM: &str = "fault_injection: { http_errors: [500], error_pattern: { type: random, probability: 1 } }
";
const SEQUENCE: &str = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 503] } }
";
const SOURCES: &str = "fault_injection:
  http_errors: [500]
  http_error_probability: 1
  request_matcher: { source_ips: [127.0.0.1] }
";
const HEADERS: &str = "fault_injection:
  http_errors: [500]
  http_error_probability: 1
  request_matcher: { headers: [{ name: x-request-id, value: a }] }
";
const SIZES: &str = "fault_injection:
  http_errors: [500]
  http_error_probability: 1
  request_matcher: { min_body_size_bytes: 5, max_body_size_bytes: 5 }
";
const CHUNKED: &str = "fault_injection:
  http_errors: [500]
  http_error_probability: 1
  request_matcher: { chunked_only: false }
";
/// Opens by a row of failures.
const ROW: &str = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 500, 200, 500, 500, 500] } }
circuit_breaker: { enabled: true, failure_threshold: 2, success_threshold: 1, timeout_ms: 3600000 }
";
/// The same, and what comes then is a trial.
const TRIED: &str = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 500, 200] } }
circuit_breaker: { failure_threshold: 2, success_threshold: 1, timeout_ms: 0 }
";
/// The same, and nobody answers the trials.
const TRIALS: &str = "fault_injection:
  error_pattern: { type: sequential, sequence: [500, 200, 200, 200] }
  timeout_errors: true
  timeout_probability: 1
  timeout_ms: 3600000
circuit_breaker: { failure_threshold: 1, timeout_ms: 0, half_open_max_requests: 1 }
";
/// Opens by a share of failures.
const SHARE: &str = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 200] } }
circuit_breaker: { failure_threshold: 1000, failure_rate_threshold: 50, min_requests_for_rate: 4 }
";
const WINDOW: &str = "fault_injection: { error_pattern: { type: sequential, sequence: [500, 200] } }
circuit_breaker: { failure_threshold: 1000, min_requests_for_rate: 50, rolling_window_ms: 3600000 }
";
/// All that come in stay there.
const BULKHEAD: &str = "latency: { fixed_delay_ms: 3600000 }
bulkhead: { enabled: true, max_concurrent_requests: 1, max_queue_size: 0, queue_timeout_ms: 3600000 }
";
const QUEUE: &str = "latency: { fixed_delay_ms: 3600000 }
bulkhead: { max_concurrent_requests: 1, max_queue_size: 1, queue_timeout_ms: 1 }
";
const LOSS: &str = "traffic_shaping: { enabled: true, packet_loss_percent: 100 }
";
/// The shortest bursts at this share: one that is lost and one that is not, by turns.
const LOSSES: &str = "traffic_shaping: { packet_loss_percent: 50, packet_loss_burst: 1 }
";
const NARROW: &str = "traffic_shaping: { bandwidth_limit_bps: 0 }
";
/// The first that comes is the one that may.
const FEW: &str = "traffic_shaping: { max_connections: 1, connection_timeout_ms: 0 }
";
const IDLE: &str = "traffic_shaping: { connection_timeout_ms: 1 }
";
const LIMIT: &str =
    "rate_limit: { enabled: true, requests_per_second: 1, burst_size: 20, per_ip: false, per_endpoint: false }
";

/// A way to look at a proxy.
type Look = fn(&Proxied) -> String;

fn status(proxy: &Proxied) -> String {
    proxy.get("/", "a").status().to_owned()
}

/// The answers to some requests, one after the other.
fn statuses(proxy: &Proxied) -> String {
    let status = |n: u32| proxy.get("/", &n.to_string()).status().to_owned();
    (0..6).map(status).collect::<Vec<_>>().join(" ")
}

/// How many of so many requests fail that an interval of a millisecond is over before the last of them.
fn failures(proxy: &Proxied) -> String {
    let failed = (0..100).filter(|n: &u32| proxy.get("/", &n.to_string()).status() == "500");
    match failed.count() {
        1 => "one",
        _ => "several",
    }
    .to_owned()
}

/// The state of the circuit breaker after three requests.
fn state(proxy: &Proxied) -> String {
    for n in 0..3 {
        proxy.get("/", &n.to_string());
    }
    let status = proxy.get("/api/chaos/status", "a").body;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["circuit_breaker_state"].as_str().unwrap().to_owned()
}

/// Whether there is a second trial beside the first.
fn trials(proxy: &Proxied) -> String {
    assert_eq!(proxy.get("/", "a").status(), "500");
    together(proxy, &[("timeout\"} 2", "two"), ("circuit_breaker\"} 1", "one")])
}

/// Sends two requests at the same time, of which one is not answered, and waits for one of the metrics.
fn together(proxy: &Proxied, wanted: &[(&str, &str)]) -> String {
    let at = proxy.address;
    for id in ["one", "other"] {
        // They end with the proxy.
        std::thread::spawn(move || get(at, Ipv4Addr::LOCALHOST, "/", id));
    }
    soon(LONGEST, "both have come", || {
        let metrics = proxy.get("/api/chaos/metrics", "a").body;
        let found = wanted.iter().find(|(line, _)| metrics.contains(&format!("{line}\n")));
        found.map(|(_, word)| (*word).to_owned())
    })
}

/// What becomes of the second of two.
fn second(proxy: &Proxied) -> String {
    let (both, queued, refused) = ("latency\"} 2", "queued_requests 1", "bulkhead\"} 1");
    together(proxy, &[(both, "passes"), (queued, "waits"), (refused, "is refused")])
}

/// How long the second of two waits until it is refused.
fn waits(proxy: &Proxied) -> String {
    let at = proxy.address;
    std::thread::spawn(move || get(at, Ipv4Addr::LOCALHOST, "/", "first"));
    soon(LONGEST, "the first is held", || {
        let metrics = proxy.get("/api/chaos/metrics", "a").body;
        metrics.contains("latency\"} 1\n").then_some(())
    });
    let got = proxy.get("/", "second");
    assert_eq!(got.status(), "503");
    if got.took < Duration::from_secs(2) {
        "short"
    } else {
        "long"
    }
    .to_owned()
}

/// Whether so many requests that the window of a millisecond has moved on open the breaker.
fn opens(proxy: &Proxied) -> String {
    let refused = |n: u32| proxy.get("/", &n.to_string()).status() == "503";
    if (0..100).any(refused) { "opens" } else { "stays closed" }.to_owned()
}

/// The answers to bodies of four to six bytes.
fn sized(proxy: &Proxied) -> String {
    let status = |body: &&str| proxy.post(body).status().to_owned();
    ["xxxx", "xxxxx", "xxxxxx"]
        .iter()
        .map(status)
        .collect::<Vec<_>>()
        .join(" ")
}

fn latency(proxy: &Proxied) -> String {
    proxy.get("/", "a").header("x-fracas-latency-ms").to_owned()
}

fn jitter(proxy: &Proxied) -> String {
    let got = proxy.get("/", "a");
    if got.header("x-fracas-jitter-ms") == "0.000" {
        "no"
    } else {
        "some"
    }
    .to_owned()
}

/// Whether delays are below their mean, above, or all the same.
fn spread(proxy: &Proxied) -> String {
    let delays: Vec<String> = (0..5)
        .map(|n| proxy.get("/", &n.to_string()).header("x-fracas-latency-ms").to_owned())
        .collect();
    if delays.iter().all(|delay| *delay == delays[0]) {
        "one"
    } else {
        "many"
    }
    .to_owned()
}

/// The mean of some delays against three milliseconds.
fn mean(proxy: &Proxied) -> String {
    let delays = (0..40).map(|n| {
        proxy
            .get("/", &n.to_string())
            .header("x-fracas-latency-ms")
            .parse::<f64>()
            .unwrap()
    });
    if delays.sum::<f64>() / 40.0 > 3.0 {
        "long"
    } else {
        "short"
    }
    .to_owned()
}

/// How many of some requests meet a fault.
fn share(proxy: &Proxied) -> String {
    let met = |n: &u32| {
        let got = proxy.get("/", &n.to_string());
        got.head.is_empty() || got.header("x-fracas-fault") != "none"
    };
    match (0..20).filter(met).count() {
        0 => "none",
        20 => "all",
        _ => "some",
    }
    .to_owned()
}

/// Whether each request meets what the one before did not.
fn turns(proxy: &Proxied) -> String {
    let all: Vec<String> = (0..20)
        .map(|n| proxy.get("/", &n.to_string()).status().to_owned())
        .collect();
    if all.windows(2).all(|two| two[0] != two[1]) {
        "by turns"
    } else {
        "in a row"
    }
    .to_owned()
}

fn end(proxy: &Proxied) -> String {
    let got = proxy.get("/", "a");
    assert_eq!(got.head, "");
    if got.reset { "reset" } else { "end" }.to_owned()
}

/// What became of the body of an answer.
fn body(proxy: &Proxied) -> String {
    let got = proxy.get("/", "a");
    let whole = r#"{"method":"GET","path":"/","body":0}"#;
    let announced: usize = got.header("content-length").parse().unwrap();
    if got.body.len() < announced {
        "cut off"
    } else if announced < whole.len() {
        "shorter"
    } else if got.body == whole {
        "whole"
    } else {
        "another"
    }
    .to_owned()
}

/// The time is told apart by two seconds.
fn took(proxy: &Proxied) -> String {
    let got = proxy.get("/", "a");
    assert_eq!(got.status(), "504");
    if got.took < Duration::from_secs(2) {
        "short"
    } else {
        "long"
    }
    .to_owned()
}

/// How long a whole answer takes, told apart by two seconds.
fn passes(proxy: &Proxied) -> String {
    let got = proxy.get("/", "a");
    assert_eq!(got.body, r#"{"method":"GET","path":"/","body":0}"#);
    if got.took < Duration::from_secs(2) {
        "short"
    } else {
        "long"
    }
    .to_owned()
}

/// The answer in a connection beside one that stays open.
fn beside(proxy: &Proxied) -> String {
    let mut open = TcpStream::connect(proxy.address).unwrap();
    assert_eq!(ask(&mut open), "HTTP/1.1 200");
    let beside = status(proxy);
    assert_eq!(ask(&mut open), "HTTP/1.1 200");
    beside
}

/// Whether a connection without a request is still open after two seconds.
fn idle(proxy: &Proxied) -> String {
    let mut open = TcpStream::connect(proxy.address).unwrap();
    assert_eq!(ask(&mut open), "HTTP/1.1 200");
    open.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    match open.read(&mut [0]) {
        Ok(0) => "closed",
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => "open",
        other => panic!("{other:?}"),
    }
    .to_owned()
}

/// The status of a request in a connection that goes on; its answer is read to the end.
fn ask(open: &mut TcpStream) -> String {
    open.set_read_timeout(Some(LONGEST)).unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut said = String::new();
    while !said.ends_with('}') {
        let mut byte = [0];
        open.read_exact(&mut byte).unwrap();
        said.push(char::from(byte[0]));
    }
    said[..12].to_owned()
}

/// How many of so many requests pass. A bucket gets a token each second, so that full ones are told from empty ones, and no closer.
fn passed(proxy: &Proxied, from: Ipv4Addr, path: &str, count: usize) -> usize {
    let passes = |_: &usize| get(proxy.address, from, path, "a").status() == "200";
    (0..count).filter(passes).count()
}

/// Whether another path and another address have a bucket of their own, when the first of both has spent its.
fn own(proxy: &Proxied) -> String {
    let (one, other) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    passed(proxy, one, "/a", 40);
    let has = |from, path| {
        if passed(proxy, from, path, 20) > 10 {
            "its own"
        } else {
            "none"
        }
    };
    format!("path {}, address {}", has(one, "/b"), has(other, "/a"))
}

/// How many pass at once.
fn burst(proxy: &Proxied) -> String {
    match passed(proxy, Ipv4Addr::LOCALHOST, "/", 100) {
        100 => "all",
        50.. => "most",
        _ => "few",
    }
    .to_owned()
}

#[track_caller]
fn differ(base: &str, old: &str, new: &str, look: Look, before: &str, after: &str) {
    let cli = Cli::new();
    let shown = |config: &str| {
        let file = cli.file("chaos.yaml", config);
        look(&Proxied::start(&cli, &["--seed", "1", "--chaos-config", &file]))
    };
    sees_differ(shown, base, (old, new), (before, after));
}

mod listeners;
mod mutations;
mod routes;

looks! {
    key_enabled: FIXED, "enabled: true\nlatency" => "enabled: false\nlatency", latency, "2.000" => "none";
    key_latency_enabled: FIXED, "{ enabled: true" => "{ enabled: false", latency, "2.000" => "none";
    key_latency_fixed_delay_ms: FIXED, "_ms: 2" => "_ms: 0.5", latency, "2.000" => "0.500";
    key_latency_random_delay_range_ms: RANGE, "[1, 1]" => "[2.5, 2.5]", latency, "1.000" => "2.500";
    key_latency_distribution_normal_mean_ms: NORMAL, "3" => "4", latency, "3.000" => "4.000";
    key_latency_distribution_normal_std_dev_ms: NORMAL, "dev_ms: 0" => "dev_ms: 1", spread, "one" => "many";
    key_latency_distribution_exponential_lambda: EXPONENTIAL, "lambda: 1" => "lambda: 0.1", mean, "short" => "long";
    key_latency_distribution_pareto_mean_ms: PARETO, "3" => "4", latency, "3.000" => "4.000";
    key_latency_distribution_pareto_std_dev_ms: PARETO, "dev_ms: 0" => "dev_ms: 1", spread, "one" => "many";
    key_latency_jitter_percent: FIXED, "percent: 0" => "percent: 100", jitter, "no" => "some";
    key_latency_probability: FIXED, "1.0" => "0.5", share, "all" => "some";
    key_fault_injection_enabled: FAULTS, "enabled: true" => "enabled: false", status, "500" => "200";
    key_fault_injection_http_errors: FAULTS, "[500]" => "[502]", status, "500" => "502";
    key_fault_injection_http_error_probability: FAULTS, "probability: 1" => "probability: 0.5", share, "all" => "some";
    key_fault_injection_connection_errors: CONNECTIONS, "true" => "false", share, "all" => "none";
    key_fault_injection_connection_error_probability: CONNECTIONS, "1.0" => "0.5", share, "all" => "some";
    key_fault_injection_connection_error_kind: CONNECTIONS, "tcp_close" => "tcp_reset", end, "end" => "reset";
    key_fault_injection_timeout_errors: TIMEOUTS, "true" => "false", share, "all" => "none";
    key_fault_injection_timeout_ms: TIMEOUTS, "_ms: 1" => "_ms: 2000", took, "short" => "long";
    key_fault_injection_timeout_probability: TIMEOUTS, "1.0" => "0.5", share, "all" => "some";
    key_fault_injection_partial_responses: PARTIAL, "true" => "false", body, "cut off" => "whole";
    key_fault_injection_partial_response_probability: PARTIAL, "1.0" => "0.5", share, "all" => "some";
    key_fault_injection_payload_corruption: CORRUPTION, "true" => "false", body, "another" => "whole";
    key_fault_injection_payload_corruption_probability: CORRUPTION, "1.0" => "0.5", share, "all" => "some";
    key_fault_injection_corruption_type: CORRUPTION, "bit_flip" => "truncate", body, "another" => "shorter";
    key_fault_injection_error_pattern_type: BURST, "burst, count: 1, interval_ms: 3600000" => "random, probability: 1", statuses, "500 200 200 200 200 200" => "500 500 500 500 500 500";
    key_fault_injection_error_pattern_count: BURST, "count: 1" => "count: 2", statuses, "500 200 200 200 200 200" => "500 500 200 200 200 200";
    key_fault_injection_error_pattern_interval_ms: BURST, "3600000" => "1", failures, "one" => "several";
    key_fault_injection_error_pattern_probability: RANDOM, "probability: 1" => "probability: 0.5", share, "all" => "some";
    key_fault_injection_error_pattern_sequence: SEQUENCE, "[500, 503]" => "[500, 200, 502]", statuses, "500 503 500 503 500 503" => "500 200 502 500 200 502";
    key_fault_injection_request_matcher_source_ips: SOURCES, "[127.0.0.1]" => "[127.0.0.2]", status, "500" => "200";
    key_fault_injection_request_matcher_headers_name: HEADERS, "x-request-id" => "x-tenant", status, "500" => "200";
    key_fault_injection_request_matcher_headers_value: HEADERS, "value: a" => "value: b", status, "500" => "200";
    key_fault_injection_request_matcher_min_body_size_bytes: SIZES, "min_body_size_bytes: 5" => "min_body_size_bytes: 4", sized, "200 500 200" => "500 500 200";
    key_fault_injection_request_matcher_max_body_size_bytes: SIZES, "max_body_size_bytes: 5" => "max_body_size_bytes: 6", sized, "200 500 200" => "200 500 500";
    key_fault_injection_request_matcher_chunked_only: CHUNKED, "only: false" => "only: true", status, "500" => "200";
    key_traffic_shaping_enabled: LOSS, "enabled: true" => "enabled: false", share, "all" => "none";
    key_traffic_shaping_packet_loss_percent: LOSS, "100" => "50", share, "all" => "some";
    key_traffic_shaping_packet_loss_burst: LOSSES, "burst: 1" => "burst: 1000", turns, "by turns" => "in a row";
    key_traffic_shaping_bandwidth_limit_bps: NARROW, "bps: 0" => "bps: 9", passes, "short" => "long";
    key_traffic_shaping_max_connections: FEW, "connections: 1" => "connections: 2", beside, "503" => "200";
    key_traffic_shaping_connection_timeout_ms: IDLE, "1" => "3600000", idle, "closed" => "open";
    key_rate_limit_enabled: LIMIT, "enabled: true" => "enabled: false", burst, "few" => "all";
    key_rate_limit_requests_per_second: LIMIT, "second: 1" => "second: 100000", burst, "few" => "all";
    key_rate_limit_burst_size: LIMIT, "size: 20" => "size: 60", burst, "few" => "most";
    key_rate_limit_per_ip: LIMIT, "ip: false" => "ip: true", own, "path none, address none" => "path none, address its own";
    key_rate_limit_per_endpoint: LIMIT, "endpoint: false" => "endpoint: true", own, "path none, address none" => "path its own, address none";
    key_circuit_breaker_enabled: ROW, "enabled: true" => "enabled: false", statuses, "500 500 503 503 503 503" => "500 500 200 500 500 500";
    key_circuit_breaker_failure_threshold: ROW, "failure_threshold: 2" => "failure_threshold: 3", statuses, "500 500 503 503 503 503" => "500 500 200 500 500 500";
    key_circuit_breaker_timeout_ms: ROW, "3600000" => "0", statuses, "500 500 503 503 503 503" => "500 500 200 500 500 500";
    key_circuit_breaker_success_threshold: TRIED, "success_threshold: 1" => "success_threshold: 2", state, "closed" => "half_open";
    key_circuit_breaker_half_open_max_requests: TRIALS, "requests: 1" => "requests: 2", trials, "one" => "two";
    key_circuit_breaker_failure_rate_threshold: SHARE, "threshold: 50" => "threshold: 70", statuses, "500 200 500 200 503 503" => "500 200 500 200 500 200";
    key_circuit_breaker_min_requests_for_rate: SHARE, "rate: 4" => "rate: 2", statuses, "500 200 500 200 503 503" => "500 200 503 503 503 503";
    key_circuit_breaker_rolling_window_ms: WINDOW, "3600000" => "1", opens, "opens" => "stays closed";
    key_bulkhead_enabled: BULKHEAD, "enabled: true" => "enabled: false", second, "is refused" => "passes";
    key_bulkhead_max_concurrent_requests: BULKHEAD, "requests: 1" => "requests: 2", second, "is refused" => "passes";
    key_bulkhead_max_queue_size: BULKHEAD, "size: 0" => "size: 1", second, "is refused" => "waits";
    key_bulkhead_queue_timeout_ms: QUEUE, "timeout_ms: 1" => "timeout_ms: 2000", waits, "short" => "long";
}
