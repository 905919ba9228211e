//! What /proc says of a process.

use std::collections::BTreeMap;
use std::io;

use fracas_core::target::ProcessIdentity;

use crate::error::invalid;

/// A process as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub identity: ProcessIdentity,
    /// The pid of its parent; 0 for the first process of a pid namespace.
    pub parent: u32,
    /// The name that the kernel keeps, at most 15 bytes; a process may change its own.
    pub comm: String,
    /// The arguments separated by spaces, at most 64 KiB of them; without arguments (kernel threads, zombies) `[comm]`.
    pub command: String,
    /// One letter: R, S, D, T (stopped), t (traced), Z (zombie) …, see `proc_pid_stat(5)`.
    pub state: char,
    /// How many threads it has.
    pub threads: u32,
    /// The effective user id.
    pub uid: u32,
}

/// The fields of `/proc/PID/stat` that Fracas uses.
pub(super) struct Stat {
    pub(super) comm: String,
    pub(super) state: char,
    pub(super) parent: u32,
    /// The pid of the leader of its session; 0 where that is in an outer pid namespace, -1 for a process that is being reaped, which
    /// has none any more (fs/proc/array.c, `do_task_stat`).
    pub(super) session: i32,
    pub(super) threads: u32,
    pub(super) start: u64,
    /// The kernel's flags of the task, `PF_*` of include/linux/sched.h.
    pub(super) flags: u64,
    /// With what it ended; of a whole process also the signal that has stopped it, for as long as it is stopped, frozen or not
    /// (`SIGNAL_STOP_STOPPED` in `do_task_stat`, fs/proc/array.c, since 5.17). Not told to whoever may not trace it: then 0.
    pub(super) exit_code: i32,
    /// Whether its environment was set up and has no variable. Not told to whoever may not trace it: then false.
    pub(super) has_empty_environment: bool,
}

/// Reads `/proc/PID/stat`. `None`: there is no such process.
pub(super) fn stat(pid: u32) -> io::Result<Option<Stat>> {
    let Some(bytes) = super::read(pid, "stat")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    parse_stat(&text).map(Some).ok_or_else(|| {
        invalid(format!(
            "/proc/{pid}/stat is not in the form of proc_pid_stat(5): {text:?}"
        ))
    })
}

/// The name stands in brackets and may itself hold brackets, spaces and newlines: the last closing bracket ends it.
pub(super) fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.split_once('(')?;
    let (comm, rest) = rest.rsplit_once(')')?;
    // Field 3, the state, is the first after the name.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        comm: comm.to_owned(),
        state: field(3)?.chars().next()?,
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        threads: field(20)?.parse().ok()?,
        start: field(22)?.parse().ok()?,
        flags: field(9)?.parse().ok()?,
        exit_code: field(52)?.parse().ok()?,
        has_empty_environment: field(51)? != "0" && field(50) == field(51),
    })
}

/// Looks at one process. `None`: there is no such process, or it was replaced while it was looked at.
pub fn status(pid: u32) -> io::Result<Option<Status>> {
    let (Some(before), Some(command), Some(uid)) = (stat(pid)?, super::read(pid, "cmdline")?, uid(pid)?) else {
        return Ok(None);
    };
    // Four files were read one after the other: only if the start is the same at the end are they of one process.
    let Some(stat) = stat(pid)?.filter(|after| after.start == before.start) else {
        return Ok(None);
    };
    Ok(Some(Status {
        identity: ProcessIdentity {
            pid,
            start: stat.start,
            boot: super::boot_id()?,
        },
        parent: stat.parent,
        command: join(&command).unwrap_or_else(|| format!("[{}]", stat.comm)),
        comm: stat.comm,
        state: stat.state,
        threads: stat.threads,
        uid,
    }))
}

/// The pid of the parent of a process, 0 for the first process of a pid namespace. `None`: there is no such process.
pub(crate) fn parent(pid: u32) -> io::Result<Option<u32>> {
    Ok(stat(pid)?.map(|stat| stat.parent))
}

/// Whether this process is the leader of its session.
pub(crate) fn leads_session() -> io::Result<bool> {
    let own = std::process::id();
    Ok(stat(own)?.is_some_and(|stat| u32::try_from(stat.session) == Ok(own)))
}

/// The arguments lie one after the other, each ended by a zero byte. `None` without any.
pub(super) fn join(cmdline: &[u8]) -> Option<String> {
    let end = cmdline.iter().rposition(|&byte| byte != 0)? + 1;
    let words: Vec<_> = cmdline[..end]
        .split(|&byte| byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    Some(words.join(" "))
}

/// The effective uid: the second number of `Uid:` in `/proc/PID/status`. The owner of the directory is no substitute, for it is
/// root's whenever the process is not dumpable.
fn uid(pid: u32) -> io::Result<Option<u32>> {
    let Some(bytes) = super::read(pid, "status")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    text.lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_ascii_whitespace().nth(1)?.parse().ok())
        .map(Some)
        .ok_or_else(|| invalid(format!("/proc/{pid}/status names no uid")))
}

/// Every process that can be seen, by ascending pid. What vanishes meanwhile is left out.
pub fn all() -> io::Result<Vec<Status>> {
    let mut found = Vec::new();
    for pid in super::pids()? {
        found.extend(status(pid)?);
    }
    Ok(found)
}

/// The children of a process, their children and so on; parents before their children. Empty when there is no such process.
pub fn descendants(pid: u32) -> io::Result<Vec<Status>> {
    let mut by_parent: BTreeMap<u32, Vec<Status>> = BTreeMap::new();
    for process in all()? {
        by_parent.entry(process.parent).or_default().push(process);
    }
    let mut found = by_parent.remove(&pid).unwrap_or_default();
    let mut next = 0;
    // Each list is taken out of the map once, so that this ends also if pids were reused while /proc was read.
    while let Some(process) = found.get(next) {
        let pid = process.identity.pid;
        found.extend(by_parent.remove(&pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}
