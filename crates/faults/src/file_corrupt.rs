//! `file_corrupt`: bytes of a file become others, and are put back one by one.
//!
//! The bytes that were there are in the undo; ours follow from them and a key. So each byte of the range can be told apart: ours, as
//! before, or somebody else's. Only what is ours is ever written to. What cannot be told is a byte that somebody wrote and that
//! happens to be ours, right beside bytes that are: one in 256 at each edge of what he wrote, and with `method: zero` a zero.

mod bytes;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use fracas_core::params;
use fracas_core::problem::{Code, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::units::Size;
use fracas_linux::files::{self, Kind};
use fracas_linux::inside::{Access, FileIdentity, Place};
use serde::{Deserialize, Serialize};

use crate::bounded::{bounded, deed};
use crate::say::{gone, missed, refuse};
use crate::whereabouts::{Last, Way, Whereabouts, resource};
use crate::{Context, Fault, Needs, Resource, members};
use bytes::{Fill, Range};

/// See [`params::FileCorrupt`].
#[derive(Debug)]
pub struct FileCorrupt;

/// What was there, and what comes in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The file.
    at: Whereabouts,
    /// Whose file it is: nothing is done to it when that has ended.
    target: ProcessIdentity,
    /// The range.
    range: Range,
}

impl Fault for FileCorrupt {
    const NAME: &'static str = "file_corrupt";
    type Params = params::FileCorrupt;
    type Undo = Undo;

