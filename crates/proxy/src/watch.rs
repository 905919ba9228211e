//! Looks at a proxy again and again, for whoever shows what passes while it does. Nothing is counted for that: what is seen are the
//! counters of `/api/chaos/metrics` and `/api/chaos/stats`.

use std::sync::Arc;

use fracas_telemetry::proxy::Counts;

use crate::NAMES;
use crate::orchestra::Running;
use crate::service::Shared;

/// An eye on a proxy. What was counted is seen also when the proxy has ended, as long as this lives.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    /// So many answers had ended by the last look.
    seen: usize,
    /// By the one before it.
    earlier: usize,
}

/// What is seen in one look.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What was counted since the proxy began.
    pub counts: Counts,
    /// How long half of the answers took at most that ended since the last look, the last 4096 of them, in milliseconds. `None`: none
    /// ended.
    pub p50_ms: Option<f64>,
    /// How long 99 of a hundred of them did.
    pub p99_ms: Option<f64>,
    /// The names of the scenarios that act, also as steps of an orchestration.
    pub scenarios: Vec<String>,
    /// The orchestration that runs, or ran last.
    pub orchestration: Option<Running>,
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let seen = shared.measures.ended();
        Self {
            shared,
            seen,
            earlier: seen,
        }
    }

    /// Looks once.
    pub fn look(&mut self) -> Look {
        let (ended, look) = self.since(self.seen);
        self.earlier = std::mem::replace(&mut self.seen, ended);
        look
    }

    /// Looks for the last time, at what ended since the look before the last: since that one it may be a moment.
    pub fn last_look(&self) -> Look {
        self.since(self.earlier).1
    }

    fn since(&self, before: usize) -> (usize, Look) {
        let (ended, [p50_ms, p99_ms]) = self.shared.measures.since(before);
        let mut scenarios = self.shared.scenarios.names();
        scenarios.extend(self.shared.orchestra.scenarios());
        let look = Look {
            counts: self.shared.metrics.counts(NAMES),
            p50_ms,
            p99_ms,
            scenarios,
            orchestration: self.shared.orchestra.running(),
        };
        (ended, look)
    }
}
