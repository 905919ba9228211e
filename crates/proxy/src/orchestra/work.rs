//! Who carries an orchestration out.

use std::future::{Future, pending, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fracas_core::chaos::{Hook, Orchestration, Plan, Step};
use futures_util::future::try_join_all;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep_until, timeout};

use super::run::{How, Run, Stopped};
use super::{hooks, report};
use crate::service::Shared;

/// None goes on for longer, whatever it does.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// How long an iteration takes at least: one of which all is skipped would begin again at once.
const LEAST: Duration = Duration::from_millis(10);

/// Ends a run, however the work at it ends.
#[derive(Debug)]
struct Work {
    shared: Arc<Shared>,
    run: Stopped,
    orchestration: Arc<Orchestration>,
    plan: Plan,
    /// Whoever started the proxy has named it, or lets all of them run programs.
    may_run: bool,
}

impl Drop for Work {
    fn drop(&mut self) {
        // It is over, unless this was cut off.
        let _ended = self.with(|run, shared| run.end(shared, How::Stopped));
    }
}

/// Why none begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another one goes on.
    Another,
    /// Scenarios are active.
    Scenarios,
    /// The proxy ends.
    Ends,
}

/// Why what is carried out ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halt {
    /// Somebody ended the run.
    Over,
    /// It has failed.
    Failed,
}

/// Begins: its first steps are on when this returns, unless they or it have hooks that wait. `is_named` by whoever started the proxy, or else it
/// came by the API.
pub(crate) fn start(
    shared: &Arc<Shared>,
    orchestration: Orchestration,
    plan: Plan,
    is_named: bool,
) -> Result<(), Refused> {
    let mut place = shared.orchestra.lock();
    if shared.orchestra.is_closed() {
        return Err(Refused::Ends);
    }
    if place.as_ref().is_some_and(Run::goes_on) {
        return Err(Refused::Another);
    }
    if shared.scenarios.are_active() {
        return Err(Refused::Scenarios);
    }
    let orchestration = Arc::new(orchestration);
    let run = place.insert(Run::new(Arc::clone(&orchestration), &plan, shared));
    let work = Work {
        shared: Arc::clone(shared),
        run: run.stopped.clone(),
        orchestration,
        plan,
        may_run: is_named || shared.orchestra.allow_exec,
    };
    drop(place);
    let mut carried = Box::pin(work.carry_out());
    // Up to where it first waits. Whoever polls it next is told when it goes on.
    if carried.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
        tokio::spawn(carried);
    }
    Ok(())
}

impl Work {
    async fn carry_out(self) {
        let begun = Instant::now();
        let bound = self.plan.bound().unwrap_or(LONGEST).min(LONGEST);
        let late = async {
            match self.orchestration.timeout_seconds {
                Some(limit) => sleep_until((begun + seconds(limit)).into()).await,
                None => pending().await,
            }
        };
        let how = tokio::select! {
            biased;
            () = self.run.heard() => return,
            done = self.settling(self.whole()) => match done {
                Ok(()) => How::Completed,
                Err(Halt::Failed) => How::Failed,
                Err(Halt::Over) => return,
            },
            () = late => {
                let limit = self.orchestration.timeout_seconds.unwrap_or_default();
                let _said = self.with(|run, _| run.failures.push(format!("it was not over within {limit} s")));
                How::Failed
            }
            () = sleep_until((begun + bound).into()) => How::Completed,
        };
        tokio::select! {
            biased;
            () = self.run.heard() => {}
            _ended = self.close(how) => {}
        }
    }

