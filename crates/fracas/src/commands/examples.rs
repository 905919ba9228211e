//! `fracas examples`: documents to begin with, inside the binary.

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::problem::{Problem, Result, codes};

use crate::cli::Examples;
use crate::output::print;

macro_rules! examples {
    ($($name:literal),* $(,)?) => {
        /// Every shipped example by its name.
        const ALL: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../examples/", $name, ".yaml")))),*
        ];
    };
}

examples! {
    "checkout-memory-limit",
    "cpu-throttle",
    "noisy-neighbour",
    "memory-squeeze",
    "disk-full",
    "busy-disk",
    "slow-disk",
    "out-of-pids",
    "out-of-descriptors",
    "worker-pause",
    "worker-kill",
    "wrong-time",
    "container-outage",
    "rolling-restart",
    "pulled-cable",
    "slow-and-lossy-network",
    "slow-mobile-network",
    "garbled-network",
    "refused-connections",
    "split-brain",
    "wrong-names",
    "failing-requests",
    "own-script",
    "broken-data",
    "validator-memory-pressure",
    "validator-cpu-and-pause",
}

pub(crate) fn command(examples: &Examples) -> Result<ExitCode> {
    let text = match &examples.name {
        None => ALL.iter().fold(String::new(), |mut list, (name, text)| {
            let _ = writeln!(list, "{name:<28} {}", description(text));
            list
        }),
        Some(name) => {
            let bare = name.strip_suffix(".yaml").unwrap_or(name);
            let found = ALL.iter().find(|(known, _)| *known == bare);
            let (_, text) = found.ok_or_else(|| {
                Problem::new(
                    &codes::USAGE,
                    format!("there is no example {:?}", fracas_report::plain(name)),
                )
                .next("`fracas examples` lists all")
            })?;
            (*text).to_owned()
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The first line of an example, a comment, says what it is for.
fn description(text: &str) -> &str {
    let mut lines = text.lines().filter(|line| !line.contains("yaml-language-server"));
    lines.find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use fracas_core::params::Inject;
    use fracas_spec::Source;

    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_an_example() {
        let shipped: Vec<String> = ALL.iter().map(|(name, _)| format!("{name}.yaml")).collect();
        assert_eq!(
            shipped,
            [
                "checkout-memory-limit.yaml",
                "cpu-throttle.yaml",
                "noisy-neighbour.yaml",
                "memory-squeeze.yaml",
                "disk-full.yaml",
                "busy-disk.yaml",
                "slow-disk.yaml",
                "out-of-pids.yaml",
                "out-of-descriptors.yaml",
                "worker-pause.yaml",
                "worker-kill.yaml",
                "wrong-time.yaml",
                "container-outage.yaml",
                "rolling-restart.yaml",
                "pulled-cable.yaml",
                "slow-and-lossy-network.yaml",
                "slow-mobile-network.yaml",
                "garbled-network.yaml",
                "refused-connections.yaml",
                "split-brain.yaml",
                "wrong-names.yaml",
                "failing-requests.yaml",
                "own-script.yaml",
                "broken-data.yaml",
                "validator-memory-pressure.yaml",
                "validator-cpu-and-pause.yaml",
            ]
        );
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                Path::new(&name).extension().is_none_or(|end| end != "yaml") || shipped.contains(&name),
                "{name} is not in the list"
            );
        }
    }

    #[test]
    fn every_example_is_a_document_without_a_problem_and_says_what_it_is_for() {
        let mut used = std::collections::BTreeSet::new();
        for (name, text) in ALL {
            let source = Source {
                name: format!("{name}.yaml"),
                text: (*text).to_owned(),
            };
            let loaded = fracas_spec::load(&source, &[], &|_| None);
            let loaded = loaded.unwrap_or_else(|problems| panic!("{name}: {}", problems[0]));
            assert!(loaded.warnings.is_empty(), "{name}: {}", loaded.warnings[0]);
            assert_eq!(loaded.experiment.name, *name);
            assert!(description(text).len() > 20, "{name} does not say what it is for");
            for fault in &loaded.experiment.faults {
                let set = fault.written.as_ref().map(|written| written.kind.clone());
                used.insert(set.unwrap_or_else(|| fault.inject.name().to_owned()));
            }
        }
        for fault in Inject::NAMES {
            assert!(used.contains(*fault), "no example shows {fault}");
        }
    }
}
