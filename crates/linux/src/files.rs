//! Bytes in files and names in directories, as a fault changes them and puts them back. Directories and files come from
//! [`crate::inside`]; nothing here follows a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    Access, Advice, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatVfsMountFlags,
    StatxAttributes, StatxFlags, accessat, fadvise, fstatfs, fstatvfs, openat, openat2, renameat_with, statx, unlinkat,
};
use rustix::io::Errno;

use crate::error::{Context, errno};
use crate::inside::FileIdentity;

/// So often the kernel may say that a directory moved while it was walked through.
const RACES: u32 = 128;
/// A directory with more entries is not searched.
const MOST_ENTRIES: usize = 100_000;
/// No file system is nested deeper: paths have at most 4096 bytes.
const DEEPEST: usize = 2048;

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Which file.
    pub identity: FileIdentity,
    /// What kind of file.
    pub kind: Kind,
    /// How many bytes it has.
    pub size: u64,
    /// Whether a file system is mounted on it: such a name cannot be renamed.
    pub mounted: bool,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// The place of something that an upper layer has taken away from the layers below it: a character device 0/0
    /// (Documentation/filesystems/overlayfs.rst, whiteouts). Seen only where the upper directory itself is looked at.
    Whiteout,
    /// A device, pipe or socket.
    Other,
}

/// What a name stands for; a link is not followed. `None`: there is nothing by it.
pub fn look(directory: impl AsFd, name: &OsStr) -> io::Result<Option<Entry>> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let wanted = StatxFlags::BASIC_STATS;
    let found = match rustix::io::retry_on_intr(|| statx(directory.as_fd(), name, flags, wanted)) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error).context(|| format!("cannot look at {}", name.display())),
    };
    Ok(Some(Entry {
        identity: FileIdentity {
            device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
        },
        kind: match FileType::from_raw_mode(u32::from(found.stx_mode)) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            FileType::CharacterDevice if (found.stx_rdev_major, found.stx_rdev_minor) == (0, 0) => Kind::Whiteout,
            _ => Kind::Other,
        },
        size: found.stx_size,
        mounted: found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
    }))
}

/// Whether this process, as the user that it acts as, may write to what a name stands for. Root may, whatever the mode is.
pub fn may_write(directory: impl AsFd, name: &OsStr) -> io::Result<bool> {
    match accessat(directory, name, Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot look at the permissions of {}", name.display())),
    }
}

/// Renames within a directory. `false`: the new name is taken, and nothing was done.
pub fn rename(directory: impl AsFd, from: &OsStr, to: &OsStr) -> io::Result<bool> {
    let directory = directory.as_fd();
    match rustix::io::retry_on_intr(|| renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // Overlay file systems rename no directory of their lower layers (Documentation/filesystems/overlayfs.rst, redirect_dir).
        Err(Errno::XDEV) => Err(Errno::XDEV).context(|| {
            let name = from.display();
            format!(
                "cannot rename {name}: it is a directory of the container's image, which its file system cannot rename"
            )
        }),
        Err(error) => Err(error).context(|| format!("cannot rename {} to {}", from.display(), to.display())),
    }
}

/// Makes an empty file. `false`: the name is taken, and nothing was done.
pub fn make_empty(directory: impl AsFd, name: &OsStr) -> io::Result<bool> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(directory, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(_) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot make {}", name.display())),
    }
}

/// Removes a file, and no directory. `false`: there is none.
pub fn remove(directory: impl AsFd, name: &OsStr) -> io::Result<bool> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot remove {}", name.display())),
    }
}

/// Returns when the names in a directory are on its disk, if it has one (fsync(2), which says `EINVAL` or `EROFS` where there is nothing
/// to be written).
pub fn sync_names(directory: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        Ok(()) | Err(Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(error) => Err(error).context(|| "cannot write the names in a directory to the disk".into()),
    }
}

