use fracas_core::chaos::{
    Bulkhead, CircuitBreaker, CloseCodes, ErrorCodes, Graphql, Grpc, Probability, StatusCodes, Switch, TrafficShaping,
    Websocket,
};

use super::*;

fn read<T: Chaos>(text: &str) -> Result<T, Vec<Box<Problem>>> {
    let source = Source {
        name: "chaos.yaml".to_owned(),
        text: text.to_owned(),
    };
    chaos(&source, &|name| (name == "STATUS").then(|| "503".to_owned()))
}

/// The codes of all problems, with line and column.
fn said<T: Chaos + std::fmt::Debug>(text: &str) -> Vec<(&'static str, usize, usize)> {
    let problems = read::<T>(text).unwrap_err();
    let place = |problem: &Problem| {
        problem
            .place
            .as_ref()
            .map_or((0, 0), |place| (place.line, place.column))
    };
    let all = problems.iter().map(|problem| (problem.code.id, place(problem)));
    all.map(|(code, (line, column))| (code, line, column)).collect()
}

#[test]
fn nothing_but_a_block_is_needed_and_each_has_the_defaults_of_the_original() {
    let config: ChaosConfig = read(
        "fault_injection: {}\nrate_limit: {}\ntraffic_shaping: {}\ncircuit_breaker: {}\nbulkhead: {}\nlatency: { fixed_delay_ms: 500 }\n",
    )
    .unwrap();
    let expected = serde_json::json!({
        "enabled": true,
        "latency": { "enabled": true, "fixed_delay_ms": 500.0, "jitter_percent": 0.0, "probability": 1.0 },
        "fault_injection": {
            "enabled": true, "http_errors": [500, 502, 503, 504], "http_error_probability": 0.1,
            "connection_errors": false, "connection_error_probability": 0.05, "connection_error_kind": "http_503",
            "timeout_errors": false, "timeout_ms": 5000, "timeout_probability": 0.05,
            "partial_responses": false, "partial_response_probability": 0.05,
            "payload_corruption": false, "payload_corruption_probability": 0.05, "corruption_type": "none",
        },
        "rate_limit": {
            "enabled": true, "requests_per_second": 100, "burst_size": 10, "per_ip": false, "per_endpoint": false,
        },
        "traffic_shaping": {
            "enabled": true, "bandwidth_limit_bps": 0, "packet_loss_percent": 0.0, "max_connections": 0,
            "connection_timeout_ms": 30000,
        },
        "circuit_breaker": {
            "enabled": true, "failure_threshold": 5, "success_threshold": 2, "timeout_ms": 60000,
            "half_open_max_requests": 3, "failure_rate_threshold": 50.0, "min_requests_for_rate": 10,
            "rolling_window_ms": 10000,
        },
        "bulkhead": {
            "enabled": true, "max_concurrent_requests": 100, "max_queue_size": 10, "queue_timeout_ms": 5000,
        },
    });
    assert_eq!(serde_json::to_value(&config).unwrap(), expected);
    // What is written can be read, also as JSON.
    assert_eq!(read::<ChaosConfig>(&expected.to_string()).unwrap(), config);
    assert_eq!(read::<ChaosConfig>("{}").unwrap(), ChaosConfig::default());
}

