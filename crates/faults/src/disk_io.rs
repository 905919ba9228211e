//! `disk_io`: a worker of ours reads and writes files without a name in a directory of the target, as fast as the disk gives.
//!
//! The worker is in the target's control group, so that it is bound by its limits and counts as its own. `disk_throttle` is the other
//! way to make a disk slow: it limits the target and does nothing to anybody else.

mod worker;

use std::time::{Duration, Instant};

use fracas_core::params::{self, Operation};
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_core::units::Size;
use fracas_linux::churn::{ALIGNMENT, Traffic, traffic};
use fracas_linux::file::room_of;
use fracas_linux::mount::Backing;
use fracas_linux::unnamed;
use serde::{Deserialize, Serialize};

pub use worker::disk_io_worker_main;

use crate::beside::{Beside, FIRST_VICTIM, Job};
use crate::directory::Directory;
use crate::say::{OrSay, mib, missed, refuse};
use crate::{Context, Fault, Needs, Resource};
use worker::Order;

/// See [`params::DiskIo`].
#[derive(Debug)]
pub struct DiskIo;

/// Where the worker is, and where its files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    beside: Beside,
    directory: Directory,
    /// The names that the files have for a moment, where the file system does not make any without.
    names: Vec<String>,
}

/// More at a time than this is what no disk takes at once.
const MOST_WORKERS: u32 = 64;
/// The largest block.
const LARGEST: Size = Size::mib(16);
/// The size of each file: more than one block of any size, and soon written once.
const FILE: u64 = 16 << 20;
/// A measurement, and the longest that a worker which has not begun is waited for.
const WINDOW: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3);

impl Fault for DiskIo {
    const NAME: &'static str = "disk_io";
    type Params = params::DiskIo;
    type Undo = Undo;

