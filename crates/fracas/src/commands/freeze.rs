//! `fracas freeze` and `fracas thaw`: a lock on the whole machine.

use std::process::ExitCode;
use std::time::Duration;

use fracas_core::problem::Result;
use fracas_guardian::state::State;

use crate::cli::{Common, Freeze};
use crate::output::print;
use crate::settings::state_path;

/// How long runs may take to undo everything.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) fn freeze(common: &Common, freeze: &Freeze) -> Result<ExitCode> {
    let state = State::open(&state_path(common)?)?;
    let changed = state.set_frozen(Some(&freeze.reason))?;
    // Runs see the file themselves; a frozen machine is one on which nothing is on any more.
    let running = super::stop::running(&state)?;
    super::stop::wait(&state, &running, LIMIT)?;
    let what = if changed { "frozen" } else { "it was frozen already" };
    print(&format!("{what}: {} runs stopped, new ones are refused until `fracas thaw`\n", running.len()))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn thaw(common: &Common) -> Result<ExitCode> {
    let state = State::open(&state_path(common)?)?;
    let changed = state.set_frozen(None)?;
    print(if changed { "thawed: runs are allowed again\n" } else { "it was not frozen\n" })?;
    Ok(ExitCode::SUCCESS)
}
