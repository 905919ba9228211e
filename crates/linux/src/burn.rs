//! Using the processor, exactly so much: the body of the `cpu_stress` worker.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::thread::{ClockId, Timespec, clock_nanosleep_absolute};

use crate::clock::read;
use crate::error::Context;

/// Long against the cost of a wake-up, short against what anybody measures over.
const PERIOD: Duration = Duration::from_millis(20);

/// How much of what it could not get a thread makes up for later: enough for a processor that comes a little late, and so little that
/// no second holds much more than was asked. A thread that was throttled for long has delivered less, and the meter says so.
const DEBT: Duration = Duration::from_millis(200);

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Burned {
    /// The processor time of all threads together.
    pub cpu: Duration,
    /// The time that passed for the thread that took longest.
    pub wall: Duration,
}

/// Uses `percent_of_one_cpu` per cent of one processor (150: one and a half), shared evenly by `threads` threads, until
/// `keep_going` says no; it is asked by every thread, at least every 20 ms of its running time. Blocks until the last has ended.
///
/// The mean over any longer time is exact as long as the processors are free for it: what a period used too much or too little
/// is part of the next one's sum.
///
/// # Errors
/// A percentage that is no number, negative, or over 100 for a thread; a thread that cannot be started.
pub fn burn(percent_of_one_cpu: f64, threads: u32, keep_going: impl Fn() -> bool + Sync) -> io::Result<Burned> {
    let share = percent_of_one_cpu / 100.0 / f64::from(threads);
    if !(0.0..=1.0).contains(&share) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{threads} threads cannot use {percent_of_one_cpu} per cent of one processor: at most 100 per thread"
            ),
        ));
    }
    // When one thread fails, the others must not go on alone with a part of what was asked.
    let failed = AtomicBool::new(false);
    let keep_going = &|| !failed.load(Ordering::Relaxed) && keep_going();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for number in 0..threads {
            let thread = std::thread::Builder::new().name(format!("burn-{number}"));
            let failed = &failed;
            let started = thread.spawn_scoped(scope, move || {
                let burned = hold(share, keep_going);
                failed.fetch_or(burned.is_err(), Ordering::Relaxed);
                burned
            });
            let started = started.context(|| format!("cannot start thread {number} of {threads}"));
            running.push(started.inspect_err(|_| failed.store(true, Ordering::Relaxed))?);
        }
        let mut total = Burned::default();
        for thread in running {
            let burned = thread
                .join()
                .map_err(|_| io::Error::other("a burning thread panicked"))??;
            total.cpu += burned.cpu;
            total.wall = total.wall.max(burned.wall);
        }
        Ok(total)
    })
}

/// Holds this thread at its share.
fn hold(share: f64, keep_going: &impl Fn() -> bool) -> io::Result<Burned> {
    let begin = Burned {
        cpu: read(ClockId::ThreadCPUTime),
        wall: read(ClockId::Monotonic),
    };
    let mut used = begin.cpu;
    // What may have been used at the end of the present period; and when that is.
    let mut budget = begin.cpu;
    let mut end = begin.wall;
    while keep_going() {
        end += PERIOD;
        budget += PERIOD.mul_f64(share);
        // A whole period that was missed (stopped, throttled, the machine asleep) counts as if it had been there to be used …
        let missed = read(ClockId::Monotonic).saturating_sub(end);
        end += missed;
        budget += missed.mul_f64(share);
        // … and what is owed beyond the bound is forgiven.
        budget = budget.min(used + DEBT);
        while used < budget && read(ClockId::Monotonic) < end {
            spin();
            used = read(ClockId::ThreadCPUTime);
        }
        let wake = Timespec::try_from(end).map_err(io::Error::other)?;
        // Interrupted by a signal: the sum of the next period makes up for it.
        match clock_nanosleep_absolute(ClockId::Monotonic, &wake) {
            Ok(()) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context(|| "cannot sleep".into()),
        }
        used = read(ClockId::ThreadCPUTime);
    }
    Ok(Burned {
        cpu: read(ClockId::ThreadCPUTime).saturating_sub(begin.cpu),
        wall: read(ClockId::Monotonic).saturating_sub(begin.wall),
    })
}

/// Some microseconds of work between two looks at the clock.
fn spin() {
    let mut state = 1_u64;
    for _ in 0..2_000 {
        // Marsaglia's xorshift: cheap, and not to be foreseen by the compiler.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    std::hint::black_box(state);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// What two seconds gave, in per cent of one processor.
    fn mean(percent: f64, threads: u32) -> f64 {
        let begin = Instant::now();
        let burned = burn(percent, threads, || begin.elapsed() < Duration::from_secs(2)).unwrap();
        burned.cpu.as_secs_f64() / burned.wall.as_secs_f64() * 100.0
    }

    #[test]
    fn the_share_is_held() {
        for (percent, threads) in [(10.0, 1), (37.0, 2)] {
            let got = mean(percent, threads);
            // 1 % of the asked, and what one period more or less makes of two seconds.
            let bound = percent * (0.01 + 0.01);
            assert!((got - percent).abs() <= bound, "asked {percent}, got {got}");
        }
    }

    #[test]
    fn nothing_is_used_for_nothing() {
        let got = mean(0.0, 1);
        assert!(got < 1.0, "{got}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (percent, threads) in [(101.0, 1), (-1.0, 1), (f64::NAN, 1), (10.0, 0), (f64::INFINITY, 4)] {
            let refused = burn(percent, threads, || false).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{percent} {threads}");
        }
    }
}