    /// The same work. Whenever it waits, what is on by then is done to traffic: of steps that begin or end at once, all together, and none
    /// stays there because those beside it go on.
    async fn settling(&self, work: impl Future<Output = Result<(), Halt>>) -> Result<(), Halt> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Pending => match self.with(Run::settle) {
                Ok(()) => Poll::Pending,
                Err(over) => Poll::Ready(Err(over)),
            },
            done @ Poll::Ready(_) => done,
        })
        .await
    }

    /// All that is to be done.
    async fn whole(&self) -> Result<(), Halt> {
        if let Err(why) = self.hooks(&self.orchestration.pre_hooks).await? {
            self.with(|run, _| run.failures.push(why))?;
            return Err(Halt::Failed);
        }
        self.with(|run, _| run.steps_begin())?;
        let mut clock = Instant::now();
        for iteration in 0..self.plan.iterations().unwrap_or(u32::MAX) {
            self.with(|run, _| run.iterate(iteration))?;
            let begun = clock;
            if self.orchestration.parallel {
                let tracks = (0..self.orchestration.steps.len()).map(|index| self.step(index, begun));
                clock = try_join_all(tracks).await?.into_iter().fold(clock, Instant::max);
            } else {
                for index in 0..self.orchestration.steps.len() {
                    clock = self.step(index, clock).await?;
                }
            }
            if clock < begun + LEAST {
                clock = begun + LEAST;
                sleep_until(clock.into()).await;
            }
        }
        Ok(())
    }

    /// Judges it, does what is to be done behind it, and ends it.
    async fn close(&self, how: How) -> Result<(), Halt> {
        self.with(Run::restore)?;
        let mut how = how;
        if !self.with(Run::judge_all)? {
            how = How::Failed;
        }
        if let Err(why) = self.hooks(&self.orchestration.post_hooks).await? {
            self.with(|run, _| run.failures.push(why))?;
            how = How::Failed;
        }
        let path = self.orchestration.report_path.clone().map(PathBuf::from);
        if let Some(path) = path.filter(|_| self.orchestration.enable_reporting != Some(false)) {
            let status = self.with(|run, _| run.decide(how, format!("about to be written to {}", path.display())))?;
            // A file may be slow, and nobody who asks how it is waits for it.
            let written = spawn_blocking(move || report::write(&status, &path)).await;
            let said = written.unwrap_or_else(|error| format!("cannot be written: {error}"));
            self.with(|run, _| run.report = Some(said))?;
        }
        self.with(|run, shared| run.end(shared, how))
    }

    /// One step, with all its attempts, from this time on. Gives when it was over.
    async fn step(&self, index: usize, mut clock: Instant) -> Result<Instant, Halt> {
        let (step, slot) = (&self.orchestration.steps[index], &self.plan.slots()[index]);
        let (delay, length) = (seconds(step.delay_before_seconds), slot.to.saturating_sub(slot.from));
        let before = self.with(|run, _| run.done)?;
        let (begins, ends) = (
            before.saturating_add(delay),
            before.saturating_add(delay).saturating_add(length),
        );
        if !delay.is_zero() {
            clock += delay;
            self.passes(clock, delay).await?;
        }
        self.with(|run, _| run.is_at(begins))?;
        if !self.with(|run, shared| run.admits(index, shared))? {
            self.with(|run, _| run.is_at(ends))?;
            return Ok(clock);
        }
        let most = step.retry.as_ref().map_or(1, |retry| retry.max_attempts);
        for attempt in 1.. {
            let failures = self.attempt(index, &mut clock, length).await?;
            let held = failures.is_empty();
            let retry = step.retry.as_ref().filter(|_| !held && attempt < most);
            self.with(|run, shared| {
                run.judged(index, failures, retry.is_some(), shared);
                run.is_at(if retry.is_some() { begins } else { ends });
            })?;
            let Some(retry) = retry else {
                return if held || step.continue_on_failure {
                    Ok(clock)
                } else {
                    Err(Halt::Failed)
                };
            };
            clock += seconds(retry.delay(attempt));
            sleep_until(clock.into()).await;
        }
        Ok(clock)
    }

    /// One attempt of a step. Gives why it failed.
    async fn attempt(&self, index: usize, clock: &mut Instant, length: Duration) -> Result<Vec<String>, Halt> {
        self.with(|run, _| run.attempt(index))?;
        let step = &self.orchestration.steps[index];
        let Some(limit) = step.timeout_seconds else {
            return self.within_time(step, index, clock, length).await;
        };
        let tried = timeout(seconds(limit), self.within_time(step, index, clock, length)).await;
        tried.unwrap_or_else(|_| {
            *clock = Instant::now();
            Ok(vec![format!("it was not over within {limit} s")])
        })
    }

    async fn within_time(
        &self,
        step: &Step,
        index: usize,
        clock: &mut Instant,
        length: Duration,
    ) -> Result<Vec<String>, Halt> {
        let hooked = self.hooks(&step.pre_hooks).await?;
        if !step.pre_hooks.is_empty() {
            *clock = Instant::now().max(*clock);
        }
        if let Err(why) = hooked {
            return Ok(vec![why]);
        }
        self.with(|run, shared| run.begin(index, shared))?;
        *clock += length;
        self.passes(*clock, length).await?;
        let mut failures = self.with(|run, shared| run.end_step(index, shared))?;
        if let Err(why) = self.hooks(&step.post_hooks).await? {
            failures.push(why);
        }
        if !step.post_hooks.is_empty() {
            *clock = Instant::now().max(*clock);
        }
        Ok(failures)
    }

    /// Does these one after the other, up to the first that fails; gives why.
    async fn hooks(&self, all: &[Hook]) -> Result<Result<(), String>, Halt> {
        for hook in all {
            let done = match hook {
                Hook::SetVariable(set) => {
                    self.with(|run, _| run.variables.insert(set.name.clone(), set.value.clone()))?;
                    Ok(())
                }
                Hook::Log(line) => {
                    self.with(|run, _| run.says(&line.message))?;
                    Ok(())
                }
                Hook::RecordMetric(metric) => {
                    self.with(|run, _| run.metrics.insert(metric.name.clone(), metric.value))?;
                    Ok(())
                }
                Hook::HttpRequest(request) => {
                    // It finds on traffic what is on now.
                    yield_now().await;
                    hooks::send(request, &self.shared.orchestra.reach, self.may_run).await
                }
                Hook::Command(command) => {
                    // It finds on traffic what is on now.
                    yield_now().await;
                    hooks::run(command).await
                }
            };
            self.shared.metrics.orchestrations().hooked(hook.name(), done.is_err());
            if let Err(why) = done {
                return Ok(Err(format!("hook {}: {why}", hook.name())));
            }
        }
        Ok(Ok(()))
    }

    /// Waits while so much of the plan passes.
    async fn passes(&self, clock: Instant, span: Duration) -> Result<(), Halt> {
        self.with(|run, _| run.moves(clock, span))?;
        sleep_until(clock.into()).await;
        Ok(())
    }

    /// Does something about the run, unless it is over. Meanwhile nobody ends it: what it puts on traffic is not put there after its end.
    fn with<T>(&self, does: impl FnOnce(&mut Run, &Shared) -> T) -> Result<T, Halt> {
        let mut place = self.shared.orchestra.lock();
        let same = |run: &&mut Run| run.goes_on() && self.run.is_of(run);
        let run = place.as_mut().filter(same).ok_or(Halt::Over)?;
        Ok(does(run, &self.shared))
    }
}

/// What no document has is none at all.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
