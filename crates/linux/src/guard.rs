//! How the guardian protects itself from what befalls the runner, and from its own faults.
//!
//! A revert must work with no free pid, no free descriptor, a full disk and no free memory. The ways to that:
//!
//! - *pids*: nothing is forked and no thread is started for a revert; threads that it needs are started before the guardian says
//!   that it is ready, and parked. Its group in the `pids` hierarchy is a child of the root, where no limit of a container or of
//!   the runner applies.
//! - *descriptors*: what a revert uses (control group directories, namespaces, pidfds, sockets, the ledger) is opened when the
//!   fault is planned and held. [`crate::cgroup::Cgroup`] needs one more for the moment of a write; [`Spare`] keeps some in hand.
//! - *disk*: the ledger's room is taken beforehand ([`crate::file::allocate`]), and reverting never waits for it.
//! - *memory*: what is there is locked ([`Entrenched::mlocked`]), the kernel's killer looks elsewhere first
//!   ([`Entrenched::oom_score_adj`]), and the memory group is not the runner's.
//!
//! Each step says what it could not do instead of failing: a guardian with less protection is better than none, and `fracas
//! doctor` shows what is missing.

mod groups;
mod spare;

use std::fs;

use fracas_core::target::CgroupIdentity;
use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::setsid;

pub use groups::{GROUP_PREFIX, outside, sweep};
pub use spare::Spare;

use crate::process;

/// The lowest value there is: the kernel's killer never takes such a process, see `proc_pid_oom_score_adj(5)`.
const OOM_LOWEST: i32 = -1000;

/// What [`entrench`] reached. An `Err` says what is not so, and why.
#[derive(Debug)]
pub struct Entrenched {
    /// A session of its own.
    pub session: Result<(), String>,
    /// The out-of-memory score adjustment: -1000 where this is `Ok`.
    pub oom_score_adj: Result<i32, String>,
    /// Groups of its own in the hierarchies of memory, cpu, cpuset, pids and freezer; those that were made are left by [`leave`]
    /// also where this is an `Err`.
    pub own_cgroup: Result<Vec<CgroupIdentity>, String>,
    /// All memory that is there now locked, and what comes later as it is touched.
    pub mlocked: Result<(), String>,
    /// As many open descriptors as this process may have: each claim holds one.
    pub descriptors: Result<u64, String>,
    groups: Vec<groups::Own>,
}

/// Takes this process out of the reach of what befalls the others. To be called once, early, by the guardian's main thread.
pub fn entrench() -> Entrenched {
    let session = own_session();
    let (groups, failures) = groups::join_all();
    let made = groups.iter().map(|own| own.identity.clone()).collect();
    Entrenched {
        session,
        // Before the memory is locked: this is the moment at which much is asked for.
        oom_score_adj: lower_oom_score(),
        own_cgroup: if failures.is_empty() {
            Ok(made)
        } else {
            Err(failures.join("; "))
        },
        mlocked: lock_memory(),
        descriptors: crate::limits::raise_own_descriptor_limit().map_err(|error| error.to_string()),
        groups,
    }
}

/// Goes back to the root groups and removes its own; the last thing the guardian does. An `Err` says what is left, for `fracas
/// recover`, which calls [`sweep`].
pub fn leave(entrenched: Entrenched) -> Result<(), String> {
    let failures: Vec<String> = entrenched
        .groups
        .into_iter()
        .filter_map(|own| own.leave().err())
        .map(|error| error.to_string())
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

/// A session of its own, or the one that it leads already.
///
/// The session is read from /proc and not asked of getsid(2): that answers 0 where the leader lies in an outer pid namespace, as for
/// the children of the first process of a container or of a virtual machine, and rustix takes a pid of 0 for impossible.
fn own_session() -> Result<(), String> {
    let Err(refused) = setsid() else {
        return Ok(());
    };
    // The leader of a process group, and so that of a session, cannot make one: setsid(2).
    match process::leads_session() {
        Ok(true) if refused == Errno::PERM => Ok(()),
        _ => Err(format!("no session of its own: {refused}")),
    }
}

/// Lowers the score as far as this process may. Below the lowest value that a privileged process ever set for it, that needs
/// `CAP_SYS_RESOURCE` (fs/proc/base.c, `__set_oom_adj`); how low that is cannot be read, so it is searched for.
fn lower_oom_score() -> Result<i32, String> {
    let path = "/proc/self/oom_score_adj";
    let refused = match fs::write(path, OOM_LOWEST.to_string()) {
        Ok(()) => return Ok(OOM_LOWEST),
        Err(error) => error,
    };
    let current = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let mut reached: i32 = current
        .trim()
        .parse()
        .map_err(|_| format!("{path} holds {current:?}, which is no number"))?;
    let mut impossible = OOM_LOWEST;
    while reached - impossible > 1 {
        let middle = impossible.midpoint(reached);
        match fs::write(path, middle.to_string()) {
            Ok(()) => reached = middle,
            Err(_) => impossible = middle,
        }
    }
    Err(format!(
        "oom_score_adj stays at {reached} instead of {OOM_LOWEST}: {refused}"
    ))
}

/// What is there now is read in and locked at once. What comes later is locked as it is touched (`MCL_ONFAULT`): otherwise the
/// stack of each new thread would take all its megabytes. Two calls, for one with both would leave today's pages to be touched,
/// too (mm/mlock.c, `apply_mlockall_flags`).
fn lock_memory() -> Result<(), String> {
    mlockall(MlockAllFlags::CURRENT)
        .and_then(|()| mlockall(MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT))
        .map_err(|error| format!("memory is not locked: {error}"))
}
