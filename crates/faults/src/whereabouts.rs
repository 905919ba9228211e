//! Where a file of a target is, so that whoever recovers finds it again: also when the target is dead, restarted or stopped.
//!
//! A plan finds the file through the target's own root. What it writes down is a path without links, looked at again: one that is
//! walked with `RESOLVE_NO_SYMLINKS` leads to that file or nowhere. For a process it must be a path of this machine, for a process
//! may end at any time and its root with it. For a container it is a path in its root, which every life of the container has; while
//! it does not run, its files are where the engine keeps them: in the upper directory of its overlay, or in a volume. What is in a
//! volume, or in a directory of the machine that is mounted, is there also when the container has been removed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use fracas_core::problem::{Code, Problem, Result, codes};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::files::{self, Entry};
use fracas_linux::inside::{Access, FileIdentity, Inside};
use fracas_linux::process;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounded::bounded;
use crate::say::{OrSay, gone, refuse, shell_word};
use crate::{Context, Resource, members};

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    /// The directory: absolute and without links, as its root has it.
    pub(crate) directory: String,
    /// The name in it.
    pub(crate) name: String,
    /// Which file the name stood for.
    pub(crate) identity: FileIdentity,
    root: Root,
}

/// From where the directory is counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Root {
    /// From this machine's.
    Machine,
    /// From that of a container.
    Container {
        id: String,
        engine: String,
        /// The program by which a person reaches the engine, with the option for its address.
        program: String,
        /// Where the directory is while the container does not run, if the engine says so.
        stopped: Option<Stopped>,
    },
}

/// Where an engine keeps a directory of a container that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stopped {
    /// A directory of the machine, by the engine's word.
    base: String,
    /// Below that; what is there is the container's own, and no part of it may be a link.
    below: String,
    /// Whether that is a mount, and not the container's own: it does not go when the container is removed.
    #[serde(default)]
    mount: bool,
}

/// How the directory is reached at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the root of this process.
    Root(ProcessIdentity),
    /// From the upper directory of a container that does not run.
    Upper,
    /// From the volume, or the directory of the machine, that is mounted in a container that does not run or was removed.
    Mount,
    /// Not at all: the container is gone, and its files with it.
    Gone,
}

/// How a path is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// The last part is followed if it is a link, and must be a regular file.
    File,
    /// The last part is meant itself, whatever it is.
    Name,
}

impl Whereabouts {
    /// Finds a file of the target. What it is, too.
    ///
    /// # Errors
    /// T004 when the target is gone; F001 when there is no such file, or it could not be found again.
    pub(crate) async fn find(
        fault: &'static str,
        target: &Target,
        path: &str,
        last: Last,
        cx: &Context,
    ) -> Result<(Self, Entry)> {
        if members::open(target.process())?.is_none() {
            return Err(gone(fault, target));
        }
        let what = format!("{fault} on {target}: {path} cannot be looked at");
        let (process, wanted, state) = (target.process().clone(), path.to_owned(), cx.state.clone());
        let container = target.container().is_some();
        let found = bounded(
            &codes::FAULT_PLAN,
            || what.clone(),
            move || look_up(&process, Path::new(&wanted), last, container, &state),
        )
        .await?;
        let (directory, name, entry, same_device) = match found {
            Found::Gone => return Err(gone(fault, target)),
            Found::No(why) => return Err(refuse(fault, target, format!("{path} {why}"))),
            Found::At(directory, name, entry, same_device) => (directory, name, entry, same_device),
        };
        let root = match target.container() {
            None => Root::Machine,
            Some(container) => {
                let engine = cx.engines.at(&container.engine).await?;
                let details = engine
                    .inspect(&container.id)
                    .await?
                    .ok_or_else(|| gone(fault, target))?;
                Root::Container {
                    id: container.id.clone(),
                    engine: container.engine.clone(),
                    program: engine.program(),
                    stopped: stopped(&details.raw, &directory, same_device),
                }
            }
        };
        let whereabouts = Self {
            directory,
            name,
            identity: entry.identity,
            root,
        };
        Ok((whereabouts, entry))
    }

    /// The whole path, as its root has it.
    pub(crate) fn path(&self) -> String {
        Path::new(&self.directory).join(&self.name).display().to_string()
    }

    /// A name in the directory, as a person types it in a shell of the machine. In a container that is the path while it runs, but
    /// for a mount: that has a path of the machine's always.
    pub(crate) fn shell_path(&self, name: &str) -> String {
        let in_directory =
            |directory: &str, name: &str| shell_word(&format!("{}/{name}", directory.trim_end_matches('/')));
        if let Some(mount) = self.mount() {
            let directory = Path::new(&mount.base).join(&mount.below);
            return in_directory(&directory.display().to_string(), name);
        }
        let path = in_directory(&self.directory, name);
        match &self.root {
            Root::Machine => path,
            Root::Container { id, program, .. } => {
                format!("/proc/$({program} inspect -f '{{{{.State.Pid}}}}' {id})/root{path}")
            }
        }
    }

