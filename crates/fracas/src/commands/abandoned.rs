//! What earlier runs left is said at the start of every command, until somebody recovers it.

use fracas_guardian::state::{Kept, State};

use crate::cli::Common;
use crate::output::tell;
use crate::settings::state_path;

/// Says so when runs were abandoned. Looks only where there is state already; whatever cannot be read, the command itself says.
pub(super) fn tell_of(common: &Common) {
    let Ok(path) = state_path(common) else { return };
    if !path.join("runs").is_dir() {
        return;
    }
    let Ok(runs) = State::open(&path).and_then(|state| state.runs()) else {
        return;
    };
    for run in runs.iter().filter(|kept| Kept::is_abandoned(kept)) {
        tell(&format!("run {} was not cleaned up: fracas recover", run.run));
    }
}
