//! Where a run is told to besides its own files. The settings of whoever cleans up may be others, so the run keeps its own while it
//! goes on. They may hold passwords: the directory is the user's alone, and the file goes when the run is over.

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_telemetry::Outlets;

use super::State;

/// The file.
const OUTLETS: &str = "outlets.json";
/// In bytes; addresses and headers are settings, of which the file has 64 KiB at most.
const LARGEST: u64 = 256 << 10;

impl State {
    /// Keeps them, or deletes them.
    ///
    /// # Errors
    /// S002 if that cannot be written.
    pub fn keep_outlets(&self, run: &RunId, outlets: Option<&Outlets>) -> Result<()> {
        let directory = self.run_directory(run)?;
        let done = match outlets {
            Some(outlets) => directory.write_atomic(OUTLETS, &serde_json::to_vec(outlets).unwrap_or_default()),
            None => directory.remove(OUTLETS).map(drop),
        };
        done.map_err(|error| Problem::new(&codes::STATE_WRITE, "cannot note where the run is told to").because(&error))
    }

    /// Those of a run; none if it has none.
    ///
    /// # Errors
    /// S001 if they cannot be read, or make no sense.
    pub fn outlets(&self, run: &RunId) -> Result<Option<Outlets>> {
        let failed = || {
            Problem::new(
                &codes::STATE_DIRECTORY,
                format!("cannot read where run {run} is told to"),
            )
        };
        let read = self.run_directory(run)?.read(OUTLETS, LARGEST);
        let Some(bytes) = read.map_err(|error| failed().because(&error))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| failed().because(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use fracas_telemetry::Hook;

    use super::*;

    #[test]
    fn they_are_kept_for_nobody_else_and_go_when_told() {
        let place = tempfile::tempdir().unwrap();
        let state = State::open(&place.path().join("state")).unwrap();
        let run: RunId = "20261121-100000-beef".parse().unwrap();
        assert_eq!(state.outlets(&run).unwrap(), None);
        let outlets = Outlets {
            webhook: Some(Hook::new("http://c/secret").unwrap()),
            ..Outlets::default()
        };
        state.keep_outlets(&run, Some(&outlets)).unwrap();
        assert_eq!(state.outlets(&run).unwrap(), Some(outlets));
        let path = state.run_directory(&run).unwrap().path().join(OUTLETS);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o077, 0);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(state.outlets(&run).unwrap_err().code.id, "S001");
        for _ in 0..2 {
            state.keep_outlets(&run, None).unwrap();
        }
        assert_eq!(state.outlets(&run).unwrap(), None);
    }
}
