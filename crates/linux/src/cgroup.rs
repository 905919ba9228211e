//! Control groups of both versions, and of machines that mix them: cgroups(7).
//!
//! A [`Cgroup`] holds the directory itself. Every later read and write goes through that descriptor, so that it never reaches a
//! group that was made again under the same path.

mod dir;
mod layout;
mod mounts;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fracas_core::target::CgroupIdentity;
use serde::{Deserialize, Serialize};

pub use layout::{Hierarchy, Layout, layout};
pub(crate) use mounts::unescape;

use crate::claim::Claim;
use crate::error::{Context, invalid, is_gone};
use dir::Dir;
use mounts::Mount;

/// What a group controls. Named as in version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// Memory.
    Memory,
    /// Shares and quota of the processor.
    Cpu,
    /// Accounting of the processor; in version 2 a part of every group.
    CpuAcct,
    /// Which processors and memory nodes.
    Cpuset,
    /// The number of processes.
    Pids,
    /// Block devices; `io` in version 2.
    Blkio,
    /// Freezing; in version 2 a part of every group.
    Freezer,
}

/// Moves this process to the root of every hierarchy that is seen from its root: out of whatever group it was started in, also for the
/// controllers that no [`Controller`] names. A container engine that ends a container without processes of its own kills what is in
/// its group of `devices` (`GetAllPids` in runc's libcontainer/cgroups).
pub fn join_roots() -> io::Result<()> {
    for mount in mounts::read(Path::new("/proc"))? {
        if let Some(root) = mount.whole() {
            let path = root.join("cgroup.procs");
            // 0 is the process that writes, see cgroups(7).
            std::fs::write(&path, "0").context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::Cpu,
        Self::CpuAcct,
        Self::Cpuset,
        Self::Pids,
        Self::Blkio,
        Self::Freezer,
    ];

    /// Its name in version 1.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAcct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Pids => "pids",
            Self::Blkio => "blkio",
            Self::Freezer => "freezer",
        }
    }

    /// Its name in `cgroup.controllers` of version 2; `None`: it is a part of every group and not listed.
    pub fn name_v2(self) -> Option<&'static str> {
        match self {
            Self::Blkio => Some("io"),
            Self::CpuAcct | Self::Freezer => None,
            Self::Memory | Self::Cpu | Self::Cpuset | Self::Pids => Some(self.name()),
        }
    }
}

/// Which of the kernel's two interfaces a group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// Where /proc is. The kernel's own by default; tests have others.
#[derive(Debug, Clone)]
pub struct Roots {
    /// The directory that stands for `/proc`.
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into() }
    }
}

/// One group, seen through one controller.
#[derive(Debug)]
pub struct Cgroup {
    dir: Dir,
    identity: CgroupIdentity,
    controller: Controller,
    version: Version,
}

/// The group that the process is in. `None`: there is no such process, or this machine, or the group, has no such controller.
pub fn of(pid: u32, controller: Controller) -> io::Result<Option<Cgroup>> {
    Roots::default().of(pid, controller)
}

