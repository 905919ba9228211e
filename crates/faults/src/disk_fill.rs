//! `disk_fill`: a file without a name, held open by the guardian, takes the room of a file system.
//!
//! The kernel frees the file with its last descriptor, so that there is nothing to clean after a guardian that was killed: a stranger
//! finds either a living guardian, which still holds it, or no file. Only where the file system has no `O_TMPFILE` the file has a
//! name for a moment, which stands in the undo.

mod room;
mod take;

use std::time::{Duration, Instant};

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_linux::file::room_of;
use fracas_linux::unnamed;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::directory::Directory;
use crate::say::{OrSay, mib, missed, refuse};
use crate::{Context, Fault, Needs, Resource, signal};
use room::Ground;

/// See [`params::DiskFill`].
#[derive(Debug)]
pub struct DiskFill;

/// Where the file is, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// In which directory.
    directory: Directory,
    /// The name that the file has for a moment, and with which it begins.
    name: String,
    /// How much it takes.
    bytes: u64,
    /// How much room the file system had before.
    free: u64,
    /// The device of the file system.
    device: String,
    /// Whether the room is memory.
    memory: bool,
    /// Who holds the file: the guardian that planned it.
    holder: u32,
}

/// So long apply waits for the room to be taken; a slow disk goes on.
const FILL: Duration = Duration::from_millis(800);
/// So long the meter waits for a file that is still growing.
const GROWING: Duration = Duration::from_secs(4);
/// Within this a file that is still being filled has grown.
const GROWTH: Duration = Duration::from_millis(300);
/// A part of a file that is being taken may be finished when everything is called off: so long it may take.
const CLOSING: Duration = Duration::from_secs(5);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(5);
/// How far from what was asked the dose may be.
const TOLERANCE: f64 = 0.01;

impl Fault for DiskFill {
    const NAME: &'static str = "disk_fill";
    type Params = params::DiskFill;
    type Undo = Undo;

