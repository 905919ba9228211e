//! Whether a process is stopped, or will be.

use std::io;

use super::status::{parse_stat, stat};
use crate::error::{invalid, is_gone};

const SIGSTOP: u32 = 19;

/// Whether SIGSTOP has stopped this process or is on its way to do so. `None`: there is no such process.
///
/// The state of the first thread alone does not tell: a process that is frozen, or waits uninterruptibly, keeps the signal pending
/// and stops as soon as it goes on, and of several threads each stops for itself. A thread takes the signal and stops under one lock
/// (`get_signal` and `do_signal_stop` in kernel/signal.c), so pending signals are looked at first and threads after them.
pub fn is_stopping(pid: u32) -> io::Result<Option<bool>> {
    let Some(bytes) = super::read(pid, "status")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let mask = text.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| invalid(format!("/proc/{pid}/status names no ShdPnd")))?;
    if pending & (1 << (SIGSTOP - 1)) != 0 {
        return Ok(Some(true));
    }
    let Some(first) = stat(pid)? else { return Ok(None) };
    if first.state == 'T' || first.threads <= 1 {
        return Ok(Some(first.state == 'T'));
    }
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(threads) => threads,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    for thread in threads {
        let thread = match thread {
            Ok(thread) => thread.file_name(),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = format!("task/{}/stat", thread.display());
        let stat = super::read(pid, &name)?;
        if stat.is_some_and(|stat| parse_stat(&String::from_utf8_lossy(&stat)).is_some_and(|stat| stat.state == 'T')) {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}