impl Roots {
    /// [`of`], with this /proc.
    pub fn of(&self, pid: u32, controller: Controller) -> io::Result<Option<Cgroup>> {
        let path = self.proc.join(pid.to_string()).join("cgroup");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error).context(|| format!("cannot read {}", path.display())),
        };
        let mounts = mounts::read(&self.proc)?;
        let Some((version, inside)) = mounts::membership(&text, controller) else {
            return Ok(None);
        };
        let Some(mount) = mounts::find(&mounts, version, controller) else {
            return Ok(None);
        };
        let directory = mount.directory(inside).ok_or_else(|| {
            invalid(format!(
                "the control group {inside} of pid {pid} lies outside of what is mounted at {}: run Fracas in the host's \
                 control group namespace",
                mount.point.display()
            ))
        })?;
        let Some(dir) = Dir::open(&directory)? else {
            // The last process of a group has gone, and the group with it.
            return Ok(None);
        };
        Cgroup::new(dir, directory, controller, version)?.if_controlled()
    }

    /// [`Cgroup::open`], with this /proc.
    pub fn open(&self, id: &CgroupIdentity, controller: Controller) -> io::Result<Option<Cgroup>> {
        let path = PathBuf::from(&id.path);
        // No group outlives its boot, and another one may have its path and its inode by now: a machine that does the same at each boot
        // gives the same inodes.
        if !id.boot.is_empty() && id.boot != crate::process::boot_id()? {
            return Ok(None);
        }
        let mounts = mounts::read(&self.proc)?;
        // A group whose hierarchy cannot be seen from here may well be there: a recovery in another mount namespace, inside a
        // container for one, must not take what it does not see for gone.
        let Some(mount) = Mount::around(&mounts, &path).filter(|mount| mount.has(controller)) else {
            return Err(invalid(format!(
                "no hierarchy of control groups with this controller is mounted around {}: is this the machine's own view of its files?",
                path.display()
            )));
        };
        let Some(dir) = Dir::open(&path)? else {
            return Ok(None);
        };
        let group = Cgroup::new(dir, path, controller, mount.version)?;
        Ok((group.identity.inode == id.inode).then_some(group))
    }

    /// The root group of the hierarchy that has this controller. `None`: the machine has no such controller.
    pub fn root(&self, controller: Controller) -> io::Result<Option<Cgroup>> {
        let mounts = mounts::read(&self.proc)?;
        for version in [Version::V1, Version::V2] {
            let Some(mount) = mounts::find(&mounts, version, controller) else {
                continue;
            };
            let Some(dir) = Dir::open(&mount.point)? else {
                continue;
            };
            let root = Cgroup::new(dir, mount.point.clone(), controller, version)?;
            if let Some(root) = root.if_controlled()? {
                return Ok(Some(root));
            }
        }
        Ok(None)
    }
}

/// The root group of the hierarchy that has this controller. `None`: the machine has no such controller.
pub fn root(controller: Controller) -> io::Result<Option<Cgroup>> {
    Roots::default().root(controller)
}

impl Cgroup {
    /// Opens exactly this group. `None`: it is gone, also with the boot that it belonged to, or another is there now.
    ///
    /// # Errors
    /// Besides what the system refuses: no hierarchy with this controller is mounted around the path.
    pub fn open(id: &CgroupIdentity, controller: Controller) -> io::Result<Option<Self>> {
        Roots::default().open(id, controller)
    }

    fn new(dir: Dir, path: PathBuf, controller: Controller, version: Version) -> io::Result<Self> {
        let inode = dir.inode()?;
        let path = path
            .into_os_string()
            .into_string()
            .map_err(|path| invalid(format!("the path {} is not UTF-8", path.display())))?;
        Ok(Self {
            dir,
            identity: CgroupIdentity {
                path,
                inode,
                boot: crate::process::boot_id()?,
            },
            controller,
            version,
        })
    }