/// As [`rename`], in an upper directory of which no overlay is mounted: a whiteout takes no name there.
pub fn rename_in_upper(directory: impl AsFd, from: &OsStr, to: &OsStr) -> io::Result<bool> {
    let directory = directory.as_fd();
    if look(directory, to)?.is_none_or(|found| found.kind != Kind::Whiteout) {
        return rename(directory, from, to);
    }
    rustix::fs::renameat(directory, from, directory, to)
        .map(|()| true)
        .context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

/// The name in this directory under which a file goes now, if its name has changed. `None`: there is none.
pub fn name_of(directory: &OwnedFd, inode: u64) -> io::Result<Option<OsString>> {
    use std::os::unix::ffi::OsStringExt;
    let what = || "cannot list a directory".to_owned();
    let entries = Dir::read_from(directory).context(what)?;
    for entry in entries.take(MOST_ENTRIES) {
        let entry = entry.context(what)?;
        // The number in the listing may be another layer's (Documentation/filesystems/overlayfs.rst, inode properties): asked again.
        if entry.ino() == inode {
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            if look(directory, &name)?.is_some_and(|found| found.identity.inode == inode) {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// The directory by a path below this one in which no part is a link, nor `..`.
pub fn beneath(directory: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let relative: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} climbs", path.display()),
        ));
    }
    let path = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &relative
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let mut answer = Errno::AGAIN;
    for _ in 0..RACES {
        match openat2(directory.as_fd(), path, flags, Mode::empty(), resolve) {
            Ok(found) => return Ok(found),
            Err(error @ (Errno::AGAIN | Errno::INTR)) => answer = error,
            Err(error) => return Err(error).context(|| format!("cannot open the directory {}", path.display())),
        }
    }
    Err(answer).context(|| format!("cannot open the directory {}", path.display()))
}

/// The path of an open file as the kernel has it now, from the root of its mount namespace; without links. Where that root is not
/// ours, the path means something else to us.
pub fn path_of(file: impl AsFd) -> io::Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    std::fs::read_link(&link).context(|| format!("cannot read {link}"))
}

/// Whether a directory is this one, or somewhere in it.
pub fn is_within(directory: impl AsFd, outer: FileIdentity) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let climb = |from: &dyn AsFd| rustix::fs::openat(from.as_fd(), c"..", flags, Mode::empty());
    let mut identity = FileIdentity::of(&directory)?;
    let mut at = climb(&directory).context(|| "cannot climb from a directory".into())?;
    for _ in 0..DEEPEST {
        if identity == outer {
            return Ok(true);
        }
        let above = FileIdentity::of(&at)?;
        if above == identity {
            return Ok(false);
        }
        identity = above;
        at = climb(&at).context(|| "cannot climb from a directory".into())?;
    }
    Err(io::Error::other("a directory is nested without end"))
}

/// Whether the file system of an open file keeps files, and not settings of the kernel or something that only looks like files: in
/// /proc, /sys or a control group a write does something else. Also that it is mounted for writing.
///
/// # Errors
/// Why not, as `InvalidInput`.
pub fn keeps_files(file: impl AsFd) -> io::Result<()> {
    // The numbers are those of include/uapi/linux/magic.h, and of the file systems that are not in it.
    const KEEP: [u32; 15] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlayfs
        0x2fc1_2fc1, // zfs
        0xf2f5_2010, // f2fs
        0xca45_1a4e, // bcachefs
        0x6969,      // nfs
        0x00c3_6400, // ceph
        0x0102_1997, // 9p
        0x6573_5546, // fuse
        0x4d44,      // fat
        0x2011_bab0, // exfat
    ];
    let refused = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let what = || "cannot look at the file system of a file".to_owned();
    // The type is a long of the architecture; the numbers fit into 32 bits.
    let kind = fstatfs(&file).context(what)?.f_type as u32;
    if !KEEP.contains(&kind) {
        return Err(refused(format!(
            "its file system, of the type {kind:#x}, is none that keeps files"
        )));
    }
    if fstatvfs(&file)
        .context(what)?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY)
    {
        return Err(refused("its file system is mounted for reading only".to_owned()));
    }
    Ok(())
}

/// The bytes of a range; fewer if the file ends before it.
pub fn read_range(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context(|| format!("cannot read {length} bytes at {offset}")),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// As [`read_range`], from the disk: what the kernel keeps of it in memory is let go first, unless it has yet to be written, or the
/// file system has no disk (`POSIX_FADV_DONTNEED`, posix_fadvise(2)).
pub fn read_range_past_cache(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let size = std::num::NonZeroU64::new(length as u64);
    fadvise(file, offset, size, Advice::DontNeed).context(|| "cannot let go of the cache of a file".into())?;
    read_range(file, offset, length)
}

/// Writes into a file that is there already, and returns when it is on disk.
pub fn write_range(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let length = bytes.len();
    file.write_all_at(bytes, offset)
        .and_then(|()| file.sync_data())
        .context(|| format!("cannot write {length} bytes at {offset}"))
}

/// Whether the error says that a part of the way is not there, or is no directory any more.
pub fn is_no_way(error: &io::Error) -> bool {
    matches!(errno(error), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

#[cfg(test)]
mod tests;
