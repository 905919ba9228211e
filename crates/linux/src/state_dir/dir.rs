//! What is done in a private directory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, fsync, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::walk::check_own;
use crate::error::Context;

/// A directory that only this user can change, held open.
#[derive(Debug)]
pub struct PrivateDir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Files are opened without blocking, so that a pipe in the place of one holds nobody up; regular files do not care.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl PrivateDir {
    pub(super) fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes or opens a directory in it (mode 0700), under the same rule.
    pub fn make_dir(&self, name: &str) -> io::Result<Self> {
        let path = self.entry(name)?;
        match mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => self.sync()?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error).context(|| format!("cannot make {}", path.display())),
        }
        self.open_dir(name)?.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} was removed meanwhile", path.display()),
            )
        })
    }

    /// Opens a directory in it. `None`: there is none.
    pub fn open_dir(&self, name: &str) -> io::Result<Option<Self>> {
        let path = self.entry(name)?;
        match openat(&self.fd, name, DIRECTORY, Mode::empty()) {
            Ok(fd) => {
                check(&path, &fd, FileType::Directory)?;
                Ok(Some(Self { fd, path }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot open the directory {}", path.display())),
        }
    }

    /// Makes a file that does not exist yet (mode 0600), for reading and writing. The entry is on disk when this returns.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        self.create(name, OFlags::empty())
    }

    /// As [`Self::create_new`], for an empty file that is there to be locked: it may be gone with the machine's power, as all locks are.
    pub fn create_new_for_now(&self, name: &str) -> io::Result<File> {
        self.create_unsynced(name, OFlags::empty())
    }

    /// As [`Self::create_new`]; each write returns when its bytes are on disk (`O_DSYNC`), as a ledger needs it.
    pub fn create_new_dsync(&self, name: &str) -> io::Result<File> {
        self.create(name, OFlags::DSYNC)
    }

    /// Opens a file for reading. `None`: there is none.
    pub fn open(&self, name: &str) -> io::Result<Option<File>> {
        self.open_with(name, OFlags::RDONLY)
    }

    /// Opens a file for reading and for writes that return when their bytes are on disk. `None`: there is none.
    pub fn open_dsync(&self, name: &str) -> io::Result<Option<File>> {
        self.open_with(name, OFlags::RDWR | OFlags::DSYNC)
    }

    /// Reads a whole file of at most `limit` bytes. `None`: there is none.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(name)? else {
            return Ok(None);
        };
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .context(|| format!("cannot read {}", path.display()))?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} is longer than {limit} bytes", path.display()),
            ));
        }
        Ok(Some(bytes))
    }

    /// Writes a file in one step: a reader finds the old content or the new, also after a loss of power.
    pub fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.entry(name)?;
        let write = || format!("cannot write {}", path.display());
        // The pid keeps two writers apart; a leftover of a dead namesake is in nobody's way.
        let temporary = format!(".{name}.{}.tmp", std::process::id());
        self.remove(&temporary)?;
        let mut file = self.create_unsynced(&temporary, OFlags::empty())?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(&self.fd, &temporary, &self.fd, name)?));
        if let Err(error) = written {
            // The first error is the one to report; a leftover is hidden from `list` and replaced next time.
            drop(self.remove(&temporary));
            return Err(error).context(write);
        }
        self.sync()
    }

    /// The names in it, sorted. Names that begin with a dot (unfinished writes) and names that are not UTF-8 are never ours.
    pub fn list(&self) -> io::Result<Vec<String>> {
        let list = || format!("cannot list {}", self.path.display());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).context(list)? {
            let entry = entry.context(list)?;
            if let Ok(name) = entry.file_name().to_str()
                && !name.starts_with('.')
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file. `false`: there is none.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes an empty directory. `false`: there is none.
    pub fn remove_dir(&self, name: &str) -> io::Result<bool> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    /// Returns when the entries of the directory are on disk.
    pub fn sync(&self) -> io::Result<()> {
        fsync(&self.fd).context(|| format!("cannot sync {}", self.path.display()))
    }

    fn unlink(&self, name: &str, flags: AtFlags) -> io::Result<bool> {
        let path = self.entry(name)?;
        match unlinkat(&self.fd, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error).context(|| format!("cannot remove {}", path.display())),
        }
    }

    fn create(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let file = self.create_unsynced(name, flags)?;
        self.sync()?;
        Ok(file)
    }

    fn create_unsynced(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let path = self.entry(name)?;
        let flags = FILE | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | flags;
        openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .context(|| format!("cannot make {}", path.display()))
    }

    fn open_with(&self, name: &str, flags: OFlags) -> io::Result<Option<File>> {
        let path = self.entry(name)?;
        match openat(&self.fd, name, FILE | flags, Mode::empty()) {
            Ok(fd) => {
                check(&path, &fd, FileType::RegularFile)?;
                Ok(Some(File::from(fd)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP) => Err(refused(format!("{} is a symbolic link", path.display()))),
            Err(error) => Err(error).context(|| format!("cannot open {}", path.display())),
        }
    }

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

impl AsFd for PrivateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The same rule for what is inside: somebody may have put it there before the directory was ours alone.
fn check(path: &Path, fd: &OwnedFd, kind: FileType) -> io::Result<()> {
    let stat = fstat(fd).context(|| format!("cannot look at {}", path.display()))?;
    let found = FileType::from_raw_mode(stat.st_mode);
    if found != kind {
        return Err(refused(format!("{} is a {found:?}, not a {kind:?}", path.display())));
    }
    check_own(path, &stat).map_err(|(cause, _)| refused(cause))
}

fn refused(cause: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, cause)
}
