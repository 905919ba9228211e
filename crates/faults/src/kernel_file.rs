//! One file of a control group that is changed and put back by compare and set.
//!
//! What was there before and what we wrote are recorded. On the way back: ours is there: restore; before is there: nothing to do;
//! anything else: somebody decided otherwise, and it is left.

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Reverted, Seen};
use fracas_core::target::{CgroupIdentity, ProcessIdentity, Target};
use fracas_linux::cgroup::{self, Cgroup, Controller};
use serde::{Deserialize, Serialize};

use crate::say::{OrSay, gone, refuse};
use crate::{Resource, members};

/// The undo of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFile {
    /// The group.
    pub cgroup: CgroupIdentity,
    /// Its controller.
    pub controller: Controller,
    /// The file's name in the group.
    pub file: String,
    /// What it held.
    pub before: String,
    /// What the fault writes, in the form in which the kernel reads it back.
    pub ours: String,
    /// What is written to restore `before`, where that differs from what is read (v1 reads "unlimited" as a huge number).
    pub restore: String,
    /// For files with a line for each device: whose line (`8:0`). The values are without it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// Version 2's limits of devices.
pub(crate) const IO_MAX: &str = "io.max";

impl KernelFile {
    /// What the file holds now is what will be restored; the kernel takes back what it shows.
    pub(crate) fn of(group: &Cgroup, file: &str, ours: String) -> std::io::Result<Self> {
        let before = group.read(file)?;
        Ok(Self {
            cgroup: group.identity().clone(),
            controller: group.controller(),
            file: file.to_owned(),
            restore: before.clone(),
            before,
            ours,
            device: None,
        })
    }

    /// The line of one device, in a file that has one for each device with a limit.
    pub(crate) fn of_device(group: &Cgroup, file: &str, device: &str, ours: String) -> std::io::Result<Self> {
        let mut of = Self {
            device: Some(device.to_owned()),
            ..Self::of(group, file, ours)?
        };
        of.before = of.get(group)?;
        of.restore.clone_from(&of.before);
        Ok(of)
    }

    fn get(&self, group: &Cgroup) -> std::io::Result<String> {
        let text = group.read(&self.file)?;
        let Some(device) = &self.device else { return Ok(text) };
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(device.as_str())?.strip_prefix(' '));
        Ok(line.unwrap_or(self.no_line()).trim().to_owned())
    }

    fn set(&self, group: &Cgroup, value: &str) -> std::io::Result<()> {
        match &self.device {
            Some(device) => group.write(&self.file, &format!("{device} {value}")),
            None => group.write(&self.file, value),
        }
    }

    /// What a missing line means, and what removes one: `tg_set_conf` and `tg_set_limit` in block/blk-throttle.c.
    fn no_line(&self) -> &'static str {
        if self.file == IO_MAX {
            "rbps=max wbps=max riops=max wiops=max"
        } else {
            "0"
        }
    }

    /// The group, if it is still that group.
    pub fn open(&self) -> Result<Option<Cgroup>> {
        Cgroup::open(&self.cgroup, self.controller).map_err(|error| {
            Problem::new(
                &codes::TARGET_READ,
                format!("cannot open the control group {}", self.cgroup.path),
            )
            .because(&error)
        })
    }

    /// The value now; `None` if the group is gone.
    pub fn now(&self) -> Result<Option<String>> {
        let Some(group) = self.open()? else { return Ok(None) };
        match self.get(&group) {
            Ok(value) => Ok(Some(value)),
            // The directory was there and its file is not: the group is being removed.
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => {
                Err(Problem::new(&codes::FAULT_OBSERVE, format!("cannot read {}", self.path())).because(&error))
            }
        }
    }

    /// Writes our value, unless the file no longer holds what was planned.
    pub fn apply(&self) -> Result<()> {
        let group = self.open()?.ok_or_else(|| {
            Problem::new(
                &codes::TARGET_GONE,
                format!("the control group {} is gone", self.cgroup.path),
            )
        })?;
        let now = self.get(&group).map_err(|error| {
            Problem::new(&codes::FAULT_APPLY, format!("cannot read {}", self.path())).because(&error)
        })?;
        if now != self.before {
            return Err(Problem::new(
                &codes::FAULT_APPLY,
                format!(
                    "{} holds {now}, not {} as planned: somebody changes it",
                    self.path(),
                    self.before
                ),
            ));
        }
        self.set(&group, &self.ours).map_err(|error| {
            Problem::new(
                &codes::FAULT_APPLY,
                format!("cannot write {} to {}", self.ours, self.path()),
            )
            .because(&error)
        })
    }

    /// Compare and set.
    pub fn revert(&self) -> Result<Reverted> {
        let Some(now) = self.now()? else {
            return Ok(Reverted::AlreadyGone);
        };
        if now == self.before {
            return Ok(Reverted::AlreadyGone);
        }
        if now != self.ours {
            return Ok(Reverted::Foreign {
                before: self.before.clone(),
                ours: self.ours.clone(),
                now,
            });
        }
        let Some(group) = self.open()? else {
            return Ok(Reverted::AlreadyGone);
        };
        match self.set(&group, &self.restore) {
            Ok(()) => Ok(Reverted::Restored),
            Err(error) if is_gone(&error) => Ok(Reverted::AlreadyGone),
            Err(error) => Err(Problem::new(
                &codes::FAULT_REVERT,
                format!("cannot write {} to {}", self.restore, self.path()),
            )
            .because(&error)),
        }
    }

    /// What is there.
    pub fn observe(&self) -> Result<Seen> {
        Ok(match self.now()? {
            None => Seen::TargetGone,
            Some(now) if now == self.before => Seen::Original,
            Some(now) if now == self.ours => Seen::Ours(format!("{} holds {now}", self.path())),
            Some(now) => Seen::Foreign(format!("{} holds {now}", self.path())),
        })
    }

    /// The whole path.
    pub fn path(&self) -> String {
        format!("{}/{}", self.cgroup.path, self.file)
    }

    /// What a person types to restore it.
    pub fn manual(&self) -> String {
        let device = self
            .device
            .as_ref()
            .map_or(String::new(), |device| format!("{device} "));
        format!("echo {device}{} > {}", self.restore, self.path())
    }
}

