//! The clock that counts while the machine sleeps, and the one by which the kernel says when it saw a packet.

use std::io;
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

/// How far the wall clock is ahead of [`boottime`], in nanoseconds: the same as long as nobody sets the wall clock, but for what a time
/// daemon corrects.
pub fn lead() -> i64 {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let reading = || {
        let before = boottime();
        let wall = wall();
        let between = boottime().saturating_sub(before);
        (between, nanos(wall).saturating_sub(nanos(before + between / 2)))
    };
    // Who loses the processor between the two has read two times: the closest pair of some is right.
    let closest = (0..READINGS).map(|_| reading()).min_by_key(|(between, _)| *between);
    closest.map_or(0, |(_, lead)| lead)
}

/// So many pairs of readings are made.
const READINGS: usize = 5;

/// Whether somebody keeps the wall clock right, as ntpd, chronyd and systemd-timesyncd tell the kernel (`STA_UNSYNC` is not set,
/// adjtimex(2)).
///
/// # Errors
/// The kernel does not say.
pub fn is_kept() -> io::Result<bool> {
    let mut state = empty();
    adjust(&mut state)?;
    Ok(state.status & libc::STA_UNSYNC == 0)
}

/// Sets the wall clock of the whole machine so many microseconds later, or earlier, in one step: the kernel adds to what the clock shows
/// at that moment (`ADJ_SETOFFSET`, adjtimex(2)), so no time is lost between a reading and a writing. The clock counts as not
/// synchronised from then on (`timekeeping_inject_offset` in `kernel/time/timekeeping.c` clears what NTP has set), and the kernel does not
/// write such a time to the clock of the hardware (`sync_hw_clock` in `kernel/time/ntp.c`).
///
/// # Errors
/// `CAP_SYS_TIME` is missing, or it would show a time before 1970 or before the machine's start.
pub fn step(micros: i64) -> io::Result<()> {
    const SECOND: i64 = 1_000_000;
    let mut change = empty();
    // Without ADJ_NANO, which the kernel would remember (`process_adjtimex_modes` in `kernel/time/ntp.c`).
    change.modes = libc::ADJ_SETOFFSET;
    change.time.tv_sec = micros.div_euclid(SECOND);
    // Never negative: -0.3 s are -1 s and 0.7 s.
    change.time.tv_usec = micros.rem_euclid(SECOND);
    adjust(&mut change)
}

fn empty() -> libc::timex {
    #[expect(unsafe_code, reason = "a structure of numbers, for which zero is a value")]
    // SAFETY: `timex` has integers alone.
    unsafe {
        std::mem::zeroed()
    }
}

fn adjust(change: &mut libc::timex) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix has no adjtimex(2)")]
    // SAFETY: the kernel reads and writes the structure and keeps no pointer to it.
    let result = unsafe { libc::adjtimex(change) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A clock that never goes back and never shows a negative time.
pub(crate) fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_leads_by_the_time_of_the_start() {
        // `btime` of proc_stat(5): when the machine started, in whole seconds since 1970.
        let text = std::fs::read_to_string("/proc/stat").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("btime ")).unwrap();
        let start: f64 = line.parse().unwrap();
        let lead = lead() as f64 / 1e9;
        assert!((lead - start).abs() < 1.5, "{lead} against {start}");
    }

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
