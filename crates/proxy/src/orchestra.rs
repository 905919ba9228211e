//! The orchestration that runs, or that ran last: what of it is over, and how it went.

mod egress;
mod facts;
mod hooks;
mod record;
mod report;
mod run;
mod running;
mod work;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fracas_core::chaos::{Hook, Orchestration};
use fracas_core::traffic::Network;

use crate::service::Shared;
use run::{How, Run};

pub(crate) use egress::Reach;
pub(crate) use record::Status;
pub use running::Running;
pub(crate) use work::{Refused, start};

/// What orchestrations may do besides what they do to traffic, and which one begins with the proxy.
#[derive(Debug, Clone, Default)]
pub struct Orchestrations {
    /// Begins with the proxy. It may run programs and write its report: who starts the proxy has named it.
    pub first: Option<Orchestration>,
    /// Whether those that come by the API may do so, too.
    pub allow_exec: bool,
    /// To which networks, besides this machine, hooks may send requests.
    pub allow_upstream: Vec<Network>,
    /// Ports of this machine to which hooks send nothing, besides those of the proxy's API, unless the orchestration may run programs.
    pub own: Vec<u16>,
}

/// The place of one orchestration.
#[derive(Debug, Default)]
pub(crate) struct Orchestra {
    run: Mutex<Option<Run>>,
    /// The proxy ends: nothing begins any more. Said with the lock of `run`.
    is_closed: AtomicBool,
    imported: Mutex<Option<Orchestration>>,
    allow_exec: bool,
    reach: Reach,
}

impl Orchestra {
    /// One that has none yet.
    pub(crate) fn new(allow_exec: bool, reach: Reach) -> Self {
        Self {
            allow_exec,
            reach,
            ..Self::default()
        }
    }

    /// How it is.
    pub(crate) fn status(&self) -> Status {
        self.lock().as_ref().map_or_else(Status::none, Status::of)
    }

    /// The same in short. `None`: there was none.
    pub(crate) fn running(&self) -> Option<Running> {
        self.lock().as_ref().map(Running::of)
    }

    /// The names of the scenarios that act.
    pub(crate) fn scenarios(&self) -> Vec<String> {
        self.lock().as_ref().map_or_else(Vec::new, Run::scenarios)
    }

    /// Ends the one that goes on at once, and does what was configured. `false`: none goes on.
    pub(crate) fn stop(shared: &Shared) -> bool {
        Self::stop_and(shared, || {})
    }

    /// The same, and this before another one can begin.
    pub(crate) fn stop_and(shared: &Shared, does: impl FnOnce()) -> bool {
        let mut place = shared.orchestra.lock();
        let run = place.as_mut().filter(|run| run.goes_on());
        let goes_on = run.is_some();
        if let Some(run) = run {
            run.end(shared, How::Stopped);
            run.stopped.say();
        }
        does();
        goes_on
    }

    /// The same, for good.
    pub(crate) fn close(shared: &Shared) {
        Self::stop_and(shared, || shared.orchestra.is_closed.store(true, Ordering::Release));
    }

    /// Does something, told whether one goes on; none begins or ends meanwhile.
    pub(crate) fn knowing<T>(shared: &Shared, does: impl FnOnce(bool) -> T) -> T {
        let place = shared.orchestra.lock();
        let done = does(place.as_ref().is_some_and(Run::goes_on));
        drop(place);
        done
    }

    /// Does something if none goes on, and before one can begin.
    ///
    /// # Errors
    /// One goes on, or the proxy ends.
    pub(crate) fn unless_one_runs<T>(shared: &Shared, does: impl FnOnce() -> T) -> Result<T, Refused> {
        let place = shared.orchestra.lock();
        if shared.orchestra.is_closed() {
            return Err(Refused::Ends);
        }
        if place.as_ref().is_some_and(Run::goes_on) {
            return Err(Refused::Another);
        }
        let done = does();
        drop(place);
        Ok(done)
    }

    /// Whether nothing begins any more.
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// What of this one that came by the API may not be done.
    pub(crate) fn forbids(&self, orchestration: &Orchestration) -> Option<&'static str> {
        if self.allow_exec {
            return None;
        }
        let steps = orchestration.steps.iter();
        let of_steps = steps.flat_map(|step| step.pre_hooks.iter().chain(&step.post_hooks));
        let mut hooks = of_steps
            .chain(&orchestration.pre_hooks)
            .chain(&orchestration.post_hooks);
        if hooks.any(|hook| matches!(hook, Hook::Command(_))) {
            return Some(
                "a hook runs a program: what comes by the API may not, unless the proxy was started with `--allow-exec`; \
                 `fracas proxy --orchestration FILE` begins one that may",
            );
        }
        orchestration.report_path.is_some().then_some(
            "`report_path` is a file of the proxy's machine: what comes by the API may not write one, unless the proxy was started with \
             `--allow-exec`; `fracas proxy --orchestration FILE` begins one that may",
        )
    }

    /// Keeps one, in the place of the one that was kept before.
    pub(crate) fn import(&self, orchestration: Orchestration) {
        *self.imported.lock().unwrap_or_else(PoisonError::into_inner) = Some(orchestration);
    }

    /// The one that is kept.
    pub(crate) fn imported(&self) -> Option<Orchestration> {
        self.imported.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Run>> {
        // What is in there is whole at every moment.
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
