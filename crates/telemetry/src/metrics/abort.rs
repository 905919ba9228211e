//! The clock of an abort: from the reading that showed the danger to the rollback, and to the last fault gone.

use std::collections::BTreeMap;

use fracas_core::event::StopCause;

/// Times in milliseconds since the run began.
#[derive(Debug, Default)]
pub(super) struct Abort {
    /// Of each probe whose last reading was danger, the first of that streak: where an abort begins.
    dangers: BTreeMap<String, u64>,
    /// The run stops, for whatever reason: what is asked later changes nothing.
    stopping: bool,
    /// Begun by a breach, and the rollback is still to come.
    before_rollback: Option<u64>,
    /// Begun by a breach, and a fault is still on.
    before_clean: Option<u64>,
}

impl Abort {
    /// A probe was read.
    pub(super) fn read(&mut self, at: u64, probe: &str, danger: bool) {
        if danger {
            self.dangers.entry(probe.to_owned()).or_insert(at);
        } else {
            self.dangers.remove(probe);
        }
    }

    /// Something asked the run to stop.
    pub(super) fn stop(&mut self, at: u64, cause: &StopCause) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        if let StopCause::Abort { probe, .. } = cause {
            let breach = self.dangers.get(probe).copied().unwrap_or(at);
            self.before_rollback = Some(breach);
            self.before_clean = Some(breach);
        }
    }

    /// The rollback begins. Gives how long after the breach, if there was one.
    pub(super) fn rollback(&mut self, at: u64) -> Option<u64> {
        Some(at.saturating_sub(self.before_rollback.take()?))
    }

    /// Every fault is gone. Gives how long after the breach, if there was one; once.
    pub(super) fn gone(&mut self, at: u64) -> Option<u64> {
        Some(at.saturating_sub(self.before_clean.take()?))
    }
}
