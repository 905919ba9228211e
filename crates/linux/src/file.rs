//! Files as a ledger and a disk fault need them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags, StatVfsMountFlags, fallocate, fstatvfs, open, statvfs};

use crate::error::Context;

/// Which signal tells of a descriptor; `libc` does not have it (asm-generic/fcntl.h).
const F_SETSIG: libc::c_int = 10;

/// Takes room on the disk for the first `len` bytes, so that writing there needs none later. The file is at least as long then,
/// and what was not written reads as zeroes.
///
/// A file system without fallocate(2) (`EOPNOTSUPP`) is an error: room that is only hoped for is no room.
pub fn allocate(file: &File, len: u64) -> io::Result<()> {
    rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len))
        .context(|| format!("cannot take room for {len} bytes on the disk"))
}

/// [`allocate`], from a place in the file on.
pub fn allocate_at(file: &File, at: u64, len: u64) -> io::Result<()> {
    rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), at, len))
        .context(|| format!("cannot take room for {len} more bytes on the disk"))
}

/// Opens a file for appending, made with mode 0600 if it is not there; each write returns when its bytes are on disk. A symbolic
/// link is refused.
pub fn open_dsync_append(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::DSYNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::RUSR | Mode::WUSR)
        .map(File::from)
        .context(|| format!("cannot open {} for appending", path.display()))
}

/// Whether somebody has a file open for writing, ourselves among them. The kernel gives a lease for reading to nobody while there is one
/// (fcntl(2), `F_SETLEASE`), and it is given back at once; who opens the file for writing in between waits as long.
///
/// On a file system of the network (NFSv4, CIFS) the server gives leases, or does not: `true` there may mean nobody. So nobody should wait
/// for `false` without a limit; who follows a file of the proxy waits for five seconds.
///
/// # Errors
/// It cannot be known: the file is another user's, or its file system has no leases.
pub fn is_being_written(path: &Path) -> io::Result<bool> {
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).map(File::from);
    let file = file.context(|| format!("cannot open {}", path.display()))?;
    let set = |command: libc::c_int, to: libc::c_int| {
        #[expect(unsafe_code, reason = "rustix has no leases")]
        // SAFETY: the descriptor is open, and both commands take a number (do_fcntl() in fs/fcntl.c).
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, to) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // Who waits for the lease has its holder told by SIGIO, which would end us; this one nobody hears who does not ask for it (signal(7)).
    set(F_SETSIG, libc::SIGURG).context(|| "cannot choose a signal for a lease".into())?;
    match set(libc::F_SETLEASE, libc::F_RDLCK) {
        Ok(()) => {
            // Closed, it is given back in any case.
            let _given_back = set(libc::F_SETLEASE, libc::F_UNLCK);
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error).context(|| format!("cannot tell who writes {}", path.display())),
    }
}

/// A file system's size and room, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// All of it.
    pub total: u64,
    /// What is not used.
    pub free: u64,
    /// What users may still take of it; root may take more.
    pub available: u64,
    /// Whether it is mounted for reading only.
    pub read_only: bool,
}

/// The room on the file system that holds this path.
pub fn room(path: &Path) -> io::Result<Room> {
    statvfs(path)
        .map(|stat| Room::from(&stat))
        .context(|| format!("cannot look at the file system of {}", path.display()))
}

/// The room on the file system that holds this open file.
pub fn room_of(file: impl AsFd) -> io::Result<Room> {
    fstatvfs(file)
        .map(|stat| Room::from(&stat))
        .context(|| "cannot look at the file system of an open file".into())
}

impl Room {
    /// How full it is for users, in per cent, as df(1) counts: what is kept for root alone is neither used nor free.
    pub fn used_percent(self) -> f64 {
        let used = self.total.saturating_sub(self.free) as f64;
        used / (used + self.available as f64).max(1.0) * 100.0
    }
}

impl From<&rustix::fs::StatVfs> for Room {
    fn from(stat: &rustix::fs::StatVfs) -> Self {
        Self {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bfree.saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
            read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn who_has_a_file_open_for_writing_is_seen_and_not_held_up() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"half").unwrap();
        assert!(is_being_written(&path).unwrap());
        drop(writer);
        let reader = File::open(&path).unwrap();
        assert!(!is_being_written(&path).unwrap());
        drop(reader);
        // Whoever comes while it is looked at: a signal would end the test, and who may not wait would be refused behind it.
        std::thread::scope(|scope| {
            let writes = scope.spawn(|| {
                for _ in 0..200 {
                    drop(File::options().append(true).open(&path).unwrap());
                }
            });
            while !writes.is_finished() {
                is_being_written(&path).unwrap();
            }
        });
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        drop(open(&path, flags, Mode::empty()).unwrap());
        assert!(is_being_written(&place.path().join("none")).is_err());
    }

    #[test]
    fn room_is_taken_and_can_be_seen() {
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 1 << 20).unwrap();
        let meta = file.metadata().unwrap();
        assert_eq!(meta.len(), 1 << 20);
        assert!(meta.blocks() * 512 >= 1 << 20);
        let room = room_of(&file).unwrap();
        assert!(room.total >= room.free && room.free >= room.available && room.total > 0 && !room.read_only);
        assert!(room.used_percent() > 0.0 && room.used_percent() <= 100.0);
        allocate_at(&file, 1 << 20, 1 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2 << 20);
        let refused = allocate(&file, u64::from(u32::MAX) << 30).unwrap_err();
        assert!(refused.to_string().contains("cannot take room"), "{refused}");
    }

    #[test]
    fn appending_keeps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for word in [b"a", b"b"] {
            open_dsync_append(&path).unwrap().write_all(word).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"ab");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open_dsync_append(&link).is_err());
        assert!(room(&path).unwrap().total > 0);
        assert!(room(&dir.path().join("none")).is_err());
    }
}
