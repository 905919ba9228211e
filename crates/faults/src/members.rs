//! Which processes a target consists of, and which of them are meant.

use std::collections::BTreeSet;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::privileges::{self, Capability};
use fracas_linux::process::{self, Process, Status};
use regex::{Regex, RegexBuilder};

use crate::say::{OrSay, gone, refuse};

/// More processes than this in one injection are a mistake of the pattern: their identities would fill the ledger.
pub(crate) const MOST: usize = 1000;
/// A pattern whose compiled form is larger is no pattern for a command line.
const PATTERN_LIMIT: usize = 1 << 20;

/// The processes of this target that are meant, parents before their children: those whose command line matches `pattern`, or the
/// first process; with `children` also all that descend from them. Never pid 1 and never processes of Fracas.
///
/// # Errors
/// T004 when the target's first process is gone, F001 for a pattern that is none, T003 when /proc cannot be read. An empty list is
/// no error.
pub(crate) fn select(fault: &str, target: &Target, pattern: Option<&str>, children: bool) -> Result<Vec<Status>> {
    let pattern = pattern.map(|pattern| compile(fault, target, pattern)).transpose()?;
    let first = first(fault, target)?;
    let mut chosen = match pattern {
        None => vec![first],
        Some(pattern) => members(target, first)?
            .into_iter()
            .filter(|process| pattern.is_match(&process.command))
            .collect(),
    };
    if children {
        let mut below = Vec::new();
        for process in &chosen {
            below.extend(unreadable(process::descendants(process.identity.pid), target)?);
        }
        chosen.extend(below);
    }
    let mut seen = BTreeSet::new();
    // A zombie has ended: nothing can be done to it.
    chosen.retain(|process| {
        !matches!(process.state, 'Z' | 'X') && !is_ours(process) && seen.insert(process.identity.clone())
    });
    if chosen.len() > MOST {
        return Err(refuse(
            fault,
            target,
            format!("{} processes match, more than {MOST}", chosen.len()),
        )
        .next("write a narrower pattern"));
    }
    Ok(chosen)
}

/// The first process of the target, if it still is that process.
fn first(fault: &str, target: &Target) -> Result<Status> {
    let identity = target.process();
    let status = unreadable(process::status(identity.pid), target)?.filter(|status| status.identity == *identity);
    match status {
        Some(status) if open(identity)?.is_some() => Ok(status),
        _ => Err(gone(fault, target)),
    }
}

/// All processes of the target. Those of a container share its pid namespace, also if they were started from outside
/// (`docker exec`); where a container lives in ours, only descent tells.
fn members(target: &Target, first: Status) -> Result<Vec<Status>> {
    let pid = first.identity.pid;
    let mut members = vec![first];
    let namespace = unreadable(process::pid_namespace(pid), target)?;
    let ours = unreadable(process::in_same_pid_namespace(pid), target)?;
    let below = unreadable(process::descendants(pid), target)?;
    if target.container().is_some() && ours == Some(false) {
        for process in unreadable(process::all(), target)? {
            let same = match process::pid_namespace(process.identity.pid) {
                // Whoever may not be seen is more privileged than the container's first process, which could be.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => false,
                found => unreadable(found, target)? == namespace,
            };
            let new = process.identity.pid != pid && !below.iter().any(|other| other.identity == process.identity);
            if same && new {
                members.push(process);
            }
        }
    }
    members.extend(below);
    Ok(members)
}

/// Never broken: the first process of the machine, this process and the one that started it, and workers.
fn is_ours(process: &Status) -> bool {
    let parent = std::os::unix::process::parent_id();
    let pid = process.identity.pid;
    pid == 1 || pid == std::process::id() || pid == parent || is_worker(&process.command)
}

/// Workers, but not those that a lab or the demo are made of: they are there to be broken.
fn is_worker(command: &str) -> bool {
    command
        .strip_prefix("fracas worker ")
        .is_some_and(|name| !name.starts_with("demo-") && !name.starts_with("lab-"))
}

fn compile(fault: &str, target: &Target, pattern: &str) -> Result<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_LIMIT)
        .build()
        .map_err(|error| refuse(fault, target, format!("{pattern:?} is not a regular expression")).because(&error))
}

fn unreadable<T>(read: std::io::Result<T>, target: &Target) -> Result<T> {
    read.or_say(&codes::TARGET_READ, || {
        format!("the processes of {target} cannot be looked at")
    })
}

/// Whether this process may signal those, see kill(2): same user, or the privilege.
pub(crate) fn may_signal(fault: &str, target: &Target, processes: &[Status]) -> Result<()> {
    let me = privileges::effective_uid();
    let Some(other) = processes.iter().find(|process| process.uid != me) else {
        return Ok(());
    };
    let missing = privileges::missing(&[Capability::Kill])
        .or_say(&codes::SYSTEM, || "the privileges of Fracas cannot be read".to_owned())?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        &codes::FAULT_NEEDS,
        format!(
            "{fault} on {target}: {} belongs to user {}, and signalling it needs CAP_KILL",
            other.identity, other.uid
        ),
    )
    .next("run as root, or as the user of the process"))
}

/// A hold on a process; `None` when it has ended, also if nobody has waited for it: a zombie has limits and a place in /proc, and
/// takes signals, all without any effect.
pub(crate) fn open(identity: &ProcessIdentity) -> Result<Option<Process>> {
    let open = || match Process::open(identity)? {
        Some(process) if !process.has_ended()? => Ok(Some(process)),
        _ => Ok(None),
    };
    open().or_say(&codes::TARGET_READ, || format!("{identity} cannot be looked at"))
}

/// The state letter of exactly this process; `None` when it is gone, or a zombie.
pub(crate) fn state(identity: &ProcessIdentity) -> Result<Option<char>> {
    let status =
        process::status(identity.pid).or_say(&codes::FAULT_OBSERVE, || format!("{identity} cannot be looked at"))?;
    Ok(status
        .filter(|status| status.identity == *identity && !matches!(status.state, 'Z' | 'X'))
        .map(|status| status.state))
}

/// Some of a list, for a message.
pub(crate) fn some<T: std::fmt::Display>(list: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown = list.iter().take(SHOWN).map(T::to_string).collect::<Vec<_>>().join(", ");
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
