//! `memory_limit`: lowers the memory limit of the target's control group.
//!
//! v1 has two files, memory and memory+swap, and the kernel keeps the first below the second (mm/memcontrol-v1.c,
//! `mem_cgroup_resize_max`): on the way down memory comes first, on the way up memory+swap. v2 has memory.max and memory.swap.max,
//! which are independent. Both files are restored; each by compare and set. Where somebody has set memory+swap meanwhile, memory can
//! only go as far up as that.

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::units::Size;
use fracas_linux::cgroup::{Cgroup, Controller, Version};
use fracas_linux::memory::Memory;
use serde::{Deserialize, Serialize};

use crate::kernel_file::{KernelFile, field, group_of, lives, observe_all, resources_of, revert_all};
use crate::say::{OrSay, mib, missed};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::MemoryLimit`].
#[derive(Debug)]
pub struct MemoryLimit;

/// The files, in the order in which they are lowered; they are raised in the opposite order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    files: Vec<KernelFile>,
    /// Whom it is for.
    #[serde(default)]
    target: Option<ProcessIdentity>,
}

/// Version 1's limit of memory and swap together.
const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";
/// Smaller limits kill a process before it can be measured.
const SMALLEST: u64 = 4 << 20;

impl Fault for MemoryLimit {
    const NAME: &'static str = "memory_limit";
    type Params = params::MemoryLimit;
    type Undo = Undo;

    fn undo_class(_: &params::MemoryLimit) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::MemoryLimit) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::MemoryLimit, target: &Target, _: &Context) -> Result<Undo> {
        let refuse = |what: String| Problem::new(&codes::FAULT_PLAN, format!("memory_limit on {target}: {what}"));
        let group = group_of(Self::NAME, target, Controller::Memory)?;
        // The kernel rounds down to pages (page_counter_memparse); what it reads back must be what we call ours.
        let limit = params.limit.0 / 4096 * 4096;
        if limit < SMALLEST {
            return Err(refuse(format!("{} is below {}", params.limit, Size(SMALLEST))));
        }
        let machine = Memory::now().or_say(&codes::SYSTEM, || {
            "the memory of this machine cannot be read".to_owned()
        })?;
        if limit > machine.total {
            return Err(refuse(format!(
                "{} is above the {} that this machine has, and limits nothing",
                params.limit,
                mib(machine.total)
            )));
        }
        let files = match group.version() {
            Version::V1 => v1_files(&group, limit),
            Version::V2 => v2_files(&group, limit),
        }
        .map_err(|error| refuse("the present limits cannot be read".into()).because(&error))?;
        let (usage, before) = usage_and_limit(&group)
            .map_err(|error| refuse("the present usage cannot be read".into()).because(&error))?;
        if usage > limit {
            // v1 answers EBUSY, v2 would kill at once: neither is a limit that was put on.
            return Err(
                refuse(format!("{} is below the present usage of {usage} bytes", params.limit))
                    .next("raise the limit above the usage, or see `memory_stress` for filling memory"),
            );
        }
        if before.is_some_and(|before| before <= limit) {
            return Err(refuse(format!(
                "{} is not below the present limit of {} bytes",
                params.limit,
                before.unwrap_or_default()
            )));
        }
        Ok(Undo {
            files,
            target: Some(target.process().clone()),
        })
    }

    fn change(params: &params::MemoryLimit, undo: &Undo) -> String {
        let before = undo.files.first().map_or("?", |file| human(&file.before));
        format!("memory limit {before} → {}, then back", params.limit)
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        resources_of(&undo.files)
    }

    async fn apply(_: &params::MemoryLimit, undo: &Undo, _: &Context) -> Result<()> {
        undo.files.iter().try_for_each(KernelFile::apply)
    }

    async fn measure(params: &params::MemoryLimit, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("memory limit {}", params.limit);
        if !lives(undo.target.as_ref())? {
            return Ok(missed(asked, "the target is gone"));
        }
        let Some(file) = undo.files.first() else {
            return Err(Problem::new(&codes::INSIDE, "a memory limit without files"));
        };
        let Some(group) = file.open()? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let unreadable = |error: std::io::Error| {
            Problem::new(&codes::FAULT_MEASURE, format!("cannot read {}", file.path())).because(&error)
        };
        let now = group.read(&file.file).map_err(unreadable)?;
        let hits = hits(&group).map_err(unreadable)?;
        let landed = if now == file.ours {
            Landed::Yes
        } else {
            Landed::No(format!("{} holds {now}, not {}", file.path(), file.ours))
        };
        let effect = if hits > 0 {
            format!("the limit was hit {hits} times")
        } else {
            "in force, never reached".to_owned()
        };
        Ok(Dose {
            asked,
            delivered: format!("{now} bytes in {}", file.file),
            landed,
            effect: Some(effect),
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        revert_all(&undo.as_far_as_it_goes()?)
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        observe_all(&undo.files)
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.files.iter().rev().map(KernelFile::manual).collect()
    }
}

impl Undo {
    /// The files with what can be written to them: the kernel answers EINVAL to a memory limit above memory+swap, and our limit would
    /// stay for ever where a stranger has set that.
    fn as_far_as_it_goes(&self) -> Result<Vec<KernelFile>> {
        let mut files = self.files.clone();
        let [memory, swap] = files.as_mut_slice() else {
            return Ok(files);
        };
        if swap.file != MEMORY_AND_SWAP {
            return Ok(files);
        }
        if let Some(now) = swap.now()?
            && now != swap.before
            && now != swap.ours
            && let (Ok(highest), Ok(before)) = (now.parse::<u64>(), memory.restore.parse::<u64>())
            && highest < before
        {
            memory.restore = now;
        }
        Ok(files)
    }
}

// v1 shows "no limit" as the largest page count and takes that number back: exact.
fn file(group: &Cgroup, name: &str, ours: u64) -> std::io::Result<KernelFile> {
    KernelFile::of(group, name, ours.to_string())
}

fn v1_files(group: &Cgroup, limit: u64) -> std::io::Result<Vec<KernelFile>> {
    let mut files = vec![file(group, "memory.limit_in_bytes", limit)?];
    match file(group, MEMORY_AND_SWAP, limit) {
        Ok(swap) => files.push(swap),
        // Kernels without swap accounting have no such file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(files)
}

fn v2_files(group: &Cgroup, limit: u64) -> std::io::Result<Vec<KernelFile>> {
    let mut files = vec![file(group, "memory.max", limit)?];
    match file(group, "memory.swap.max", 0) {
        // No swap allowed already: nothing to change.
        Ok(swap) if swap.before == "0" => {}
        Ok(swap) => files.push(swap),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(files)
}

fn usage_and_limit(group: &Cgroup) -> std::io::Result<(u64, Option<u64>)> {
    let (usage, limit) = match group.version() {
        Version::V1 => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
        Version::V2 => ("memory.current", "memory.max"),
    };
    let number = |text: String| text.parse::<u64>().map_err(std::io::Error::other);
    let limit = group.read(limit)?;
    Ok((
        number(group.read(usage)?)?,
        if limit == "max" { None } else { Some(number(limit)?) },
    ))
}

fn hits(group: &Cgroup) -> std::io::Result<u64> {
    match group.version() {
        Version::V1 => group.read("memory.failcnt")?.parse().map_err(std::io::Error::other),
        Version::V2 => group.read("memory.events").map(|events| field(&events, "max")),
    }
}

/// "unlimited" where the kernel shows its largest page count (v1) or `max` (v2).
fn human(value: &str) -> &str {
    match value.parse::<u64>() {
        Ok(bytes) if bytes < i64::MAX as u64 / 4096 * 4096 => value,
        _ => "unlimited",
    }
}