    /// In version 2 a group has only the controllers that its parent gave it: `cgroup.controllers`.
    fn if_controlled(self) -> io::Result<Option<Self>> {
        if let (Version::V2, Some(name)) = (self.version, self.controller.name_v2()) {
            let available = self.read("cgroup.controllers")?;
            if !available.split_ascii_whitespace().any(|word| word == name) {
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    /// Which group this is.
    pub fn identity(&self) -> &CgroupIdentity {
        &self.identity
    }

    /// Which interface it has.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The controller through which it is seen.
    pub fn controller(&self) -> Controller {
        self.controller
    }

    /// The path by which it was found. Another group may be there by now: use it for messages and manual commands.
    pub fn path(&self) -> &Path {
        Path::new(&self.identity.path)
    }

    /// Reads one of its files, without the blanks around. At most 1 MiB.
    pub fn read(&self, file: &str) -> io::Result<String> {
        self.dir.read(file).map(|text| text.trim().to_owned())
    }

    /// Whether the group has a file of this name.
    pub fn has(&self, file: &str) -> io::Result<bool> {
        self.dir.has(file)
    }

    /// Writes one of its files, in one write; a missing file is never made. Some values end with the kernel's refusal: see
    /// [`crate::error::errno`].
    pub fn write(&self, file: &str, value: &str) -> io::Result<()> {
        self.dir.write(file, value)
    }

    /// Whether this is the root of its hierarchy, where limits do not exist.
    ///
    /// The kernel makes `release_agent` only in version 1's root and `cgroup.events` everywhere but in version 2's (the flags
    /// `CFTYPE_ONLY_ON_ROOT` and `CFTYPE_NOT_ON_ROOT` in kernel/cgroup); a control group namespace changes nothing in that.
    pub fn is_root(&self) -> io::Result<bool> {
        match self.version {
            Version::V1 => self.has("release_agent"),
            Version::V2 => Ok(!self.has("cgroup.events")?),
        }
    }

    /// The child of this name, made if it does not exist.
    ///
    /// A new cpuset of version 1 has no processor and takes no process: it gets those of its parent.
    pub fn child(&self, name: &str) -> io::Result<Self> {
        let dir = self.dir.make(name)?;
        let child = Self::new(dir, self.path().join(name), self.controller, self.version)?;
        if self.version == Version::V1 && self.controller == Controller::Cpuset {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if child.read(file)?.is_empty() {
                    child.write(file, &self.read(file)?)?;
                }
            }
        }
        Ok(child)
    }

    /// The child of this name. `None`: there is none.
    pub fn find_child(&self, name: &str) -> io::Result<Option<Self>> {
        match self.dir.child(name)? {
            Some(dir) => Self::new(dir, self.path().join(name), self.controller, self.version).map(Some),
            None => Ok(None),
        }
    }

    /// Removes the child of this name. `false`: there is none. A group with processes or children is refused (`EBUSY`).
    pub fn remove_child(&self, name: &str) -> io::Result<bool> {
        self.dir.remove(name)
    }

    /// The names of its children.
    pub fn children(&self) -> io::Result<Vec<String>> {
        self.dir.children()
    }

    /// The processes in it, not in its children; ascending. One from another pid namespace shows as nothing or 0 and is left out.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let text = self.dir.read("cgroup.procs")?;
        let mut pids = Vec::new();
        for line in text.lines() {
            let pid: u32 = line.parse().map_err(|_| {
                invalid(format!(
                    "cgroup.procs of {} holds {line:?}, which is no pid",
                    self.identity.path
                ))
            })?;
            if pid != 0 {
                pids.push(pid);
            }
        }
        // Version 1 sorts, version 2 does not, and a process may appear twice in it (cgroups.rst).
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Moves a process into the group.
    pub fn add(&self, pid: u32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// The processor time that the group and its children have used since it was made.
    pub fn cpu_usage(&self) -> io::Result<Duration> {
        match self.version {
            Version::V1 => number(&self.read("cpuacct.usage")?).map(Duration::from_nanos),
            Version::V2 => {
                let stat = self.read("cpu.stat")?;
                let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
                usage.and_then(number).map(Duration::from_micros)
            }
        }
        .ok_or_else(|| {
            invalid(format!(
                "{} does not say how much processor time it used",
                self.identity.path
            ))
        })
    }

    /// Claims the group for this process: see [`crate::claim`]. `None`: another has it.
    pub fn claim(&self) -> io::Result<Option<Claim>> {
        Claim::take(self.dir.again()?, || self.identity.path.clone())
    }

    /// `cgroup.procs`, open for writing: what a child needs to join the group between fork and exec, where nothing may be opened
    /// any more that could fail for want of a descriptor.
    pub(crate) fn door(&self) -> io::Result<std::os::fd::OwnedFd> {
        self.dir.open_for_writing("cgroup.procs")
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests;
