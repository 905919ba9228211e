//! `cargo xtask bench`: the benchmarks, with an engine of their own; writes `docs/benchmarks.md`.

use anyhow::Result;

use crate::engine::Engine;
use crate::{children, ci};

/// Runs them all, optimised as a release is.
pub(crate) fn run() -> Result<()> {
    let page = children::root()?.join("docs/benchmarks.md");
    let engine = Engine::start()?;
    let measured = children::run(
        ci::hermetic(&mut children::cargo()?, &engine)
            .env("FRACAS_BENCH_PAGE", page)
            .args(["bench", "--locked", "--package", "fracas", "--bench", "scale"]),
    );
    let stopped = engine.stop();
    measured.and(stopped)
}
