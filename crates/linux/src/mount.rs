//! What lies under an open file: which file system, and which device in the end.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use crate::cgroup::unescape;
use crate::error::{Context, invalid};
use crate::process;

/// The number of a device, in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A file system, and what its files really take room on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// The type of the file system that holds the bytes: `ext4`, `tmpfs`. For an overlay that of its upper layer.
    pub kind: String,
    /// The device of that file system. Two files take room from each other where it is the same. `None`: it cannot be told, as with
    /// a file system in user space.
    pub device: Option<Device>,
    /// What the mount table calls its source: often the path of a device.
    source: PathBuf,
}

/// An overlay on an overlay is refused by the kernel beyond this (`FILESYSTEM_MAX_STACK_DEPTH`, include/linux/fs.h).
const DEEPEST: u32 = 2;

impl Backing {
    /// What lies under this file, which a process in the mount namespace of `pid` has.
    ///
    /// # Errors
    /// The mount tables cannot be read, or are none.
    pub fn of(file: impl AsFd, pid: u32) -> io::Result<Self> {
        Self::below(file, pid, DEEPEST)
    }

    /// What lies under this path of our own.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        Self::of_path_below(path, DEEPEST)
    }

    fn of_path_below(path: &Path, depth: u32) -> io::Result<Self> {
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("cannot look at {}", path.display()))?;
        Self::below(file, std::process::id(), depth)
    }

    fn below(file: impl AsFd, pid: u32, depth: u32) -> io::Result<Self> {
        let id = mount_id(&file)?;
        // The table of a process shows what can be reached from its root; that of one whose root is a plain directory lacks the mount
        // that this directory is on, which ours may have.
        let mut found = None;
        for pid in [pid, std::process::id()] {
            let table = process::read_long(pid, "mountinfo")?.unwrap_or_default();
            found = table
                .split(|&byte| byte == b'\n')
                .filter_map(parse)
                .find(|mount| mount.id == id);
            if found.is_some() {
                break;
            }
        }
        let Some(mount) = found else {
            return Ok(Self::unknown("unknown"));
        };
        if mount.kind == "overlay" {
            // The layer's path is that of who mounted it: an engine in our mount namespace. Where it leads nowhere, nothing is known.
            return Ok(match mount.upper {
                Some(upper) if depth > 0 && upper.is_absolute() => {
                    Self::of_path_below(&upper, depth - 1).unwrap_or_else(|_| Self::unknown("overlay"))
                }
                _ => Self::unknown("overlay"),
            });
        }
        // A file system in user space takes its room wherever its program pleases.
        let hidden = mount.kind.starts_with("fuse") && mount.kind != "fuseblk";
        Ok(Self {
            device: (!hidden).then_some(mount.device),
            kind: mount.kind,
            source: mount.source,
        })
    }

    fn unknown(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            device: None,
            source: PathBuf::new(),
        }
    }

    /// Whether its files take memory, not room on a disk.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs" | "devtmpfs" | "hugetlbfs")
    }

    /// The whole disk that its bytes go to, by whose number control groups know it. `None`: there is none, as for memory or a network,
    /// or it cannot be told.
    pub fn disk(&self) -> io::Result<Option<Device>> {
        let Some(device) = self.device else { return Ok(None) };
        // Major 0 are file systems without a device of their own, or with several (btrfs): then the source may name one.
        let device = if device.major == 0 {
            match block_device(&self.source) {
                Some(device) => device,
                None => return Ok(None),
            }
        } else {
            device
        };
        let directory = PathBuf::from(format!("/sys/dev/block/{device}"));
        if !directory.exists() {
            return Ok(None);
        }
        // Limits are for disks, not for partitions (`blkg_conf_open_bdev` in block/blk-cgroup.c); the directory of a partition is in
        // that of its disk.
        if !directory.join("partition").exists() {
            return Ok(Some(device));
        }
        let directory = directory
            .canonicalize()
            .context(|| format!("cannot find the disk of {device}"))?;
        let path = directory.parent().unwrap_or(&directory).join("dev");
        let text = std::fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
        number(text.trim())
            .map(Some)
            .ok_or_else(|| invalid(format!("{} holds {text:?}, which is no device", path.display())))
    }
}

