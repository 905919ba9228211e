//! `fracas stop`: asks a run to stop and waits until everything is undone.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_guardian::Place;
use fracas_guardian::state::{STOP, State};

use crate::cli::{Common, Stop};
use crate::output::{print, tell};
use crate::settings::state_path;

pub(crate) fn command(common: &Common, stop: &Stop) -> Result<ExitCode> {
    let state = State::open(&state_path(common)?)?;
    let running = running(&state)?;
    let chosen: Vec<RunId> = match &stop.run {
        Some(run) => {
            let run = super::recover::parse(run)?;
            if !running.contains(&run) {
                return Err(Problem::new(&codes::NO_SUCH_RUN, format!("run {run} is not running"))
                    .next("`fracas status` shows what is"));
            }
            vec![run]
        }
        None if !stop.all && running.len() > 1 => {
            return Err(
                Problem::new(&codes::USAGE, format!("{} runs are running", running.len()))
                    .next("name one, or say `--all`"),
            );
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
            .map_err(|error| {
                Problem::new(&codes::STATE_WRITE, format!("cannot ask run {run} to stop")).because(&error)
            })?;
    }
    wait(&state, &chosen, stop.wait.0)?;
    for run in &chosen {
        print(&format!("run {run} is stopped and undone\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The runs whose guardian lives.
pub(super) fn running(state: &State) -> Result<Vec<RunId>> {
    Ok(state
        .runs()?
        .into_iter()
        .filter(|kept| kept.kept)
        .map(|kept| kept.run)
        .collect())
}

/// So long nobody must have acted for a run before its processes are ended: one that is stopped for a moment goes on by itself.
const STUCK: Duration = Duration::from_secs(1);

/// Waits until these are over. A run whose runner and guardian are both stopped would never be: they are ended, and it is recovered.
pub(super) fn wait(state: &State, runs: &[RunId], limit: Duration) -> Result<()> {
    let began = Instant::now();
    let mut acted: BTreeMap<RunId, Instant> = BTreeMap::new();
    loop {
        let mut still: Vec<_> = state.runs()?;
        still.retain(|kept| kept.kept && runs.contains(&kept.run));
        for kept in &still {
            let since = acted.entry(kept.run.clone()).or_insert_with(Instant::now);
            if !kept.is_stuck() {
                *since = Instant::now();
            } else if since.elapsed() > STUCK {
                tell(&format!(
                    "run {}: its runner and its guardian are stopped; they are ended, and it is recovered",
                    kept.run
                ));
                kept.end_processes()?;
                if !super::recover::one(state, &Place::Here(state.path().to_owned()), &kept.run)? {
                    return Err(Problem::new(
                        &codes::RESIDUE,
                        format!("something of run {} is left", kept.run),
                    ));
                }
            }
        }
        let Some(run) = still.first().map(|kept| &kept.run) else {
            return Ok(());
        };
        if began.elapsed() > limit {
            return Err(Problem::new(
                &codes::RESIDUE,
                format!("run {run} is still being undone after {limit:?}"),
            )
            .next("`fracas status` shows when it is done"));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
