//! Keys of routes, seen by clients of the proxy.

use super::{Proxied, body, differ, end, jitter, latency, mean, share, spread, status, took};
use crate::seen::looks;

const ROUTE: &str =
    "routes: [{ path: /, method: GET, fault_injection: { fault_types: [{ type: http_error, status_code: 500 }] } }]
";
const FIXED: &str =
    "routes: [{ path: /, latency: { enabled: true, fixed_delay_ms: 2, jitter_percent: 0, probability: 1.0 } }]
";
const RANGE: &str = "routes: [{ path: /, latency: { random_delay_range_ms: [1, 1] } }]
";
const NORMAL: &str = "routes: [{ path: /, latency: { distribution: { normal: { mean_ms: 3, std_dev_ms: 0 } } } }]
";
const EXPONENTIAL: &str = "routes: [{ path: /, latency: { distribution: { exponential: { lambda: 1 } } } }]
";
const PARETO: &str = "routes: [{ path: /, latency: { distribution: { pareto: { mean_ms: 3, std_dev_ms: 0 } } } }]
";
const ERROR: &str = "routes:
  - path: /
    fault_injection:
      enabled: true
      probability: 1.0
      fault_types: [{ type: http_error, status_code: 500, message: one }]
";
const CONNECTION: &str =
    "routes: [{ path: /, fault_injection: { fault_types: [{ type: connection_error, connection_error_kind: tcp_close }] } }]
";
const TIMEOUT: &str = "routes: [{ path: /, fault_injection: { fault_types: [{ type: timeout, duration_ms: 1 }] } }]
";
const PARTIAL: &str =
    "routes: [{ path: /, fault_injection: { fault_types: [{ type: partial_response, truncate_percent: 50 }] } }]
";
const CORRUPTION: &str =
    "routes: [{ path: /, fault_injection: { fault_types: [{ type: payload_corruption, corruption_type: bit_flip }] } }]
";

/// What an error says.
fn detail(proxy: &Proxied) -> String {
    let said: serde_json::Value = serde_json::from_str(&proxy.get("/", "a").body).unwrap();
    said["detail"].as_str().unwrap().to_owned()
}

/// How many bytes of 36 come.
fn bytes(proxy: &Proxied) -> String {
    let got = proxy.get("/", "a");
    assert_eq!(got.header("content-length"), "36");
    got.body.len().to_string()
}

looks! {
    key_routes_path: ROUTE, "path: /" => "path: /a", status, "500" => "200";
    key_routes_method: ROUTE, "GET" => "POST", status, "500" => "200";
    key_routes_latency_enabled: FIXED, "true" => "false", latency, "2.000" => "none";
    key_routes_latency_fixed_delay_ms: FIXED, "_ms: 2" => "_ms: 0.5", latency, "2.000" => "0.500";
    key_routes_latency_random_delay_range_ms: RANGE, "[1, 1]" => "[2.5, 2.5]", latency, "1.000" => "2.500";
    key_routes_latency_distribution_normal_mean_ms: NORMAL, "mean_ms: 3" => "mean_ms: 4", latency, "3.000" => "4.000";
    key_routes_latency_distribution_normal_std_dev_ms: NORMAL, "dev_ms: 0" => "dev_ms: 1", spread, "one" => "many";
    key_routes_latency_distribution_exponential_lambda: EXPONENTIAL, "lambda: 1" => "lambda: 0.1", mean, "short" => "long";
    key_routes_latency_distribution_pareto_mean_ms: PARETO, "mean_ms: 3" => "mean_ms: 4", latency, "3.000" => "4.000";
    key_routes_latency_distribution_pareto_std_dev_ms: PARETO, "dev_ms: 0" => "dev_ms: 1", spread, "one" => "many";
    key_routes_latency_jitter_percent: FIXED, "percent: 0" => "percent: 100", jitter, "no" => "some";
    key_routes_latency_probability: FIXED, "1.0" => "0.5", share, "all" => "some";
    key_routes_fault_injection_enabled: ERROR, "true" => "false", status, "500" => "200";
    key_routes_fault_injection_probability: ERROR, "1.0" => "0.5", share, "all" => "some";
    key_routes_fault_injection_fault_types_type: ERROR, "http_error, status_code: 500, message: one" => "connection_error", status, "500" => "503";
    key_routes_fault_injection_fault_types_status_code: ERROR, "500" => "418", status, "500" => "418";
    key_routes_fault_injection_fault_types_message: ERROR, "one" => "another", detail, "one" => "another";
    key_routes_fault_injection_fault_types_connection_error_kind: CONNECTION, "tcp_close" => "tcp_reset", end, "end" => "reset";
    key_routes_fault_injection_fault_types_duration_ms: TIMEOUT, "_ms: 1" => "_ms: 2000", took, "short" => "long";
    key_routes_fault_injection_fault_types_truncate_percent: PARTIAL, "50" => "75", bytes, "18" => "9";
    key_routes_fault_injection_fault_types_corruption_type: CORRUPTION, "bit_flip" => "truncate", body, "another" => "shorter";
}
