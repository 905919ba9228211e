//! The parameters of what is done to clocks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Offset;

/// Shifts the time of day that the target's processes see; the clock of the machine and of everybody else stays right.
///
/// Undo: exact. The functions of the vDSO (vdso(7)) by which programs ask for the time lead to code of Fracas in these processes, as
/// long as the fault is on: `clock_gettime` of `CLOCK_REALTIME`, `CLOCK_REALTIME_COARSE` and `CLOCK_TAI`, `gettimeofday` and `time`.
/// Monotonic clocks go on as they are. All threads of a process are held by ptrace(2) for a moment when it begins and when it ends;
/// calls that wait in the kernel may return `EINTR` then, where they do so after a SIGCONT, too (signal(7)). Children that are forked
/// meanwhile inherit the shift and lose it with their parents. What starts another program (exec) has the right time again, and so has
/// whoever asks the kernel by a system call of its own: what is timed by the kernel (timers, times of files) is not shifted. Refused in
/// the plan: processes of 32 bits, held by a debugger, or whose vDSO somebody else has changed; other machines than x86-64.
///
/// With `allow_host_clock` it is the clock of the whole machine instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockSkew {
    /// By how much their clocks are later (`+5m`) or earlier (`-1h`).
    pub offset: Offset,
    /// Regular expression on the command line, anywhere in it: which processes of the target, all that match. Default: its first
    /// process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Also the descendants. Default true.
    #[serde(default = "super::yes")]
    pub children: bool,
    /// Set the clock of the machine on which the target runs, for everybody on it (`CLOCK_REALTIME`, adjtimex(2)): also what asks the
    /// kernel itself sees it, timers by the wall clock fire, and times of files, logs, certificates and Fracas' own reports are
    /// shifted as well. Excludes `pattern`, `children: false` and `log` probes, which ask for lines by the time. At least 10 s either way.
    /// Refused while a time daemon keeps the clock (adjtimex(2) does not say `STA_UNSYNC`): it would correct what is not wrong. Undo:
    /// exact. Who sets the clock meanwhile keeps what they set, and the certificate says so. The clock of the hardware is not touched:
    /// after a reboot there is nothing to undo, but a program that keeps the last time on disk may start with ours. Default false.
    #[serde(default)]
    pub allow_host_clock: bool,
}
