//! Whether the runner lives. A runner that is dead is undone after; one that is unheard is killed first.
//!
//! A stopped runner (SIGSTOP, a debugger, a frozen control group) must never act again after its faults were undone under it: it
//! would believe that they are on. So it is killed by pidfd and its death awaited before anything is reverted.

use std::time::Duration;

use fracas_linux::clock::boottime;
use fracas_linux::process::Process;

/// How long a runner may be unheard. Its heartbeat comes every 100 ms from a thread of its own.
pub const PATIENCE: Duration = Duration::from_millis(600);

/// How often the guardian looks.
pub const TICK: Duration = Duration::from_millis(50);

/// The lease of one runner.
#[derive(Debug)]
pub struct Lease {
    runner: Process,
    unheard: Duration,
    looked: Duration,
}

impl Lease {
    /// A lease that begins now.
    pub fn new(runner: Process) -> Self {
        Self {
            runner,
            unheard: Duration::ZERO,
            looked: boottime(),
        }
    }

    /// The runner was heard.
    pub fn heard(&mut self) {
        self.unheard = Duration::ZERO;
    }

    /// Looks at the clock. True if the runner was unheard for too long.
    ///
    /// Gaps in which the guardian itself did not run (suspended machine, overloaded host) do not count: it could not have heard.
    pub fn look(&mut self) -> bool {
        let now = boottime();
        self.unheard += now.saturating_sub(self.looked).min(TICK * 2);
        self.looked = now;
        self.unheard > PATIENCE
    }

    /// The runner.
    pub fn runner(&self) -> &Process {
        &self.runner
    }

    /// Waits until the runner is gone by itself, at most so long. Whether it is.
    pub async fn runner_gone(&self, limit: Duration) -> bool {
        matches!(tokio::time::timeout(limit, self.runner.ended()).await, Ok(Ok(())))
    }

    /// Kills the runner and waits for its death. Only then may anything be reverted.
    ///
    /// # Errors
    /// If it cannot be killed or does not die in 10 s: a process in uninterruptible sleep.
    pub async fn end_runner(&self) -> std::io::Result<()> {
        const KILL: i32 = 9;
        if !self.runner.signal(KILL)? {
            return Ok(());
        }
        match tokio::time::timeout(Duration::from_secs(10), self.runner.ended()).await {
            Ok(ended) => ended,
            Err(_) => Err(std::io::Error::other("it was killed and does not die")),
        }
    }
}
