//! `file_delete`: a file is renamed, in its directory, to a name that is derived from the injection, and renamed back.
//!
//! A rename is one step for everybody: at no moment are there two files or none. Both ways never take the place of anything
//! (`RENAME_NOREPLACE`, renameat2(2)): a newcomer by the old name is somebody else's decision, and stays.
//!
//! Beside the kept file lies an empty one for as long as the fault is on. By it a file that somebody deleted while we kept it is told
//! from one that was gone before.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use fracas_core::params;
use fracas_core::problem::{Code, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::files::{self, Kind};
use fracas_linux::inside::Inside;
use serde::{Deserialize, Serialize};

use crate::bounded::{bounded, deed};
use crate::say::{gone, missed, refuse};
use crate::whereabouts::{Last, Way, Whereabouts, resource};
use crate::{Context, Fault, Needs, Resource, members};

/// See [`params::FileDelete`].
#[derive(Debug)]
pub struct FileDelete;

/// The two names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Where the file was.
    at: Whereabouts,
    /// The name, in the same directory, under which it is kept.
    aside: String,
    /// The name, in the same directory, of the empty file that says that the fault is on.
    #[serde(default)]
    mark: Option<String>,
    /// Whose file it is: nothing is done to it when that has ended.
    target: ProcessIdentity,
}

/// What is found where somebody deleted the kept file.
const NEITHER: &str = "neither the file nor what was kept of it";

impl Fault for FileDelete {
    const NAME: &'static str = "file_delete";
    type Params = params::FileDelete;
    type Undo = Undo;

