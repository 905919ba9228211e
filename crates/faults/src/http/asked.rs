//! What is asked, in words.

use fracas_core::chaos::{ChaosConfig, ConnectionErrorKind, CorruptionType, Distribution, FaultInjection, Latency};

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
    if words.is_empty() {
        return "nothing".to_owned();
    }
    words.join(", ")
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
        let kind = match block.connection_error_kind {
            ConnectionErrorKind::Http503 => "503",
            ConnectionErrorKind::TcpReset => "resets",
            ConnectionErrorKind::TcpClose => "closed connections",
        };
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
        ] {
            assert_eq!(said(text), expected);
        }
    }
}
