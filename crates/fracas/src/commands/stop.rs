//! `fracas stop`: asks a run to stop and waits until everything is undone.

use std::process::ExitCode;
use std::time::Instant;

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_guardian::state::{STOP, State};

use crate::cli::{Common, Stop};
use crate::output::print;
use crate::settings::state_path;

pub(crate) fn command(common: &Common, stop: &Stop) -> Result<ExitCode> {
    let state = State::open(&state_path(common)?)?;
    let running = running(&state)?;
    let chosen: Vec<RunId> = match &stop.run {
        Some(run) => {
            let run = super::recover::parse(run)?;
            if !running.contains(&run) {
                return Err(Problem::new(&codes::NO_SUCH_RUN, format!("run {run} is not running")).next("`fracas status` shows what is"));
            }
            vec![run]
        }
        None if !stop.all && running.len() > 1 => {
            return Err(Problem::new(&codes::USAGE, format!("{} runs are running", running.len())).next("name one, or say `--all`"));
        }
        None => running,
    };
    if chosen.is_empty() {
        print("nothing is running\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    for run in &chosen {
        state
            .run_directory(run)?
            .write_atomic(STOP, b"fracas stop\n")
            .map_err(|error| Problem::new(&codes::STATE_WRITE, format!("cannot ask run {run} to stop")).because(&error))?;
    }
    wait(&state, &chosen, stop.wait.0)?;
    for run in &chosen {
        print(&format!("run {run} is stopped and undone\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The runs whose guardian lives.
pub(super) fn running(state: &State) -> Result<Vec<RunId>> {
    Ok(state.runs()?.into_iter().filter(|kept| kept.kept).map(|kept| kept.run).collect())
}

/// Waits until these are over.
pub(super) fn wait(state: &State, runs: &[RunId], limit: std::time::Duration) -> Result<()> {
    let began = Instant::now();
    loop {
        let still: Vec<_> = running(state)?.into_iter().filter(|run| runs.contains(run)).collect();
        let Some(run) = still.first() else { return Ok(()) };
        if began.elapsed() > limit {
            return Err(Problem::new(&codes::RESIDUE, format!("run {run} is still being undone after {limit:?}")).next("`fracas status` shows when it is done"));
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}
