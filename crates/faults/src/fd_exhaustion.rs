//! `fd_exhaustion`: the soft limit of descriptors of the target's first process leaves room for so many more. Nothing is opened.
//!
//! `RLIMIT_NOFILE` bounds the *number* of a descriptor, not how many there are (getrlimit(2)): a process with descriptors 0, 1, 2 and
//! 500 and a limit of 4 can still open one. So the limit is the number of the first free descriptor after the reserve.
//!
//! What the process starts meanwhile inherits the limit (fork(2), execve(2)) and would keep it for ever: it is given back to them, too.

use std::collections::BTreeSet;

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::privileges::{self, Capability};
use fracas_linux::process::Process;
use fracas_linux::{limits, process};
use serde::{Deserialize, Serialize};

use crate::members;
use crate::say::{OrSay, gone, missed, refuse};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::FdExhaustion`].
#[derive(Debug)]
pub struct FdExhaustion;

/// The soft limit of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    process: ProcessIdentity,
    before: u64,
    ours: u64,
    /// When it was planned, in clock ticks since boot as start times are: whoever was started later and has our limit inherited it.
    #[serde(default)]
    since: Option<u64>,
}

impl Fault for FdExhaustion {
    const NAME: &'static str = "fd_exhaustion";
    type Params = params::FdExhaustion;
    type Undo = Undo;

    fn undo_class(_: &params::FdExhaustion) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::FdExhaustion) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::FdExhaustion, target: &Target, _: &Context) -> Result<Undo> {
        let identity = target.process();
        let gone = || gone(Self::NAME, target);
        may_limit(target)?;
        let open = open_numbers(identity, &codes::TARGET_READ)?.ok_or_else(gone)?;
        let before = soft(identity)?.ok_or_else(gone)?;
        let ours = first_free_after(&open, params.reserve);
        if before <= ours {
            return Err(refuse(
                Self::NAME,
                target,
                format!(
                    "{} in use and {} in reserve are not below the present limit of {before}",
                    open.len(),
                    params.reserve
                ),
            ));
        }
        Ok(Undo {
            process: identity.clone(),
            before,
            ours,
            since: Some(ticks()),
        })
    }

    fn change(_: &params::FdExhaustion, undo: &Undo) -> String {
        format!(
            "descriptor limit of {} {} → {}, then back",
            undo.process, undo.before, undo.ours
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![Resource {
            key: format!("descriptors of pid {} of {}", undo.process.pid, undo.process.start),
            object: Some(format!("/proc/{}", undo.process.pid)),
        }]
    }

    async fn apply(_: &params::FdExhaustion, undo: &Undo, _: &Context) -> Result<()> {
        let now = soft(&undo.process)?.ok_or_else(|| gone(Self::NAME, &undo.process))?;
        if now != undo.before {
            return Err(Problem::new(
                &codes::FAULT_APPLY,
                format!(
                    "the descriptor limit of {} is {now}, not {} as planned: somebody changes it",
                    undo.process, undo.before
                ),
            ));
        }
        if set(undo, undo.ours, &codes::FAULT_APPLY)? {
            Ok(())
        } else {
            Err(gone(Self::NAME, &undo.process))
        }
    }

    async fn measure(params: &params::FdExhaustion, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("room for {} more descriptors", params.reserve);
        let open = open_numbers(&undo.process, &codes::FAULT_MEASURE)?;
        let (Some(open), Some(limit)) = (open, soft(&undo.process)?) else {
            return Ok(missed(asked, "the target is gone"));
        };
        let used = open.range(..u32::try_from(limit).unwrap_or(u32::MAX)).count() as u64;
        let free = limit.saturating_sub(used);
        let landed = if limit == undo.ours {
            Landed::Yes
        } else {
            Landed::No(format!("the limit is {limit}, not {}", undo.ours))
        };
        let effect = if free == 0 {
            "no descriptor can be opened".to_owned()
        } else {
            format!("in force, {free} descriptors can still be opened")
        };
        Ok(Dose {
            asked,
            delivered: format!("limit {limit}, {} in use", open.len()),
            landed,
            effect: Some(effect),
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        let foreign = |now: String| Reverted::Foreign {
            before: undo.before.to_string(),
            ours: undo.ours.to_string(),
            now,
        };
        let mut did = match limits(&undo.process)? {
            Some((now, _)) if now != undo.before && now != undo.ours => foreign(now.to_string()),
            Some((now, hard)) if now == undo.ours && hard < undo.before => {
                // The soft limit cannot be above the hard one (prlimit(2)), which somebody has lowered.
                set(undo, hard, &codes::FAULT_REVERT)?;
                foreign(format!("{hard}, the hard limit"))
            }
            Some((now, _)) if now == undo.ours && set(undo, undo.before, &codes::FAULT_REVERT)? => Reverted::Restored,
            _ => Reverted::AlreadyGone,
        };
        // From here on nobody inherits our limit any more.
        for (heir, hard) in heirs(undo)? {
            let back = limits::set_descriptor_soft_limit_of(&heir, undo.before.min(hard));
            let back = back.or_say(&codes::FAULT_REVERT, || {
                format!("cannot set the descriptor limit of {}", heir.identity())
            })?;
            if back && did == Reverted::AlreadyGone {
                did = Reverted::Restored;
            }
        }
        Ok(did)
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        let limits = limits(&undo.process)?;
        let now = limits.map(|(soft, _)| soft);
        if now.is_some_and(|now| now != undo.ours)
            && let Some((heir, _)) = heirs(undo)?.first()
        {
            return Ok(Seen::Ours(format!(
                "the descriptor limit of {}, which {} started, is {}",
                heir.identity(),
                undo.process,
                undo.ours
            )));
        }
        Ok(match now {
            None => Seen::TargetGone,
            Some(now) if now == undo.before => Seen::Original,
            Some(now) if limits == Some((undo.ours, undo.ours)) => Seen::Foreign(format!(
                "the hard limit of descriptors of {} is {now}: somebody lowered it to ours",
                undo.process
            )),
            Some(now) if now == undo.ours => Seen::Ours(format!("the descriptor limit of {} is {now}", undo.process)),
            Some(now) => Seen::Foreign(format!("the descriptor limit of {} is {now}", undo.process)),
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        vec![format!("prlimit --pid {} --nofile={}:", undo.process.pid, undo.before)]
    }
}

/// The number of the first free descriptor that has `reserve` free ones below it.
fn first_free_after(open: &BTreeSet<u32>, reserve: u32) -> u64 {
    let mut free_below = 0;
    let mut number = 0_u64;
    for used in open {
        let gap = u64::from(*used) - number;
        if free_below + gap > u64::from(reserve) {
            break;
        }
        free_below += gap;
        number = u64::from(*used) + 1;
    }
    number + u64::from(reserve) - free_below
}

/// Changing the limits of another user's process needs a privilege (prlimit(2)).
fn may_limit(target: &Target) -> Result<()> {
    let pid = target.process().pid;
    let status = process::status(pid).or_say(&codes::TARGET_READ, || format!("{target} cannot be looked at"))?;
    let me = privileges::effective_uid();
    let Some(other) = status.filter(|status| status.uid != me) else {
        return Ok(());
    };
    let missing = privileges::missing(&[Capability::SysResource])
        .or_say(&codes::SYSTEM, || "the privileges of Fracas cannot be read".to_owned())?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        &codes::FAULT_NEEDS,
        format!(
            "fd_exhaustion on {target}: it belongs to user {}, and changing its limits needs CAP_SYS_RESOURCE",
            other.uid
        ),
    )
    .next("run as the user of the process, or grant the capability"))
}

/// The open descriptors of exactly this process.
fn open_numbers(
    identity: &ProcessIdentity,
    code: &'static fracas_core::problem::Code,
) -> Result<Option<BTreeSet<u32>>> {
    let open = process::descriptors(identity.pid)
        .or_say(code, || format!("the descriptors of {identity} cannot be listed"))?;
    still(identity, open.map(BTreeSet::from_iter))
}

/// The soft limit of exactly this process, as /proc shows it.
fn soft(identity: &ProcessIdentity) -> Result<Option<u64>> {
    Ok(limits(identity)?.map(|(soft, _)| soft))
}

/// The soft and the hard limit of exactly this process, as /proc shows them.
fn limits(identity: &ProcessIdentity) -> Result<Option<(u64, u64)>> {
    let limits = limits::descriptor_limit(identity.pid).or_say(&codes::FAULT_OBSERVE, || {
        format!("the limits of {identity} cannot be read")
    })?;
    still(identity, limits)
}

/// What was read of a pid, if that, looked at after the reading, still is the process's.
fn still<T>(identity: &ProcessIdentity, read: Option<T>) -> Result<Option<T>> {
    Ok(members::open(identity)?.and(read))
}

/// Now, in the unit of start times: hundredths of a second since boot (`USER_HZ`, proc_pid_stat(5)).
fn ticks() -> u64 {
    (fracas_linux::clock::boottime().as_millis() / 10) as u64
}

/// Who inherited our limit, with the hard limit of each: whatever the process started since, directly or not, and that has exactly
/// our value. Who has set the hard limit to it, too, has decided for itself.
fn heirs(undo: &Undo) -> Result<Vec<(Process, u64)>> {
    let Some(since) = undo.since else { return Ok(Vec::new()) };
    let unreadable = || format!("what {} started cannot be looked at", undo.process);
    let mut heirs = Vec::new();
    for pid in process::offspring(undo.process.pid).or_say(&codes::FAULT_OBSERVE, unreadable)? {
        let Some(child) = Process::find(pid).or_say(&codes::FAULT_OBSERVE, unreadable)? else {
            continue;
        };
        if child.identity().start < since || child.has_ended().or_say(&codes::FAULT_OBSERVE, unreadable)? {
            continue;
        }
        if let Some((soft, hard)) = limits::descriptor_limit(pid).or_say(&codes::FAULT_OBSERVE, unreadable)?
            && soft == undo.ours
            && hard > undo.ours
        {
            heirs.push((child, hard));
        }
    }
    // Looked at after the reading: had the pid changed hands, those would be a stranger's children.
    Ok(still(&undo.process, Some(heirs))?.unwrap_or_default())
}

fn set(undo: &Undo, limit: u64, code: &'static fracas_core::problem::Code) -> Result<bool> {
    let Some(process) = members::open(&undo.process)? else {
        return Ok(false);
    };
    limits::set_descriptor_soft_limit_of(&process, limit)
        .or_say(code, || format!("cannot set the descriptor limit of {}", undo.process))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_a_number_of_a_descriptor_and_not_a_count() {
        let limit = |open: &[u32], reserve| first_free_after(&open.iter().copied().collect(), reserve);
        assert_eq!(limit(&[0, 1, 2], 0), 3);
        assert_eq!(limit(&[0, 1, 2], 5), 8);
        // With 4 as the limit, number 3 would still be free.
        assert_eq!(limit(&[0, 1, 2, 500], 0), 3);
        assert_eq!(limit(&[0, 1, 2, 5], 2), 6);
        assert_eq!(limit(&[0, 1, 2, 5], 3), 7);
        assert_eq!(limit(&[], 0), 0);
        assert_eq!(limit(&[], 2), 2);
    }
}
