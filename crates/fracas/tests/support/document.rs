//! Experiments as documents.

use super::Target;

/// An experiment with one fault and nothing that is measured.
pub(crate) struct Document<'a> {
    /// What it is put on.
    pub(crate) target: &'a Target,
    /// The fault with its parameters, a map with one key.
    pub(crate) inject: &'a str,
    /// Whether it has no way back.
    pub(crate) irreversible: bool,
    /// How long the fault is on; the empty text: as long as the run.
    pub(crate) on: &'a str,
    /// How long the run is.
    pub(crate) duration: &'a str,
}

impl Document<'_> {
    pub(crate) fn text(&self) -> String {
        let Self {
            target,
            inject,
            irreversible,
            on,
            duration,
        } = self;
        let mut more = String::new();
        if *irreversible {
            more.push_str(", allow_irreversible: true");
        }
        if !on.is_empty() {
            more.push_str(", duration: ");
            more.push_str(on);
        }
        let others = if inject.contains("from: other") {
            format!("  - {{ alias: other, {} }}\n", target.other())
        } else {
            String::new()
        };
        format!(
            "apiVersion: fracas.dev/v1\n\
             kind: Experiment\n\
             metadata: {{ name: kill }}\n\
             hypothesis: {{ interval: 100ms, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
             targets:\n  - {{ alias: it, {} }}\n{others}\
             faults:\n  - {{ name: fault, target: it, inject: {{ {inject} }}{more} }}\n\
             duration: {duration}\n",
            target.selector
        )
    }
}

/// A memory limit on a target, for long.
pub(crate) fn memory_limit(target: &Target) -> String {
    Document {
        target,
        inject: "memory_limit: { limit: 64MiB }",
        irreversible: false,
        on: "",
        duration: "60s",
    }
    .text()
}
