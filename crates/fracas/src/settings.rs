//! Settings of the tool: flags, then the environment, then defaults.

use std::path::PathBuf;

use fracas_core::problem::Result;
use fracas_guardian::state::State;

use crate::cli::Common;

/// Reads a variable of the environment.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The state directory.
pub(crate) fn state_path(common: &Common) -> Result<PathBuf> {
    match &common.state {
        Some(path) => Ok(path.clone()),
        None => State::default_path(&env, fracas_linux::privileges::is_root()),
    }
}
