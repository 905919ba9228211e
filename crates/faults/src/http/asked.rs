//! What is asked, in words.

use fracas_core::chaos::{
    ChaosConfig, ConnectionErrorKind, CorruptionType, Distribution, FaultInjection, Graphql, Grpc, Latency, Route,
    RouteFault, RouteFaultKind, Websocket,
};

/// So many routes, or rules, are said one by one.
const MOST: usize = 4;

/// What a configuration does, one block after the other.
pub(super) fn words(config: &ChaosConfig) -> String {
    let mut words = Vec::new();
    words.extend(config.latency().map(latency));
    if let Some(block) = config.fault_injection() {
        let faults = faults(block);
        words.push(match block.request_matcher {
            Some(_) => format!("{faults} of those that a matcher takes"),
            None => faults,
        });
    }
    words.extend(config.rate_limit().map(|block| {
        let each = match (block.per_ip, block.per_endpoint) {
            (false, false) => "",
            (true, false) => " for each address",
            (false, true) => " for each path",
            (true, true) => " for each address and each path",
        };
        format!("at most {} requests per second{each}", block.requests_per_second)
    }));
    if let Some(block) = config.traffic_shaping() {
        if block.bandwidth_limit_bps > 0 {
            words.push(format!("at most {} bytes per second", block.bandwidth_limit_bps));
        }
        if block.packet_loss_percent > 0.0 {
            let row = block
                .packet_loss_burst
                .map_or_else(String::new, |burst| format!(", {burst} in a row"));
            words.push(format!("408 to {}%{row}", block.packet_loss_percent));
        }
        if block.max_connections > 0 {
            words.push(format!("at most {} connections", block.max_connections));
        }
    }
    words.extend(config.circuit_breaker().map(|_| "a circuit breaker".to_owned()));
    words.extend(
        config
            .bulkhead()
            .map(|block| format!("at most {} requests at a time", block.max_concurrent_requests)),
    );
    words.extend(some(config.routes().iter().map(route), "routes"));
    if let Some(block) = config.mutations() {
        let rules = block.rules.iter().map(|rule| {
            let name = &rule.name;
            format!("JSON changed by the rule `{name}`{}", to(rule.probability))
        });
        words.extend(some(rules, "rules for JSON"));
    }
    words.extend(config.grpc().map(grpc));
    words.extend(config.graphql().map(graphql));
    words.extend(config.websocket().map(websocket));
    words.retain(|words| !words.is_empty());
    if words.is_empty() {
        return "nothing".to_owned();
    }
    words.join(", ")
}

/// The first of them, and how many there are besides.
fn some(all: impl ExactSizeIterator<Item = String>, what: &str) -> Vec<String> {
    let more = all.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| format!("{more} more {what}"));
    all.take(MOST).chain(rest).collect()
}

fn route(route: &Route) -> String {
    let mut words = Vec::new();
    match &route.latency {
        Some(block) if block.enabled => words.push(latency(block)),
        Some(_) => words.push("no delay".to_owned()),
        None => {}
    }
    match &route.fault_injection {
        Some(block) if block.enabled => {
            let faults: Vec<_> = block.fault_types.iter().map(route_fault).collect();
            words.push(format!("{}{}", faults.join(" or "), to(block.probability)));
        }
        Some(_) => words.push("no faults".to_owned()),
        None => {}
    }
    format!("for {}: {}", route.key(), words.join(" and "))
}

fn route_fault(fault: &RouteFault) -> String {
    match fault.kind {
        RouteFaultKind::HttpError => fault.status_code.unwrap_or_default().to_string(),
        RouteFaultKind::ConnectionError => fails_with(fault.connection_error_kind.unwrap_or_default()).to_owned(),
        RouteFaultKind::Timeout => format!("504 after {}ms", fault.duration_ms.unwrap_or_default()),
        RouteFaultKind::PartialResponse => "answers that break off".to_owned(),
        RouteFaultKind::PayloadCorruption => "corrupted answers".to_owned(),
    }
}

fn grpc(block: &Grpc) -> String {
    let mut words = Vec::new();
    if !block.status_codes.is_empty() && block.status_code_probability > 0.0 {
        let codes: Vec<_> = block.status_codes.iter().map(u8::to_string).collect();
        words.push(format!(
            "status {}{}",
            codes.join("/"),
            to(block.status_code_probability)
        ));
    }
    if block.stream_interruption_probability > 0.0 {
        let (after, share) = (
            block.interrupt_after_messages,
            to(block.stream_interruption_probability),
        );
        words.push(format!("streams cut behind {after} messages{share}"));
    }
    of("gRPC", &words)
}

fn graphql(block: &Graphql) -> String {
    let mut words = Vec::new();
    if !block.error_codes.is_empty() && block.error_probability > 0.0 {
        words.push(format!("errors{}", to(block.error_probability)));
    }
    if block.partial_data_probability > 0.0 {
        words.push(format!("partial data{}", to(block.partial_data_probability)));
    }
    if block.resolver_latency {
        words.push(format!("{}ms for each field", block.resolver_latency_ms));
    }
    of("GraphQL", &words)
}

fn websocket(block: &Websocket) -> String {
    let mut words = Vec::new();
    let closes = !block.close_codes.is_empty();
    for (what, share) in [
        ("closed", if closes { block.close_probability } else { 0.0 }),
        ("messages dropped", block.message_drop_probability),
        ("messages corrupted", block.message_corruption_probability),
    ] {
        if share > 0.0 {
            words.push(format!("{what}{}", to(share)));
        }
    }
    if block.message_delay_ms > 0.0 && block.message_delay_probability > 0.0 {
        let (delay, share) = (block.message_delay_ms, to(block.message_delay_probability));
        words.push(format!("messages held for {delay}ms{share}"));
    }
    of("WebSocket", &words)
}

