//! `cargo xtask fuzz`: every fuzz target for some time each, on stable Rust.
//!
//! The flags are those of `cargo fuzz run -s none`, given here so that nothing has to be installed. `cargo fuzz` itself works on
//! the same folder, for whoever wants its tools.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::children;

/// Time per target in seconds, unless said otherwise.
pub(crate) const SECONDS: u32 = 60;

/// Time per target in CI: with four targets a minute.
pub(crate) const CI_SECONDS: u32 = 15;

/// What `LibFuzzer` needs from the compiler: counters at each edge, their table, and the values that are compared.
const FLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks --cfg fuzzing";

/// Build scripts and macros must not carry the counters: with an explicit target cargo keeps the flags away from them.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Runs them all; the first that finds something is an error, and its input lies in `fuzz/artifacts`.
pub(crate) fn run(seconds: u32) -> Result<()> {
    if seconds == 0 {
        bail!("--seconds 0 would run without end: give at least 1");
    }
    let root = children::root()?;
    let folder = root.join("fuzz");
    let names = targets(&folder.join("fuzz_targets"))?;
    // The product's versions; cargo takes out what is not needed and adds the fuzzer. So there is no second lock file to keep.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock into fuzz/")?;
    children::run(
        children::cargo()?
            .current_dir(&folder)
            .args(["build", "--release", "--target", TARGET])
            .env("RUSTFLAGS", FLAGS),
    )?;
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut left = names.iter();
    loop {
        // A target uses one processor. All that have begun come to their end, so that each says what it found.
        let now: Vec<&String> = left.by_ref().take(at_once).collect();
        if now.is_empty() {
            return Ok(());
        }
        let ends = std::thread::scope(|scope| {
            let begun: Vec<_> = now
                .iter()
                .map(|name| scope.spawn(|| one(&folder, name, seconds)))
                .collect();
            begun.into_iter().map(join).collect::<Vec<_>>()
        });
        ends.into_iter().collect::<Result<()>>()?;
    }
}

fn join(thread: std::thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn one(folder: &Path, name: &str, seconds: u32) -> Result<()> {
    let corpus = folder.join("corpus").join(name);
    let artifacts = folder.join("artifacts").join(name);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let program = folder.join("target").join(TARGET).join("release").join(name);
    let seeds = folder.join("seeds").join(name);
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={seconds}"));
    // 5 s for one input, 1 GiB and 64 KiB of input: a parser that needs more has no bound.
    command.args([
        "-timeout=5",
        "-rss_limit_mb=1024",
        "-max_len=65536",
        "-print_final_stats=1",
    ]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(&corpus);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    children::run_apart(&mut command, matters).with_context(|| format!("fuzz target `{name}` found something"))
}

/// Not what it tells of each input that it keeps, and each word that it learnt: of thousands of such lines nobody finds what was found.
fn matters(line: &str) -> bool {
    let of_an_input = line.starts_with('#') && !line.contains("DONE");
    !of_an_input && !line.contains("# Uses:")
}

/// The names of the targets, from their files, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.context("cannot read a fuzz target")?.path();
        if let (Some("rs"), Some(name)) = (
            path.extension().and_then(|extension| extension.to_str()),
            path.file_stem().and_then(|name| name.to_str()),
        ) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    if names.is_empty() {
        bail!("there is no fuzz target in {}", folder.display());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_files_and_each_is_declared() {
        let folder = children::root().unwrap().join("fuzz");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for name in targets(&folder.join("fuzz_targets")).unwrap() {
            assert!(
                manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
                "{name}"
            );
        }
    }

    #[test]
    fn what_was_found_is_shown_and_what_was_kept_is_not() {
        assert!(!matters("#8634\tREDUCE cov: 116 ft: 204 corp: 11/29Kb lim: 58"));
        assert!(!matters("\"D005\" # Uses: 72"));
        assert!(matters("#88047\tDONE   cov: 116 ft: 204"));
        assert!(matters(
            "thread '<unnamed>' panicked at http.rs:80: no path: \"POST /e\""
        ));
        assert!(matters("Base64: UE9TVCA"));
    }

    #[test]
    fn an_empty_folder_and_no_time_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(targets(folder.path()).is_err());
        assert!(run(0).is_err());
    }
}
