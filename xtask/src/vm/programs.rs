//! The programs that run in the machine: those that cargo built for the tests outside, with what they need to start.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Lane;
use crate::children;

/// What cargo built.
#[derive(Debug)]
pub(super) struct Programs {
    /// The program that people run.
    pub(super) fracas: PathBuf,
    /// Every fault's contract.
    pub(super) contract: PathBuf,
    /// The saboteurs of every fault.
    pub(super) saboteurs: PathBuf,
    /// What runner and guardian leave.
    pub(super) left: PathBuf,
    /// The tests of `crates/linux`.
    pub(super) linux: PathBuf,
    /// What happens before and after a loss of power.
    pub(super) power_cut: PathBuf,
    /// The program that faults are put on.
    pub(super) app: PathBuf,
    /// The benchmarks and the program that they measure, where they are run.
    pub(super) benchmarks: Option<[PathBuf; 2]>,
}

impl Programs {
    /// Builds them as CI does, so that there is nothing to be built where CI has been.
    pub(super) fn build(lane: Lane) -> Result<Self> {
        let built = build(&["build", "--workspace", "--all-targets"])?;
        let find = |source: &str, test: bool| find(&built, source, test);
        let power_cut = find("crates/fracas/tests/power_cut/main.rs", true)?;
        // It knows how: the same program is built for every test that needs it.
        let app = children::output(Command::new(&power_cut).arg("app"))?;
        Ok(Self {
            fracas: find("crates/fracas/src/main.rs", false)?,
            contract: find("crates/faults/tests/contract/main.rs", true)?,
            saboteurs: find("crates/guardian/tests/saboteurs/main.rs", true)?,
            left: find("crates/fracas/tests/left/main.rs", true)?,
            linux: find("crates/linux/src/lib.rs", true)?,
            app: PathBuf::from(String::from_utf8_lossy(&app).trim()),
            benchmarks: (lane == Lane::Bench).then(benchmarks).transpose()?,
            power_cut,
        })
    }

    /// All that need libraries.
    pub(super) fn of_ours(&self) -> Vec<&Path> {
        let tests = [
            &self.contract,
            &self.saboteurs,
            &self.left,
            &self.linux,
            &self.power_cut,
        ];
        let all = std::iter::once(&self.fracas).chain(tests);
        all.chain(self.benchmarks.iter().flatten())
            .map(PathBuf::as_path)
            .collect()
    }
}

/// The benchmarks and the program that they measure, both optimised as a release is.
fn benchmarks() -> Result<[PathBuf; 2]> {
    let built = build(&["bench", "--no-run", "--package", "fracas", "--bench", "scale"])?;
    Ok([
        find(&built, "crates/fracas/benches/scale/main.rs", true)?,
        find(&built, "crates/fracas/src/main.rs", false)?,
    ])
}

fn build(words: &[&str]) -> Result<Vec<Built>> {
    let more = ["--locked", "--message-format", "json-render-diagnostics"];
    let answer = children::output(children::cargo()?.args(words).args(more))?;
    Ok(executables(&String::from_utf8_lossy(&answer), &children::root()?))
}

fn find(built: &[Built], source: &str, test: bool) -> Result<PathBuf> {
    let found = built.iter().find(|one| one.source == source && one.test == test);
    found
        .map(|one| one.program.clone())
        .with_context(|| format!("cargo built nothing from {source}"))
}

/// A program, and what it was built from.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    /// From the workspace's root.
    source: String,
    test: bool,
    program: PathBuf,
}

/// The programs among cargo's messages (`cargo build --message-format`).
fn executables(messages: &str, root: &Path) -> Vec<Built> {
    let one = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let source = Path::new(message["target"]["src_path"].as_str()?);
        Some(Built {
            program: PathBuf::from(message["executable"].as_str()?),
            source: source.strip_prefix(root).ok()?.to_str()?.to_owned(),
            test: message["profile"]["test"].as_bool()?,
        })
    };
    messages.lines().filter_map(one).collect()
}

/// The libraries that these programs need, and what loads them. `ldd` asks the very loader that will do it.
pub(super) fn libraries(programs: &[&Path]) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for program in programs {
        let answer = children::output(Command::new("ldd").arg(program))?;
        files.extend(paths(&String::from_utf8_lossy(&answer)));
    }
    Ok(files)
}

/// The paths in lines `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` and `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn paths(answer: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        line.split_ascii_whitespace()
            .find(|word| word.starts_with('/'))
            .map(PathBuf::from)
    };
    answer.lines().filter_map(path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_what_they_were_built_from() {
        let messages = r#"{"reason":"compiler-artifact","target":{"src_path":"/w/crates/a/src/main.rs"},"profile":{"test":false},"executable":"/w/target/debug/a"}
{"reason":"compiler-artifact","target":{"src_path":"/w/crates/a/src/main.rs"},"profile":{"test":true},"executable":"/w/target/debug/deps/a-1"}
{"reason":"compiler-artifact","target":{"src_path":"/w/crates/b/src/lib.rs"},"profile":{"test":false},"executable":null}
{"reason":"build-finished","success":true}
no message"#;
        let built = executables(messages, Path::new("/w"));
        let short: Vec<_> = built.iter().map(|one| (one.source.as_str(), one.test)).collect();
        assert_eq!(short, [("crates/a/src/main.rs", false), ("crates/a/src/main.rs", true)]);
        assert_eq!(built[1].program, Path::new("/w/target/debug/deps/a-1"));
    }

    #[test]
    fn libraries_are_read_with_their_loader_and_without_what_the_kernel_gives() {
        let answer = "\tlinux-vdso.so.1 (0x1)\n\tlibm.so.6 => /lib/libm.so.6 (0x2)\n\t/lib64/ld.so.2 (0x3)\n";
        assert_eq!(
            paths(answer),
            [Path::new("/lib/libm.so.6"), Path::new("/lib64/ld.so.2")]
        );
        assert_eq!(paths("\tstatically linked\n"), Vec::<PathBuf>::new());
    }
}
