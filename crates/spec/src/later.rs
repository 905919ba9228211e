//! What the design promises and this version does not do: recognised, so that nobody takes it for a misspelling.

/// Keys of the native format.
pub(crate) fn native(definition: &str, key: &str) -> Option<&'static str> {
    match (definition, key) {
        ("Target", "interface" | "host" | "cgroup") => Some("targets are containers and processes"),
        ("ChaosConfig", _) => chaos("", key),
        ("", _) => None,
        _ => chaos(definition, key),
    }
}

/// Keys of a `ChaosScenario`. What else is missing is a type, not a key.
pub(crate) fn scenario(definition: &str, key: &str) -> Option<&'static str> {
    match (definition, key) {
        ("HttpFaultParams", "body_override" | "header_overrides") => {
            Some("this version has errors with a body and headers of its own alone")
        }
        _ => None,
    }
}

/// What a proxy will do in a later version.
const FAULTS_OF_A_PROXY: &[&str] = &["mockai_enabled"];

/// Keys of an orchestration: what its steps do is what comes later, if anything.
pub(crate) fn orchestration(definition: &str, key: &str) -> Option<&'static str> {
    match definition {
        "ChaosConfig" => chaos("", key),
        // What the document itself would be is none of its own.
        "" => None,
        _ => chaos(definition, key),
    }
}

/// Keys of a proxy's configuration. The document itself has no name.
pub(crate) fn chaos(definition: &str, key: &str) -> Option<&'static str> {
    let what = "this version of the proxy does not do it";
    match definition {
        "" | "FaultInjection" if FAULTS_OF_A_PROXY.contains(&key) => Some(what),
        _ => None,
    }
}
