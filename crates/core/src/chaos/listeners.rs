//! Of which listeners of a proxy something is. Each has a name; what names none is of all.

use super::{ChaosConfig, Route};

/// The listener that every proxy has: that of `--listen`.
pub const MAIN: &str = "main";
/// So many listeners a proxy has at most, that one among them.
pub const MOST_LISTENERS: usize = 65;

/// Whether a listener can have this name: 1 to 32 of `a` to `z`, `0` to `9` and `-`.
pub fn is_listener(name: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(may_stand)
}

/// Whether what names these listeners is about this one.
fn has(listeners: &[String], name: &str) -> bool {
    listeners.is_empty() || listeners.iter().any(|one| one == name)
}

fn keep<T>(block: &mut Option<T>, listeners: impl FnOnce(&T) -> &[String], name: &str) {
    if block.as_ref().is_some_and(|block| !has(listeners(block), name)) {
        *block = None;
    }
}

impl ChaosConfig {
    /// Every key `listeners` in it that names any, also in what is off, with its path.
    pub fn listener_lists(&self) -> Vec<(String, &[String])> {
        let mut lists: Vec<(String, &[String])> = Vec::new();
        let mut said = |path: &str, list| lists.push((format!("{path}.listeners"), list));
        if let Some(block) = &self.latency {
            said("latency", &block.listeners);
        }
        let faults = self.fault_injection.as_ref();
        if let Some(matcher) = faults.and_then(|block| block.request_matcher.as_ref()) {
            said("fault_injection.request_matcher", &matcher.listeners);
        }
        if let Some(block) = &self.rate_limit {
            said("rate_limit", &block.listeners);
        }
        if let Some(block) = &self.circuit_breaker {
            said("circuit_breaker", &block.listeners);
        }
        if let Some(block) = &self.bulkhead {
            said("bulkhead", &block.listeners);
        }
        if let Some(block) = &self.grpc {
            said("grpc", &block.listeners);
        }
        if let Some(block) = &self.websocket {
            said("websocket", &block.listeners);
        }
        if let Some(block) = &self.graphql {
            said("graphql", &block.listeners);
        }
        if let Some(block) = &self.mutations {
            said("mutations", &block.listeners);
        }
        for (index, route) in self.routes.iter().enumerate() {
            said(&format!("routes[{index}]"), &route.listeners);
            if let Some(block) = &route.latency {
                said(&format!("routes[{index}].latency"), &block.listeners);
            }
        }
        lists.retain(|(_, list)| !list.is_empty());
        lists
    }

    /// Every name of a listener that is said in it, also in what is off, with the path where it stands.
    pub fn listeners(&self) -> Vec<(String, &str)> {
        let mut names = Vec::new();
        for (path, list) in self.listener_lists() {
            for (index, name) in list.iter().enumerate() {
                names.push((format!("{path}[{index}]"), name.as_str()));
            }
        }
        names
    }

    /// What of it is about requests that come to this listener.
    #[must_use]
    pub fn at_listener(&self, name: &str) -> Self {
        let mut at = self.clone();
        keep(&mut at.latency, |block| &block.listeners, name);
        let matcher = at
            .fault_injection
            .as_ref()
            .and_then(|block| block.request_matcher.as_ref());
        if matcher.is_some_and(|matcher| !has(&matcher.listeners, name)) {
            at.fault_injection = None;
        }
        keep(&mut at.rate_limit, |block| &block.listeners, name);
        keep(&mut at.circuit_breaker, |block| &block.listeners, name);
        keep(&mut at.bulkhead, |block| &block.listeners, name);
        keep(&mut at.grpc, |block| &block.listeners, name);
        keep(&mut at.websocket, |block| &block.listeners, name);
        keep(&mut at.graphql, |block| &block.listeners, name);
        keep(&mut at.mutations, |block| &block.listeners, name);
        at.routes = at.routes.iter().filter_map(|route| route.at_listener(name)).collect();
        at
    }
}

impl Route {
    /// What of it is about requests that come to this listener. `None`: nothing is.
    #[must_use]
    pub fn at_listener(&self, name: &str) -> Option<Self> {
        let mut at = has(&self.listeners, name).then(|| self.clone())?;
        keep(&mut at.latency, |block| &block.listeners, name);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> ChaosConfig {
        let all = json!({
            "latency": { "fixed_delay_ms": 1, "listeners": ["a"] },
            "fault_injection": { "enabled": false, "request_matcher": { "listeners": ["b", "a"] } },
            "rate_limit": { "listeners": ["a"] },
            "circuit_breaker": { "listeners": ["a"] },
            "bulkhead": { "listeners": ["a"] },
            "grpc": { "listeners": ["a"] },
            "websocket": { "listeners": ["a"] },
            "graphql": { "listeners": ["a"] },
            "mutations": { "listeners": ["a"] },
            "routes": [
                { "path": "/x", "listeners": ["a"] },
                { "path": "/*", "latency": { "fixed_delay_ms": 2, "listeners": ["a"] } },
            ],
        });
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for name in [MAIN, "payments", "a-1", "0", &"a".repeat(32)] {
            assert!(is_listener(name), "{name}");
        }
        for name in ["", "Payments", "a b", "a_b", "a=b", "ä", "a.b", &"a".repeat(33)] {
            assert!(!is_listener(name), "{name}");
        }
    }

    #[test]
    fn every_name_is_found_with_its_place() {
        let config = config();
        let found = config.listeners();
        let found: Vec<_> = found.iter().map(|(path, name)| format!("{path} {name}")).collect();
        assert_eq!(
            found,
            [
                "latency.listeners[0] a",
                "fault_injection.request_matcher.listeners[0] b",
                "fault_injection.request_matcher.listeners[1] a",
                "rate_limit.listeners[0] a",
                "circuit_breaker.listeners[0] a",
                "bulkhead.listeners[0] a",
                "grpc.listeners[0] a",
                "websocket.listeners[0] a",
                "graphql.listeners[0] a",
                "mutations.listeners[0] a",
                "routes[0].listeners[0] a",
                "routes[1].latency.listeners[0] a",
            ]
        );
        assert!(ChaosConfig::default().listeners().is_empty());
    }

    #[test]
    fn what_is_about_others_is_not_there() {
        let config = config();
        assert_eq!(config.at_listener("a"), config);
        let at = config.at_listener("b");
        assert!(at.latency.is_none() && at.rate_limit.is_none());
        assert!(at.circuit_breaker.is_none() && at.bulkhead.is_none());
        assert!(at.grpc.is_none() && at.websocket.is_none() && at.graphql.is_none() && at.mutations.is_none());
        assert!(at.fault_injection.is_some());
        // Held as all others then, which is not at all.
        let [route] = &at.routes[..] else { panic!("{at:?}") };
        assert!(route.path == "/*" && route.latency.is_none());
        assert!(config.at_listener("c").fault_injection.is_none());
        let of_all: ChaosConfig = serde_json::from_value(json!({ "rate_limit": {}, "latency": {} })).unwrap();
        assert_eq!(of_all.at_listener("c"), of_all);
    }
}