/// Whether an error says that the group went away under us: ENOENT for the file, ENODEV for an open file of a removed group
/// (`kernfs_fop_read_iter` and `cgroup_file_write`, kernel/cgroup/cgroup.c).
pub fn is_gone(error: &std::io::Error) -> bool {
    const ENOENT: i32 = 2;
    const ENODEV: i32 = 19;
    matches!(fracas_linux::error::errno(error), Some(ENOENT | ENODEV))
}

/// The group of the target in a controller, if a value in it would be the target's alone.
///
/// # Errors
/// T004 when the target is gone, F001 without such a controller, in the root group, or for a container without a group of its own.
pub(crate) fn group_of(fault: &str, target: &Target, controller: Controller) -> Result<Cgroup> {
    let unreadable = || format!("{fault} on {target}: the control group cannot be read");
    let group = cgroup::of(target.process().pid, controller).or_say(&codes::TARGET_READ, unreadable)?;
    // Looked at after the group was found: had the pid changed hands, the group would be a stranger's.
    if members::open(target.process())?.is_none() {
        return Err(gone(fault, target));
    }
    let name = controller.name();
    let group = group.ok_or_else(|| refuse(fault, target, format!("its control group has no {name} controller")))?;
    if group.is_root().or_say(&codes::TARGET_READ, unreadable)? {
        return Err(refuse(
            fault,
            target,
            "the process is in the root group, whose limit would be the whole machine's",
        )
        .next("put the process into a control group of its own"));
    }
    if let Some(container) = target.container()
        && !group.path().to_string_lossy().contains(&container.id)
    {
        // Engines name the group of a container after its id, wherever they put it. Podman without root has none on version 1:
        // the container is in the group of the session that started it.
        return Err(refuse(
            fault,
            target,
            format!(
                "the container has no {name} group of its own but shares {}, and a limit there would hit others",
                group.path().display()
            ),
        )
        .next(
            "let the engine give its containers control groups: with Podman, run as root or use version 2 with systemd",
        ));
    }
    Ok(group)
}

/// Whether the target still lives, by the identity in the undo; one of an older version names none. A group outlives its processes:
/// a limit for nobody is no fault.
pub(crate) fn lives(target: Option<&ProcessIdentity>) -> Result<bool> {
    target.map_or(Ok(true), |target| members::open(target).map(|found| found.is_some()))
}

/// Undoes several files, the last first. The first stranger's value that is met is what is told.
pub(crate) fn revert_all(files: &[KernelFile]) -> Result<Reverted> {
    let mut outcome = Reverted::AlreadyGone;
    let mut failure = None;
    for file in files.iter().rev() {
        match file.revert() {
            Ok(Reverted::Restored) if outcome == Reverted::AlreadyGone => outcome = Reverted::Restored,
            Ok(Reverted::Restored | Reverted::AlreadyGone) => {}
            Ok(Reverted::Foreign { .. }) if matches!(outcome, Reverted::Foreign { .. }) => {}
            Ok(foreign @ Reverted::Foreign { .. }) => outcome = foreign,
            // One file that resists must not keep the others as they are.
            Err(problem) => failure = Some(problem),
        }
    }
    failure.map_or(Ok(outcome), Err)
}

/// What is seen over several files, in the order of [`revert_all`]: ours in one is ours, then foreign in one is foreign.
pub(crate) fn observe_all(files: &[KernelFile]) -> Result<Seen> {
    let rank = |seen: &Seen| match seen {
        Seen::TargetGone => 0,
        Seen::Original | Seen::Claimed(_) => 1,
        Seen::Foreign(_) => 2,
        Seen::Ours(_) => 3,
    };
    let mut worst = Seen::TargetGone;
    for file in files.iter().rev() {
        let one = file.observe()?;
        if rank(&one) > rank(&worst) {
            worst = one;
        }
    }
    Ok(worst)
}

/// What nobody else may hold while these files are changed.
pub(crate) fn resources_of(files: &[KernelFile]) -> Vec<Resource> {
    let one = |file: &KernelFile| Resource {
        key: format!("{}@{}", file.path(), file.cgroup.inode),
        object: Some(file.cgroup.path.clone()),
    };
    files.iter().map(one).collect()
}

/// The number after a word in a file of lines of `word number`; 0 without it.
pub(crate) fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
        .unwrap_or(0)
}
