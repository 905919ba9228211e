//! The state directory: runs, ledgers, locks, the freeze.
//!
//! ```text
//! <state>/runs/<id>/ledger          what the run did and how to undo it
//! <state>/runs/<id>/certificate.json what was left at the end
//! <state>/runs/<id>/report-at       where its report is, if that is elsewhere
//! <state>/runs/<id>/outlets.json    where it is told to besides, until it is over
//! <state>/runs/<id>/stop            asks the run to stop
//! <state>/runs/<id>/guardian.log    what the guardian did by itself
//! <state>/locks/<key>               claims on things that take no lock themselves
//! <state>/frozen                    blocks all runs
//! <state>/stop                      asks all runs to stop
//! ```

mod keep;
mod outlets;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::ProcessIdentity;
use fracas_linux::process::{self, Process};
use fracas_linux::state_dir::{PrivateDir, private_dir};

use crate::ledger::{Contents, Ledger};

pub use keep::Keep;

/// The file that says where the report of a run is.
const REPORT_AT: &str = "report-at";
/// In bytes; Linux takes none that is longer, see PATH_MAX in limits.h.
const LONGEST_PATH: u64 = 4096;

/// The state directory, opened and found trustworthy.
#[derive(Debug)]
pub struct State {
    root: PrivateDir,
}

/// A run as the state directory shows it.
#[derive(Debug)]
pub struct Kept {
    /// Its id.
    pub run: RunId,
    /// What its ledger says; `None` if it touched nothing.
    pub ledger: Option<Result<Contents>>,
    /// Whether its guardian lives.
    pub kept: bool,
}

impl Kept {
    /// Whether injections of it may be left with nobody to undo them.
    pub fn is_abandoned(&self) -> bool {
        !self.kept
            && match &self.ledger {
                None => false,
                // What cannot be read may hold anything.
                Some(Err(_)) => true,
                Some(Ok(contents)) => !contents.ended && contents.open().next().is_some(),
            }
    }
}

impl Kept {
    /// Whether nobody acts for it although its guardian lives: that is stopped by a signal, and so is the runner, who would end it and
    /// recover, or it is gone.
    pub fn is_stuck(&self) -> bool {
        let Some(Ok(contents)) = &self.ledger else {
            return false;
        };
        let stopped =
            |process: &ProcessIdentity| process::stop(process.pid).is_ok_and(|now| now == Some(process::Stop::Yes));
        let gone = |process: &ProcessIdentity| match Process::open(process) {
            Ok(Some(process)) => process.has_ended().unwrap_or(false),
            Ok(None) => true,
            // What cannot be seen may act.
            Err(_) => false,
        };
        self.kept
            && contents.guardian.as_ref().is_some_and(stopped)
            && contents
                .runner
                .as_ref()
                .is_some_and(|runner| gone(runner) || stopped(runner))
    }

    /// Ends the processes of a run that is stuck, and waits for their death: the runner first, so that it never acts again. Blocks.
    ///
    /// # Errors
    /// G002 if one cannot be ended.
    pub fn end_processes(&self) -> Result<()> {
        const KILL: i32 = 9;
        const DEATH: Duration = Duration::from_secs(10);
        let Some(Ok(contents)) = &self.ledger else {
            return Ok(());
        };
        for identity in contents.runner.iter().chain(&contents.guardian) {
            let ended = Process::open(identity).and_then(|process| match process {
                Some(process) if process.signal(KILL)? => process.wait(DEATH),
                _ => Ok(true),
            });
            let failed = || {
                Problem::new(
                    &codes::GUARDIAN_LOST,
                    format!("{identity} of run {} cannot be ended", self.run),
                )
            };
            match ended {
                Ok(true) => {}
                Ok(false) => return Err(failed().since("it was killed and does not die")),
                Err(error) => return Err(failed().because(&error)),
            }
        }
        Ok(())
    }
}

impl State {
    /// Where the state is unless told otherwise: `FRACAS_STATE`, else `/var/lib/fracas` as root, else under `XDG_STATE_HOME` or
    /// `~/.local/state`.
    pub fn default_path(env: &dyn Fn(&str) -> Option<String>, is_root: bool) -> Result<PathBuf> {
        if let Some(path) = env("FRACAS_STATE").filter(|path| !path.is_empty()) {
            return Ok(PathBuf::from(path));
        }
        if is_root {
            return Ok(PathBuf::from("/var/lib/fracas"));
        }
        if let Some(path) = env("XDG_STATE_HOME").filter(|path| path.starts_with('/')) {
            return Ok(Path::new(&path).join("fracas"));
        }
        env("HOME")
            .filter(|path| path.starts_with('/'))
            .map(|home| Path::new(&home).join(".local/state/fracas"))
            .ok_or_else(|| {
                Problem::new(
                    &codes::STATE_DIRECTORY,
                    "there is no place for state: neither HOME nor FRACAS_STATE is set",
                )
            })
    }