#[test]
fn a_block_can_be_read_alone() {
    let latency: Latency = read(r#"{"random_delay_range_ms": [100, 500], "probability": 0.7}"#).unwrap();
    assert_eq!(latency.random_delay_range_ms, Some([100.0, 500.0]));
    let faults: FaultInjection = read("http_errors:\n  - ${STATUS}\n").unwrap();
    assert_eq!(faults.http_errors, [503]);
    assert_eq!(said::<RateLimit>("requests: 5"), [("D003", 1, 1)]);
}

#[test]
fn unknown_keys_and_wrong_values_are_told_with_their_places() {
    let text = "latency:\n  fixed_delay: 5\nfault_injection:\n  http_error_probability: 10\n  http_errors: [200]\n";
    assert_eq!(said::<ChaosConfig>(text), [("D003", 2, 3)]);
    let text = text.replace("fixed_delay:", "fixed_delay_ms:");
    assert_eq!(said::<ChaosConfig>(&text), [("D004", 4, 27), ("D004", 5, 17)]);
    let problem = &read::<ChaosConfig>("latencyy: {}").unwrap_err()[0];
    assert_eq!(problem.next.as_deref(), Some("did you mean `latency`?"));
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    let text = "fault_injection:\n  mockai_enabled: true";
    assert_eq!(said::<ChaosConfig>(text), [("D010", 2, 3)]);
    assert_eq!(said::<FaultInjection>("mockai_enabled: true"), [("D010", 1, 1)]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let two = "latency: { fixed_delay_ms: 5, distribution: { exponential: { lambda: 1 } } }";
    assert_eq!(said::<ChaosConfig>(two)[0].0, "D009");
    assert_eq!(said::<ChaosConfig>("latency: {}")[0].0, "D005");
    assert!(read::<ChaosConfig>("latency: { enabled: false }").is_ok());
    for wrong in [
        "random_delay_range_ms: [500, 100]",
        "random_delay_range_ms: [100]",
        "random_delay_range_ms: [1, 2, 3]",
        "fixed_delay_ms: -1",
        "fixed_delay_ms: 3600001",
        "fixed_delay_ms: 1\njitter_percent: 101",
        "fixed_delay_ms: 1\nprobability: 1.1",
        "distribution: { exponential: { lambda: 0 } }",
        "distribution: { normal: { mean_ms: -1, std_dev_ms: 1 } }",
        "distribution: { normal: { mean_ms: 1 } }",
        "distribution: fixed",
    ] {
        assert!(read::<Latency>(wrong).is_err(), "{wrong}");
    }
    for wrong in [
        "requests_per_second: 0",
        "burst_size: 0",
        "burst_size: 1.5",
        "per_ip: 1",
    ] {
        assert_eq!(said::<RateLimit>(wrong).len(), 1, "{wrong}");
    }
    assert_eq!(said::<FaultInjection>("timeout_ms: 3600001")[0].0, "D004");
    assert_eq!(said::<FaultInjection>("payload_corruption: true")[0].0, "D009");
    assert!(read::<FaultInjection>("corruption_type: truncate").is_ok());
    for wrong in [
        "partial_responses: 1",
        "partial_response_probability: 1.1",
        "payload_corruption: { }",
        "payload_corruption_probability: -0.1",
        "corruption_type: bits",
    ] {
        assert_eq!(said::<FaultInjection>(wrong)[0].0, "D004", "{wrong}");
    }
    assert_eq!(said::<FaultInjection>("connection_error_kind: tcp_rst")[0].0, "D004");
}

#[test]
fn names_that_no_listener_can_have_are_refused_with_their_place() {
    for (config, code, column) in [
        ("latency: { fixed_delay_ms: 1, listeners: [A] }", "D004", 43),
        ("rate_limit: { listeners: [a, 'b c'] }", "D004", 30),
        ("circuit_breaker: { listeners: [a, b, a] }", "D008", 38),
        ("bulkhead: { listeners: [''] }", "D004", 25),
        ("fault_injection: { request_matcher: { listeners: [a.b] } }", "D004", 51),
        ("routes: [{ path: /, listeners: [a_b] }]", "D004", 33),
        (
            "routes: [{ path: /, latency: { fixed_delay_ms: 1, listeners: [a, a] } }]",
            "D008",
            66,
        ),
        ("latency: { fixed_delay_ms: 1, listeners: a }", "D004", 42),
        ("traffic_shaping: { listeners: [a] }", "D003", 20),
    ] {
        assert_eq!(said::<ChaosConfig>(config), [(code, 1, column)], "{config}");
    }
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
        format!("rate_limit: {{ listeners: [{}] }}", names.join(", "))
    };
    assert!(read::<ChaosConfig>(&many(65)).is_ok());
    assert_eq!(said::<ChaosConfig>(&many(66)), [("D004", 1, 26)]);
    // Whether there is such a listener is what a proxy knows.
    assert!(read::<ChaosConfig>("rate_limit: { listeners: [main, a-1] }").is_ok());
}

#[test]
fn a_matcher_that_nothing_can_meet_is_refused_with_its_place() {
    let at = |rest: &str| said::<FaultInjection>(&format!("request_matcher: {{ {rest} }}"));
    for (rest, code, column) in [
        ("source_ips: [10.0.0.1/8]", "D004", 33),
        ("source_ips: [localhost]", "D004", 33),
        ("headers: [{ name: 'a b' }]", "D004", 38),
        ("headers: [{ name: '' }]", "D004", 38),
        ("headers: [{ name: a, value: ' b' }]", "D004", 48),
        ("headers: [{ value: b }]", "D005", 30),
        ("headers: [{ name: a, values: b }]", "D003", 41),
        ("min_body_size_bytes: 2, max_body_size_bytes: 1", "D009", 65),
        ("min_body_size_bytes: 0, chunked_only: true", "D009", 41),
        ("max_body_size_bytes: 9, chunked_only: true", "D009", 41),
        ("min_body_size_bytes: -1", "D004", 41),
    ] {
        assert_eq!(at(rest), [(code, 1, column)], "{rest}");
    }
    let block: FaultInjection =
        read("request_matcher: { source_ips: ['::ffff:10.0.0.0/104', '2001:db8::/32'] }").unwrap();
    assert_eq!(block.request_matcher.unwrap().source_ips.len(), 2);
    let empty: FaultInjection = read("request_matcher: {}").unwrap();
    assert_eq!(
        empty.request_matcher,
        Some(fracas_core::chaos::RequestMatcher::default())
    );
}

#[test]
fn a_pattern_has_what_its_type_needs_and_nothing_else() {
    let at = |rest: &str| said::<FaultInjection>(&format!("error_pattern: {{ {rest} }}"));
    for (rest, code, column) in [
        ("type: burst, count: 2", "D005", 16),
        ("type: random", "D005", 16),
        ("type: sequential", "D005", 16),
        ("count: 2, interval_ms: 5", "D005", 16),
        ("type: bursts, count: 2, interval_ms: 5", "D004", 24),
        ("type: random, probability: 0.5, count: 2", "D009", 57),
        ("type: random, probability: 2", "D004", 45),
        ("type: burst, count: 0, interval_ms: 5", "D004", 38),
        ("type: burst, count: 2, interval_ms: 0", "D004", 54),
        ("type: burst, count: 2, interval_ms: 3600001", "D004", 54),
        ("type: sequential, sequence: [500, 302]", "D004", 52),
        ("type: sequential, sequence: [200, 200]", "D004", 46),
        ("type: sequential, sequence: []", "D004", 46),
        ("type: sequential, sequences: [500], sequence: [500]", "D003", 36),
    ] {
        assert_eq!(at(rest), [(code, 1, column)], "{rest}");
    }
    assert!(
        read::<FaultInjection>("error_pattern: { type: sequential, sequence: [500, 200] }\nhttp_errors: []").is_ok()
    );
    let none = "error_pattern: { type: random, probability: 1 }\nhttp_errors: []";
    assert_eq!(said::<FaultInjection>(none), [("D009", 1, 16)]);
}

#[test]
fn a_breaker_that_could_not_work_is_refused() {
    for wrong in [
        "failure_threshold: 0",
        "success_threshold: 0",
        "timeout_ms: 3600001",
        "half_open_max_requests: 0",
        "failure_rate_threshold: 0",
        "failure_rate_threshold: 100.5",
        "failure_rate_threshold: .nan",
        "min_requests_for_rate: 0",
        "rolling_window_ms: 0",
        "rolling_window_ms: 3600001",
        "failure_threshold: 1.5",
    ] {
        let found = said::<CircuitBreaker>(wrong);
        let column = wrong.find(' ').unwrap() + 2;
        assert_eq!(found, [("D004", 1, column)], "{wrong}");
    }
    assert!(read::<CircuitBreaker>("failure_rate_threshold: 100\ntimeout_ms: 0").is_ok());
    assert_eq!(
        said::<ChaosConfig>("circuit_breaker: { failure_threshold: 0 }"),
        [("D004", 1, 39)]
    );
}

#[test]
fn a_bulkhead_without_a_place_is_refused() {
    for wrong in [
        "max_concurrent_requests: 0",
        "max_concurrent_requests: -1",
        "max_queue_size: all",
        "queue_timeout_ms: 3600001",
    ] {
        let column = wrong.find(' ').unwrap() + 2;
        assert_eq!(said::<Bulkhead>(wrong), [("D004", 1, column)], "{wrong}");
    }
    assert!(read::<Bulkhead>("max_queue_size: 0\nqueue_timeout_ms: 0").is_ok());
    assert_eq!(said::<ChaosConfig>("bulkhead: { queue: 1 }"), [("D003", 1, 13)]);
}

#[test]
fn shaping_has_its_bounds() {
    for wrong in [
        "bandwidth_limit_bps: -1",
        "bandwidth_limit_bps: 10mbit",
        "packet_loss_percent: 100.1",
        "packet_loss_percent: -1",
        "packet_loss_percent: .nan",
        "max_connections: 0.5",
        "connection_timeout_ms: 3600001",
    ] {
        let column = wrong.find(' ').unwrap() + 2;
        assert_eq!(said::<TrafficShaping>(wrong), [("D004", 1, column)], "{wrong}");
    }
    for wrong in [
        "{ packet_loss_percent: 5, packet_loss_burst: 0.9 }",
        "{ packet_loss_percent: 5, packet_loss_burst: 1001 }",
        "{ packet_loss_percent: 5, packet_loss_burst: .nan }",
        "{ packet_loss_percent: 0, packet_loss_burst: 5 }",
        "{ packet_loss_percent: 90, packet_loss_burst: 8 }",
    ] {
        let column = wrong
            .rfind(' ')
            .map(|end| wrong[..end].rfind(' ').unwrap() + 2)
            .unwrap();
        assert_eq!(said::<TrafficShaping>(wrong), [("D004", 1, column)], "{wrong}");
    }
    for right in [
        "{ packet_loss_percent: 90, packet_loss_burst: 9 }",
        "{ packet_loss_percent: 100, packet_loss_burst: 1 }",
        "{ packet_loss_percent: 50, packet_loss_burst: 1 }",
        "{ packet_loss_percent: 0.1, packet_loss_burst: 1000 }",
        "bandwidth_limit_bps: 18446744073709551615",
        "packet_loss_percent: 100",
        "connection_timeout_ms: 0",
    ] {
        assert!(read::<TrafficShaping>(right).is_ok(), "{right}");
    }
    assert_eq!(
        said::<ChaosConfig>("traffic_shaping: { packet_loss: 1 }"),
        [("D003", 1, 20)]
    );
}

#[test]
fn blocks_of_protocols_have_their_bounds() {
    let column = |wrong: &str, at: &str| wrong.find(at).unwrap() + 1;
    for (wrong, at) in [
        ("status_codes: [0]", "0"),
        ("status_codes: [14, 17]", "17"),
        ("status_codes: [UNAVAILABLE]", "UNAVAILABLE"),
        ("status_code_probability: 2", "2"),
        ("stream_interruption_probability: -1", "-1"),
        ("interrupt_after_messages: -1", "-1"),
        ("interrupt_status_code: 0", "0"),
        ("reset_code: 14", "14"),
    ] {
        assert_eq!(said::<Grpc>(wrong), [("D004", 1, column(wrong, at))], "{wrong}");
    }
    let both = "interrupt_status_code: 1\nreset_code: 8";
    assert_eq!(said::<Grpc>(both), [("D009", 2, 13)]);
    assert!(read::<Grpc>("reset_code: 0").is_ok());
    for (wrong, at) in [
        ("close_codes: [999]", "999"),
        ("close_codes: [1004]", "1004"),
        ("close_codes: [1005]", "1005"),
        ("close_codes: [1006]", "1006"),
        ("close_codes: [1000, 1015]", "1015"),
        ("close_codes: [2999]", "2999"),
        ("close_codes: [5000]", "5000"),
        ("close_probability: 1.1", "1.1"),
        ("message_drop_probability: 1.1", "1.1"),
        ("message_corruption_probability: 1.1", "1.1"),
        ("message_delay_ms: 3600001", "3600001"),
        ("message_delay_ms: .nan", ".nan"),
        ("message_delay_probability: .nan", ".nan"),
    ] {
        assert_eq!(said::<Websocket>(wrong), [("D004", 1, column(wrong, at))], "{wrong}");
    }
    assert!(read::<Websocket>("close_codes: [1000, 1003, 1007, 1014, 3000, 4999]").is_ok());
    for (wrong, at) in [
        ("path: graphql", "graphql"),
        ("path: /graphql?a", "/graphql?a"),
        ("error_codes: [not_found]", "not_found"),
        ("error_codes: ['']", "''"),
        ("error_probability: 1.1", "1.1"),
        ("partial_data_probability: 1.1", "1.1"),
        ("resolver_latency: 10", "10"),
        ("resolver_latency_ms: -1", "-1"),
    ] {
        assert_eq!(said::<Graphql>(wrong), [("D004", 1, column(wrong, at))], "{wrong}");
    }
    let long = "A".repeat(65);
    assert!(read::<Graphql>(&format!("error_codes: [{long}]")).is_err());
    assert!(read::<Graphql>(&format!("error_codes: [{}]", &long[1..])).is_ok());
}

// Nothing is done that was not asked for.
#[test]
fn a_block_of_a_protocol_does_nothing_by_itself() {
    let config: ChaosConfig = read("grpc: {}\nwebsocket: {}\ngraphql: {}").unwrap();
    let expected = serde_json::json!({
        "enabled": true,
        "grpc": {
            "enabled": true, "status_codes": [], "status_code_probability": 0.1, "stream_interruption_probability": 0.0,
            "interrupt_after_messages": 1,
        },
        "websocket": {
            "enabled": true, "close_codes": [], "close_probability": 0.1, "message_drop_probability": 0.0,
            "message_corruption_probability": 0.0, "message_delay_ms": 0.0, "message_delay_probability": 1.0,
        },
        "graphql": {
            "enabled": true, "path": "/graphql", "error_codes": [], "error_probability": 0.1,
            "partial_data_probability": 0.0, "resolver_latency": false, "resolver_latency_ms": 10.0,
        },
    });
    assert_eq!(serde_json::to_value(&config).unwrap(), expected);
}

#[test]
fn parts_of_blocks_say_all_that_they_change() {
    assert!(read::<StatusCodes>(r#"{"status_codes": [14], "probability": 1}"#).is_ok());
    assert_eq!(said::<StatusCodes>("status_codes: [14]"), [("D005", 1, 1)]);
    assert_eq!(
        said::<StatusCodes>("status_codes: [0]\nprobability: 2"),
        [("D004", 1, 16), ("D004", 2, 14)]
    );
    assert_eq!(
        said::<CloseCodes>("close_codes: [1006]\nprobability: 2"),
        [("D004", 1, 15), ("D004", 2, 14)]
    );
    assert_eq!(
        said::<ErrorCodes>("error_codes: [a]\nprobability: 2"),
        [("D004", 1, 15), ("D004", 2, 14)]
    );
    assert_eq!(said::<Probability>("probability: -1"), [("D004", 1, 14)]);
    assert_eq!(
        said::<Probability>("probabilities: 1"),
        [("D003", 1, 1), ("D005", 1, 1)]
    );
    assert_eq!(said::<Switch>("enabled: 1"), [("D004", 1, 10)]);
}

#[test]
fn routes_are_checked_one_by_one_and_together() {
    let of = |keys: &str| said::<ChaosConfig>(&format!("routes:\n  - {{ {keys} }}\n"));
    assert_eq!(of("path: a"), [("D004", 2, 13)]);
    assert_eq!(of("path: /a, method: 'GET /'"), [("D004", 2, 25)]);
    assert_eq!(of("method: GET"), [("D005", 2, 5)]);
    assert_eq!(of("path: /a, latency: {}"), [("D005", 2, 26)]);
    let fault = |keys: &str| {
        of(&format!(
            "path: /a, fault_injection: {{ fault_types: [{{ type: {keys} }}] }}"
        ))
    };
    for (keys, code) in [
        ("http_error", "D005"),
        ("http_error, status_code: 200", "D004"),
        ("http_error, status_code: 500, duration_ms: 5", "D009"),
        ("connection_error, message: m", "D009"),
        ("timeout", "D005"),
        ("timeout, duration_ms: 3600001", "D004"),
        ("partial_response", "D005"),
        ("partial_response, truncate_percent: 0", "D004"),
        ("partial_response, truncate_percent: 101", "D004"),
        ("payload_corruption", "D005"),
        ("payload_corruption, corruption_type: none", "D009"),
        ("nothing", "D004"),
    ] {
        let codes: Vec<&str> = fault(keys).iter().map(|(code, ..)| *code).collect();
        assert_eq!(codes, [code], "{keys}");
    }
    let long = format!("http_error, status_code: 500, message: {}", "m".repeat(1025));
    assert_eq!(fault(&long)[0].0, "D004");
    assert_eq!(of("path: /a, fault_injection: { fault_types: [] }")[0].0, "D005");
    assert_eq!(
        of("path: /a, fault_injection: { enabled: false, probability: 2 }")[0].0,
        "D004"
    );
    let twice = "routes:\n  - { path: /a, method: GET }\n  - { path: /a }\n  - { path: /a, method: get }\n";
    assert_eq!(said::<ChaosConfig>(twice), [("D008", 4, 5)]);
    let covered = "routes:\n  - { path: '/a/{x}' }\n  - { path: '/a/{y}' }\n  - { path: /%61/b, method: GET }\n  - { path: '/a/*' }\n";
    assert_eq!(said::<ChaosConfig>(covered), [("D009", 3, 5), ("D009", 4, 5)]);
}

#[test]
fn rules_for_json_are_checked_and_a_list_alone_will_do() {
    let rule = |keys: &str| format!("mutations:\n  rules: [{{ {keys} }}]\n");
    let codes = |text: &str| {
        said::<ChaosConfig>(text)
            .iter()
            .map(|(code, ..)| *code)
            .collect::<Vec<_>>()
    };
    let operation = |keys: &str| rule(&format!("name: a, operations: [{{ type: {keys} }}]"));
    for (text, code) in [
        (rule("operations: [{ type: inject_error }]"), "D005"),
        (rule("name: a b, operations: [{ type: inject_error }]"), "D004"),
        (rule("name: a"), "D005"),
        (rule("name: a, operations: []"), "D004"),
        (
            rule("name: a, path_pattern: '(', operations: [{ type: inject_error }]"),
            "D004",
        ),
        (
            rule("name: a, method_match: '(\\w{500}){500}', operations: [{ type: inject_error }]"),
            "D004",
        ),
        (
            rule("name: a, probability: 1.5, operations: [{ type: inject_error }]"),
            "D004",
        ),
        (operation("set_field, field: a"), "D005"),
        (operation("set_field, value: 1"), "D005"),
        (operation("set_field, field: 'a[', value: 1"), "D004"),
        (operation("set_field, field: a, value: 18446744073709551616"), "D004"),
        (
            operation("set_field, field: a, value: [{ b: -9223372036854775809 }]"),
            "D004",
        ),
        (operation("delete_field, field: a, value: 1"), "D009"),
        (operation("inject_error, field: a"), "D009"),
        (operation("truncate_array, field: a, value: x"), "D004"),
        (operation("truncate_array, field: a, value: -1"), "D004"),
    ] {
        assert_eq!(codes(&text), [code], "{text}");
    }
    let twice = "{ name: a, operations: [{ type: inject_error }] }";
    assert_eq!(codes(&format!("mutations: {{ rules: [{twice}, {twice}] }}")), ["D008"]);
    let many: Vec<String> = (0..65).map(|n| twice.replace(" a", &format!(" a{n}"))).collect();
    assert_eq!(
        codes(&format!("mutations: {{ rules: [{}] }}", many.join(",\n"))),
        ["D004"]
    );
    // At its place, and nothing that can be kept.
    assert_eq!(
        said::<ChaosConfig>(&operation("set_field, field: a, value: [1, 18446744073709551616]"))[0],
        ("D004", 2, 75)
    );
    for value in [
        "18446744073709551615",
        "-9223372036854775808",
        "'18446744073709551616'",
        "123456789012345678901234567890.5",
        "x18446744073709551616",
    ] {
        let text = operation(&format!("set_field, field: a, value: {value}"));
        assert!(read::<ChaosConfig>(&text).is_ok(), "{value}");
    }
    let source = |text: &str| Source {
        name: "a".to_owned(),
        text: text.to_owned(),
    };
    let list = mutations(
        &source("- { name: a, operations: [{ type: set_field, field: a, value: null }] }"),
        &|_| None,
    )
    .unwrap();
    let block = mutations(
        &source(
            r#"{ "rules": [{ "name": "a", "operations": [{ "type": "set_field", "field": "a", "value": null }] }] }"#,
        ),
        &|_| None,
    );
    assert_eq!(list, block.unwrap());
    assert_eq!(
        serde_json::to_value(&list).unwrap()["rules"][0]["operations"][0]["value"],
        serde_json::Value::Null
    );
    // What is read is what is written, also a value that is null.
    assert_eq!(
        mutations(&source(&serde_json::to_string(&list).unwrap()), &|_| None).unwrap(),
        list
    );
    assert!(
        mutations(
            &source("- { name: a, operations: [{ type: inject_error }], more: 1 }"),
            &|_| None
        )
        .is_err()
    );
}

#[test]
fn a_profile_has_a_name_that_is_nobody_elses() {
    use fracas_core::chaos::ChaosProfile;
    let of = |keys: &str| {
        said::<ChaosProfile>(&format!(
            "{{ {keys}, chaos_config: {{ latency: {{ fixed_delay_ms: 1 }} }} }}"
        ))[0]
            .0
    };
    let long = "x".repeat(65);
    for name in ["a b", "''", "'../a'", "..", "import", &long] {
        assert_eq!(of(&format!("name: {name}")), "D004", "{name}");
    }
    assert_eq!(of("name: cable"), "D008");
    assert_eq!(of(&format!("name: a, description: {}", "d".repeat(1025))), "D004");
    assert_eq!(of(&format!("name: a, tags: [{long}]")), "D004");
    assert_eq!(
        said::<ChaosProfile>("name: a\nchaos_config: { latency: {} }")[0],
        ("D005", 2, 26)
    );
    assert_eq!(said::<ChaosProfile>("name: a")[0].0, "D005");
    // No text of it is a variable, and no key of it ever was one.
    let config = r#"{ "mutations": { "rules": [{ "name": "a", "operations": [
        { "type": "set_field", "field": "a", "value": { "${KEY}": ["${PRICE}", "$${PRICE}", "$", 1.5, null] } }
    ] }] } }"#;
    let profile = ChaosProfile {
        name: "a".to_owned(),
        description: Some("costs ${PRICE}".to_owned()),
        tags: vec!["null".to_owned(), "1".to_owned()],
        chaos_config: serde_json::from_str(config).unwrap(),
    };
    let config = &profile.chaos_config;
    assert_eq!(&read::<ChaosConfig>(&chaos_text(config).unwrap()).unwrap(), config);
    for form in [ProfileForm::Json, ProfileForm::Yaml] {
        let text = profile_text(&profile, form).unwrap();
        assert_eq!(read::<ChaosProfile>(&text).unwrap(), profile, "{text}");
    }
}