/// Nothing where nothing is done.
fn of(protocol: &str, words: &[String]) -> String {
    if words.is_empty() {
        return String::new();
    }
    format!("in {protocol} {}", words.join(" and "))
}

fn fails_with(kind: ConnectionErrorKind) -> &'static str {
    match kind {
        ConnectionErrorKind::Http503 => "503",
        ConnectionErrorKind::TcpReset => "resets",
        ConnectionErrorKind::TcpClose => "closed connections",
    }
}

fn latency(block: &Latency) -> String {
    let how_long = if let Some(delay) = block.fixed_delay_ms {
        format!("a delay of {delay}ms")
    } else if let Some([least, most]) = block.random_delay_range_ms {
        format!("a delay of {least}ms to {most}ms")
    } else {
        match block.distribution {
            Some(Distribution::Normal(normal)) => format!("a delay of {}ms±{}ms", normal.mean_ms, normal.std_dev_ms),
            Some(Distribution::Pareto(pareto)) => {
                format!("a Pareto delay of {}ms±{}ms", pareto.mean_ms, pareto.std_dev_ms)
            }
            Some(Distribution::Exponential(it)) => format!("an exponential delay of {}ms", 1.0 / it.lambda),
            None => "no delay".to_owned(),
        }
    };
    let jitter = match block.jitter_percent {
        none if none <= 0.0 => String::new(),
        some => format!("±{some}%"),
    };
    format!("{how_long}{jitter}{}", to(block.probability))
}

fn faults(block: &FaultInjection) -> String {
    let mut words = Vec::new();
    if let Some(pattern) = &block.error_pattern {
        words.push(format!("errors by a {} pattern", pattern.kind.name()));
    } else if !block.http_errors.is_empty() && block.http_error_probability > 0.0 {
        let statuses: Vec<_> = block.http_errors.iter().map(u16::to_string).collect();
        words.push(format!("{}{}", statuses.join("/"), to(block.http_error_probability)));
    }
    if block.connection_errors && block.connection_error_probability > 0.0 {
        let kind = fails_with(block.connection_error_kind);
        words.push(format!("{kind}{}", to(block.connection_error_probability)));
    }
    if block.timeout_errors && block.timeout_probability > 0.0 {
        words.push(format!(
            "504 after {}ms{}",
            block.timeout_ms,
            to(block.timeout_probability)
        ));
    }
    if block.partial_responses && block.partial_response_probability > 0.0 {
        words.push(format!(
            "answers that break off{}",
            to(block.partial_response_probability)
        ));
    }
    if block.payload_corruption && block.corruption_type != CorruptionType::None {
        words.push(format!("corrupted answers{}", to(block.payload_corruption_probability)));
    }
    if words.is_empty() {
        "no faults".to_owned()
    } else {
        words.join(", ")
    }
}

/// To how many.
fn to(share: f64) -> String {
    if share >= 1.0 {
        return String::new();
    }
    // Of a share that was written in decimals no others are shown.
    format!(" to {}%", (share * 1e8).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_said() {
        let said = |text: &str| words(&serde_json::from_str(text).unwrap());
        for (text, expected) in [
            (
                r#"{ "fault_injection": { "http_errors": [503], "http_error_probability": 0.07 } }"#,
                "503 to 7%",
            ),
            (
                r#"{ "latency": { "fixed_delay_ms": 50, "jitter_percent": 10, "probability": 0.25 }, "bulkhead": { "max_concurrent_requests": 3 } }"#,
                "a delay of 50ms±10% to 25%, at most 3 requests at a time",
            ),
            (
                r#"{ "fault_injection": { "http_errors": [], "connection_errors": true, "connection_error_kind": "tcp_reset", "connection_error_probability": 1 } }"#,
                "resets",
            ),
            (
                r#"{ "rate_limit": { "requests_per_second": 5, "per_ip": true } }"#,
                "at most 5 requests per second for each address",
            ),
            (r#"{ "latency": { "enabled": false } }"#, "nothing"),
            (r#"{ "grpc": {}, "websocket": {}, "graphql": {} }"#, "nothing"),
            (
                r#"{ "routes": [{ "path": "/a", "method": "get", "latency": { "fixed_delay_ms": 5 }, "fault_injection": { "probability": 0.1,
                    "fault_types": [{ "type": "http_error", "status_code": 503 }, { "type": "connection_error", "connection_error_kind": "tcp_reset" }] } },
                    { "path": "/b", "latency": { "enabled": false } }] }"#,
                "for GET /a: a delay of 5ms and 503 or resets to 10%, for /b: no delay",
            ),
            (
                r#"{ "grpc": { "status_codes": [14, 8], "status_code_probability": 0.2, "stream_interruption_probability": 1 },
                    "websocket": { "message_drop_probability": 0.1, "message_delay_ms": 5 },
                    "graphql": { "error_codes": ["A"], "error_probability": 1, "partial_data_probability": 0.5 } }"#,
                "in gRPC status 14/8 to 20% and streams cut behind 1 messages, in GraphQL errors and partial data to 50%, \
                 in WebSocket messages dropped to 10% and messages held for 5ms",
            ),
            (
                r#"{ "mutations": { "rules": [{ "name": "a", "probability": 0.1, "operations": [] }, { "name": "b", "operations": [] },
                    { "name": "c", "operations": [] }, { "name": "d", "operations": [] }, { "name": "e", "operations": [] }] } }"#,
                "JSON changed by the rule `a` to 10%, JSON changed by the rule `b`, JSON changed by the rule `c`, \
                 JSON changed by the rule `d`, 1 more rules for JSON",
            ),
        ] {
            assert_eq!(said(text), expected);
        }
    }
}
