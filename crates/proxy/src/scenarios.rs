//! Scenarios that have a name, laid over what was configured: each until its time is over, or somebody stops it. Several act together,
//! and of two that have the same block the one that began later counts.
//!
//! While one is active no orchestration begins, and while an orchestration runs none of these: what is done to traffic has one reason.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::chaos::{ChaosConfig, Predefined};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::task::AbortHandle;

use crate::orchestra::{Orchestra, Refused};
use crate::service::Shared;

/// Those that are active, in the order in which they began. Each is there once at most.
#[derive(Debug, Default)]
pub(crate) struct Scenarios(Mutex<Vec<Active>>);

/// One that acts.
#[derive(Debug)]
struct Active {
    known: &'static Predefined,
    config: Arc<ChaosConfig>,
    started_at: Timestamp,
    length: Option<Duration>,
    begun: Instant,
    /// Whoever ends it when its time is over.
    end: Option<AbortHandle>,
}

/// One that acts, as it is told.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ActiveScenario")]
pub(crate) struct Shown {
    name: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
    /// For how many seconds it was started; 0: until somebody stops it.
    duration_seconds: f64,
    #[schemars(with = "String")]
    started_at: Timestamp,
    /// How many seconds are left; `null`: until somebody stops it.
    remaining_seconds: Option<f64>,
}

/// Begins one, at once. If it is active, its time begins anew, and it is the latest. Without a length somebody has to stop it; with one, a
/// runtime of tokio is needed.
///
/// # Errors
/// An orchestration runs, or the proxy ends.
pub(crate) fn start(
    shared: &Arc<Shared>,
    known: &'static Predefined,
    config: ChaosConfig,
    length: Option<Duration>,
) -> Result<(), Refused> {
    Orchestra::unless_one_runs(shared, || {
        let config = Arc::new(config);
        let mut active = shared.scenarios.lock();
        active.retain(|one| one.known != known);
        let begun = Instant::now();
        let end = length.map(|length| {
            // Nobody needs to be waited for: when the proxy is gone, so is all that it did.
            let (shared, config) = (Arc::downgrade(shared), Arc::clone(&config));
            let task = tokio::spawn(async move {
                tokio::time::sleep_until((begun + length).into()).await;
                if let Some(shared) = shared.upgrade() {
                    // Another one of this name may have begun meanwhile.
                    remove(&shared, |one| Arc::ptr_eq(&one.config, &config));
                }
            });
            task.abort_handle()
        });
        active.push(Active {
            known,
            config,
            started_at: Timestamp::now(),
            length,
            begun,
            end,
        });
        act(shared, &active);
    })
}

/// Ends one, at once. `false`: it is not active.
pub(crate) fn stop(shared: &Shared, name: &str) -> bool {
    remove(shared, |one| one.known.name == name) > 0
}

/// Ends all, at once. Tells how many there were.
pub(crate) fn stop_all(shared: &Shared) -> usize {
    remove(shared, |_| true)
}

fn remove(shared: &Shared, which: impl Fn(&Active) -> bool) -> usize {
    let mut active = shared.scenarios.lock();
    let before = active.len();
    active.retain(|one| !which(one));
    let gone = before - active.len();
    if gone > 0 {
        act(shared, &active);
    }
    gone
}

/// Does what those that are active say.
fn act(shared: &Shared, active: &[Active]) {
    shared
        .live
        .lay_over(active.iter().map(|one| Arc::clone(&one.config)).collect());
}

impl Scenarios {
    /// Whether there are any.
    pub(crate) fn are_active(&self) -> bool {
        !self.lock().is_empty()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().iter().map(|one| one.known.name.to_owned()).collect()
    }

    pub(crate) fn shown(&self) -> Vec<Shown> {
        self.lock().iter().map(Active::shown).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Active>> {
        // What is in there is whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn shown(&self) -> Shown {
        Shown {
            name: self.known.name,
            description: self.known.description,
            tags: self.known.tags,
            duration_seconds: self.length.unwrap_or_default().as_secs_f64(),
            started_at: self.started_at,
            remaining_seconds: self
                .length
                .map(|length| length.saturating_sub(self.begun.elapsed()).as_secs_f64()),
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            end.abort();
        }
    }
}