    fn undo_class(_: &params::FileDelete) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::FileDelete) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::FileDelete, target: &Target, cx: &Context) -> Result<Undo> {
        let (at, entry) = Whereabouts::find(Self::NAME, target, &params.path, Last::Name, cx).await?;
        let path = at.path();
        let why = match entry.kind {
            _ if entry.mounted => Some("is where a file system is mounted, and cannot be renamed"),
            Kind::Other | Kind::Whiteout => Some("is a device, a pipe or a socket"),
            Kind::Directory if !params.recursive => Some("is a directory: that needs `recursive: true`"),
            Kind::Directory if at.directory == "/" && target.container().is_none() => {
                Some("is one of the directories that the machine itself rests on")
            }
            _ => None,
        };
        if let Some(why) = why {
            return Err(refuse(Self::NAME, target, format!("{path} {why}")));
        }
        Ok(Undo {
            at,
            aside: format!(".{}", cx.trace_name()),
            mark: Some(format!(".{}-on", cx.trace_name())),
            target: target.process().clone(),
        })
    }

    fn change(_: &params::FileDelete, undo: &Undo) -> String {
        format!("takes {} away, then puts it back", undo.at.path())
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![resource(&undo.at)]
    }

    async fn apply(_: &params::FileDelete, undo: &Undo, cx: &Context) -> Result<()> {
        if members::open(&undo.target)?.is_none() {
            return Err(gone(Self::NAME, &undo.target));
        }
        cx.nursery.take_word(&cx.trace_name(), None);
        undo.with(cx, &codes::FAULT_APPLY, |undo, _, directory| {
            let changed = |what: &str| Err(io::Error::other(format!("{what}: somebody changes it")));
            let Some(directory) = directory else {
                return changed("its directory is gone");
            };
            let (name, aside) = undo.names();
            let inode = undo.at.identity.inode;
            if files::look(&directory, name)?.is_none_or(|found| found.identity.inode != inode) {
                return changed("it is not what was planned");
            }
            if let Some(mark) = &undo.mark
                && !files::make_empty(&directory, OsStr::new(mark))?
            {
                return changed("there is something by the name of its mark");
            }
            let renamed = files::rename(&directory, name, aside);
            if !matches!(renamed, Ok(true)) {
                undo.unmark(&directory)?;
            }
            if !renamed? {
                return changed("there is something by the name under which it is to be kept");
            }
            // Between the look and the rename the name may have passed to another.
            if files::look(&directory, aside)?.is_some_and(|found| found.identity.inode == inode) {
                return Ok(());
            }
            files::rename(&directory, aside, name)?;
            undo.unmark(&directory)?;
            changed("it was replaced at the same moment")
        })
        .await
    }

    async fn measure(params: &params::FileDelete, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = format!("no {}", params.path);
        let path = params.path.clone();
        // As the target looks for it: by the whole path, from its root.
        let found = undo.with(cx, &codes::FAULT_MEASURE, move |undo, way, _| {
            let process = match way {
                Way::Root(process) if undo.at.in_container() => process,
                Way::Root(_) => &undo.target,
                Way::Upper | Way::Mount | Way::Gone => return Ok(None),
            };
            let Some(inside) = Inside::of(process)? else {
                return Ok(None);
            };
            let place = inside.place(Path::new(&path))?;
            Ok(Some(files::look(&place.directory, &place.name)?.is_some()))
        });
        Ok(match found.await? {
            None => missed(asked, "the target does not run"),
            Some(true) => missed(asked, format!("there is a {}", params.path)),
            Some(false) => Dose {
                asked,
                delivered: format!("there is no {}", params.path),
                landed: Landed::Yes,
                effect: None,
            },
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        let known = cx.nursery.word(&cx.trace_name());
        let lost = known.is_some();
        let did = undo.with(cx, &codes::FAULT_REVERT, move |undo, way, directory| {
            let Some(directory) = directory else {
                return Ok(match way {
                    // What is in no upper layer was never renamed.
                    Way::Gone | Way::Upper => Reverted::AlreadyGone,
                    Way::Mount if undo.at.mount_is_gone()? => Reverted::AlreadyGone,
                    Way::Mount | Way::Root(_) => undo.foreign("its directory is not there"),
                });
            };
            let (name, aside) = undo.names();
            if files::look(&directory, aside)?.is_none() {
                let named = undo.is_named(&directory, way)?;
                let marked = undo.settle(&directory)?;
                return Ok(match (named, marked) {
                    (false, true) => undo.foreign(NEITHER),
                    (false, false) if lost => undo.foreign(NEITHER),
                    (true, true) => Reverted::Restored,
                    (_, false) => Reverted::AlreadyGone,
                });
            }
            let back = match way {
                Way::Upper => files::rename_in_upper(&directory, aside, name)?,
                Way::Root(_) | Way::Mount | Way::Gone => files::rename(&directory, aside, name)?,
            };
            undo.settle(&directory)?;
            Ok(if back {
                Reverted::Restored
            } else {
                undo.foreign("there is a new one")
            })
        });
        let did = did.await?;
        // The mark is gone now, and with it what `observe` could tell it by.
        if matches!(&did, Reverted::Foreign { now, .. } if now == NEITHER) {
            cx.nursery.take_word(&cx.trace_name(), Some(NEITHER.to_owned()));
        }
        Ok(did)
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        let lost = cx.nursery.word(&cx.trace_name()).is_some();
        undo.with(cx, &codes::FAULT_OBSERVE, move |undo, way, directory| {
            let path = undo.at.path();
            let Some(directory) = directory else {
                return Ok(match way {
                    Way::Gone | Way::Upper => Seen::TargetGone,
                    Way::Mount if undo.at.mount_is_gone()? => Seen::TargetGone,
                    Way::Mount | Way::Root(_) => Seen::Foreign(format!("the directory of {path} is not there")),
                });
            };
            let (_, aside) = undo.names();
            let named = undo.is_named(&directory, way)?;
            let kept = files::look(&directory, aside)?.is_some();
            let mark = match &undo.mark {
                Some(mark) => files::look(&directory, OsStr::new(mark))?.map(|_| mark),
                None => None,
            };
            Ok(match (named, kept) {
                (false, true) => Seen::Ours(format!("{path} is kept as {}", undo.aside)),
                (true, true) => Seen::Foreign(format!("there is a new {path}; the old one is kept: {}", undo.back())),
                (true, false) => match mark {
                    Some(mark) => Seen::Ours(format!("{mark} is left beside {path}")),
                    None => Seen::Original,
                },
                (false, false) if lost || mark.is_some() => Seen::Foreign(format!(
                    "{path} was kept as {}, and somebody took that away: it cannot be put back",
                    undo.aside
                )),
                // It was gone before it could be taken away.
                (false, false) => Seen::TargetGone,
            })
        })
        .await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        let mut commands = undo.at.manual(&undo.back());
        let mark = undo.mark.as_ref();
        commands.extend(mark.map(|mark| format!("rm -f {}", undo.at.shell_path(mark))));
        commands
    }
}

impl Undo {
    fn names(&self) -> (&OsStr, &OsStr) {
        (OsStr::new(&self.at.name), OsStr::new(&self.aside))
    }

    /// Whether there is something by the old name.
    fn is_named(&self, directory: &OwnedFd, way: &Way) -> io::Result<bool> {
        let found = files::look(directory, OsStr::new(&self.at.name))?;
        Ok(found.is_some_and(|found| *way != Way::Upper || found.kind != Kind::Whiteout))
    }

    /// Removes the mark. Whether there was one.
    fn unmark(&self, directory: &OwnedFd) -> io::Result<bool> {
        match &self.mark {
            Some(mark) => files::remove(directory, OsStr::new(mark)),
            None => Ok(false),
        }
    }

    /// Removes the mark, and returns when the way back is on the disk: what the ledger calls clean must not be there again after a loss of
    /// power. Whether there was a mark.
    fn settle(&self, directory: &OwnedFd) -> io::Result<bool> {
        let marked = self.unmark(directory)?;
        files::sync_names(directory).map(|()| marked)
    }

    /// What a person types to have it back.
    fn back(&self) -> String {
        let (kept, old) = (self.at.shell_path(&self.aside), self.at.shell_path(&self.at.name));
        format!("mv -nT {kept} {old}")
    }

    fn foreign(&self, now: &str) -> Reverted {
        Reverted::Foreign {
            before: format!("file {}", self.at.identity.inode),
            ours: format!("none, but {}", self.aside),
            now: now.to_owned(),
        }
    }

    /// Does something in the directory, opened anew, wherever it is now. `None` for the work: there is no such directory, or no
    /// container.
    async fn with<T: Send + 'static>(
        &self,
        cx: &Context,
        code: &'static Code,
        work: impl FnOnce(&Self, &Way, Option<OwnedFd>) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let way = self.at.way(cx, code).await?;
        let undo = self.clone();
        let what = || format!("file_delete: {}", self.at.path());
        let work = move || {
            let directory = undo.at.open(&way)?;
            work(&undo, &way, directory)
        };
        if *code == codes::FAULT_APPLY {
            deed(cx, what, work).await
        } else {
            bounded(code, what, work).await
        }
    }
}
