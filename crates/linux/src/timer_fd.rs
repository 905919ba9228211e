//! A time to come that is exact where a runtime waits for sockets, too (timerfd_create(2)).

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One time, by the clock of [`std::time::Instant`] (`CLOCK_MONOTONIC`). The kernel does not put it off to wake several at once, as it does with the
/// time-outs of epoll_wait(2) (`PR_SET_TIMERSLACK`, prctl(2)): fs/timerfd.c begins its timer without slack.
#[derive(Debug)]
pub struct TimerFd(AsyncFd<OwnedFd>);

impl TimerFd {
    /// One that has no time. Needs a runtime of tokio with its sockets, which lasts as long as this does.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(unsafe_code, reason = "tokio cannot know that the descriptor stays the same")]
        // SAFETY: it is owned by the AsyncFd, and nobody gets it from here to close or replace it.
        let registered = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }?;
        Ok(Self(registered))
    }

    /// Sets it, once, to so long from now, in the place of what was set before. Of no time at all it comes at once.
    ///
    /// # Errors
    /// It is longer than the kernel can count.
    pub fn set(&self, long: Duration) -> io::Result<()> {
        // Of 0 it would not come at all.
        let long = Timespec::try_from(long.max(Duration::from_nanos(1))).map_err(io::Error::other)?;
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: long,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Waits until the time has come that was set. One that comes while nobody waits is remembered, also when another is set then: whoever sets
    /// another looks at the clock. Cancel safe.
    ///
    /// # Errors
    /// The runtime is at its end.
    pub async fn comes(&self) -> io::Result<()> {
        // Not read: the kernel tells of each time anew, also if that before was not read (`timerfd_triggered()` wakes epoll, which is asked for
        // edges).
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_comes_once_and_not_before_and_another_time_takes_the_first_back() {
        let (timer, a_while) = (TimerFd::new().unwrap(), Duration::from_millis(20));
        for millis in [3, 0, 3] {
            let (begun, long) = (Instant::now(), Duration::from_millis(millis));
            timer.set(long).unwrap();
            timer.comes().await.unwrap();
            assert!(begun.elapsed() >= long);
        }
        assert!(timeout(a_while, timer.comes()).await.is_err());
        timer.set(Duration::ZERO).unwrap();
        timer.set(Duration::from_hours(1)).unwrap();
        assert!(timer.set(Duration::MAX).is_err());
        // Nothing was awaited between the two, so that nobody has heard of the first.
        assert!(timeout(a_while, timer.comes()).await.is_err());
    }
}
