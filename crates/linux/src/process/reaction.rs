//! What a process does with a signal.

use std::io;

use crate::error::invalid;

/// What a process does with a signal that reaches it: the masks of `/proc/PID/status`, see proc_pid_status(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It is kept back until the process unblocks it.
    Blocked,
    /// A function of the process runs.
    Handled,
    /// Nothing.
    Ignored,
    /// What signal(7) says; for the first process of a pid namespace: nothing, but for SIGKILL and SIGSTOP from outside
    /// (pid_namespaces(7)).
    Default,
}

/// What the process would do with this signal now. `None`: there is no such process, or no such signal.
pub fn reaction(pid: u32, signal: i32) -> io::Result<Option<Reaction>> {
    let Some(bytes) = super::read(pid, "status")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let Some(bit) = u32::try_from(signal - 1)
        .ok()
        .and_then(|shift| 1_u64.checked_shl(shift))
    else {
        return Ok(None);
    };
    let has = |name: &str| {
        let mask = text.lines().find_map(|line| line.strip_prefix(name));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .map(|mask| mask & bit != 0)
            .ok_or_else(|| invalid(format!("/proc/{pid}/status names no {name}")))
    };
    Ok(Some(if has("SigBlk:")? {
        Reaction::Blocked
    } else if has("SigIgn:")? {
        Reaction::Ignored
    } else if has("SigCgt:")? {
        Reaction::Handled
    } else {
        Reaction::Default
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_reactions_are_known() {
        let me = std::process::id();
        // The thread that started this one has all signals blocked until it has done so (`pthread_create` of glibc).
        let began = std::time::Instant::now();
        while reaction(me, libc::SIGPIPE).unwrap() == Some(Reaction::Blocked) {
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "it stays blocked");
            std::thread::yield_now();
        }
        // Rust's runtime ignores SIGPIPE and handles SIGSEGV, for its message about a full stack.
        assert_eq!(reaction(me, libc::SIGPIPE).unwrap(), Some(Reaction::Ignored));
        assert_eq!(reaction(me, libc::SIGSEGV).unwrap(), Some(Reaction::Handled));
        assert_eq!(reaction(me, libc::SIGVTALRM).unwrap(), Some(Reaction::Default));
        assert_eq!(reaction(me, 0).unwrap(), None);
        assert_eq!(reaction(me, 65).unwrap(), None);
        assert_eq!(reaction(u32::MAX, libc::SIGPIPE).unwrap(), None);
    }
}
