//! Keys of a proxy's configuration. Without one an effect is left out; each is changed alone.

mod listeners;
mod mutations;
mod routes;

use serde_json::Value;

use fracas_core::chaos::ChaosConfig;

use super::{differ_in, keys};
use crate::{Source, chaos};

const FIXED: &str = "enabled: true
latency: { enabled: true, fixed_delay_ms: 100, jitter_percent: 0, probability: 1.0 }
";
const RANGE: &str = "latency: { random_delay_range_ms: [100, 500] }
";
const NORMAL: &str = "latency: { distribution: { normal: { mean_ms: 100, std_dev_ms: 10 } } }
";
const EXPONENTIAL: &str = "latency: { distribution: { exponential: { lambda: 0.01 } } }
";
const PARETO: &str = "latency: { distribution: { pareto: { mean_ms: 100, std_dev_ms: 10 } } }
";
const FAULTS: &str = "fault_injection:
  enabled: true
  http_errors: [500]
  http_error_probability: 0.2
  connection_errors: false
  connection_error_probability: 0.3
  connection_error_kind: http_503
  timeout_errors: false
  timeout_ms: 5000
  timeout_probability: 0.4
  partial_responses: false
  partial_response_probability: 0.5
  payload_corruption: false
  payload_corruption_probability: 0.6
  corruption_type: random_bytes
";
const BURST: &str = "fault_injection: { error_pattern: { type: burst, count: 3, interval_ms: 1000 } }
";
const RANDOM: &str = "fault_injection: { error_pattern: { type: random, probability: 0.6 } }
";
const SEQUENCE: &str = "fault_injection: { error_pattern: { type: sequential, sequence: [500] } }
";
const MATCHER: &str = "fault_injection:
  request_matcher:
    source_ips: [10.0.0.0/8]
    headers: [{ name: x-tenant, value: a }]
    min_body_size_bytes: 1
    max_body_size_bytes: 9
";
const CHUNKED: &str = "fault_injection: { request_matcher: { chunked_only: false } }
";
const BREAKER: &str = "circuit_breaker:
  enabled: true
  failure_threshold: 3
  success_threshold: 4
  timeout_ms: 50
  half_open_max_requests: 6
  failure_rate_threshold: 70
  min_requests_for_rate: 8
  rolling_window_ms: 90
";
const BULKHEAD: &str =
    "bulkhead: { enabled: true, max_concurrent_requests: 3, max_queue_size: 4, queue_timeout_ms: 50 }
";
const SHAPING: &str = "traffic_shaping:
  enabled: true
  bandwidth_limit_bps: 1000
  packet_loss_percent: 5
  packet_loss_burst: 2
  max_connections: 3
  connection_timeout_ms: 70
";
const GRPC: &str = "grpc:
  enabled: true
  status_codes: [14]
  status_code_probability: 0.2
  stream_interruption_probability: 0.3
  interrupt_after_messages: 4
  interrupt_status_code: 10
";
const RESET: &str = "grpc: { reset_code: 8 }
";
const WEBSOCKET: &str = "websocket:
  enabled: true
  close_codes: [1011]
  close_probability: 0.2
  message_drop_probability: 0.3
  message_corruption_probability: 0.4
  message_delay_ms: 50
  message_delay_probability: 0.6
";
const GRAPHQL: &str = "graphql:
  enabled: true
  path: /graphql
  error_codes: [FORBIDDEN]
  error_probability: 0.2
  partial_data_probability: 0.3
  resolver_latency: false
  resolver_latency_ms: 40
";
const LIMIT: &str =
    "rate_limit: { enabled: true, requests_per_second: 50, burst_size: 5, per_ip: false, per_endpoint: false }
";

