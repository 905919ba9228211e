//! Rust files: nothing left unfinished, no test switched off or asleep, unsafe code in its one place, files of a readable length.

use super::{File, Finding};

/// Where synthetic findings stand in tests.
const OURS: &str = "xtask/src/tidy/";

/// A longer file says in its head why.
const LONG: usize = 800;

/// What a test needs beside a sleep that is right: the reason follows.
const SLEEP_REASON: &str = "// tidy: sleep because ";

/// All findings in all Rust files.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        if file.is_rust() && !file.path.starts_with(OURS) {
            unfinished(file, &mut findings);
            asleep(file, &mut findings);
            long(file, &mut findings);
        }
        unsafe_elsewhere(file, &mut findings);
    }
    findings
}

fn unfinished(file: &File, findings: &mut Vec<Finding>) {
    for (number, line) in file.code() {
        for (text, why) in [
            (
                "#[ignore",
                "a test runs or prints why it is skipped; it is never switched off",
            ),
            ("todo!(", "nothing is left unfinished"),
            ("unimplemented!(", "nothing is left unfinished"),
            ("dbg!(", "debugging stays at home"),
        ] {
            if line.contains(text) {
                findings.push(format!("{}:{number}: {text}: {why}", file.path));
            }
        }
    }
}

fn asleep(file: &File, findings: &mut Vec<Finding>) {
    let Some(from) = file.tests_from() else { return };
    let mut before = "";
    for (number, line) in file.lines() {
        let code = line.split("//").next().unwrap_or(line);
        let sleeps = ["thread::sleep(", "time::sleep("]
            .iter()
            .any(|call| code.contains(call));
        let reason = line.contains(SLEEP_REASON) || before.contains(SLEEP_REASON);
        if number >= from && sleeps && !reason {
            findings.push(format!(
                "{}:{number}: a test sleeps: poll a condition with a limit, or say `{SLEEP_REASON}…`",
                file.path
            ));
        }
        before = line;
    }
}

fn long(file: &File, findings: &mut Vec<Finding>) {
    let count = file.text.lines().count();
    let said = file
        .text
        .lines()
        .take(20)
        .any(|line| line.starts_with("// Long because:"));
    if count > LONG && !said {
        findings.push(format!(
            "{}: {count} lines: make it several files, or say `// Long because: …` in its head",
            file.path
        ));
    }
}

fn unsafe_elsewhere(file: &File, findings: &mut Vec<Finding>) {
    if file.path.starts_with("crates/linux/") || file.path.starts_with(OURS) {
        return;
    }
    let manifest = file.path.ends_with("Cargo.toml");
    for (number, line) in file.code() {
        let plain: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let in_code = file.is_rust() && (plain.contains("allow(unsafe_code") || plain.contains("expect(unsafe_code"));
        let in_manifest = manifest
            && plain.starts_with("unsafe_code=")
            && !(plain.contains("\"deny\"") || plain.contains("\"forbid\""));
        if in_code || in_manifest {
            findings.push(format!(
                "{}:{number}: unsafe code is allowed in crates/linux only",
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
    fn unfinished_code_is_found_and_comments_are_not() {
        for text in [
            "#[ignore]",
            "  #[ignore = \"slow\"]",
            "todo!()",
            "unimplemented!()",
            "dbg!(x)",
        ] {
            assert_eq!(count("crates/a/src/b.rs", text), 1, "{text}");
        }
        assert_eq!(count("crates/a/src/b.rs", "// no #[ignore], no todo!()"), 0);
        assert_eq!(count("docs/a.md", "todo!()"), 0);
    }

    #[test]
    fn a_test_does_not_sleep_without_a_reason() {
        assert_eq!(count("a/tests/b.rs", "std::thread::sleep(x);"), 1);
        assert_eq!(count("a/src/b/tests.rs", "tokio::time::sleep(x).await;"), 1);
        assert_eq!(
            count("a/src/b.rs", "#[cfg(test)]\nmod tests {\nthread::sleep(x);\n}"),
            1
        );
        assert_eq!(count("a/src/b.rs", "tokio::time::sleep(x).await;"), 0);
        assert_eq!(
            count(
                "a/tests/b.rs",
                "// tidy: sleep because the clock itself is tested\ntokio::time::sleep(x);"
            ),
            0
        );
    }

    #[test]
    fn a_long_file_says_why() {
        assert_eq!(count("a/src/b.rs", &"x\n".repeat(801)), 1);
        assert_eq!(count("a/src/b.rs", &"x\n".repeat(800)), 0);
        assert_eq!(
            count(
                "a/src/b.rs",
                &format!("// Long because: a table.\n{}", "x\n".repeat(900))
            ),
            0
        );
    }

    #[test]
    fn unsafe_code_has_one_place() {
        assert_eq!(count("crates/a/src/b.rs", "#![allow(unsafe_code)]"), 1);
        assert_eq!(count("crates/a/src/b.rs", "#[expect(unsafe_code, reason = \"x\")]"), 1);
        assert_eq!(count("crates/a/Cargo.toml", "unsafe_code = \"allow\""), 1);
        assert_eq!(count("Cargo.toml", "unsafe_code = \"deny\""), 0);
        assert_eq!(count("crates/linux/src/lib.rs", "#![allow(unsafe_code)]"), 0);
        assert_eq!(count("crates/linux/Cargo.toml", "unsafe_code = \"allow\""), 0);
    }
}
