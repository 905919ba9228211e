//! Keys of routes.

use super::{differ, keys};

const ROUTE: &str = "routes: [{ path: /a, method: GET }]
";
const FIXED: &str =
    "routes: [{ path: /a, latency: { enabled: true, fixed_delay_ms: 100, jitter_percent: 0, probability: 1.0 } }]
";
const RANGE: &str = "routes: [{ path: /a, latency: { random_delay_range_ms: [100, 500] } }]
";
const NORMAL: &str = "routes: [{ path: /a, latency: { distribution: { normal: { mean_ms: 100, std_dev_ms: 10 } } } }]
";
const EXPONENTIAL: &str = "routes: [{ path: /a, latency: { distribution: { exponential: { lambda: 0.01 } } } }]
";
const PARETO: &str = "routes: [{ path: /a, latency: { distribution: { pareto: { mean_ms: 100, std_dev_ms: 10 } } } }]
";
const FAULTS: &str = "routes:
  - path: /a
    fault_injection:
      enabled: true
      probability: 0.5
      fault_types:
        - { type: http_error, status_code: 500, message: m }
        - { type: connection_error, connection_error_kind: tcp_reset }
        - { type: timeout, duration_ms: 50 }
        - { type: partial_response, truncate_percent: 20 }
        - { type: payload_corruption, corruption_type: bit_flip }
";

keys! {
    key_routes_path: ROUTE, "/a" => "'/{id}'", "/routes/0/path", "/a" => "/{id}";
    key_routes_method: ROUTE, "GET" => "POST", "/routes/0/method", "GET" => "POST";
    key_routes_latency_enabled: FIXED, "true" => "false", "/routes/0/latency/enabled", "true" => "false";
    key_routes_latency_fixed_delay_ms: FIXED, "100" => "0.5", "/routes/0/latency/fixed_delay_ms", "100.0" => "0.5";
    key_routes_latency_random_delay_range_ms: RANGE, "500" => "200", "/routes/0/latency/random_delay_range_ms", "[100.0, 500.0]" => "[100.0, 200.0]";
    key_routes_latency_distribution_normal_mean_ms: NORMAL, "100" => "50", "/routes/0/latency/distribution/normal/mean_ms", "100.0" => "50.0";
    key_routes_latency_distribution_normal_std_dev_ms: NORMAL, "10 }" => "20 }", "/routes/0/latency/distribution/normal/std_dev_ms", "10.0" => "20.0";
    key_routes_latency_distribution_exponential_lambda: EXPONENTIAL, "0.01" => "0.1", "/routes/0/latency/distribution/exponential/lambda", "0.01" => "0.1";
    key_routes_latency_distribution_pareto_mean_ms: PARETO, "100" => "50", "/routes/0/latency/distribution/pareto/mean_ms", "100.0" => "50.0";
    key_routes_latency_distribution_pareto_std_dev_ms: PARETO, "10 }" => "20 }", "/routes/0/latency/distribution/pareto/std_dev_ms", "10.0" => "20.0";
    key_routes_latency_jitter_percent: FIXED, "percent: 0" => "percent: 20", "/routes/0/latency/jitter_percent", "0.0" => "20.0";
    key_routes_latency_probability: FIXED, "1.0" => "0.8", "/routes/0/latency/probability", "1.0" => "0.8";
    key_routes_fault_injection_enabled: FAULTS, "true" => "false", "/routes/0/fault_injection/enabled", "true" => "false";
    key_routes_fault_injection_probability: FAULTS, "0.5" => "0.9", "/routes/0/fault_injection/probability", "0.5" => "0.9";
    key_routes_fault_injection_fault_types_type: FAULTS, "connection_error, connection_error_kind: tcp_reset" => "timeout, duration_ms: 1", "/routes/0/fault_injection/fault_types/1", r#"{"type": "connection_error", "connection_error_kind": "tcp_reset"}"# => r#"{"type": "timeout", "duration_ms": 1}"#;
    key_routes_fault_injection_fault_types_status_code: FAULTS, "500" => "503", "/routes/0/fault_injection/fault_types/0/status_code", "500" => "503";
    key_routes_fault_injection_fault_types_message: FAULTS, "message: m" => "message: other", "/routes/0/fault_injection/fault_types/0/message", "m" => "other";
    key_routes_fault_injection_fault_types_connection_error_kind: FAULTS, "tcp_reset" => "tcp_close", "/routes/0/fault_injection/fault_types/1/connection_error_kind", "tcp_reset" => "tcp_close";
    key_routes_fault_injection_fault_types_duration_ms: FAULTS, "duration_ms: 50" => "duration_ms: 70", "/routes/0/fault_injection/fault_types/2/duration_ms", "50" => "70";
    key_routes_fault_injection_fault_types_truncate_percent: FAULTS, "percent: 20" => "percent: 30", "/routes/0/fault_injection/fault_types/3/truncate_percent", "20.0" => "30.0";
    key_routes_fault_injection_fault_types_corruption_type: FAULTS, "bit_flip" => "truncate", "/routes/0/fault_injection/fault_types/4/corruption_type", "bit_flip" => "truncate";
}
