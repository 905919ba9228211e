//! Words: one per idea, none of those that the glossary rules out, and nothing that only one machine knows.

use super::{File, Finding};

/// Words that are not ours. Documents of others have one of them in a key, which stays as it is.
const NOT_OURS: &[&str] = &["attack", "sabotage", "monkey"];
const KEYS_OF_OTHERS: &[&str] = &["p2p_attack", "p2pattack"];

/// Folders of the machines on which Fracas is written.
const MACHINE: &[&str] = &["/work/", "/root/"];

/// Hosts of registries, and of their mirrors.
const REGISTRIES: &[&str] = &[
    "index.crates.io",
    "static.crates.io",
    "registry-1.docker.io",
    "registry.npmjs.org",
    "files.pythonhosted.org",
];

/// The only source that a lock file may name: what cargo writes for its default registry.
const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// This file and the lock files of others' names.
const EXEMPT: &[&str] = &["xtask/src/tidy/words.rs"];

/// All findings in all files.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !EXEMPT.contains(&file.path.as_str())) {
        if file.path.ends_with("Cargo.lock") {
            sources(file, &mut findings);
            continue;
        }
        for (number, line) in file.lines() {
            for what in words(line).into_iter().chain(places(line)) {
                findings.push(format!("{}:{number}: {what}", file.path));
            }
        }
        if file.path.ends_with(".cargo/config.toml") {
            registries(file, &mut findings);
        }
    }
    findings
}

fn words(line: &str) -> Vec<String> {
    let mut line = line.to_lowercase();
    for key in KEYS_OF_OTHERS {
        line = line.replace(key, "");
    }
    NOT_OURS
        .iter()
        .filter(|word| line.contains(*word))
        .map(|word| format!("`{word}` is not a word of ours: see docs/concepts/glossary.md"))
        .collect()
}

fn places(line: &str) -> Vec<String> {
    let folders = MACHINE
        .iter()
        .filter(|folder| begins_a_path(line, folder))
        .map(|folder| format!("`{folder}` is a folder of one machine"));
    let hosts = REGISTRIES
        .iter()
        .filter(|host| line.contains(*host))
        .map(|host| format!("`{host}` is a registry's host: the tree names none"));
    folders.chain(hosts).collect()
}

/// Whether the folder stands at the beginning of a path: `/proc/PID/root/` is something else.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "}>])*_-.…$~%/".contains(c))
    })
}

fn sources(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in file.lines() {
        let source = line.strip_prefix("source = ").map(|source| source.trim_matches('"'));
        if source.is_some_and(|source| source != SOURCE) {
            findings.push(format!("{}:{number}: a package from elsewhere: {line}", file.path));
        }
    }
}

fn registries(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in file.lines() {
        let line = line.trim();
        if line.starts_with("[source") || line.starts_with("[registr") {
            findings.push(format!(
                "{}:{number}: {line}: registries are set on each machine, not in the tree",
                file.path
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::file;

    fn count(path: &str, text: &str) -> usize {
        check(&[file(path, text)]).len()
    }

    #[test]
    fn words_that_are_not_ours_are_found_in_any_form() {
        for text in ["an Attack", "fn attacks()", "ChaosMonkey", "sabotaged"] {
            assert_eq!(count("docs/a.md", text), 1, "{text}");
        }
        for text in ["p2p_attack", "Self::P2pAttack", "three saboteurs", "fault"] {
            assert_eq!(count("docs/a.md", text), 0, "{text}");
        }
        assert_eq!(count("docs/a.md", "a p2p_attack is an attack"), 1);
    }

    #[test]
    fn folders_of_a_machine_are_found_and_roots_of_processes_are_not() {
        for text in ["see /work/x", "\"/root/.cargo\"", "`/root/`"] {
            assert_eq!(count("a.rs", text), 1, "{text}");
        }
        for text in [
            "/proc/PID/root/etc",
            "{pid}/root/x",
            "/proc/*/root/x",
            "/var/work/x",
            "network/",
        ] {
            assert_eq!(count("a.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn packages_come_from_the_default_registry() {
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        assert_eq!(count("Cargo.lock", good), 0);
        assert_eq!(count("fuzz/Cargo.lock", "source = \"git+https://example.org/x\""), 1);
        assert_eq!(count(".cargo/config.toml", "[source.crates-io]"), 1);
        assert_eq!(count(".cargo/config.toml", "[alias]"), 0);
        assert_eq!(count("a.md", "https://static.crates.io/x"), 1);
    }
}
