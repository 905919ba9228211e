//! Keys that name listeners.

use super::{differ, keys};

const LATENCY: &str = "latency: { fixed_delay_ms: 1, listeners: [main] }
";
const MATCHER: &str = "fault_injection: { request_matcher: { listeners: [main] } }
";
const LIMIT: &str = "rate_limit: { listeners: [main] }
";
const BREAKER: &str = "circuit_breaker: { listeners: [main] }
";
const BULKHEAD: &str = "bulkhead: { listeners: [main] }
";
const GRPC: &str = "grpc: { listeners: [main] }
";
const WEBSOCKET: &str = "websocket: { listeners: [main] }
";
const GRAPHQL: &str = "graphql: { listeners: [main] }
";
const MUTATIONS: &str = "mutations: { listeners: [main] }
";
const ROUTE: &str = "routes: [{ path: /a, listeners: [main] }]
";
const HELD: &str = "routes: [{ path: /a, latency: { fixed_delay_ms: 1, listeners: [main] } }]
";

keys! {
    key_latency_listeners: LATENCY, "[main]" => "[a, b]", "/latency/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_fault_injection_request_matcher_listeners: MATCHER, "[main]" => "[a, b]", "/fault_injection/request_matcher/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_rate_limit_listeners: LIMIT, "[main]" => "[a, b]", "/rate_limit/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_circuit_breaker_listeners: BREAKER, "[main]" => "[a, b]", "/circuit_breaker/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_bulkhead_listeners: BULKHEAD, "[main]" => "[a, b]", "/bulkhead/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_grpc_listeners: GRPC, "[main]" => "[a, b]", "/grpc/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_websocket_listeners: WEBSOCKET, "[main]" => "[a, b]", "/websocket/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_graphql_listeners: GRAPHQL, "[main]" => "[a, b]", "/graphql/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_mutations_listeners: MUTATIONS, "[main]" => "[a, b]", "/mutations/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_routes_listeners: ROUTE, "[main]" => "[a, b]", "/routes/0/listeners", r#"["main"]"# => r#"["a", "b"]"#;
    key_routes_latency_listeners: HELD, "[main]" => "[a, b]", "/routes/0/latency/listeners", r#"["main"]"# => r#"["a", "b"]"#;
}
