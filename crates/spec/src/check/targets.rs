//! Targets: names, patterns, bounds.

use fracas_core::experiment::{FaultSpec, Selector};
use fracas_core::probe::Source;
use fracas_core::problem::codes;

use super::Check;
use crate::place::quoted;
use crate::tree::Node;

impl Check<'_, '_> {
    /// Refuses empty texts in a selector: some would match everything, and none is meant.
    fn filled(&mut self, path: &str) {
        let root = self.root;
        // Patterns are checked where they are compiled.
        for entry in root
            .find(path)
            .and_then(Node::entries)
            .unwrap_or_default()
            .iter()
            .filter(|entry| !["pattern", "name", "command"].contains(&entry.key.as_str()))
        {
            if entry.value.scalar().is_some_and(|value| value.text.is_empty()) {
                let what = format!("`{path}.{}` must not be empty", entry.key);
                self.problems.error(&codes::WRONG_VALUE, entry.value.spot, what);
            }
        }
    }

    /// Warns of an alias that nothing uses: most likely something was meant to be broken, and is not.
    fn idle(&mut self, path: &str, alias: &str) {
        let experiment = self.experiment;
        let of = |fault: &FaultSpec| fault.target == alias || fault.inject.others() == Some(alias);
        let broken = experiment.faults.iter().any(of);
        let read = experiment.probes.iter().any(|probe| match &probe.source {
            Source::Log(log) => log.target.as_deref() == Some(alias),
            _ => false,
        });
        // What uses it may be among the parts that have errors or are not supported.
        let faults = self.root.nearest(self.paths.faults).items().unwrap_or_default();
        let whole = self.problems.errors.is_empty() && faults.len() == experiment.faults.len();
        if !broken && !read && whole {
            let spot = self.spot(&format!("{path}.alias"));
            let next = "its targets are looked for and left alone; name it as the `target` of a fault, or remove it";
            let what = format!("no fault is put on {}", quoted(alias));
            self.problems.warn(&codes::CONTRADICTION, spot, what, next);
        }
    }

    pub(super) fn targets(&mut self) {
        let (experiment, list) = (self.experiment, self.paths.targets);
        self.unique(list, "alias");
        for (position, target) in experiment.targets.iter().enumerate() {
            let path = format!("{list}[{}]", self.origins.targets[position]);
            self.idle(&path, &target.alias);
            self.filled(&format!("{path}.container"));
            self.filled(&format!("{path}.process"));
            self.filled(&format!("{path}.selector"));
            match &target.selector {
                Selector::Container(container) => {
                    let (name, id) = if self.native() {
                        ("container.name", "container.id")
                    } else {
                        ("selector.pattern", "selector.container_id")
                    };
                    if let Some(pattern) = &container.name {
                        self.pattern(&format!("{path}.{name}"), pattern);
                    }
                    if let Some(text) = &container.id {
                        let hex = text.bytes().all(|c| c.is_ascii_hexdigit());
                        if !hex || !(4..=64).contains(&text.len()) {
                            self.wrong(&format!("{path}.{id}"), "must be 4 to 64 hexadecimal digits");
                        }
                    }
                }
                Selector::Process(process) => {
                    if process.cgroup.as_deref() == Some("/") {
                        self.wrong(
                            &format!("{path}.process.cgroup"),
                            "cannot be the root, which holds every process",
                        );
                    }
                    for (key, pattern) in [("name", &process.name), ("command", &process.command)] {
                        if let Some(pattern) = pattern {
                            self.regex(&format!("{path}.process.{key}"), pattern);
                        }
                    }
                    if process.port == Some(0) {
                        self.wrong(&format!("{path}.process.port"), "must be from 1 to 65535");
                    }
                    for (key, file) in [("pid_file", &process.pid_file), ("cgroup", &process.cgroup)] {
                        if file.as_ref().is_some_and(|file| !file.starts_with('/')) {
                            self.wrong(&format!("{path}.process.{key}"), "must begin with `/`");
                        }
                    }
                }
            }
            if target.blast_radius.percent.0 > 100.0 {
                self.wrong(&format!("{path}.blast_radius.percent"), "cannot be more than 100%");
            }
            let radius = target.blast_radius;
            if radius.at_most > 0 && radius.at_most < radius.at_least {
                let spot = self.spot(&format!("{path}.blast_radius.at_most"));
                let what = format!(
                    "`at_most` {} is less than `at_least` {}",
                    radius.at_most, radius.at_least
                );
                self.problems.error(&codes::CONTRADICTION, spot, what);
            }
            if radius.percent.0 == 0.0 && radius.at_least == 0 {
                let spot = self.spot(&format!("{path}.blast_radius"));
                self.problems.error(
                    &codes::CONTRADICTION,
                    spot,
                    format!("the blast radius of `{path}` allows no target"),
                );
            }
        }
        for precondition in &experiment.preconditions {
            self.pattern("spec.preconditions.validator_pattern", &precondition.pattern);
        }
    }
}
