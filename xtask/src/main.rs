//! The project's own tasks: `cargo xtask ci` installs what the tests need and runs them all. `cargo xtask` lists the others.
#![expect(
    clippy::disallowed_methods,
    reason = "a task runner starts programs; the bans are for the product"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner talks to a person"
)]

mod bench;
mod children;
mod ci;
mod dist;
mod engine;
mod fuzz;
mod generated;
mod killmatrix;
mod needs;
mod package;
mod steps;
mod tidy;
mod vm;

use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask TASK

  ci                  everything: installs what tests need, checks, builds, tests; what CI runs
  install             installs the programs that tests need (Debian packages, clients of Toxiproxy, cargo-nextest)
  tidy                checks the habits that no compiler checks: layers, words, papers, key tests
  engine              starts a Docker engine of its own for tests, until Ctrl-C; prints the line to export
  schema [--check]    writes docs/reference/*.schema.json from the binary, or says which are out of date
  docs [--check]      writes docs/reference/*.md from the schemas, or says which are out of date
  bench [--only SECTION] [--rounds N]
                      measures beside real peers and writes docs/benchmarks.md, or one section of it; with N rounds it only prints
  killmatrix [--full] kills runs at random moments and prints the table; --full is 200 kills per fault and kind
  package [--verify]  packs every crate that is published; --verify also builds each from its package
  dist [--glibc | --binary FILE]  builds the static binary (with musl, or takes this one), packs a release into target/dist
  dist --smoke        packs the debug binary and lets dpkg, tar and an engine of its own read it; what CI does
  vm [--full|--bench] boots Debian's kernel by software and runs tests in it that need another kernel, or a loss of power; or the
                      benchmarks of what no other kernel has, whose figures are in target/vm/console-bench.log
  fuzz [--seconds N]  runs every fuzz target for N seconds each (default 60)
";

fn main() -> ExitCode {
    if vm::init::is_here() {
        return vm::init::main();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ci"] => ci::run(),
        ["install"] => needs::install(),
        ["tidy"] => tidy::run(&children::root()?),
        ["engine"] => engine::foreground(),
        ["schema"] => generated::schemas(generated::Mode::Write),
        ["schema", "--check"] => generated::schemas(generated::Mode::Check),
        ["bench"] => bench::run(None, None),
        ["bench", "--only", only] => bench::run(Some(only), None),
        ["bench", "--rounds", rounds] => bench::run(None, Some(number("--rounds", rounds)?)),
        ["bench", "--only", only, "--rounds", rounds] => bench::run(Some(only), Some(number("--rounds", rounds)?)),
        ["docs"] => generated::pages(generated::Mode::Write),
        ["docs", "--check"] => generated::pages(generated::Mode::Check),
        ["killmatrix"] => killmatrix::run(false),
        ["killmatrix", "--full"] => killmatrix::run(true),
        ["package"] => package::run(false),
        ["package", "--verify"] => package::run(true),
        ["dist"] => dist::run(dist::Source::Build(dist::Libc::Musl)),
        ["dist", "--glibc"] => dist::run(dist::Source::Build(dist::Libc::Glibc)),
        ["dist", "--smoke"] => dist::smoke_alone(),
        ["dist", "--binary", path] => dist::run(dist::Source::Binary(Path::new(path))),
        ["vm"] => vm::run(vm::Lane::Short),
        ["vm", "--full"] => vm::run(vm::Lane::Full),
        ["vm", "--bench"] => vm::run(vm::Lane::Bench),
        ["fuzz"] => fuzz::run(fuzz::SECONDS),
        ["fuzz", "--seconds", seconds] => fuzz::run(number("--seconds", seconds)?),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("no such task: {}\n\n{USAGE}", other.join(" ")),
    }
}

fn number<N: FromStr>(flag: &str, text: &str) -> Result<N>
where
    N::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse()
        .with_context(|| format!("{flag} {text}: not a whole number"))
}
