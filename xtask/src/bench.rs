//! `cargo xtask bench`: the benchmarks, with an engine of their own; writes `docs/benchmarks.md`.

use std::num::NonZeroU32;

use anyhow::Result;

use crate::engine::Engine;
use crate::{children, ci, needs};

/// Runs them all, or one section, optimised as a release is. With a number of rounds of its own it is a look and no result: it only
/// prints.
pub(crate) fn run(only: Option<&str>, rounds: Option<NonZeroU32>) -> Result<()> {
    needs::install_for_benchmarks()?;
    let page = children::root()?.join("docs/benchmarks.md");
    let engine = Engine::start()?;
    let mut command = children::cargo()?;
    ci::hermetic(&mut command, &engine).args(["bench", "--locked", "--package", "fracas", "--bench", "scale"]);
    if let Some(only) = only {
        command.env("FRACAS_BENCH_ONLY", only);
    }
    match rounds {
        Some(rounds) => command.env("FRACAS_BENCH_ROUNDS", rounds.to_string()),
        None => command.env("FRACAS_BENCH_PAGE", page),
    };
    let measured = children::run(&mut command);
    let stopped = engine.stop();
    measured.and(stopped)
}