    fn undo_class(_: &params::FileCorrupt) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::FileCorrupt) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::FileCorrupt, target: &Target, cx: &Context) -> Result<Undo> {
        let refuse = |why: String| refuse(Self::NAME, target, why);
        if params.bytes.0 == 0 || params.bytes > params::FileCorrupt::MOST {
            let most = params::FileCorrupt::MOST;
            return Err(refuse(format!("{} is not from 1B to {most}", params.bytes)));
        }
        let (at, entry) = Whereabouts::find(Self::NAME, target, &params.path, Last::File, cx).await?;
        if entry.size == 0 {
            return Err(refuse(format!("{} is empty", at.path())));
        }
        let about = format!("{} {}", target.identity, params.path);
        let offset = match params.offset {
            Some(offset) if offset.0 >= entry.size => {
                return Err(refuse(format!(
                    "{} has {}, and ends before {offset}",
                    at.path(),
                    Size(entry.size)
                )));
            }
            Some(offset) => offset.0,
            None => {
                let places = entry.size - params.bytes.0.min(entry.size) + 1;
                let draw = cx.seed.draw("file_corrupt offset", &about, 0).0;
                // The upper half of the product: uniform over the places, but for less than one in 2^64 of them each.
                ((u128::from(draw) * u128::from(places)) >> 64) as u64
            }
        };
        let length = params.bytes.0.min(entry.size - offset) as usize;
        let way = at.way(cx, &codes::FAULT_PLAN).await?;
        let there = at.clone();
        let before = bounded(
            &codes::FAULT_PLAN,
            || format!("{} cannot be read", at.path()),
            move || match there
                .open(&way)?
                .map(|directory| open(directory, &there, &way, Access::Read))
            {
                Some(Ok(Some(found))) if found.same => files::read_range(&found.file, offset, length),
                Some(Err(error)) => Err(error),
                _ => Err(io::Error::other("it has just been replaced")),
            },
        )
        .await?;
        if before.len() != length {
            return Err(refuse(format!("{} has just become shorter", at.path())));
        }
        let fill = match params.method {
            params::Garbage::Zero => Fill::Zero,
            params::Garbage::Random => {
                let draw = |ordinal| cx.seed.draw("file_corrupt bytes", &about, ordinal).0;
                Fill::Random([draw(0), draw(1), draw(2), draw(3)])
            }
        };
        let range = Range::new(offset, &before, fill);
        if range.ours() == before {
            return Err(refuse(format!("{} holds nothing but zeroes there", at.path())));
        }
        Ok(Undo {
            at,
            target: target.process().clone(),
            range,
        })
    }

    fn change(params: &params::FileCorrupt, undo: &Undo) -> String {
        let others = match params.method {
            params::Garbage::Random => "others",
            params::Garbage::Zero => "zeros",
        };
        format!(
            "{} of {} become {others}, then what they were",
            undo.range,
            undo.at.path()
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![resource(&undo.at)]
    }

    async fn apply(_: &params::FileCorrupt, undo: &Undo, cx: &Context) -> Result<()> {
        if members::open(&undo.target)?.is_none() {
            return Err(gone(Self::NAME, &undo.target));
        }
        undo.with(cx, &codes::FAULT_APPLY, |undo, _, found| {
            let changed = |what: &str| Err(io::Error::other(format!("{what}: somebody changes it")));
            let planned =
                |access: Access| -> io::Result<Option<Opened>> { Ok(found(access)?.filter(|found| found.same)) };
            let Some(seen) = planned(Access::Read)? else {
                return changed("it is not the file that was planned");
            };
            let before = undo.range.before();
            if files::read_range(&seen.file, undo.range.offset, before.len())? != before {
                return changed("it does not hold what was planned");
            }
            match planned(Access::ReadWrite)? {
                Some(found) => files::write_range(&found.file, undo.range.offset, &undo.range.ours()),
                None => changed("it was replaced at the same moment"),
            }
        })
        .await
    }

    async fn measure(params: &params::FileCorrupt, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = format!("{} of {}", undo.range, params.path);
        let alive = undo.at.in_container() || members::open(&undo.target)?.is_some();
        let now = undo.with(cx, &codes::FAULT_MEASURE, move |undo, way, found| {
            // The file outlives the target; the fault on the target does not.
            if !alive || !matches!(way, Way::Root(_)) {
                return Ok(None);
            }
            let Some(found) = found(Access::Read)? else {
                return Ok(Some(None));
            };
            let length = undo.range.before().len();
            files::read_range_past_cache(&found.file, undo.range.offset, length).map(|now| Some(Some(now)))
        });
        let Some(now) = now.await? else {
            return Ok(missed(asked, "the target does not run"));
        };
        let Some(now) = now else {
            return Ok(missed(asked, "the file is gone"));
        };
        let (before, ours) = (undo.range.before(), undo.range.ours());
        let count = |other: &[u8]| now.iter().zip(other).filter(|(one, other)| one == other).count();
        let changed = now.len() - count(&before);
        let landed = if now == ours {
            Landed::Yes
        } else {
            Landed::No(format!("{} of {} bytes are as asked", count(&ours), ours.len()))
        };
        Ok(Dose {
            asked,
            delivered: format!("{changed} of {} bytes differ from before", ours.len()),
            landed,
            effect: None,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.with(cx, &codes::FAULT_REVERT, |undo, way, found| {
            let Some(seen) = found(Access::Read)? else {
                return Ok(match way {
                    Way::Upper | Way::Gone => Reverted::AlreadyGone,
                    Way::Mount if undo.at.mount_is_gone()? => Reverted::AlreadyGone,
                    Way::Mount | Way::Root(_) => undo.foreign("no file in its directory"),
                });
            };
            let now = undo.range.now(&seen.file, seen.same)?;
            if !now.ours.is_empty() {
                // Opened for writing only where something is to be written: an overlay copies a file of the image for that.
                let changed = || io::Error::other("it was replaced at the same moment");
                let file = found(Access::ReadWrite)?.filter(|again| again.same == seen.same);
                let file = file.ok_or_else(changed)?.file;
                let before = undo.range.before();
                for run in &now.ours {
                    files::write_range(&file, undo.range.offset + run.start as u64, &before[run.clone()])?;
                }
            }
            Ok(match &now {
                now if now.foreign > 0 => undo.foreign(&bytes::short(&now.bytes)),
                now if !now.ours.is_empty() => Reverted::Restored,
                _ if seen.same => Reverted::AlreadyGone,
                _ => undo.foreign("another file"),
            })
        })
        .await
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        undo.with(cx, &codes::FAULT_OBSERVE, |undo, way, found| {
            let path = undo.at.path();
            let Some(found) = found(Access::Read)? else {
                // If it was moved elsewhere, nobody can know where.
                return Ok(match way {
                    Way::Upper | Way::Gone => Seen::TargetGone,
                    Way::Mount if undo.at.mount_is_gone()? => Seen::TargetGone,
                    Way::Mount | Way::Root(_) => Seen::Foreign(format!(
                        "{path} is not in its directory: if it is not deleted but moved, {} are corrupted still",
                        undo.range
                    )),
                });
            };
            let now = undo.range.now(&found.file, found.same)?;
            Ok(match now.ours.iter().map(ExactSizeIterator::len).sum::<usize>() {
                0 if now.foreign > 0 => Seen::Foreign(format!(
                    "{} of {} of {path} are somebody else's",
                    now.foreign, undo.range
                )),
                0 if found.same => Seen::Original,
                0 => Seen::Foreign(format!(
                    "another file is at {path}: if the one before is not deleted but moved, {} are corrupted still",
                    undo.range
                )),
                ours => Seen::Ours(format!("{ours} bytes of {path} are corrupted")),
            })
        })
        .await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.at.manual(&undo.range.manual(&undo.at.shell_path(&undo.at.name)))
    }
}

/// The file, as it is found now.
struct Opened {
    file: File,
    /// Whether it is the one that was planned, by its number.
    same: bool,
}

impl Undo {
    fn foreign(&self, now: &str) -> Reverted {
        Reverted::Foreign {
            before: bytes::short(&self.range.before()),
            ours: bytes::short(&self.range.ours()),
            now: now.to_owned(),
        }
    }

    /// Does something with the file, opened anew, wherever it is now. `None` for the work: there is no such file, or no container.
    async fn with<T: Send + 'static>(
        &self,
        cx: &Context,
        code: &'static Code,
        work: impl FnOnce(&Self, &Way, &dyn Fn(Access) -> io::Result<Option<Opened>>) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let way: Way = self.at.way(cx, code).await?;
        let undo = self.clone();
        let what = || format!("file_corrupt: {}", self.at.path());
        let work = move || {
            let find = |access: Access| -> io::Result<Option<Opened>> {
                match undo.at.open(&way)? {
                    Some(directory) => open(directory, &undo.at, &way, access),
                    None => Ok(None),
                }
            };
            work(&undo, &way, &find)
        };
        if *code == codes::FAULT_APPLY {
            deed(cx, what, work).await
        } else {
            bounded(code, what, work).await
        }
    }
}

/// Opens the file under its name; if that has passed to another, under the one that it has now.
///
/// The device says nothing: that of an overlay is another in each life of the container. Where the engine keeps the files of a
/// container that does not run, also the number may be another than in the overlay (Documentation/filesystems/overlayfs.rst, inode
/// properties), and the name must do.
fn open(directory: OwnedFd, at: &Whereabouts, way: &Way, access: Access) -> io::Result<Option<Opened>> {
    let name = OsStr::new(&at.name);
    let found = files::look(&directory, name)?;
    let is_it = |identity: FileIdentity| *way == Way::Upper || identity.inode == at.identity.inode;
    let same = found.is_some_and(|found| is_it(found.identity));
    let renamed = if same {
        None
    } else {
        files::name_of(&directory, at.identity.inode)?
    };
    let name = match (renamed, found) {
        (Some(renamed), _) => renamed,
        (None, Some(found)) if found.kind == Kind::File => name.to_owned(),
        _ => return Ok(None),
    };
    let file = match (Place { directory, name }).file(access) {
        Ok(file) => file,
        // It went between the look and the hand.
        Err(error) if fracas_linux::inside::is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let same = is_it(FileIdentity::of(&file)?);
    Ok(Some(Opened { file, same }))
}
