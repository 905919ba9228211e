//! A directory held open, and its files by `openat`: nothing is ever found again by path.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, open, openat, statat, unlinkat};
use rustix::io::Errno;

use crate::error::Context;

/// No file of a control group is longer, but for `cgroup.procs` of a hundred thousand processes, which just fits.
const FILE_LIMIT: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// `None`: there is no such directory.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        match open(path, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: path.to_owned(),
            })),
            Err(Errno::NOENT | Errno::NODEV) => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot open the directory {}", path.display())),
        }
    }

    /// `None`: there is no such child.
    pub(super) fn child(&self, name: &str) -> io::Result<Option<Self>> {
        let path = self.entry(name)?;
        match openat(&self.fd, name, DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            // A removed directory has no entries: ENOENT, or ENODEV on kernfs.
            Err(Errno::NOENT | Errno::NODEV) => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot open the directory {}", path.display())),
        }
    }

    /// Makes a child; one that exists is good.
    pub(super) fn make(&self, name: &str) -> io::Result<Self> {
        let path = self.entry(name)?;
        match mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).context(|| format!("cannot make {}", path.display())),
        }
        self.child(name)?.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was removed by somebody else as soon as it was made", path.display()),
            )
        })
    }

    /// `false`: there is no such child.
    pub(super) fn remove(&self, name: &str) -> io::Result<bool> {
        let path = self.entry(name)?;
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NODEV) => Ok(false),
            Err(error) => Err(error).context(|| format!("cannot remove {}", path.display())),
        }
    }

    pub(super) fn children(&self) -> io::Result<Vec<String>> {
        let list = || format!("cannot list {}", self.path.display());
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).context(list)? {
            let entry = entry.context(list)?;
            // What is not UTF-8 is never ours, and nobody could name it to us.
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if entry.file_type() == FileType::Directory && name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn inode(&self) -> io::Result<u64> {
        let stat = fstat(&self.fd).context(|| format!("cannot look at {}", self.path.display()))?;
        Ok(stat.st_ino)
    }

    pub(super) fn has(&self, file: &str) -> io::Result<bool> {
        let path = self.entry(file)?;
        match statat(&self.fd, file, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error).context(|| format!("cannot look at {}", path.display())),
        }
    }

    pub(super) fn read(&self, file: &str) -> io::Result<String> {
        let path = self.entry(file)?;
        let read = || format!("cannot read {}", path.display());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.fd, file, flags, Mode::empty()).context(read)?;
        let mut text = String::new();
        let length = File::from(fd)
            .take(FILE_LIMIT + 1)
            .read_to_string(&mut text)
            .context(read)?;
        if length as u64 > FILE_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} is longer than {FILE_LIMIT} bytes", path.display()),
            ));
        }
        Ok(text)
    }

    pub(super) fn open_for_writing(&self, file: &str) -> io::Result<OwnedFd> {
        let path = self.entry(file)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.fd, file, flags, Mode::empty()).context(|| format!("cannot open {} for writing", path.display()))
    }

    /// The kernel takes a value in one write: a second would be a second value.
    pub(super) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let fd = self.open_for_writing(file)?;
        let write = || format!("cannot write {value:?} to {}", self.path.join(file).display());
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes())).context(write)?;
        if written == value.len() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::WriteZero)).context(write)
        }
    }

    /// The same directory by a descriptor of its own, which can carry a lock of its own.
    pub(super) fn again(&self) -> io::Result<OwnedFd> {
        openat(&self.fd, ".", DIRECTORY, Mode::empty()).context(|| format!("cannot open {} again", self.path.display()))
    }

    /// The path of an entry, for messages. A name that would leave the directory is refused.
    fn entry(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name:?} is not the name of an entry of {}", self.path.display()),
            ));
        }
        Ok(self.path.join(name))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
