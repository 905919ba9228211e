//! A hand on a proxy from beside its API: for whoever started it.

use std::sync::{Arc, Weak};

use fracas_core::chaos::ChaosConfig;
use fracas_core::problem::Problem;
use fracas_telemetry::proxy::Counts;

use crate::NAMES;
use crate::listeners;
use crate::orchestra::Orchestra;
use crate::service::Shared;

/// Changes what a proxy does, and tells what it counted. It keeps nothing alive.
#[derive(Debug, Clone)]
pub struct Control(Weak<Shared>);

/// From when on a configuration acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configured {
    /// From the next request on.
    Now,
    /// The same, as far as the scenarios that are active do not say otherwise.
    Beneath,
    /// When the orchestration ends that runs.
    Later,
    /// Never: the proxy is gone.
    Gone,
}

impl Control {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// Whether the proxy has ended.
    pub fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Configures all anew, as a PUT of the API, but also while an orchestration runs.
    ///
    /// # Errors
    /// N011: all that cannot act on connections that are passed through; N012: all that is about listeners that there are not. Then nothing has changed.
    pub fn configure(&self, config: ChaosConfig) -> Result<Configured, Vec<Box<Problem>>> {
        let Some(shared) = self.0.upgrade() else {
            return Ok(Configured::Gone);
        };
        let wrong = listeners::refused_by(&shared, &config);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        shared.metrics.reloaded(true);
        Ok(Orchestra::knowing(&shared, |runs| {
            shared.live.change(|now| *now = config);
            if runs {
                Configured::Later
            } else if shared.scenarios.are_active() {
                Configured::Beneath
            } else {
                Configured::Now
            }
        }))
    }

    /// Counts spans that the collector did not get.
    pub fn spans_lost(&self, count: u64) {
        if let Some(shared) = self.0.upgrade() {
            shared.metrics.spans_lost(count);
        }
    }

    /// Counts a configuration that could not be read, or cannot act.
    pub fn refused(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.metrics.reloaded(false);
        }
    }

    /// What was counted until now. `None`: the proxy is gone.
    pub fn counts(&self) -> Option<Counts> {
        Some(self.0.upgrade()?.metrics.counts(NAMES))
    }
}
