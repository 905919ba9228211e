//! What a control group says of its memory.

use std::io;

use fracas_linux::cgroup::{Cgroup, Version};
use fracas_linux::hold::held_by;

use crate::kernel_file::{field, is_gone};

/// What a group may take, and has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    /// `None`: no limit but the machine's.
    pub(super) limit: Option<u64>,
    /// Without the cached files, which the kernel drops before it refuses anything.
    pub(super) in_use: u64,
}

/// Version 1 shows "no limit" as the largest number of whole pages (`PAGE_COUNTER_MAX`, include/linux/page_counter.h).
const NO_LIMIT: u64 = i64::MAX as u64 / 4096 * 4096;

impl Budget {
    /// The budget of this group now.
    ///
    /// In version 1 also what the groups above allow (`hierarchical_memory_limit`); version 2 shows a group its own limit only.
    pub(super) fn of(group: &Cgroup) -> io::Result<Self> {
        let number = |text: String| text.parse::<u64>().map_err(io::Error::other);
        let stat = group.read("memory.stat")?;
        let (limit, usage, files) = match group.version() {
            Version::V1 => {
                if group.has("memory.use_hierarchy")? && group.read("memory.use_hierarchy")? == "0" {
                    // Documentation/admin-guide/cgroup-v1/memory.rst, section 6; gone since Linux 5.11.
                    return Err(io::Error::other(
                        "memory.use_hierarchy is 0: what a group below takes would not count as the target's",
                    ));
                }
                let limit = field(&stat, "hierarchical_memory_limit");
                (
                    Some(limit).filter(|limit| *limit > 0 && *limit < NO_LIMIT),
                    number(group.read("memory.usage_in_bytes")?)?,
                    field(&stat, "total_inactive_file") + field(&stat, "total_active_file"),
                )
            }
            Version::V2 => {
                let limit = group.read("memory.max")?;
                (
                    if limit == "max" { None } else { Some(number(limit)?) },
                    number(group.read("memory.current")?)?,
                    field(&stat, "inactive_file") + field(&stat, "active_file"),
                )
            }
        };
        Ok(Self {
            limit,
            in_use: usage.saturating_sub(files),
        })
    }
}

/// How much the worker in our group holds. `None`: there is no worker.
///
/// Version 1 counts for our group, what processes and memory files have apart. In version 2 our group has no memory controller, so
/// that its processes are looked at instead.
pub(super) fn held(group: &Cgroup) -> io::Result<Option<u64>> {
    let read = || {
        let processes = group.processes()?;
        if processes.is_empty() {
            return Ok(None);
        }
        if group.version() == Version::V1 {
            let stat = group.read("memory.stat")?;
            return Ok(Some(field(&stat, "rss") + field(&stat, "shmem")));
        }
        let mut held = None;
        for pid in processes {
            if let Some(more) = held_by(pid)? {
                held = Some(held.unwrap_or(0) + more);
            }
        }
        Ok(held)
    };
    match read() {
        Err(error) if is_gone(&error) => Ok(None),
        held => held,
    }
}

/// How many processes of this group the memory killer has taken since it was made; 0 where the kernel does not count (before 4.13).
pub(super) fn kills(group: &Cgroup) -> io::Result<u64> {
    let file = match group.version() {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    let read = || {
        // In version 2 our own group has no such file: what happens in it counts for the one above.
        if group.has(file)? {
            Ok(field(&group.read(file)?, "oom_kill"))
        } else {
            Ok(0)
        }
    };
    match read() {
        Err(error) if is_gone(&error) => Ok(0),
        kills => kills,
    }
}