    fn undo_class(_: &params::DiskFill) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::DiskFill) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::DiskFill, target: &Target, cx: &Context) -> Result<Undo> {
        let (directory, opened) = Directory::find(Self::NAME, target, &params.path)?;
        let ground = Ground::of(&opened, target.process().pid, cx)
            .map_err(|error| refuse(Self::NAME, target, format!("{} cannot be filled", params.path)).because(&error))?;
        let bytes = ground
            .bytes(params)
            .map_err(|(why, next)| refuse(Self::NAME, target, format!("{}: {why}", params.path)).next(next))?;
        Ok(Undo {
            directory,
            name: cx.trace_name(),
            bytes,
            free: ground.room.free,
            device: ground.device.to_string(),
            memory: ground.is_memory(),
            holder: std::process::id(),
        })
    }

    fn change(_: &params::DiskFill, undo: &Undo) -> String {
        format!(
            "a file without a name takes {} in {}, then is closed",
            mib(undo.bytes),
            undo.directory.path()
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        // Two fills of one file system are each other's dose.
        vec![Resource {
            key: format!("room on the file system {}", undo.device),
            object: None,
        }]
    }

    async fn apply(_: &params::DiskFill, undo: &Undo, cx: &Context) -> Result<()> {
        let failed = || {
            format!(
                "{} of {} cannot be filled",
                undo.directory.path(),
                undo.directory.target()
            )
        };
        let directory = undo.directory.open_to_apply(Self::NAME)?;
        let there = unnamed::has(&directory, &undo.name).or_say(&codes::FAULT_APPLY, failed)?;
        if there || !undo.held()?.is_empty() {
            return Err(
                Problem::new(&codes::FAULT_APPLY, failed()).since(format!("there is a file {} already", undo.name))
            );
        }
        let file = unnamed::create(&directory, &undo.name).or_say(&codes::FAULT_APPLY, failed)?;
        let (tell, told) = oneshot::channel();
        let (mark, wanted) = (
            undo.mark(),
            take::Wanted {
                bytes: undo.bytes,
                memory: undo.memory,
            },
        );
        // The file is this task's: it is closed when the task is ended, or this process.
        cx.nursery.later(undo.name.clone(), move |note| async move {
            take::take_and_hold(file, &mark, wanted, tell, note).await;
        });
        match tokio::time::timeout(FILL, told).await {
            Ok(Ok(taken)) => taken.or_say(&codes::FAULT_APPLY, failed),
            Ok(Err(_)) => Err(Problem::new(&codes::FAULT_APPLY, failed()).since("it was called off")),
            // It goes on; how far it came is the meter's business.
            Err(_) => Ok(()),
        }
    }

    async fn measure(params: &params::DiskFill, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = match params.percent {
            Some(percent) => format!("the file system of {} used to {percent}", undo.directory.path()),
            None => format!("{} of {}", mib(undo.bytes), undo.directory.path()),
        };
        let unreadable = || format!("the room in {} cannot be read", undo.directory.path());
        let Some(directory) = undo.directory.open()? else {
            return Ok(missed(asked, "the target or its directory is gone"));
        };
        let enough = (undo.bytes as f64 * (1.0 - TOLERANCE)) as u64;
        let begun = Instant::now();
        let (mut most, mut grown) = (0, Instant::now());
        let (taken, room) = loop {
            let room = room_of(&directory).or_say(&codes::FAULT_MEASURE, unreadable)?;
            let taken = undo.free.saturating_sub(room.free);
            if taken > most {
                (most, grown) = (taken, Instant::now());
            }
            if taken >= enough || grown.elapsed() > GROWTH || begun.elapsed() > GROWING {
                break (taken, room);
            }
            tokio::time::sleep(GROWTH / 6).await;
        };
        let used = room.used_percent();
        let landed = taken >= enough
            || params
                .percent
                .is_some_and(|percent| taken > 0 && used >= percent.0 - TOLERANCE * 100.0);
        Ok(Dose {
            asked,
            delivered: format!("{} less room than before, used to {used:.1}%", mib(taken)),
            landed: if landed {
                Landed::Yes
            } else {
                let (_, said) = cx.nursery.goes_on(&undo.name);
                Landed::No(match said.as_str() {
                    "" => "it is more than 1% less: it is still being filled, or somebody else freed room".to_owned(),
                    said => said.to_owned(),
                })
            },
            effect: Some(format!("{} are left to users", mib(room.available))),
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        let failed = || format!("the room in {} cannot be given back", undo.directory.path());
        let mut ours = cx.nursery.end(&undo.name).await;
        let begun = Instant::now();
        while !undo.held()?.is_empty() {
            ours = true;
            if begun.elapsed() > CLOSING {
                return Err(Problem::new(&codes::FAULT_REVERT, failed()).since("the file is still open"));
            }
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(directory) = undo.directory.open()? {
            ours |= unnamed::remove(&directory, &undo.name).or_say(&codes::FAULT_REVERT, failed)?;
        }
        Ok(if ours {
            Reverted::Restored
        } else {
            Reverted::AlreadyGone
        })
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        if let Some(file) = undo.held()?.first() {
            let taken = unnamed::room_taken(file).or_say(&codes::FAULT_OBSERVE, || {
                format!("the file {} cannot be looked at", undo.name)
            })?;
            return Ok(Seen::Ours(format!(
                "a file without a name takes {} in {}",
                mib(taken),
                undo.directory.path()
            )));
        }
        if let Some(directory) = undo.directory.open()?
            && unnamed::has(&directory, &undo.name).or_say(&codes::FAULT_OBSERVE, || {
                format!("{} cannot be looked at", undo.directory.path())
            })?
        {
            return Ok(Seen::Ours(format!(
                "there is a file {}/{}",
                undo.directory.path(),
                undo.name
            )));
        }
        Ok(if signal::ended(undo.directory.target())? {
            Seen::TargetGone
        } else {
            Seen::Original
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        vec![
            format!(
                "ls -l /proc/{}/fd   # the guardian's: the file is the one that is deleted",
                undo.holder
            ),
            format!("kill -KILL {}   # then the kernel frees it", undo.holder),
        ]
    }
}

impl Undo {
    /// With what the file begins.
    fn mark(&self) -> Vec<u8> {
        format!("{}\n", self.name).into_bytes()
    }

    /// The file, if this process holds it: as the kernel says, not as apply remembers.
    fn held(&self) -> Result<Vec<std::fs::File>> {
        unnamed::held_here(&self.mark()).or_say(&codes::FAULT_OBSERVE, || {
            "the open files of this process cannot be looked at".to_owned()
        })
    }
}