fn config(text: &str) -> Value {
    let source = Source {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
    };
    let config: ChaosConfig = chaos(&source, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    serde_json::to_value(config).unwrap()
}

fn differ(base: &str, old: &str, new: &str, at: &str, before: &str, after: &str) {
    differ_in(config, base, (old, new), at, (before, after));
}

keys! {
    key_enabled: FIXED, "enabled: true\nlatency" => "enabled: false\nlatency", "/enabled", "true" => "false";
    key_latency_enabled: FIXED, "{ enabled: true" => "{ enabled: false", "/latency/enabled", "true" => "false";
    key_latency_fixed_delay_ms: FIXED, "100" => "0.5", "/latency/fixed_delay_ms", "100.0" => "0.5";
    key_latency_random_delay_range_ms: RANGE, "[100, 500]" => "[100, 200]", "/latency/random_delay_range_ms", "[100.0, 500.0]" => "[100.0, 200.0]";
    key_latency_distribution_normal_mean_ms: NORMAL, "100" => "50", "/latency/distribution/normal/mean_ms", "100.0" => "50.0";
    key_latency_distribution_normal_std_dev_ms: NORMAL, "10 }" => "20 }", "/latency/distribution/normal/std_dev_ms", "10.0" => "20.0";
    key_latency_distribution_exponential_lambda: EXPONENTIAL, "0.01" => "0.1", "/latency/distribution/exponential/lambda", "0.01" => "0.1";
    key_latency_distribution_pareto_mean_ms: PARETO, "100" => "50", "/latency/distribution/pareto/mean_ms", "100.0" => "50.0";
    key_latency_distribution_pareto_std_dev_ms: PARETO, "10 }" => "20 }", "/latency/distribution/pareto/std_dev_ms", "10.0" => "20.0";
    key_latency_jitter_percent: FIXED, "jitter_percent: 0" => "jitter_percent: 20", "/latency/jitter_percent", "0.0" => "20.0";
    key_latency_probability: FIXED, "1.0" => "0.8", "/latency/probability", "1.0" => "0.8";
    key_fault_injection_enabled: FAULTS, "enabled: true" => "enabled: false", "/fault_injection/enabled", "true" => "false";
    key_fault_injection_http_errors: FAULTS, "[500]" => "[502, 503]", "/fault_injection/http_errors", "[500]" => "[502, 503]";
    key_fault_injection_http_error_probability: FAULTS, "0.2" => "0.9", "/fault_injection/http_error_probability", "0.2" => "0.9";
    key_fault_injection_connection_errors: FAULTS, "connection_errors: false" => "connection_errors: true", "/fault_injection/connection_errors", "false" => "true";
    key_fault_injection_connection_error_probability: FAULTS, "0.3" => "0.9", "/fault_injection/connection_error_probability", "0.3" => "0.9";
    key_fault_injection_connection_error_kind: FAULTS, "http_503" => "tcp_reset", "/fault_injection/connection_error_kind", "http_503" => "tcp_reset";
    key_fault_injection_timeout_errors: FAULTS, "timeout_errors: false" => "timeout_errors: true", "/fault_injection/timeout_errors", "false" => "true";
    key_fault_injection_timeout_ms: FAULTS, "5000" => "50", "/fault_injection/timeout_ms", "5000" => "50";
    key_fault_injection_timeout_probability: FAULTS, "0.4" => "0.9", "/fault_injection/timeout_probability", "0.4" => "0.9";
    key_fault_injection_partial_responses: FAULTS, "partial_responses: false" => "partial_responses: true", "/fault_injection/partial_responses", "false" => "true";
    key_fault_injection_partial_response_probability: FAULTS, "0.5" => "0.9", "/fault_injection/partial_response_probability", "0.5" => "0.9";
    key_fault_injection_payload_corruption: FAULTS, "payload_corruption: false" => "payload_corruption: true", "/fault_injection/payload_corruption", "false" => "true";
    key_fault_injection_payload_corruption_probability: FAULTS, "0.6" => "0.9", "/fault_injection/payload_corruption_probability", "0.6" => "0.9";
    key_fault_injection_corruption_type: FAULTS, "random_bytes" => "truncate", "/fault_injection/corruption_type", "random_bytes" => "truncate";
    key_fault_injection_error_pattern_type: BURST, "burst, count: 3, interval_ms: 1000" => "random, probability: 0.5", "/fault_injection/error_pattern", r#"{"type": "burst", "count": 3, "interval_ms": 1000}"# => r#"{"type": "random", "probability": 0.5}"#;
    key_fault_injection_error_pattern_count: BURST, "3" => "4", "/fault_injection/error_pattern/count", "3" => "4";
    key_fault_injection_error_pattern_interval_ms: BURST, "1000" => "2000", "/fault_injection/error_pattern/interval_ms", "1000" => "2000";
    key_fault_injection_error_pattern_probability: RANDOM, "0.6" => "0.7", "/fault_injection/error_pattern/probability", "0.6" => "0.7";
    key_fault_injection_error_pattern_sequence: SEQUENCE, "[500]" => "[503, 200]", "/fault_injection/error_pattern/sequence", "[500]" => "[503, 200]";
    key_fault_injection_request_matcher_source_ips: MATCHER, "[10.0.0.0/8]" => "[10.0.0.7, 2001:db8::/32]", "/fault_injection/request_matcher/source_ips", r#"["10.0.0.0/8"]"# => r#"["10.0.0.7", "2001:db8::/32"]"#;
    key_fault_injection_request_matcher_headers_name: MATCHER, "x-tenant" => "x-canary", "/fault_injection/request_matcher/headers/0/name", "x-tenant" => "x-canary";
    key_fault_injection_request_matcher_headers_value: MATCHER, "value: a" => "value: b", "/fault_injection/request_matcher/headers/0/value", "a" => "b";
    key_fault_injection_request_matcher_min_body_size_bytes: MATCHER, "_bytes: 1" => "_bytes: 2", "/fault_injection/request_matcher/min_body_size_bytes", "1" => "2";
    key_fault_injection_request_matcher_max_body_size_bytes: MATCHER, "_bytes: 9" => "_bytes: 8", "/fault_injection/request_matcher/max_body_size_bytes", "9" => "8";
    key_fault_injection_request_matcher_chunked_only: CHUNKED, "false" => "true", "/fault_injection/request_matcher/chunked_only", "false" => "true";
    key_rate_limit_enabled: LIMIT, "enabled: true" => "enabled: false", "/rate_limit/enabled", "true" => "false";
    key_rate_limit_requests_per_second: LIMIT, "50" => "100", "/rate_limit/requests_per_second", "50" => "100";
    key_rate_limit_burst_size: LIMIT, "size: 5" => "size: 10", "/rate_limit/burst_size", "5" => "10";
    key_rate_limit_per_ip: LIMIT, "per_ip: false" => "per_ip: true", "/rate_limit/per_ip", "false" => "true";
    key_rate_limit_per_endpoint: LIMIT, "per_endpoint: false" => "per_endpoint: true", "/rate_limit/per_endpoint", "false" => "true";
    key_circuit_breaker_enabled: BREAKER, "true" => "false", "/circuit_breaker/enabled", "true" => "false";
    key_circuit_breaker_failure_threshold: BREAKER, "3" => "1", "/circuit_breaker/failure_threshold", "3" => "1";
    key_circuit_breaker_success_threshold: BREAKER, "4" => "1", "/circuit_breaker/success_threshold", "4" => "1";
    key_circuit_breaker_timeout_ms: BREAKER, "50" => "1", "/circuit_breaker/timeout_ms", "50" => "1";
    key_circuit_breaker_half_open_max_requests: BREAKER, "6" => "1", "/circuit_breaker/half_open_max_requests", "6" => "1";
    key_circuit_breaker_failure_rate_threshold: BREAKER, "70" => "0.5", "/circuit_breaker/failure_rate_threshold", "70.0" => "0.5";
    key_circuit_breaker_min_requests_for_rate: BREAKER, "8" => "1", "/circuit_breaker/min_requests_for_rate", "8" => "1";
    key_circuit_breaker_rolling_window_ms: BREAKER, "90" => "1", "/circuit_breaker/rolling_window_ms", "90" => "1";
    key_traffic_shaping_enabled: SHAPING, "true" => "false", "/traffic_shaping/enabled", "true" => "false";
    key_traffic_shaping_bandwidth_limit_bps: SHAPING, "1000" => "0", "/traffic_shaping/bandwidth_limit_bps", "1000" => "0";
    key_traffic_shaping_packet_loss_percent: SHAPING, "percent: 5" => "percent: 0.5", "/traffic_shaping/packet_loss_percent", "5.0" => "0.5";
    key_traffic_shaping_packet_loss_burst: SHAPING, "burst: 2" => "burst: 9", "/traffic_shaping/packet_loss_burst", "2.0" => "9.0";
    key_traffic_shaping_max_connections: SHAPING, "3" => "4", "/traffic_shaping/max_connections", "3" => "4";
    key_traffic_shaping_connection_timeout_ms: SHAPING, "70" => "80", "/traffic_shaping/connection_timeout_ms", "70" => "80";
    key_bulkhead_enabled: BULKHEAD, "true" => "false", "/bulkhead/enabled", "true" => "false";
    key_bulkhead_max_concurrent_requests: BULKHEAD, "3" => "1", "/bulkhead/max_concurrent_requests", "3" => "1";
    key_bulkhead_max_queue_size: BULKHEAD, "4" => "0", "/bulkhead/max_queue_size", "4" => "0";
    key_bulkhead_queue_timeout_ms: BULKHEAD, "50" => "0", "/bulkhead/queue_timeout_ms", "50" => "0";
    key_grpc_enabled: GRPC, "true" => "false", "/grpc/enabled", "true" => "false";
    key_grpc_status_codes: GRPC, "[14]" => "[1, 16]", "/grpc/status_codes", "[14]" => "[1, 16]";
    key_grpc_status_code_probability: GRPC, "0.2" => "0.9", "/grpc/status_code_probability", "0.2" => "0.9";
    key_grpc_stream_interruption_probability: GRPC, "0.3" => "0.9", "/grpc/stream_interruption_probability", "0.3" => "0.9";
    key_grpc_interrupt_after_messages: GRPC, "messages: 4" => "messages: 0", "/grpc/interrupt_after_messages", "4" => "0";
    key_grpc_interrupt_status_code: GRPC, "10" => "16", "/grpc/interrupt_status_code", "10" => "16";
    key_grpc_reset_code: RESET, "8" => "13", "/grpc/reset_code", "8" => "13";
    key_websocket_enabled: WEBSOCKET, "true" => "false", "/websocket/enabled", "true" => "false";
    key_websocket_close_codes: WEBSOCKET, "[1011]" => "[1000, 4999]", "/websocket/close_codes", "[1011]" => "[1000, 4999]";
    key_websocket_close_probability: WEBSOCKET, "0.2" => "0.9", "/websocket/close_probability", "0.2" => "0.9";
    key_websocket_message_drop_probability: WEBSOCKET, "0.3" => "0.9", "/websocket/message_drop_probability", "0.3" => "0.9";
    key_websocket_message_corruption_probability: WEBSOCKET, "0.4" => "0.9", "/websocket/message_corruption_probability", "0.4" => "0.9";
    key_websocket_message_delay_ms: WEBSOCKET, "50" => "0.5", "/websocket/message_delay_ms", "50.0" => "0.5";
    key_websocket_message_delay_probability: WEBSOCKET, "0.6" => "0.9", "/websocket/message_delay_probability", "0.6" => "0.9";
    key_graphql_enabled: GRAPHQL, "true" => "false", "/graphql/enabled", "true" => "false";
    key_graphql_path: GRAPHQL, "/graphql" => "/api/graph", "/graphql/path", "/graphql" => "/api/graph";
    key_graphql_error_codes: GRAPHQL, "[FORBIDDEN]" => "[NOT_FOUND, A_1]", "/graphql/error_codes", "[\"FORBIDDEN\"]" => "[\"NOT_FOUND\", \"A_1\"]";
    key_graphql_error_probability: GRAPHQL, "0.2" => "0.9", "/graphql/error_probability", "0.2" => "0.9";
    key_graphql_partial_data_probability: GRAPHQL, "0.3" => "0.9", "/graphql/partial_data_probability", "0.3" => "0.9";
    key_graphql_resolver_latency: GRAPHQL, "latency: false" => "latency: true", "/graphql/resolver_latency", "false" => "true";
    key_graphql_resolver_latency_ms: GRAPHQL, "40" => "0.5", "/graphql/resolver_latency_ms", "40.0" => "0.5";
}
