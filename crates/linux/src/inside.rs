//! Paths inside a target, walked by the kernel from the target's own root: no link, no `..` and no race in the target leads out of it.
//!
//! A path that is joined to `/proc/PID/root` is walked in *our* root wherever a link begins anew: an absolute link in a container
//! then leads to the host's file. openat2(2) with `RESOLVE_IN_ROOT` takes the target's root for every such link and for `..`, as
//! chroot(2) does, and unlike it also while the target moves its directories about. `RESOLVE_NO_MAGICLINKS` refuses the links of
//! /proc (`/proc/1/root`, `/proc/self/fd/3`), which do not follow names at all.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path};

use fracas_core::target::ProcessIdentity;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

use crate::error::{Context, errno, is_gone};
use crate::process::Process;

/// The files of a target, from its root down.
#[derive(Debug)]
pub struct Inside {
    root: OwnedFd,
}

/// A name in a directory: what is made, renamed or removed by the `…at` calls without ever being walked to again.
#[derive(Debug)]
pub struct Place {
    /// The directory.
    pub directory: OwnedFd,
    /// The last part of the path; a link by this name has not been followed.
    pub name: OsString,
}

/// Which file something is: it stays so when the file is renamed, and another by the same name has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct FileIdentity {
    /// The device of its file system, as stat(2) has it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// PATH_MAX of the kernel, with the zero byte at the end.
const LONGEST: usize = 4096;
/// So often the kernel may say that a directory moved while it was walked through; a target that never holds still is refused.
const RACES: u32 = 128;

const RESOLVE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Inside {
    /// The files that this process sees. `None`: it has ended.
    ///
    /// # Errors
    /// What the kernel refused: looking into another user's process needs `CAP_SYS_PTRACE` (proc_pid_root(5)).
    pub fn of(id: &ProcessIdentity) -> io::Result<Option<Self>> {
        let Some(process) = Process::open(id)? else {
            return Ok(None);
        };
        let path = format!("/proc/{}/root", id.pid);
        let root = match open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(root) => root,
            Err(error) if is_gone(&error.into()) => return Ok(None),
            Err(error) => return Err(error).context(|| format!("cannot look into {path}")),
        };
        // If it has not ended by now, the pid was its own while the root was opened.
        Ok((!process.has_ended()?).then_some(Self { root }))
    }

    /// The directory of this absolute path, opened for reading; links are followed, and stay inside.
    pub fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.walk(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Where the last part of this absolute path is, or would be.
    pub fn place(&self, path: &Path) -> io::Result<Place> {
        let name = match path.components().next_back() {
            Some(Component::Normal(name)) => name.to_owned(),
            _ => return Err(refused(path, "names no file")),
        };
        let directory = self.directory(path.parent().unwrap_or(Path::new("/")))?;
        Ok(Place { directory, name })
    }

    /// The regular file of this absolute path; links are followed, and stay inside.
    ///
    /// # Errors
    /// Whatever is no regular file is refused before it is opened: to open a device or a pipe may do something.
    pub fn file(&self, path: &Path, access: Access) -> io::Result<File> {
        let found = self.walk(path, OFlags::PATH)?;
        reopen(&found, access).context(|| format!("cannot open {} in the target", path.display()))
    }

    fn walk(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        if !path.is_absolute() {
            return Err(refused(path, "does not begin with a slash"));
        }
        if path.as_os_str().len() >= LONGEST {
            return Err(refused(path, "is longer than the kernel takes"));
        }
        for _ in 0..RACES {
            match openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), RESOLVE) {
                // EAGAIN: something was renamed on the way, so that `..` cannot be vouched for (openat2(2)).
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(found) => return Ok(found),
                Err(error) => return Err(explained(path, error)),
            }
        }
        Err(refused(path, "is moved about faster than it can be walked"))
    }
}

impl Place {
    /// The regular file by this name; a link is refused.
    pub fn file(&self, access: Access) -> io::Result<File> {
        let what = || format!("cannot open {} in the target", self.name.display());
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty()).context(what)?;
        reopen(&found, access).context(what)
    }
}

impl FileIdentity {
    /// Which file this is.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let stat = fstat(file).context(|| "cannot look at an open file".into())?;
        Ok(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

/// Opens what a descriptor without access stands for, by the only way there is: its link in /proc (open(2), `O_PATH`).
fn reopen(found: &OwnedFd, access: Access) -> io::Result<File> {
    let kind = FileType::from_raw_mode(fstat(found)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is no regular file but {}", named(kind)),
        ));
    }
    let access = match access {
        Access::Read => OFlags::RDONLY,
        Access::ReadWrite => OFlags::RDWR,
    };
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    Ok(open(path, access | OFlags::CLOEXEC, Mode::empty())?.into())
}

fn named(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    let what = format!("the path {} {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// The kernel's answer, where its own words mislead.
fn explained(path: &Path, error: Errno) -> io::Error {
    let why = match error {
        Errno::LOOP => ": it leads through a link of /proc, or through too many links",
        Errno::NOTDIR => ": it is no directory",
        Errno::NOSYS => ": this kernel has no openat2(2), which Linux has since 5.6",
        _ => "",
    };
    let explained = Err::<(), _>(error).context(|| format!("cannot open {} in the target{why}", path.display()));
    match explained {
        Err(error) => error,
        Ok(()) => io::Error::from(error),
    }
}

/// Whether the error says that there is nothing by that path.
pub fn is_missing(error: &io::Error) -> bool {
    errno(error) == Some(libc::ENOENT)
}

#[cfg(test)]
mod tests;
