//! The limit of open descriptors of a running process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::error::{Context, invalid};
use crate::process::{self, Process};

/// The soft and the hard limit of open descriptors; `u64::MAX` is no limit. `None`: there is no such process.
pub fn descriptor_limit(pid: u32) -> io::Result<Option<(u64, u64)>> {
    let Some(bytes) = process::read(pid, "limits")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    // A zombie's file is empty: its limits went with its memory.
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text)
        .map(Some)
        .ok_or_else(|| invalid(format!("/proc/{pid}/limits names no limit of open files")))
}

/// `Max open files            1024                 1048576              files`, see `proc_pid_limits(5)`.
fn parse(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_ascii_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some((words.next()??, words.next()??))
}

/// Sets the soft limit of open descriptors of whoever has this pid now; the hard limit stays. `false`: there is no such process.
/// Prefer [`set_descriptor_soft_limit_of`] where the process is known by more than its pid.
pub fn set_descriptor_soft_limit(pid: u32, soft: u64) -> io::Result<bool> {
    match Process::find(pid)? {
        Some(process) => set_descriptor_soft_limit_of(&process, soft),
        None => Ok(false),
    }
}

/// Sets the soft limit of open descriptors of exactly this process; the hard limit stays. `false`: it has ended.
///
/// prlimit(2) takes a pid and nothing else, so the process is looked at before and after: should the pid have changed hands in
/// between, that is an error which says so, for then the limit of a stranger was changed.
pub fn set_descriptor_soft_limit_of(process: &Process, soft: u64) -> io::Result<bool> {
    let pid = process.identity().pid;
    if process.has_ended()? {
        return Ok(false);
    }
    let Some((_, hard)) = descriptor_limit(pid)? else {
        return Ok(false);
    };
    let limit = |value: u64| (value != u64::MAX).then_some(value);
    let new = Rlimit {
        current: limit(soft),
        maximum: limit(hard),
    };
    match prlimit(Some(process.raw()?), Resource::Nofile, new) {
        Ok(_) => {}
        Err(rustix::io::Errno::SRCH) => return Ok(false),
        Err(error) => {
            return Err(error).context(|| format!("cannot set the limit of descriptors of pid {pid} to {soft}"));
        }
    }
    match process::identity(pid)? {
        Some(now) if now != *process.identity() => Err(io::Error::other(format!(
            "pid {pid} passed to another process while its limit of descriptors was set to {soft}: look at its limit with \
             `prlimit --pid {pid} --nofile`"
        ))),
        _ => Ok(true),
    }
}

/// Sets both limits of open descriptors of whoever has this pid now to this number, as somebody does who wants nobody to raise them
/// again. `false`: there is no such process.
pub fn lower_hard_limit_of_descriptors(pid: u32, hard: u64) -> io::Result<bool> {
    let Some((soft, _)) = descriptor_limit(pid)? else {
        return Ok(false);
    };
    let new = Rlimit {
        current: Some(soft.min(hard)),
        maximum: Some(hard),
    };
    let raw = rustix::process::Pid::from_raw(pid.cast_signed());
    match prlimit(raw, Resource::Nofile, new) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot lower the limit of descriptors of pid {pid}")),
    }
}

/// Raises the soft limit of open descriptors of this process to its hard limit, and gives it; `u64::MAX` is no limit.
///
/// The usual soft limit of 1024 is for programs that use select(2). A guardian holds a descriptor for each claim.
pub fn raise_own_descriptor_limit() -> io::Result<u64> {
    let own = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: own.maximum,
        maximum: own.maximum,
    };
    setrlimit(Resource::Nofile, raised).context(|| "cannot raise the limit of descriptors".into())?;
    Ok(own.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_soft_limit_changes_and_the_hard_one_stays() {
        #[expect(clippy::disallowed_methods, reason = "this is the crate for child processes")]
        let mut sleeper = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let pid = sleeper.id();
        let process = Process::find(pid).unwrap().unwrap();
        let before = descriptor_limit(pid).unwrap();
        let set = set_descriptor_soft_limit(pid, 17);
        let after = descriptor_limit(pid).unwrap();
        let refused = set_descriptor_soft_limit(pid, u64::MAX - 1);
        sleeper.kill().unwrap();
        assert!(process.wait(Duration::from_secs(10)).unwrap());
        let zombie = set_descriptor_soft_limit_of(&process, 18);
        sleeper.wait().unwrap();
        assert!(set.unwrap());
        assert_eq!(after, before.map(|(_, hard)| (17, hard)));
        assert!(refused.unwrap_err().to_string().contains("descriptors of pid"));
        assert!(!zombie.unwrap());
        assert!(!set_descriptor_soft_limit(pid, 17).unwrap());
        assert_eq!(descriptor_limit(pid).unwrap(), None);
    }

    #[test]
    fn the_table_is_understood() {
        let table = "Limit   Soft Limit   Hard Limit   Units\nMax open files     1024     unlimited    files\n";
        assert_eq!(parse(table), Some((1024, u64::MAX)));
        assert_eq!(parse("Max open files many"), None);
        assert_eq!(parse(""), None);
    }
}
