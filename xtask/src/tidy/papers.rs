//! Papers that must stay true: the code map, the crates' own words, README's commands, the changelog, the examples.

use std::collections::BTreeSet;
use std::path::Path;

use super::{File, Finding};

/// The test command: README's second, and what CI calls.
const TEST: &str = "cargo xtask ci";
/// The first command: the main job.
const DEMO: &str = "cargo run --release -- demo";

/// All findings; `members` are the folders of the workspace's crates.
pub(super) fn check(files: &[File], members: &[String]) -> Vec<Finding> {
    [
        code_map(files, members),
        crate_words(files, members),
        commands(files),
        changelog(files),
        examples(files),
    ]
    .concat()
}

fn text<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    files
        .iter()
        .find(|file| file.path == path)
        .map(|file| file.text.as_str())
}

/// Headings ``### `crates/core` `` of ARCHITECTURE.md are the crates, all and no others.
fn code_map(files: &[File], members: &[String]) -> Vec<Finding> {
    let Some(text) = text(files, "ARCHITECTURE.md") else {
        return vec!["ARCHITECTURE.md: is missing".to_owned()];
    };
    let named: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.split('`').next())
        .collect();
    let real: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    let unnamed = real.difference(&named).map(|name| format!("does not name `{name}`"));
    let unreal = named
        .difference(&real)
        .map(|name| format!("names `{name}`, which is no crate"));
    unnamed
        .chain(unreal)
        .map(|what| format!("ARCHITECTURE.md: the code map {what}"))
        .collect()
}

/// Each crate says in its first line what it is for.
fn crate_words(files: &[File], members: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in members {
        let roots = ["src/lib.rs", "src/main.rs"].map(|name| format!("{member}/{name}"));
        for root in roots {
            if let Some(text) = text(files, &root)
                && !text.starts_with("//! ")
            {
                findings.push(format!("{root}:1: does not begin with `//!` and what the crate is for"));
            }
        }
    }
    findings
}

fn commands(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, command) in [("README.md", DEMO), ("README.md", TEST), (".ci/run", TEST)] {
        let has = text(files, path).is_some_and(|text| {
            text.lines().any(|line| {
                let line = line.trim();
                line == command || line.strip_prefix("exec ") == Some(command)
            })
        });
        if !has {
            findings.push(format!("{path}: has no line `{command}`"));
        }
    }
    findings
}

fn changelog(files: &[File]) -> Vec<Finding> {
    let has = text(files, "CHANGELOG.md").is_some_and(|text| text.lines().any(|line| line.trim() == "## [Unreleased]"));
    if has {
        Vec::new()
    } else {
        vec!["CHANGELOG.md: has no `## [Unreleased]`".to_owned()]
    }
}

/// Each YAML file in `examples/` is named in a test: an example that nobody runs is wrong sooner or later.
fn examples(files: &[File]) -> Vec<Finding> {
    let tested = |name: &str| {
        files.iter().filter(|file| file.is_rust()).any(|file| {
            file.tests_from()
                .is_some_and(|from| file.lines().skip(from - 1).any(|(_, line)| line.contains(name)))
        })
    };
    files
        .iter()
        .filter(|file| file.path.starts_with("examples/"))
        .filter(|file| Path::new(&file.path).extension().is_some_and(|end| end == "yaml"))
        .filter(|file| !tested(file.path.rsplit('/').next().unwrap_or(&file.path)))
        .map(|file| format!("{}: is named in no test", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    #[test]
    fn the_code_map_names_every_crate_and_nothing_else() {
        let members = ["crates/core".to_owned(), "xtask".to_owned()];
        let files = |text| [file("ARCHITECTURE.md", text)];
        assert!(
            code_map(
                &files("## Code map\n### `crates/core`\n### `xtask`: tasks\n### Rules\n"),
                &members
            )
            .is_empty()
        );
        assert_eq!(code_map(&files("### `crates/core`"), &members).len(), 1);
        assert_eq!(
            code_map(&files("### `crates/core`\n### `xtask`\n### `crates/gone`"), &members).len(),
            1
        );
        assert_eq!(code_map(&[], &members).len(), 1);
    }

    #[test]
    fn every_crate_says_what_it_is_for() {
        let members = ["crates/a".to_owned()];
        assert!(crate_words(&[file("crates/a/src/lib.rs", "//! Units.\n")], &members).is_empty());
        assert_eq!(
            crate_words(&[file("crates/a/src/main.rs", "fn main() {}\n")], &members).len(),
            1
        );
    }

    #[test]
    fn readme_and_ci_have_the_commands() {
        let readme = "```console\ncargo run --release -- demo\n```\n```console\ncargo xtask ci\n```\n";
        let good = [
            file("README.md", readme),
            file(".ci/run", "#!/bin/bash\nexec cargo xtask ci\n"),
        ];
        assert!(commands(&good).is_empty());
        assert_eq!(
            commands(&[file("README.md", readme), file(".ci/run", "cargo test\n")]).len(),
            1
        );
        assert_eq!(commands(&[]).len(), 3);
    }

    #[test]
    fn the_changelog_has_a_place_for_what_comes() {
        assert!(changelog(&[file("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")]).is_empty());
        assert_eq!(changelog(&[file("CHANGELOG.md", "## [0.1.0]\n")]).len(), 1);
    }

    #[test]
    fn every_example_is_named_in_a_test() {
        let example = || file("examples/pause.yaml", "");
        assert_eq!(examples(&[example()]).len(), 1);
        assert_eq!(
            examples(&[example(), file("crates/a/src/b.rs", "// pause.yaml")]).len(),
            1
        );
        assert!(examples(&[example(), file("crates/a/tests/b.rs", "load(\"pause.yaml\")")]).is_empty());
    }
}
