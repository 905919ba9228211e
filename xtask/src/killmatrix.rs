//! `cargo xtask killmatrix`: kills runs at each state of the ledger and at random moments, and shows the table of where they hit.

use anyhow::Result;

use crate::engine::Engine;
use crate::{children, ci};

/// Kills per fault and kind of kill in the full matrix.
const FULL: &str = "200";

/// Runs the test binary `kill_matrix` with its output shown; without `full` as CI runs it.
pub(crate) fn run(full: bool) -> Result<()> {
    let engine = Engine::start()?;
    let mut command = children::cargo()?;
    ci::hermetic(&mut command, &engine)
        // With --no-capture the table comes through as it is printed. An absent binary is an error of nextest's.
        // Nothing else is built: with the optimisation of a release that takes half an hour.
        .args(["nextest", "run", "--locked", "--no-capture"])
        .args(["--package", "fracas", "--test", "kill_matrix"]);
    if full {
        // The full matrix takes hours: its profile has other time limits. The program is the one that people run.
        command
            .args(["--release", "--profile", "full"])
            .env("FRACAS_KILLS_EACH", FULL);
    } else {
        command.args(["--profile", "ci"]);
    }
    let result = children::run(&mut command);
    let stopped = engine.stop();
    result.and(stopped)
}
