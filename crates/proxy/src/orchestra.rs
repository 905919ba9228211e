//! The orchestration that runs, or that ran last: what of it is over, and how it went.

mod record;
mod work;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::chaos::{Orchestration, Plan};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::NAMES;
use crate::service::Shared;
use record::Record;

pub(crate) use record::Status;
pub(crate) use work::{Refused, start};

/// The place of one orchestration.
#[derive(Debug, Default)]
pub(crate) struct Orchestra {
    run: Mutex<Option<Run>>,
    /// The proxy ends: nothing begins any more. Said with the lock of `run`.
    is_closed: AtomicBool,
    imported: Mutex<Option<Orchestration>>,
}

/// An orchestration that began.
#[derive(Debug)]
struct Run {
    stopped: Stopped,
    orchestration: Orchestration,
    plan: Plan,
    begun: Instant,
    started_at: Timestamp,
    /// How much of the plan was carried out.
    at: Duration,
    steps: Vec<Record>,
    /// `None`: it goes on.
    ended: Option<Ended>,
}

/// Said to whoever carries a run out when it is over before its time. Copies are of the same run.
#[derive(Debug, Clone, Default)]
struct Stopped(Arc<Notify>);

/// How one ended.
#[derive(Debug)]
struct Ended {
    how: How,
    at: Timestamp,
    progress: f64,
}

/// How one may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Its time was over.
    Completed,
    /// Somebody asked for it.
    Stopped,
    /// A step failed.
    Failed,
}

impl Orchestra {
    /// How it is.
    pub(crate) fn status(&self) -> Status {
        self.lock().as_ref().map_or_else(Status::none, Status::of)
    }

    /// Whether one goes on.
    pub(crate) fn is_running(&self) -> bool {
        self.lock().as_ref().is_some_and(Run::goes_on)
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
            run.stopped.0.notify_one();
        }
        does();
        goes_on
    }

    /// The same, for good.
    pub(crate) fn close(shared: &Shared) {
        Self::stop_and(shared, || shared.orchestra.is_closed.store(true, Ordering::Release));
    }

    /// Whether nothing begins any more.
    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
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

impl Run {
    fn new(orchestration: Orchestration, plan: Plan) -> Self {
        Self {
            stopped: Stopped::default(),
            steps: orchestration.steps.iter().map(Record::new).collect(),
            orchestration,
            plan,
            begun: Instant::now(),
            started_at: Timestamp::now(),
            at: Duration::ZERO,
            ended: None,
        }
    }

    fn goes_on(&self) -> bool {
        self.ended.is_none()
    }

    /// In which iteration it is, from 0 on, and how much of that was carried out.
    fn within(&self) -> (u32, Duration) {
        self.plan.within(self.at)
    }

    /// How much of the plan will have been carried out when something begins or ends next.
    fn next(&self) -> Duration {
        self.plan.next(self.at).unwrap_or(self.plan.total())
    }

    /// From 0 to 1, by time.
    fn progress(&self) -> f64 {
        let total = self.plan.total().as_secs_f64();
        (self.begun.elapsed().as_secs_f64() / total).min(1.0)
    }

    /// Begins what is on now, and does it to traffic.
    fn begin_steps(&mut self, shared: &Shared) {
        let (_, within) = self.within();
        let totals = shared.metrics.totals(NAMES);
        for (step, slot) in self.steps.iter_mut().zip(self.plan.slots()) {
            if slot.is_on(within) && !step.is_running() {
                step.begin(totals);
            }
        }
        shared.live.cover(Some(self.plan.config(within)));
    }

    /// Ends what is over at the next change. Tells whether a step failed that may not.
    fn end_steps(&mut self, shared: &Shared) -> bool {
        let (_, within) = self.within();
        let (begun, next) = (self.at.saturating_sub(within), self.next());
        let totals = shared.metrics.totals(NAMES);
        let mut failed = false;
        let steps = self.orchestration.steps.iter();
        for ((step, record), slot) in steps.zip(&mut self.steps).zip(self.plan.slots()) {
            if slot.is_on(within) && begun + slot.to == next && !record.end(step, totals) {
                failed |= !step.continue_on_failure;
            }
        }
        failed
    }

    /// Something begins or ends.
    fn turn(&mut self, shared: &Shared) {
        let next = self.next();
        let failed = self.end_steps(shared);
        let is_late = self.plan.bound().is_some_and(|bound| self.begun.elapsed() >= bound);
        if failed {
            self.end(shared, How::Failed);
        } else if next >= self.plan.total() || is_late {
            self.end(shared, How::Completed);
        } else {
            self.at = next;
            self.begin_steps(shared);
        }
    }

    fn end(&mut self, shared: &Shared, how: How) {
        shared.live.cover(None);
        let totals = shared.metrics.totals(NAMES);
        for step in &mut self.steps {
            step.cut(totals);
        }
        let progress = if how == How::Completed { 1.0 } else { self.progress() };
        self.ended = Some(Ended {
            how,
            at: Timestamp::now(),
            progress,
        });
    }
}
