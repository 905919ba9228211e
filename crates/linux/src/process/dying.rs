//! Whether a process is about to end.

use std::io;

use super::status::stat;
use crate::error::invalid;

const SIGKILL: u32 = 9;
/// `PF_EXITING` of include/linux/sched.h: the process has begun to end.
pub(super) const EXITING: u64 = 0x4;

/// Whether this process has ended, or has got a signal that ends it and has not come to it yet. `None`: there is no such process.
///
/// A deadly signal becomes a pending SIGKILL of every thread at once (`complete_signal` in kernel/signal.c); the thread takes it off
/// when it runs next, and sets `PF_EXITING` on its way out (`exit_signals`). On a busy machine that takes as long as it takes.
pub fn is_dying(pid: u32) -> io::Result<Option<bool>> {
    let Some(bytes) = super::read(pid, "status")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let pending = |name: &str| {
        let mask = text.lines().find_map(|line| line.strip_prefix(name));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .map(|mask| mask & (1 << (SIGKILL - 1)) != 0)
            .ok_or_else(|| invalid(format!("/proc/{pid}/status names no {name}")))
    };
    if pending("SigPnd:")? || pending("ShdPnd:")? {
        return Ok(Some(true));
    }
    Ok(stat(pid)?.map(|stat| stat.flags & EXITING != 0 || matches!(stat.state, 'Z' | 'X')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_is_not_dying_and_who_is_gone_is_neither() {
        assert_eq!(is_dying(std::process::id()).unwrap(), Some(false));
        assert_eq!(is_dying(u32::MAX).unwrap(), None);
    }
}
