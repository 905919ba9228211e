//! Keys that name listeners, seen by clients of a proxy that has another one besides.

use super::mutations::rule;
use super::{Cli, Look, Proxied, burst, latency, second, status, statuses};
use crate::seen::{looks, swap};

const LATENCY: &str = "latency: { fixed_delay_ms: 2, listeners: [main] }
";
const MATCHER: &str =
    "fault_injection: { http_errors: [500], http_error_probability: 1, request_matcher: { listeners: [main] } }
";
const LIMIT: &str = "rate_limit: { requests_per_second: 1, burst_size: 20, listeners: [main] }
";
const BREAKER: &str = "fault_injection: { http_errors: [500], http_error_probability: 1 }
circuit_breaker: { failure_threshold: 2, timeout_ms: 3600000, listeners: [main] }
";
/// All that come in stay there.
const BULKHEAD: &str = "latency: { fixed_delay_ms: 3600000 }
bulkhead: { max_concurrent_requests: 1, max_queue_size: 0, listeners: [main] }
";
const RULES: &str =
    "mutations: { rules: [{ name: one, operations: [{ type: delete_field, field: path }] }], listeners: [main] }
";
const ROUTE: &str =
    "routes: [{ path: /, listeners: [main], fault_injection: { fault_types: [{ type: http_error, status_code: 500 }] } }]
";
const HELD: &str = "routes: [{ path: /, latency: { fixed_delay_ms: 2, listeners: [main] } }]
";

/// As its namesake: the two differ in whether they name the listener whose client looks, or another.
#[track_caller]
fn differ(base: &str, old: &str, new: &str, look: Look, before: &str, after: &str) {
    let cli = Cli::new();
    let shown = |config: &str| {
        let file = cli.file("chaos.yaml", config);
        let words = ["--seed", "1", "--listener", "other=0", "--chaos-config", &file];
        look(&Proxied::start(&cli, &words))
    };
    assert_eq!(shown(base), before, "{base}");
    let other = swap(base, old, new);
    assert_eq!(shown(&other), after, "{other}");
}

looks! {
    key_latency_listeners: LATENCY, "[main]" => "[other]", latency, "2.000" => "none";
    key_fault_injection_request_matcher_listeners: MATCHER, "[main]" => "[other]", status, "500" => "200";
    key_rate_limit_listeners: LIMIT, "[main]" => "[other]", burst, "few" => "all";
    key_circuit_breaker_listeners: BREAKER, "[main]" => "[other]", statuses, "500 500 503 503 503 503" => "500 500 500 500 500 500";
    key_bulkhead_listeners: BULKHEAD, "[main]" => "[other]", second, "is refused" => "passes";
    key_mutations_listeners: RULES, "[main]" => "[other]", rule, "one" => "none";
    key_routes_listeners: ROUTE, "[main]" => "[other]", status, "500" => "200";
    key_routes_latency_listeners: HELD, "[main]" => "[other]", latency, "2.000" => "none";
}
