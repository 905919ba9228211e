//! Whether a process is stopped, or will be.

use std::io;

use super::status::{parse_stat, stat};
use crate::error::{invalid, is_gone};

const SIGSTOP: u32 = 19;
/// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU: those that stop, and end nobody (signal(7)).
const STOPS: std::ops::RangeInclusive<i32> = 19..=22;

/// Whether a process is stopped, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A signal has stopped it, or is on its way to do so.
    Yes,
    /// Nothing shows that it is, but a thread of it is frozen, or waits uninterruptibly: before Linux 5.17, and while only some
    /// threads have stopped, that hides a stop.
    Hidden,
    /// It is not.
    No,
}

/// Whether SIGSTOP has stopped this process or is on its way to do so. `None`: there is no such process.
///
/// The state of the first thread alone does not tell: a process that is frozen, or waits uninterruptibly, keeps the signal pending
/// and stops as soon as it goes on, and of several threads each stops for itself. A thread takes the signal and stops under one lock
/// (`get_signal` and `do_signal_stop` in kernel/signal.c), so pending signals are looked at first and threads after them. A process
/// that was stopped and then frozen has no pending signal and shows `D` (`get_task_state` in fs/proc/array.c); only what stopped it
/// tells.
pub fn stop(pid: u32) -> io::Result<Option<Stop>> {
    let Some(bytes) = super::read(pid, "status")? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes);
    let mask = text.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .ok_or_else(|| invalid(format!("/proc/{pid}/status names no ShdPnd")))?;
    if pending & (1 << (SIGSTOP - 1)) != 0 {
        return Ok(Some(Stop::Yes));
    }
    let Some(first) = stat(pid)? else { return Ok(None) };
    let of = |state: char| match state {
        'T' => Stop::Yes,
        'D' => Stop::Hidden,
        _ => Stop::No,
    };
    if STOPS.contains(&first.exit_code) {
        return Ok(Some(Stop::Yes));
    }
    let mut stop = of(first.state);
    if stop == Stop::Yes || first.threads <= 1 {
        return Ok(Some(stop));
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
        let stat = stat.and_then(|stat| parse_stat(&String::from_utf8_lossy(&stat)));
        match stat.map_or(Stop::No, |stat| of(stat.state)) {
            Stop::Yes => return Ok(Some(Stop::Yes)),
            Stop::Hidden => stop = Stop::Hidden,
            Stop::No => {}
        }
    }
    Ok(Some(stop))
}
