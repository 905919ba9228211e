//! The clock that counts while the machine sleeps, and the one by which the kernel says when it saw a packet.

use std::time::Duration;

use rustix::thread::ClockId;
use rustix::time::clock_gettime;

/// The time since boot, suspended time included (`CLOCK_BOOTTIME`, `clock_gettime(2)`): the clock for leases, for a machine that
/// slept must not look as if no time had passed. Nobody can set it.
pub fn boottime() -> Duration {
    read(ClockId::Boottime)
}

/// The wall clock (`CLOCK_REALTIME`), since 1970: for comparison with times of the kernel's alone, for anybody may set it.
pub fn wall() -> Duration {
    read(ClockId::Realtime)
}

/// A clock that never goes back and never shows a negative time.
pub(crate) fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_proc_uptime() {
        let before = boottime();
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let after = boottime();
        assert!(before <= after);
        // Two decimals; a container may have its own /proc/uptime (lxcfs), which is younger.
        assert!(uptime <= after.as_secs_f64() + 0.01);
    }
}