    /// Opens it, made if need be.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            root: private_dir(path)?,
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The directory itself.
    pub fn root(&self) -> &PrivateDir {
        &self.root
    }

    /// The directory of a run, made if need be.
    pub fn run_directory(&self, run: &RunId) -> Result<PrivateDir> {
        private_dir(&self.path().join("runs"))?;
        private_dir(&self.path().join("runs").join(run.as_str()))
    }

    /// Remembers that the report of a run goes elsewhere, to an absolute path.
    ///
    /// # Errors
    /// S002 if that cannot be written.
    pub fn remember_report(&self, run: &RunId, directory: &Path) -> Result<()> {
        let kept = self.run_directory(run)?;
        kept.write_atomic(REPORT_AT, directory.as_os_str().as_bytes())
            .map_err(|error| Problem::new(&codes::STATE_WRITE, "cannot note where the report goes").because(&error))
    }

    /// Where the report of a run is: its own directory, or the one that was remembered.
    ///
    /// # Errors
    /// S001 if the directory of the run cannot be trusted or read.
    pub fn report_directory(&self, run: &RunId) -> Result<PathBuf> {
        let kept = self.run_directory(run)?;
        let elsewhere = kept.read(REPORT_AT, LONGEST_PATH).map_err(|error| {
            Problem::new(&codes::STATE_DIRECTORY, "cannot read where the report of a run is").because(&error)
        })?;
        Ok(elsewhere.map_or_else(
            || kept.path().to_owned(),
            |bytes| PathBuf::from(OsString::from_vec(bytes)),
        ))
    }

    /// The directory of locks, made if need be.
    pub fn locks(&self) -> Result<PrivateDir> {
        private_dir(&self.path().join("locks"))
    }

    /// All runs, oldest first. What is no run's directory is not ours and is passed over.
    pub fn runs(&self) -> Result<Vec<Kept>> {
        let directory = private_dir(&self.path().join("runs"))?;
        let names = directory
            .list()
            .map_err(|error| Problem::new(&codes::STATE_DIRECTORY, "cannot list the runs").because(&error))?;
        let mut runs: Vec<RunId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        runs.sort_unstable();
        runs.into_iter()
            .map(|run| {
                let look = Ledger::look(&private_dir(&directory.path().join(run.as_str()))?);
                Ok(match look {
                    Ok(None) => Kept {
                        run,
                        ledger: None,
                        kept: false,
                    },
                    Ok(Some((contents, kept))) => Kept {
                        run,
                        ledger: Some(Ok(contents)),
                        kept,
                    },
                    Err(problem) => Kept {
                        run,
                        ledger: Some(Err(problem)),
                        kept: false,
                    },
                })
            })
            .collect()
    }

    /// Why the machine is frozen, if it is.
    pub fn frozen(&self) -> Result<Option<String>> {
        self.read(FROZEN)
    }

    /// Freezes or thaws. Returns whether that changed anything.
    pub fn set_frozen(&self, why: Option<&str>) -> Result<bool> {
        let was = self.frozen()?.is_some();
        let done = match why {
            Some(why) => self.root.write_atomic(FROZEN, why.as_bytes()),
            None if was => self.root.remove(FROZEN).map(drop),
            None => Ok(()),
        };
        done.map_err(|error| {
            Problem::new(&codes::STATE_WRITE, "cannot change whether the machine is frozen").because(&error)
        })?;
        Ok(was != why.is_some())
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        let failed = |error: std::io::Error| {
            Problem::new(&codes::STATE_DIRECTORY, format!("cannot read {name}")).because(&error)
        };
        let Some(file) = self.root.open(name).map_err(failed)? else {
            return Ok(None);
        };
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, 4096), &mut text).map_err(failed)?;
        Ok(Some(text))
    }
}

/// The file that blocks all runs.
pub const FROZEN: &str = "frozen";
/// The file, in the directory of a run or of all state, that asks to stop.
pub const STOP: &str = "stop";
