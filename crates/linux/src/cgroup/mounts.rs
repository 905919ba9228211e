//! Where the hierarchies are mounted, and where in them a process is.

use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Controller, Version};
use crate::error::Context;

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) version: Version,
    /// Which group of the hierarchy lies at `point`: `/` but for bind mounts and namespaces.
    root: String,
    pub(super) point: PathBuf,
    /// The names of version 1's controllers, and whatever else the mount options say.
    options: Vec<String>,
}

/// Reads the mount table of this process.
pub(super) fn read(proc: &Path) -> io::Result<Vec<Mount>> {
    let path = proc.join("self/mountinfo");
    let bytes = std::fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.split(|&byte| byte == b'\n').filter_map(parse).collect())
}

/// One line of `proc_pid_mountinfo(5)`: `31 23 0:28 ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE SUPER_OPTIONS`. `None`: not a hierarchy.
pub(super) fn parse(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let dash = fields.iter().position(|&field| field == b"-")?;
    let version = match *fields.get(dash + 1)? {
        b"cgroup" => Version::V1,
        b"cgroup2" => Version::V2,
        _ => return None,
    };
    let options = String::from_utf8_lossy(fields.get(dash + 3)?).into_owned();
    Some(Mount {
        version,
        root: String::from_utf8(unescape(fields.get(3)?)).ok()?,
        point: PathBuf::from(std::ffi::OsString::from_vec(unescape(fields.get(4)?))),
        options: options.split(',').map(str::to_owned).collect(),
    })
}

/// Blank, tab, newline and backslash are written as a backslash and three octal digits.
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) if byte == b'\\' => {
                out.push(code);
                rest = &after[3..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}

/// Where a process is, from its `/proc/PID/cgroup`: lines of `ID:CONTROLLERS:PATH`, where version 2 has `0::PATH`. A controller
/// that is in a hierarchy of version 1 is not in version 2's.
pub(super) fn membership(text: &str, controller: Controller) -> Option<(Version, &str)> {
    let mut unified = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        if controllers.split(',').any(|name| name == controller.name()) {
            return Some((Version::V1, path));
        }
        if id == "0" && controllers.is_empty() {
            unified = Some((Version::V2, path));
        }
    }
    unified
}

/// The mount through which the most of the hierarchy can be seen.
pub(super) fn find(mounts: &[Mount], version: Version, controller: Controller) -> Option<&Mount> {
    mounts
        .iter()
        .filter(|mount| mount.version == version && mount.has(controller))
        .min_by_key(|mount| mount.root.len())
}

impl Mount {
    /// The innermost hierarchy that holds this path.
    pub(super) fn around<'a>(mounts: &'a [Self], path: &Path) -> Option<&'a Self> {
        mounts
            .iter()
            .filter(|mount| path.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.as_os_str().as_bytes().len())
    }

    /// Where it is mounted, if all of it is.
    pub(super) fn whole(&self) -> Option<&Path> {
        (self.root == "/").then_some(self.point.as_path())
    }

    /// Whether groups here may have the controller; in version 2 each group says for itself.
    pub(super) fn has(&self, controller: Controller) -> bool {
        self.version == Version::V2 || self.options.iter().any(|option| option == controller.name())
    }

    /// The directory of a group of the hierarchy. `None`: it cannot be seen through this mount, or the path climbs out of our
    /// namespace (`/../…`, see `cgroup_namespaces(7)`).
    pub(super) fn directory(&self, inside: &str) -> Option<PathBuf> {
        let below = if self.root == "/" {
            inside
        } else {
            inside
                .strip_prefix(&self.root)
                .filter(|below| below.is_empty() || below.starts_with('/'))?
        };
        if below.split('/').any(|part| part == "..") {
            return None;
        }
        let below = below.trim_start_matches('/');
        Some(if below.is_empty() {
            self.point.clone()
        } else {
            self.point.join(below)
        })
    }
}
