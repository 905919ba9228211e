//! From the root to the state directory, one component after the other, each looked at before the next.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, Stat, fstat, mkdirat, open, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::PrivateDir;
use crate::privileges;

/// Why not, and what to do about it where that is more than the code says.
type Refusal = (String, Option<String>);

pub(super) fn walk(path: &Path) -> Result<PrivateDir, Refusal> {
    let absolute = std::path::absolute(path).map_err(|error| (error.to_string(), None))?;
    if absolute.components().any(|part| part == Component::ParentDir) {
        return Err((
            "its path climbs with `..`".into(),
            Some("write the path without `..`".into()),
        ));
    }
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(("it is the root of the file system".into(), None));
    };
    let (existing, missing) = existing(parent)?;
    let mut at = PathBuf::from("/");
    let mut fd = open("/", PARENT, Mode::empty()).map_err(|error| said(&at, error))?;
    check_parent(&at, &fd)?;
    for part in existing.components().chain(missing.components()) {
        let Component::Normal(part) = part else {
            continue;
        };
        at.push(part);
        if !existing.starts_with(&at) {
            make(&at, &fd, part)?;
        }
        fd = openat(&fd, part, PARENT, Mode::empty()).map_err(|error| said(&at, error))?;
        check_parent(&at, &fd)?;
    }
    at.push(name);
    make(&at, &fd, name)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(&fd, name, flags, Mode::empty()).map_err(|error| match error {
        // With O_DIRECTORY a symbolic link that is not followed is ENOTDIR, see open(2).
        Errno::NOTDIR | Errno::LOOP => (
            format!("{} is a symbolic link, or no directory at all", at.display()),
            Some("name the directory itself".into()),
        ),
        error => said(&at, error),
    })?;
    check_own(&at, &look(&at, &fd)?)?;
    Ok(PrivateDir::new(fd, at))
}

/// The directory of a file, every part of the way looked at; `None` if part of the way is missing.
pub(super) fn parent(absolute: &Path) -> Result<Option<OwnedFd>, Refusal> {
    let Some(parent) = absolute.parent() else {
        return Ok(None);
    };
    let (existing, missing) = existing(parent)?;
    if missing.components().next().is_some() {
        return Ok(None);
    }
    let mut at = PathBuf::from("/");
    let mut fd = open("/", PARENT, Mode::empty()).map_err(|error| said(&at, error))?;
    check_parent(&at, &fd)?;
    for part in existing.components() {
        let Component::Normal(part) = part else {
            continue;
        };
        at.push(part);
        fd = openat(&fd, part, PARENT, Mode::empty()).map_err(|error| said(&at, error))?;
        check_parent(&at, &fd)?;
    }
    Ok(Some(fd))
}

const PARENT: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The deepest parent that exists, without symbolic links, and what is missing below it. Links among the parents are fine
/// (/var/run is one): what they lead to is what is checked.
fn existing(parent: &Path) -> Result<(PathBuf, PathBuf), Refusal> {
    for ancestor in parent.ancestors() {
        match ancestor.canonicalize() {
            Ok(existing) => {
                let missing = parent.strip_prefix(ancestor).unwrap_or(Path::new("")).to_owned();
                return Ok((existing, missing));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(said(ancestor, error)),
        }
    }
    Err((format!("{} leads nowhere", parent.display()), None))
}

fn make(at: &Path, parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<(), Refusal> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        // A read-only file system says so also of what exists, and there that does not matter: opening will tell.
        Err(Errno::ROFS) if at.is_dir() => Ok(()),
        Err(error) => Err((
            format!("cannot make {}: {}", at.display(), io::Error::from(error)),
            None,
        )),
    }
}

fn look(at: &Path, fd: &OwnedFd) -> Result<Stat, Refusal> {
    fstat(fd).map_err(|error| said(at, error))
}

fn said(at: &Path, error: impl Into<io::Error>) -> Refusal {
    (format!("cannot open {}: {}", at.display(), error.into()), None)
}

fn check_parent(at: &Path, fd: &OwnedFd) -> Result<(), Refusal> {
    let stat = look(at, fd)?;
    let us = geteuid().as_raw();
    if stat.st_uid != 0 && stat.st_uid != us {
        return Err((
            format!(
                "its parent {} belongs to uid {}, who could put another directory there",
                at.display(),
                stat.st_uid
            ),
            // Whoever is not in its map, also the machine's root, is shown as the overflow user there (user_namespaces(7)).
            privileges::in_user_namespace()
                .then(|| "run outside of this user namespace, in which root is a stranger".into()),
        ));
    }
    // In a sticky directory only the owner of an entry, or of the directory, may rename or remove it: inode(7).
    if stat.st_mode & 0o022 != 0 && stat.st_mode & 0o1000 == 0 {
        return Err((
            format!(
                "its parent {} (mode {:04o}) can be written by others, who could put another directory there",
                at.display(),
                stat.st_mode & 0o7777
            ),
            Some(format!(
                "run `chmod go-w {}`, or name another directory with FRACAS_STATE",
                at.display()
            )),
        ));
    }
    Ok(())
}

/// The rule for what is ours: owned by the effective user, writable by nobody else.
pub(super) fn check_own(at: &Path, stat: &Stat) -> Result<(), Refusal> {
    let us = geteuid().as_raw();
    if stat.st_uid != us {
        return Err((
            format!(
                "{} belongs to uid {}, and Fracas runs as uid {us}",
                at.display(),
                stat.st_uid
            ),
            Some("name another directory with FRACAS_STATE, or run as its owner".into()),
        ));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err((
            format!(
                "{} (mode {:04o}) can be written by others",
                at.display(),
                stat.st_mode & 0o7777
            ),
            Some(format!("see who wrote it; then run `chmod go-w {}`", at.display())),
        ));
    }
    Ok(())
}