    fn undo_class(_: &params::DiskIo) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::DiskIo) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::DiskIo, target: &Target, cx: &Context) -> Result<Undo> {
        let refuse = |why: String| refuse(Self::NAME, target, why);
        let (workers, block) = (params.workers, params.block_size);
        if workers == 0 || workers > MOST_WORKERS {
            return Err(refuse(format!("{workers} workers are not from 1 to {MOST_WORKERS}")));
        }
        if block.0 == 0 || block > LARGEST || !block.0.is_multiple_of(ALIGNMENT as u64) {
            return Err(refuse(format!(
                "blocks of {block} are not from 4KiB to {LARGEST} in steps of 4KiB"
            )));
        }
        let (directory, opened) = Directory::find(Self::NAME, target, &params.path)?;
        let unreadable = || {
            format!(
                "{} on {target}: the disk below {} cannot be told",
                Self::NAME,
                params.path
            )
        };
        let backing = Backing::of(&opened, target.process().pid).or_say(&codes::TARGET_READ, unreadable)?;
        let room = room_of(&opened).or_say(&codes::TARGET_READ, unreadable)?;
        if backing.is_memory() || room.total == 0 {
            let why = format!("{} is on no disk but on {}", params.path, backing.kind);
            return Err(refuse(why).next("name a directory on a disk"));
        }
        if room.read_only {
            return Err(refuse(format!("{} is mounted for reading only", params.path)).next("name another directory"));
        }
        let needed = FILE * u64::from(workers);
        if room.available / 2 < needed {
            return Err(refuse(format!(
                "the files need {}, more than half of the {} that are free in {}",
                mib(needed),
                mib(room.available),
                params.path
            )));
        }
        let name = cx.trace_name();
        Ok(Undo {
            beside: Beside::find(Self::NAME, target, cx)?,
            directory,
            names: (0..workers).map(|number| format!("{name}-{number}")).collect(),
        })
    }

    fn change(params: &params::DiskIo, undo: &Undo) -> String {
        let what = match params.operation {
            Operation::Read => "reads",
            Operation::Write => "writes",
            Operation::All => "reads and writes",
        };
        format!(
            "worker {what} blocks of {} in {} files without a name in {}, then ends",
            params.block_size,
            undo.names.len(),
            undo.directory.path()
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        undo.beside.resources_anywhere("disk load")
    }

    async fn apply(params: &params::DiskIo, undo: &Undo, cx: &Context) -> Result<()> {
        let directory = undo.directory.open_to_apply(Self::NAME)?;
        for name in &undo.names {
            let there = unnamed::has(&directory, name).or_say(&codes::FAULT_APPLY, || undo.unseen())?;
            if there {
                let what = format!(
                    "{} of {} cannot be used",
                    undo.directory.path(),
                    undo.directory.target()
                );
                return Err(Problem::new(&codes::FAULT_APPLY, what).since(format!("there is a file {name} already")));
            }
        }
        let order = Order {
            directory: undo.directory.clone(),
            names: undo.names.clone(),
            size: FILE,
            block: params.block_size.0,
            operation: params.operation,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            oom_score_adj: FIRST_VICTIM,
        };
        undo.beside.start(Self::NAME, job, cx).await.map(drop)
    }

    async fn measure(params: &params::DiskIo, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = match params.operation {
            Operation::Read => "reads",
            Operation::Write => "writes",
            Operation::All => "reads and writes",
        };
        let asked = format!("{asked} of {} by {}", params.block_size, params.workers);
        if !undo.beside.target_lives()? {
            return Ok(missed(asked, "the target is gone"));
        }
        let Some(before) = undo.traffic()? else {
            return Ok(missed(asked, "the worker is gone: it was killed, or the target ended"));
        };
        let begun = Instant::now();
        let (after, none) = loop {
            tokio::time::sleep(WINDOW).await;
            let Some(after) = undo.traffic()? else {
                return Ok(missed(asked, "the worker is gone: it was killed, or the target ended"));
            };
            let none = missing(params.operation, before, after);
            // At first the files are written: a slow disk takes its time before it is asked for anything else.
            if none.is_none() || begun.elapsed() > LONGEST {
                break (after, none);
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        Ok(Dose {
            asked,
            delivered: format!(
                "read {}/s in {:.0} calls/s, wrote {}/s in {:.0} calls/s",
                mib(rate(before.read, after.read) as u64),
                rate(before.reads, after.reads),
                mib(rate(before.written, after.written) as u64),
                rate(before.writes, after.writes)
            ),
            landed: none.map_or(Landed::Yes, |why| {
                Landed::No(format!(
                    "{why}: the group is throttled or frozen, or the disk does not answer"
                ))
            }),
            effect: None,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        let mut did = undo.beside.revert(cx).await?;
        if let Some(directory) = undo.directory.open()? {
            for name in &undo.names {
                if unnamed::remove(&directory, name).or_say(&codes::FAULT_REVERT, || undo.unseen())? {
                    did = Reverted::Restored;
                }
            }
        }
        Ok(did)
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        let seen = undo.beside.observe()?;
        if let (Seen::Original, Some(directory)) = (&seen, undo.directory.open()?) {
            for name in &undo.names {
                if unnamed::has(&directory, name).or_say(&codes::FAULT_OBSERVE, || undo.unseen())? {
                    return Ok(Seen::Ours(format!(
                        "there is a file {name} in {}",
                        undo.directory.path()
                    )));
                }
            }
        }
        Ok(seen)
    }

    fn manual(undo: &Undo) -> Vec<String> {
        // The files have no names: the kernel frees them when the worker ends.
        undo.beside.manual()
    }
}

/// What of it was not done at all between two looks.
fn missing(operation: Operation, before: Traffic, after: Traffic) -> Option<&'static str> {
    let (read, written) = (after.read > before.read, after.written > before.written);
    match operation {
        Operation::Read | Operation::All if !read => Some("nothing was read from the disk"),
        Operation::Write | Operation::All if !written => Some("nothing was written to the disk"),
        _ => None,
    }
}

impl Undo {
    fn unseen(&self) -> String {
        format!(
            "{} of {} cannot be looked at",
            self.directory.path(),
            self.directory.target()
        )
    }

    /// What the worker has made the disk do so far, as the kernel counts for the processes in our group. `None`: there is none.
    fn traffic(&self) -> Result<Option<Traffic>> {
        let read = |processes: Vec<u32>| {
            let mut sum: Option<Traffic> = None;
            for pid in processes {
                if let Some(more) = traffic(pid)? {
                    let before = sum.unwrap_or_default();
                    sum = Some(Traffic {
                        read: before.read + more.read,
                        written: before.written + more.written,
                        reads: before.reads + more.reads,
                        writes: before.writes + more.writes,
                    });
                }
            }
            Ok::<_, std::io::Error>(sum)
        };
        let Some(processes) = self.beside.processes()? else {
            return Ok(None);
        };
        read(processes).or_say(&codes::FAULT_MEASURE, || {
            "the worker's operations cannot be read".to_owned()
        })
    }
}
