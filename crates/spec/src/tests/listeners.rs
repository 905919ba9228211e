//! The fault `http` stands in front of one port, so that a name of a listener means nothing to it.

use super::messages::GOOD;
use super::{plain, said, swap};

#[test]
fn the_fault_http_has_no_listeners() {
    let of = |chaos: &str| {
        let inject = format!("http: {{ port: 80, chaos: {{ {chaos} }} }}");
        said(&plain(&swap(GOOD, "memory_limit: { limit: 64MiB }", &inject)))
    };
    assert_eq!(of("rate_limit: { listeners: [] }"), "");
    for (chaos, path) in [
        (
            "latency: { fixed_delay_ms: 1, listeners: [main] }",
            "latency.listeners[0]",
        ),
        (
            "fault_injection: { request_matcher: { listeners: [a, b] } }",
            "fault_injection.request_matcher.listeners[1]",
        ),
        ("rate_limit: { listeners: [a] }", "rate_limit.listeners[0]"),
        ("circuit_breaker: { listeners: [a] }", "circuit_breaker.listeners[0]"),
        ("bulkhead: { enabled: true, listeners: [a] }", "bulkhead.listeners[0]"),
        ("grpc: { listeners: [a] }", "grpc.listeners[0]"),
        ("websocket: { listeners: [a] }", "websocket.listeners[0]"),
        ("graphql: { listeners: [a] }", "graphql.listeners[0]"),
        ("mutations: { listeners: [a] }", "mutations.listeners[0]"),
    ] {
        let said = of(chaos);
        let expected = format!("{path}` names a listener of `fracas proxy`");
        assert!(
            said.contains("a.yaml:15:") && said.contains(&expected),
            "{chaos}: {said}"
        );
    }
}