    /// What a person types where this command is what is to be done.
    pub(crate) fn manual(&self, command: &str) -> Vec<String> {
        let start = match &self.root {
            Root::Container { id, program, .. } if self.mount().is_none() => Some(format!("{program} start {id}")),
            Root::Machine | Root::Container { .. } => None,
        };
        start.into_iter().chain([command.to_owned()]).collect()
    }

    /// Whether it is in a container.
    pub(crate) fn in_container(&self) -> bool {
        matches!(self.root, Root::Container { .. })
    }

    /// The mount that holds it, if one does.
    fn mount(&self) -> Option<&Stopped> {
        match &self.root {
            Root::Container { stopped, .. } => stopped.as_ref().filter(|stopped| stopped.mount),
            Root::Machine => None,
        }
    }

    /// How the directory is reached now.
    ///
    /// # Errors
    /// With this code: the container does not run and its engine does not say where its files are, or the engine does not answer.
    pub(crate) async fn way(&self, cx: &Context, code: &'static Code) -> Result<Way> {
        let own = || {
            process::identity(std::process::id())
                .and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()))
                .or_say(code, || "Fracas cannot find itself".to_owned())
        };
        let (id, engine, program, stopped) = match &self.root {
            Root::Machine => return own().map(Way::Root),
            Root::Container {
                id,
                engine,
                program,
                stopped,
            } => (id, engine, program, stopped),
        };
        let engine = cx.engines.at(engine).await?;
        let Some(details) = engine.inspect(id).await? else {
            return Ok(self.mount().map_or(Way::Gone, |_| Way::Mount));
        };
        let unreadable = || format!("the first process of container {id} cannot be looked at");
        if let Some(pid) = details.state.pid.filter(|_| details.state.running)
            && let Some(identity) = process::identity(pid).or_say(code, unreadable)?
        {
            // Asked again: the pid may have passed to another between the answer and the look at it.
            let again = engine.inspect(id).await?;
            if again
                .is_some_and(|again| again.state.pid == Some(pid) && again.state.started_at == details.state.started_at)
            {
                return Ok(Way::Root(identity));
            }
            return Err(Problem::new(code, format!("container {id} is just restarting")).next("try again"));
        }
        match stopped {
            Some(stopped) if stopped.mount => Ok(Way::Mount),
            Some(_) => Ok(Way::Upper),
            None => Err(Problem::new(
                code,
                format!(
                    "container {id} does not run, and its engine does not say where {} is kept",
                    self.directory
                ),
            )
            .next(format!("`{program} start {id}`, then `fracas recover`"))),
        }
    }

    /// Whether the mount itself is not there any more: an anonymous volume goes with its container.
    pub(crate) fn mount_is_gone(&self) -> io::Result<bool> {
        let Some(mount) = self.mount() else { return Ok(false) };
        match std::fs::metadata(&mount.base) {
            Ok(_) => Ok(false),
            Err(error) if files::is_no_way(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Opens the directory. `None`: it is not there, or the container is gone, and what it was in with it.
    pub(crate) fn open(&self, way: &Way) -> io::Result<Option<OwnedFd>> {
        let (root, below) = match (way, &self.root) {
            (Way::Gone, _) => return Ok(None),
            (Way::Root(process), _) => match Inside::of(process)? {
                Some(inside) => (inside.directory(Path::new("/"))?, self.directory.as_str()),
                None => return Err(io::Error::other("its first process has just ended")),
            },
            (
                Way::Upper | Way::Mount,
                Root::Container {
                    stopped: Some(stopped), ..
                },
            ) => {
                // The engine's own directories may lie behind links of the machine; what is below is the container's.
                match std::fs::File::open(&stopped.base) {
                    Ok(base) => (base.into(), stopped.below.as_str()),
                    Err(error) if files::is_no_way(&error) => return Ok(None),
                    Err(error) => return Err(error),
                }
            }
            (Way::Upper | Way::Mount, _) => return Ok(None),
        };
        match files::beneath(&root, Path::new(below)) {
            Ok(directory) => Ok(Some(directory)),
            Err(error) if files::is_no_way(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What nobody else may hold while a file is changed: the file, by whichever path and container it is reached. It is not locked
/// itself, for its application may lock it.
pub(crate) fn resource(at: &Whereabouts) -> Resource {
    Resource {
        key: format!("file {} on device {:x}", at.identity.inode, at.identity.device),
        object: None,
    }
}

enum Found {
    Gone,
    No(String),
    /// Directory, name, what it is, and whether it is on the device of the root.
    At(String, String, Entry, bool),
}

fn look_up(process: &ProcessIdentity, path: &Path, last: Last, container: bool, state: &Path) -> io::Result<Found> {
    let no = |why: &str| Ok(Found::No(why.to_owned()));
    let Some(inside) = Inside::of(process)? else {
        return Ok(Found::Gone);
    };
    let (directory, name, keeper) = match last {
        Last::File => {
            let file = inside.file(path, Access::Read)?;
            let whole = files::path_of(&file)?;
            let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
                return no("has no name");
            };
            (parent.to_owned(), name.to_owned(), OwnedFd::from(file))
        }
        Last::Name => {
            let place = inside.place(path)?;
            (files::path_of(&place.directory)?, place.name, place.directory)
        }
    };
    if let Err(error) = files::keeps_files(&keeper) {
        return Ok(Found::No(format!("cannot be broken: {error}")));
    }
    // Walked again without a link, from where whoever recovers will walk.
    let root = if container {
        inside.directory(Path::new("/"))?
    } else {
        std::fs::File::open("/")?.into()
    };
    let elsewhere = "cannot be found again by a path without links: if the target ended, it could not be put back";
    let reached = match files::beneath(&root, &directory) {
        Ok(reached) => reached,
        Err(error) if files::is_no_way(&error) => return no(elsewhere),
        Err(error) => return Err(error),
    };
    let Some(entry) = files::look(&reached, &name)? else {
        return no(if last == Last::Name { "is not there" } else { elsewhere });
    };
    let same = match last {
        Last::File => entry.identity == FileIdentity::of(&keeper)?,
        Last::Name => FileIdentity::of(&reached)? == FileIdentity::of(&keeper)?,
    };
    if !same {
        return no(elsewhere);
    }
    let may = match last {
        Last::File => files::may_write(&reached, &name)?,
        Last::Name => files::may_write(&reached, OsStr::new("."))?,
    };
    if !may {
        return no("may not be changed by the user of Fracas: run as root");
    }
    if is_ours(&reached, entry, state)? {
        return no("is Fracas' own state, or holds it");
    }
    let same_device = FileIdentity::of(&root)?.device == entry.identity.device;
    let (Some(directory), Some(name)) = (directory.to_str(), name.to_str()) else {
        return no("has a name that is no text");
    };
    Ok(Found::At(directory.to_owned(), name.to_owned(), entry, same_device))
}

/// Whether this is in the state directory, or has it in it.
fn is_ours(directory: &OwnedFd, entry: Entry, state: &Path) -> io::Result<bool> {
    let state = match std::fs::File::open(state) {
        Ok(state) => state,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let own = FileIdentity::of(&state)?;
    if files::is_within(directory, own)? {
        return Ok(true);
    }
    Ok(entry.kind == files::Kind::Directory && files::is_within(&state, entry.identity)?)
}

/// Where the engine keeps a directory of a container while that does not run: in the mount that holds it, or in the upper directory
/// of the container's overlay. `None`: it does not say, or keeps it nowhere.
fn stopped(raw: &Value, directory: &str, same_device: bool) -> Option<Stopped> {
    let directory = Path::new(directory);
    let mounts = raw["Mounts"].as_array().into_iter().flatten();
    let mount = mounts
        .filter_map(|mount| Some((mount, Path::new(mount["Destination"].as_str()?))))
        .filter(|(_, at)| directory.starts_with(at))
        .max_by_key(|(_, at)| at.components().count());
    if let Some((mount, at)) = mount {
        let base = mount["Source"].as_str().filter(|base| base.starts_with('/'))?;
        let below = directory.strip_prefix(at).ok()?;
        return Some(Stopped {
            base: base.to_owned(),
            below: below.to_str()?.to_owned(),
            mount: true,
        });
    }
    let base = raw["GraphDriver"]["Data"]["UpperDir"].as_str()?;
    // What is on another device than the root and in no mount that is told is one of the engine's own: /etc/hosts, /dev/shm.
    (same_device && base.starts_with('/')).then(|| Stopped {
        base: base.to_owned(),
        below: directory
            .strip_prefix("/")
            .unwrap_or(directory)
            .to_string_lossy()
            .into_owned(),
        mount: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stopped_container_has_its_files_in_its_upper_directory_or_in_the_nearest_mount() {
        let raw = json!({
            "GraphDriver": { "Name": "overlay2", "Data": { "UpperDir": "/var/lib/docker/overlay2/x/diff" } },
            "Mounts": [
                { "Type": "volume", "Source": "/var/lib/docker/volumes/v/_data", "Destination": "/data" },
                { "Type": "bind", "Source": "/srv/in", "Destination": "/data/in" },
                { "Type": "tmpfs", "Source": "", "Destination": "/scratch" },
            ],
        });
        let at = |directory: &str, same| {
            stopped(&raw, directory, same).map(|it| {
                assert_eq!(it.mount, directory.starts_with("/data/"), "{directory}");
                format!("{}|{}", it.base, it.below)
            })
        };
        assert_eq!(
            at("/etc/app", true).as_deref(),
            Some("/var/lib/docker/overlay2/x/diff|etc/app")
        );
        assert_eq!(at("/", true).as_deref(), Some("/var/lib/docker/overlay2/x/diff|"));
        assert_eq!(
            at("/data/a", false).as_deref(),
            Some("/var/lib/docker/volumes/v/_data|a")
        );
        assert_eq!(at("/data/in", false).as_deref(), Some("/srv/in|"));
        assert_eq!(
            at("/database", true).as_deref(),
            Some("/var/lib/docker/overlay2/x/diff|database")
        );
        assert_eq!(at("/scratch/x", false), None);
        assert_eq!(at("/dev/shm", false), None);
        assert_eq!(stopped(&json!({}), "/etc", true), None);
    }
}