/// The number of a block device by its path; `None` if that is none.
fn block_device(path: &Path) -> Option<Device> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = std::fs::metadata(path).ok().filter(|_| path.is_absolute())?;
    meta.file_type().is_block_device().then(|| Device {
        major: rustix::fs::major(meta.rdev()),
        minor: rustix::fs::minor(meta.rdev()),
    })
}

/// The number of the mount that an open file was reached by, see proc_pid_fdinfo(5).
fn mount_id(file: impl AsFd) -> io::Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&path).context(|| format!("cannot read {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| invalid(format!("{path} names no mount")))
}

/// A line of the mount table.
#[derive(Debug, PartialEq)]
struct Mount {
    id: u64,
    device: Device,
    kind: String,
    source: PathBuf,
    /// The upper layer of an overlay.
    upper: Option<PathBuf>,
}

/// One line of `proc_pid_mountinfo(5)`: `31 23 0:28 ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE SUPER_OPTIONS`.
fn parse(line: &[u8]) -> Option<Mount> {
    use std::os::unix::ffi::OsStringExt;
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
    let path = |field: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(unescape(field)));
    let dash = fields.iter().position(|&field| field == b"-")?;
    let options = fields.get(dash + 3)?;
    Some(Mount {
        id: text(fields.first()?)?.parse().ok()?,
        device: number(&text(fields.get(2)?)?)?,
        kind: text(fields.get(dash + 1)?)?,
        source: path(fields.get(dash + 2)?),
        upper: options
            .split(|&byte| byte == b',')
            .find_map(|option| option.strip_prefix(b"upperdir="))
            .map(path),
    })
}

fn number(text: &str) -> Option<Device> {
    let (major, minor) = text.split_once(':')?;
    Some(Device {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_read() {
        let line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/ro\\040ot rw,errors=continue";
        assert_eq!(
            parse(line),
            Some(Mount {
                id: 36,
                device: Device { major: 98, minor: 0 },
                kind: "ext3".into(),
                source: "/dev/ro ot".into(),
                upper: None,
            })
        );
        let overlay =
            b"700 1 0:51 / / rw - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/var/x\\040y/diff,workdir=/w";
        assert_eq!(parse(overlay).unwrap().upper, Some("/var/x y/diff".into()));
        for line in [
            &b""[..],
            b"1 2 3",
            b"x 35 98:0 / / rw - ext3 a b",
            b"1 2 98 / / rw - ext3 a b",
        ] {
            assert_eq!(parse(line), None);
        }
    }

    #[test]
    fn what_lies_under_a_path_is_what_stat_says() {
        use std::os::unix::fs::MetadataExt;
        let proc = Backing::of_path(Path::new("/proc")).unwrap();
        assert_eq!((proc.kind.as_str(), proc.disk().unwrap()), ("proc", None));
        let root = Backing::of_path(Path::new("/")).unwrap();
        let device = std::fs::metadata("/").unwrap().dev();
        if let Some(found) = root.device
            && found.major != 0
        {
            let stat = (rustix::fs::major(device), rustix::fs::minor(device));
            assert_eq!((found.major, found.minor), stat);
            assert!(root.disk().unwrap().is_some());
        }
        assert!(!proc.is_memory() && Backing::of_path(Path::new("/dev/shm")).unwrap().is_memory());
        let file = tempfile::tempfile().unwrap();
        let own = Backing::of(&file, std::process::id()).unwrap();
        assert_eq!(own, Backing::of_path(&std::env::temp_dir()).unwrap());
        assert!(Backing::of_path(Path::new("/nowhere")).is_err());
    }
}
