//! Everything from outside that stops a run: signals, stop files, `fracas stop`, `fracas freeze`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fracas_core::event::StopCause;
use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_guardian::state::{FROZEN, STOP, State};
use fracas_linux::signals::{Stop, Stops as Signals};

/// How often files are looked for. Rollback begins within 100 ms of any stop.
const LOOK: Duration = Duration::from_millis(50);

/// What may stop a run.
pub(crate) struct Stops {
    signals: Signals,
    files: Vec<(PathBuf, Kind)>,
    told: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Anybody's file in a public place: believed only if root or the run's user made it.
    Public,
    /// In the state directory, which nobody else can write.
    Asked,
    Frozen,
}

/// What a run hears.
pub(crate) enum Heard {
    /// Stop.
    Stop(StopCause),
    /// A person asks again.
    Again(u32),
}

impl Stops {
    /// Begins to listen. Refused with R002 if a stop file exists already, with G007 if the machine is frozen.
    pub(crate) fn new(state: &State, run: &RunId, stop_file: &Path) -> Result<Self> {
        if let Some(why) = state.frozen()? {
            return Err(Problem::new(
                &codes::FROZEN,
                format!("the machine is frozen: {}", why.trim()),
            ));
        }
        let files = vec![
            (stop_file.to_owned(), Kind::Public),
            (state.path().join(STOP), Kind::Asked),
            (state.path().join("runs").join(run.as_str()).join(STOP), Kind::Asked),
            (state.path().join(FROZEN), Kind::Frozen),
        ];
        for (path, kind) in &files {
            if is_there(path, *kind)? {
                return Err(Problem::new(
                    &codes::STOP_FILE,
                    format!("the stop file {} exists already", path.display()),
                ));
            }
        }
        let signals = Signals::listen()
            .map_err(|error| Problem::new(&codes::SYSTEM, "cannot listen for signals").because(&error))?;
        Ok(Self {
            signals,
            files,
            told: 0,
        })
    }

    /// The next reason to stop.
    pub(crate) async fn next(&mut self) -> Heard {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => {
                    self.told += 1;
                    if self.told > 1 {
                        return Heard::Again(self.told);
                    }
                    let name = match signal {
                        Stop::Interrupt => "SIGINT",
                        Stop::Terminate => "SIGTERM",
                        Stop::Hangup => "SIGHUP",
                    };
                    return Heard::Stop(StopCause::Signal(name.to_owned()));
                }
                _ = tick.tick() => {
                    if let Some(cause) = self.look() {
                        return Heard::Stop(cause);
                    }
                }
            }
        }
    }

    fn look(&mut self) -> Option<StopCause> {
        // A file that cannot be looked at is no stop: whoever has taken its directory away cannot have meant one.
        let found = self
            .files
            .iter()
            .position(|(path, kind)| is_there(path, *kind).unwrap_or(false))?;
        // Heard once.
        let (path, kind) = self.files.remove(found);
        Some(match kind {
            Kind::Public => StopCause::StopFile(path.display().to_string()),
            Kind::Asked => StopCause::Asked("fracas stop".to_owned()),
            Kind::Frozen => StopCause::Asked("fracas freeze".to_owned()),
        })
    }
}

/// Whether a stop file is there. In a public directory anybody can make files: only one of root or of our own user counts, and
/// never a link.
fn is_there(path: &Path, kind: Kind) -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) if kind != Kind::Public => Ok(found.is_file()),
        Ok(found) => {
            Ok(!found.is_symlink() && (found.uid() == 0 || found.uid() == fracas_linux::privileges::effective_uid()))
        }
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(Problem::new(
            &codes::STOP_FILE,
            format!("cannot look for the stop file {}", path.display()),
        )
        .because(&error)),
    }
}
