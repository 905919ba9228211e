//! Whether the runner lives. A runner that is dead is undone after; one that is unheard is killed first.
//!
//! A stopped runner (SIGSTOP, a debugger, a frozen control group) must never act again after its faults were undone under it: it
//! would believe that they are on. So it is killed by pidfd and its death awaited before anything is reverted.
//!
//! A runner on another machine, or outside the sidecar, cannot be watched or killed: there is the heartbeat alone, and the end of the
//! stream. It need not be killed either. What it may still do after its lease is nothing: the guardian is its only hand, the engine
//! is asked for faults by the guardian alone, and a guardian whose lease is over takes no more questions. What it believes is set
//! right when it next asks: the stream is closed.

use std::time::Duration;

use fracas_linux::clock::boottime;
use fracas_linux::process::Process;

/// How long a runner may be unheard. Its heartbeat comes every 100 ms from a thread of its own.
pub const PATIENCE: Duration = Duration::from_millis(600);

/// The same for one that is heard over a network, where a packet that is lost is sent again after some hundred milliseconds, and again
/// after twice that (RFC 6298): four losses in a row.
pub const PATIENCE_FAR: Duration = Duration::from_secs(5);

/// How often the guardian looks.
pub const TICK: Duration = Duration::from_millis(50);

/// The lease of one runner.
#[derive(Debug)]
pub struct Lease {
    /// `None`: it is out of reach.
    runner: Option<Process>,
    unheard: Duration,
    looked: Duration,
}

impl Lease {
    /// A lease that begins now; of a runner out of reach without its process.
    pub fn new(runner: Option<Process>) -> Self {
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
        let patience = if self.runner.is_some() { PATIENCE } else { PATIENCE_FAR };
        self.unheard > patience
    }

    /// Waits for the runner's death. That of one out of reach is never seen.
    pub async fn runner_ended(&self) -> std::io::Result<()> {
        match &self.runner {
            Some(runner) => runner.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the runner is gone by itself, at most so long. Whether it is.
    pub async fn runner_gone(&self, limit: Duration) -> bool {
        matches!(tokio::time::timeout(limit, self.runner_ended()).await, Ok(Ok(())))
    }

    /// Kills the runner and waits for its death. Only then may anything be reverted. One out of reach has lost its hand with its lease.
    ///
    /// # Errors
    /// If it cannot be killed or does not die in 10 s: a process in uninterruptible sleep.
    pub async fn end_runner(&self) -> std::io::Result<()> {
        const KILL: i32 = 9;
        let Some(runner) = &self.runner else {
            return Ok(());
        };
        if !runner.signal(KILL)? {
            return Ok(());
        }
        match tokio::time::timeout(Duration::from_secs(10), runner.ended()).await {
            Ok(ended) => ended,
            Err(_) => Err(std::io::Error::other("it was killed and does not die")),
        }
    }
}
