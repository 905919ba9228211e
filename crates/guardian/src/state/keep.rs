//! How long runs are kept: so many, and so many bytes of them. What is still needed is never deleted, whatever the bounds say.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::units::Size;
use fracas_linux::claim::{Claim, claim};
use fracas_linux::state_dir::private_dir;

use super::{Kept, State};
use crate::ledger::Ledger;

/// The bounds; zero is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// How many runs, the newest.
    pub runs: u32,
    /// How much room on disk they may take together.
    pub size: Size,
}

/// A run's directory holds files, and folders of files: one level, and one to spare.
const DEEPEST: u32 = 4;

impl State {
    /// Says that a run is going on, for as long as the claim lives: nobody deletes its directory. A run has no ledger before it has
    /// planned anything, so its ledger cannot say it.
    ///
    /// # Errors
    /// S001 if its directory cannot be claimed.
    pub fn hold(&self, run: &RunId) -> Result<Claim> {
        let path = self.run_directory(run)?.path().to_owned();
        let failed = || Problem::new(&codes::STATE_DIRECTORY, format!("cannot claim {}", path.display()));
        match claim(&path) {
            Ok(Some(claim)) => Ok(claim),
            Ok(None) => Err(failed().since("another process holds it")),
            Err(error) => Err(failed().because(&error)),
        }
    }

    /// Deletes the oldest runs beyond the bounds: none that began after `current`, that is going on, or whose injections may be
    /// left. Returns those that are gone.
    ///
    /// # Errors
    /// S001 if the runs cannot be listed or measured, S002 if one cannot be deleted; those before it are gone.
    pub fn forget(&self, keep: Keep, current: &RunId) -> Result<Vec<RunId>> {
        let directory = private_dir(&self.path().join("runs"))?;
        let unlisted = |error: &io::Error| Problem::new(&codes::STATE_DIRECTORY, "cannot list the runs").because(error);
        let names = directory.list().map_err(|error| unlisted(&error))?;
        let mut runs: Vec<RunId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        runs.sort_unstable();
        let mut sizes = VecDeque::new();
        if keep.size > Size::default() {
            for run in &runs {
                let path = directory.path().join(run.as_str());
                sizes.push_back(size(&path, DEEPEST).map_err(|error| unlisted(&error))?);
            }
        }
        let (mut count, mut all) = (runs.len(), sizes.iter().sum::<u64>());
        let mut gone = Vec::new();
        for run in runs {
            let size = sizes.pop_front().unwrap_or(0);
            let too_many = keep.runs > 0 && count > keep.runs as usize;
            let too_large = keep.size > Size::default() && all > keep.size.0;
            if !too_many && !too_large {
                break;
            }
            if run >= *current || !Self::delete(&directory.path().join(run.as_str()), &run)? {
                continue;
            }
            count -= 1;
            all -= size;
            gone.push(run);
        }
        Ok(gone)
    }

    /// Deletes a run's directory, unless it is still needed: then false.
    fn delete(path: &Path, run: &RunId) -> Result<bool> {
        let failed = |error: &io::Error| {
            Problem::new(
                &codes::STATE_WRITE,
                format!("cannot delete the old run {}", path.display()),
            )
            .because(error)
        };
        // Held while it is deleted: a runner that is looking at it now is not one that begins.
        let _claim = match claim(path) {
            Ok(Some(claim)) => claim,
            Ok(None) => return Ok(false),
            // Another run was first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(failed(&error)),
        };
        let kept = match Ledger::look(&private_dir(path)?) {
            Ok(None) => None,
            Ok(Some((contents, kept))) => Some(Kept {
                run: run.clone(),
                ledger: Some(Ok(contents)),
                kept,
            }),
            // What cannot be read may hold anything.
            Err(_) => return Ok(false),
        };
        if kept.is_some_and(|kept| kept.kept || kept.is_abandoned()) {
            return Ok(false);
        }
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&error)),
            _ => Ok(true),
        }
    }
}

/// The room that a directory takes on disk, in bytes. What goes meanwhile takes none.
fn size(path: &Path, deep: u32) -> io::Result<u64> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(path) {
        Err(error) if gone(&error) => return Ok(0),
        other => other?,
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        // Of the entry itself: a link is not followed.
        let found = match entry.metadata() {
            Err(error) if gone(&error) => continue,
            other => other?,
        };
        // In units of 512 bytes, see stat(2).
        sum += found.blocks() * 512;
        if found.is_dir() && deep > 0 {
            sum += size(&entry.path(), deep - 1)?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
