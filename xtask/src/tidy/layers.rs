//! The layers of design: an arrow goes to a lower line only, and each dangerous dependency has one home.

use serde_json::Value;

use super::Finding;

/// The crates, line by line from the top. Crates of one line do not know each other.
const LINES: &[&[&str]] = &[
    &["fracas"],
    &["fracas-engine"],
    &["fracas-guardian"],
    &["fracas-faults"],
    &["fracas-targets", "fracas-probe", "fracas-proxy", "fracas-lab"],
    &["fracas-docker", "fracas-spec", "fracas-report", "fracas-telemetry"],
    &["fracas-linux"],
    &["fracas-core", "fracas-lab-app", "fracas-example-key-value"],
];

/// The crate that tests of every crate may use, with all below it.
const LAB: &str = "fracas-lab";

/// Dependencies with one home, and why.
const HOMES: &[(&str, &str, &str)] = &[
    ("bollard", "fracas-docker", "the engine's protocol is behind one door"),
    ("prost", "fracas-telemetry", "OTLP is spoken in one place"),
    (
        "prometheus-client",
        "fracas-telemetry",
        "metrics are counted in one place",
    ),
    ("rustix", "fracas-linux", "system calls are made in one place"),
    ("procfs", "fracas-linux", "/proc is read in one place"),
    ("libc", "fracas-linux", "system calls are made in one place"),
    ("nix", "fracas-linux", "system calls are made in one place"),
];

/// The crate of the binary, whose tests are those of the whole.
const END_TO_END: &str = "fracas";

/// The task runner: no part of the product.
const RUNNER: &str = "xtask";

/// A crate of the workspace and what it depends on directly.
#[derive(Debug)]
pub(super) struct Package {
    name: String,
    needs: Vec<Need>,
}

#[derive(Debug)]
struct Need {
    name: String,
    dev: bool,
}

/// The crates, from `cargo metadata`.
pub(super) fn packages(metadata: &Value) -> Vec<Package> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .map(|package| Package {
            name: text(&package["name"]),
            needs: package["dependencies"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|need| Need {
                    name: text(&need["name"]),
                    dev: need["kind"] == "dev",
                })
                .collect(),
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn line(name: &str) -> Option<usize> {
    LINES.iter().position(|line| line.contains(&name))
}

/// Arrows that go up or sideways, and crates without a line.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.name != RUNNER) {
        let Some(from) = line(&package.name) else {
            findings.push(format!(
                "{}: has no line: give it one in xtask/src/tidy/layers.rs and in ARCHITECTURE.md",
                package.name
            ));
            continue;
        };
        for need in &package.needs {
            if need.name == RUNNER {
                findings.push(format!(
                    "{}: depends on xtask, which is no part of the product",
                    package.name
                ));
            }
            let Some(to) = line(&need.name) else { continue };
            let for_tests = need.dev && (need.name == LAB || Some(to) > line(LAB));
            if to <= from && !for_tests {
                findings.push(format!(
                    "{}: depends on {}, which is not on a lower line",
                    package.name, need.name
                ));
            }
        }
    }
    findings
}

/// Dependencies outside of their home. Tests of the whole binary may do what the product must not: mount a small disk, adopt orphans.
pub(super) fn check_outside(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages.iter().filter(|package| package.name != RUNNER) {
        for (name, home, why) in HOMES {
            let strays = |need: &Need| need.name == *name && !(need.dev && package.name == END_TO_END);
            if package.name != *home && package.needs.iter().any(strays) {
                findings.push(format!(
                    "{}: depends on {name}, whose home is {home}: {why}",
                    package.name
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, needs: &[&str], dev: &[&str]) -> Package {
        let need = |dev| {
            move |name: &&str| Need {
                name: (*name).to_owned(),
                dev,
            }
        };
        Package {
            name: name.to_owned(),
            needs: needs
                .iter()
                .map(need(false))
                .chain(dev.iter().map(need(true)))
                .collect(),
        }
    }

    #[test]
    fn arrows_go_down() {
        let fine = [
            package("fracas", &["fracas-engine", "fracas-lab", "fracas-core", "clap"], &[]),
            package("fracas-core", &["serde"], &[]),
            package("xtask", &["anyhow", "rustix"], &[]),
        ];
        assert_eq!(check(&fine), Vec::<String>::new());
    }

    #[test]
    fn arrows_up_and_sideways_are_found() {
        for (from, to) in [
            ("fracas-core", "fracas-linux"),
            ("fracas-probe", "fracas-targets"),
            ("fracas-linux", "fracas-docker"),
            ("fracas-faults", "fracas-guardian"),
            ("fracas-engine", "fracas"),
        ] {
            let findings = check(&[package(from, &[to], &[])]);
            assert_eq!(findings.len(), 1, "{from} -> {to}: {findings:?}");
            assert!(findings[0].contains(from) && findings[0].contains(to), "{findings:?}");
        }
    }

    #[test]
    fn tests_may_use_the_lab_and_what_is_below_it_and_nothing_higher() {
        assert!(check(&[package("fracas-linux", &[], &["fracas-lab", "fracas-docker"])]).is_empty());
        assert_eq!(check(&[package("fracas-linux", &["fracas-lab"], &[])]).len(), 1);
        assert_eq!(check(&[package("fracas-linux", &[], &["fracas-guardian"])]).len(), 1);
        assert_eq!(check(&[package("fracas-probe", &[], &["fracas-targets"])]).len(), 1);
    }

    #[test]
    fn a_crate_without_a_line_and_one_that_uses_the_runner_are_found() {
        assert_eq!(check(&[package("fracas-new", &[], &[])]).len(), 1);
        assert_eq!(check(&[package("fracas-core", &["xtask"], &[])]).len(), 1);
    }

    #[test]
    fn dependencies_stay_at_home() {
        assert!(check_outside(&[package("fracas-docker", &["bollard"], &[])]).is_empty());
        assert_eq!(check_outside(&[package("fracas-engine", &["bollard"], &[])]).len(), 1);
        assert_eq!(check_outside(&[package("fracas-faults", &[], &["rustix"])]).len(), 1);
        assert!(check_outside(&[package("fracas", &[], &["rustix"])]).is_empty());
        assert_eq!(check_outside(&[package("fracas", &["rustix"], &[])]).len(), 1);
    }

    #[test]
    fn metadata_is_understood() {
        let metadata = serde_json::json!({ "packages": [{ "name": "fracas-core", "dependencies": [
            { "name": "fracas-linux", "kind": null },
            { "name": "fracas-lab", "kind": "dev" },
        ] }] });
        assert_eq!(check(&packages(&metadata)).len(), 1);
    }
}
