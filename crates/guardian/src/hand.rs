//! The injections that a guardian holds: planned, applied, measured, undone.

mod adopt;
mod needs;
mod undo;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::problem::{Problem, Result, Said, codes};
use fracas_core::record::{Certificate, Certified, Dose, State, UndoClass};
use fracas_core::target::Target;
use fracas_faults::{Context, Engines, Entry, Nursery};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::claims::{Claims, Holder};
use crate::ledger::{Ledger, PlannedRecord, Record};
use crate::protocol::{FromGuardian, Planned, Wanted};

/// All injections of one run.
pub struct Hand {
    run: RunId,
    state: crate::state::State,
    ledger: Mutex<Option<Ledger>>,
    claims: Mutex<Claims>,
    engines: Engines,
    nursery: Nursery,
    slots: Mutex<BTreeMap<InjectionId, Arc<Slot>>>,
    /// Where news goes; nobody listening is no reason to stop.
    news: mpsc::UnboundedSender<FromGuardian>,
}

/// One injection.
struct Slot {
    entry: &'static Entry,
    context: Context,
    /// The identity of its target. Here and not below: what is done with one injection must not keep others waiting.
    target: String,
    /// What it may last at most.
    at_most: Duration,
    /// Held while something is done with it.
    work: tokio::sync::Mutex<Work>,
    /// Set to true to make a running apply let go.
    cancel: watch::Sender<bool>,
}

/// What is known of an injection.
struct Work {
    wanted: Wanted,
    /// The way back, once planned; the one in the ledger, once applied.
    undo: Option<Value>,
    /// Where it stands; `None` while nothing of it is in the ledger.
    state: Option<State>,
    /// Its place among those that were applied in one go.
    rank: u32,
    /// Until when, in CLOCK_BOOTTIME, an engine call of an apply that was cut off may still take effect.
    not_after: Duration,
    /// The line of the certificate.
    line: Option<Certified>,
}

impl Slot {
    /// Whether the undo is a new life of the target, which is none of ours any more once it was seen.
    fn comes_back(&self, work: &Work) -> bool {
        (self.entry.undo_class)(&work.wanted.params).is_ok_and(|class| class == UndoClass::Restart)
    }

    /// What the fault gets when it is applied at this place among others.
    fn context_at(&self, rank: u32) -> Context {
        Context {
            rank,
            ..self.context.clone()
        }
    }
}

impl Hand {
    /// The hand of a new run. `ledger` is `None` for a dry run, which applies nothing.
    pub fn new(
        run: RunId,
        state: crate::state::State,
        ledger: Option<Ledger>,
        engines: Engines,
        news: mpsc::UnboundedSender<FromGuardian>,
    ) -> Self {
        Self {
            run,
            state,
            ledger: Mutex::new(ledger),
            claims: Mutex::default(),
            engines,
            nursery: Nursery::default(),
            slots: Mutex::default(),
            news,
        }
    }

    /// Plans one injection: its way back is found, its resources are claimed. Nothing is touched.
    pub async fn plan(&self, wanted: Wanted) -> Result<Planned> {
        let entry = fracas_faults::find(&wanted.fault)
            .ok_or_else(|| Problem::new(&codes::NOT_AVAILABLE, format!("there is no fault `{}`", wanted.fault)))?;
        self.plan_with(entry, wanted).await
    }

    /// [`Hand::plan`] with this fault in place of the one of that name: tests have faults that do not do what they say.
    pub async fn plan_with(&self, entry: &'static Entry, wanted: Wanted) -> Result<Planned> {
        let class = (entry.undo_class)(&wanted.params)?;
        if class == UndoClass::None && !wanted.allow_irreversible {
            return Err(Problem::new(
                &codes::IRREVERSIBLE,
                format!("{} on {} has no way back", wanted.fault, wanted.target),
            ));
        }
        needs::check(entry, &wanted)?;
        let injection = wanted.injection;
        let slot = self.slot(entry, wanted);
        let change = {
            let mut work = slot.work.lock().await;
            self.find_way_back(&slot, &mut work, false).await?
        };
        self.slots().insert(injection, slot);
        Ok(Planned {
            injection,
            undo: class,
            change,
        })
    }

    /// Plans anew on another target: the one that came back after a restart.
    pub async fn retarget(&self, injection: InjectionId, target: Target) -> Result<Planned> {
        let slot = self.get(injection)?;
        let wanted = {
            let work = slot.work.lock().await;
            if work.state.is_some_and(|state| !state.is_over()) {
                return Err(Problem::new(
                    &codes::INSIDE,
                    format!("injection {injection} is still on its former target"),
                ));
            }
            Wanted {
                target,
                ..work.wanted.clone()
            }
        };
        self.claims().release(injection);
        self.plan(wanted).await
    }

    /// Finds the way back from the target as it is now and claims what it needs, `on` if it is put on now. Says the change in words.
    async fn find_way_back(&self, slot: &Slot, work: &mut Work, on: bool) -> Result<String> {
        let Wanted {
            injection,
            params,
            target,
            turn,
            ..
        } = &work.wanted;
        let mut cancel = slot.cancel.subscribe();
        let undo = tokio::select! {
            biased;
            // A rollback does not wait for plans that an engine is slow to answer.
            _ = cancel.wait_for(|cancelled| *cancelled) => return Err(Problem::new(&codes::FAULT_APPLY, "it was stopped before it was applied")),
            undo = guarded((slot.entry.plan)(params, target, &slot.context)) => undo,
        }
        .map_err(|problem| needs::held(problem, &work.wanted, &slot.context.run, &self.state))?;
        let resources = (slot.entry.resources)(&undo)?;
        let holder = Holder {
            injection: *injection,
            turn: *turn,
            on,
        };
        self.claims()
            .take(holder, &work.wanted.words(), &resources, &self.state)?;
        let change = (slot.entry.change)(params, &undo)?;
        work.undo = Some(undo);
        Ok(change)
    }

    /// Makes ready for an apply that was just asked for: a former cancellation no longer counts. To be called in the order in which
    /// questions come, before [`Hand::apply`] runs beside others.
    pub fn allow(&self, injections: &[InjectionId]) {
        self.set_cancelled(injections, false);
    }

    /// Makes whatever is being applied let go, also what has not begun yet. To be called in the order in which questions come, before
    /// [`Hand::revert`] runs beside others.
    pub fn cancel(&self, injections: &[InjectionId]) {
        self.set_cancelled(injections, true);
    }

    /// [`Hand::cancel`] for everything.
    pub fn cancel_all(&self) {
        self.cancel(&self.all());
    }

    /// Puts injections on. All ways back are on disk, in one write, before the first is applied. What fails is undone at once.
    pub async fn apply(self: &Arc<Self>, injections: &[InjectionId]) -> Vec<(InjectionId, Result<(), Said>)> {
        let mut ready = Vec::new();
        let mut answers = Vec::new();
        let mut records = Vec::new();
        for (injection, rank) in injections.iter().zip(0..) {
            match self.prepare_apply(*injection, rank).await {
                Ok(record) => {
                    ready.push(*injection);
                    records.push(Record::Planned(Box::new(record)));
                }
                Err(problem) => answers.push((*injection, Err(self.failed(*injection, &problem)))),
            }
        }
        if let Err(problem) = self.record_first(&records) {
            answers.extend(
                ready
                    .iter()
                    .map(|injection| (*injection, Err(self.failed(*injection, &problem)))),
            );
            return answers;
        }
        for injection in &ready {
            if let Ok(slot) = self.get(*injection) {
                slot.work.lock().await.state = Some(State::Planned);
            }
            self.tell_state(*injection, State::Planned, "its way back is on disk", None);
        }
        let applied = join_all(ready.iter().map(|injection| async move {
            (
                *injection,
                self.apply_one(*injection)
                    .await
                    .map_err(|problem| self.failed(*injection, &problem)),
            )
        }))
        .await;
        let done: Vec<_> = applied
            .iter()
            .filter(|(_, result)| result.is_ok())
            .map(|(injection, _)| Record::Became {
                injection: *injection,
                state: State::Applied,
            })
            .collect();
        // It is on, whether or not that can be written: `planned` alone makes it be undone.
        if let Err(problem) = self.record(&done) {
            for (injection, _) in &applied {
                self.failed(*injection, &problem);
            }
        }
        join_all(
            applied
                .iter()
                .filter(|(_, result)| result.is_err())
                .map(|(injection, _)| self.undo(*injection)),
        )
        .await;
        answers.extend(applied);
        answers
    }

    /// Plans again, from the target as it is now: between plan and apply somebody may have changed what must be restored.
    async fn prepare_apply(&self, injection: InjectionId, rank: u32) -> Result<PlannedRecord> {
        let slot = self.get(injection)?;
        let mut work = slot.work.lock().await;
        work.rank = rank;
        if work.state.is_some_and(|state| !state.is_over()) {
            return Err(Problem::new(
                &codes::INSIDE,
                format!("injection {injection} is on already"),
            ));
        }
        self.find_way_back(&slot, &mut work, true).await?;
        let in_flight = (slot.entry.in_flight)(&work.wanted.params, &slot.context_at(rank))?;
        work.not_after = if in_flight.is_zero() {
            Duration::ZERO
        } else {
            fracas_linux::clock::boottime() + in_flight
        };
        work.line = None;
        Ok(PlannedRecord {
            injection,
            fault: work.wanted.fault.clone(),
            params: work.wanted.params.clone(),
            target: work.wanted.target.clone(),
            undo: work.undo.clone().unwrap_or_default(),
            not_after_ms: work.not_after.as_millis() as u64,
        })
    }

    async fn apply_one(&self, injection: InjectionId) -> Result<()> {
        let slot = self.get(injection)?;
        let mut work = slot.work.lock().await;
        let undo = work.undo.clone().unwrap_or_default();
        let context = slot.context_at(work.rank);
        let mut cancel = slot.cancel.subscribe();
        if *cancel.borrow() {
            // Nothing was asked of an engine.
            work.not_after = Duration::ZERO;
            return Err(Problem::new(
                &codes::FAULT_APPLY,
                "it was stopped before it was applied",
            ));
        }
        let outcome = tokio::select! {
            biased;
            _ = cancel.wait_for(|cancelled| *cancelled) => {
                // The engine may still do what it was asked, but it was asked before now: no turn is waited for any more.
                let call = (slot.entry.in_flight)(&work.wanted.params, &slot.context_at(0))?;
                work.not_after = work.not_after.min(fracas_linux::clock::boottime() + call);
                Err(Problem::new(&codes::FAULT_APPLY, "it was stopped while it was being applied"))
            }
            done = guarded((slot.entry.apply)(&work.wanted.params, &undo, &context)) => {
                // Only a call whose answer is missing may still take effect.
                if done.as_ref().err().is_none_or(|problem| problem.code != &codes::ENGINE_UNREACHABLE) {
                    work.not_after = Duration::ZERO;
                }
                done
            }
        };
        outcome?;
        work.state = Some(State::Applied);
        self.tell_state(injection, State::Applied, "applied", None);
        Ok(())
    }

    /// Reads the doses of injections.
    pub async fn measure(&self, injections: &[InjectionId]) -> Vec<(InjectionId, Result<Dose, Said>)> {
        join_all(injections.iter().map(|injection| async move {
            let measured = async {
                let slot = self.get(*injection)?;
                let work = slot.work.lock().await;
                let undo = work.undo.clone().unwrap_or_default();
                let mut cancel = slot.cancel.subscribe();
                tokio::select! {
                    biased;
                    // A rollback does not wait for a meter.
                    _ = cancel.wait_for(|cancelled| *cancelled) => Err(Problem::new(&codes::FAULT_MEASURE, "it was stopped while it was being measured")),
                    dose = guarded((slot.entry.measure)(&work.wanted.params, &undo, &slot.context)) => dose,
                }
            };
            (*injection, measured.await.map_err(|problem| Said::from(&*problem)))
        }))
        .await
    }

    /// Undoes these: last in first out on each target, targets in parallel, and beside them what may wait for what is under way to end:
    /// nobody else waits for that. [`Hand::cancel`] comes first.
    pub async fn revert(&self, injections: &[InjectionId]) -> Vec<Certified> {
        let mut in_order: BTreeMap<String, Vec<InjectionId>> = BTreeMap::new();
        let mut draining = Vec::new();
        for injection in injections {
            let Ok(slot) = self.get(*injection) else { continue };
            if slot.entry.drains {
                draining.push(vec![*injection]);
            } else {
                in_order.entry(slot.target.clone()).or_default().push(*injection);
            }
        }
        let lines = join_all(in_order.into_values().chain(draining).map(|mut injections| async move {
            injections.sort_unstable();
            let mut lines = Vec::new();
            for injection in injections.into_iter().rev() {
                lines.extend(self.undo(injection).await);
            }
            lines
        }))
        .await;
        lines.into_iter().flatten().collect()
    }

    /// Undoes everything that is not over, and says how everything ended.
    pub async fn revert_all(&self) -> Certificate {
        let all = self.all();
        self.cancel(&all);
        self.revert(&all).await;
        let mut lines = Vec::new();
        for injection in all {
            if let Ok(slot) = self.get(injection) {
                lines.extend(slot.work.lock().await.line.clone());
            }
        }
        Certificate { lines }
    }

    /// Looks once more at everything that was ever on, from the system: what counts is what is there at the end.
    pub async fn certify(&self) -> Certificate {
        let mut certificate = self.revert_all().await;
        // All at once: an engine that hangs takes its time for one question, not for each.
        let again = join_all(certificate.lines.iter().map(|line| self.look_again(line))).await;
        for (line, again) in certificate.lines.iter_mut().zip(again) {
            if let Some(again) = again {
                *line = again;
            }
        }
        certificate
    }

    /// The new line of an injection that was over, if something of it is there again.
    async fn look_again(&self, line: &Certified) -> Option<Certified> {
        let slot = self.get(line.injection).ok()?;
        let mut work = slot.work.lock().await;
        // A container that came back and is down again was stopped by somebody else: starting it would undo their decision.
        if !line.state.is_over() || slot.comes_back(&work) || !undo::is_back(&slot, &work).await {
            return None;
        }
        // It is taken off once more, and the ledger learns how that ended: `fracas status` must not say less than the certificate.
        work.state = Some(State::Residue);
        work.line = None;
        drop(work);
        self.undo(line.injection).await
    }

    /// Records the end, if everything is over.
    pub fn end(&self, certificate: &Certificate) -> Result<()> {
        if !certificate.is_clean() {
            return Ok(());
        }
        self.record(&[Record::Ended])?;
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // The end is on disk; a ledger that stays longer than it need be is no failure.
        let _longer = ledger.as_mut().map(Ledger::trim);
        Ok(())
    }

    /// Lets go of the ledger and of all claims: whoever hears of the end finds that it is so.
    pub fn close(&self) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.claims() = Claims::default();
    }

    /// Lets go of workers that have ended.
    pub fn reap(&self) {
        self.nursery.reap();
    }

    /// The engines, to connect to them early.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// What keeps anything from being put on from now on: the ledger was deleted, and with it the way back for everybody else.
    pub fn endangered(&self) -> Option<Box<Problem>> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.as_ref().filter(|ledger| ledger.is_deleted())?;
        Some(
            Problem::new(
                &codes::LEDGER,
                "the ledger of the run was deleted while faults may be on",
            )
            .since("somebody removed the state directory, or the run's directory in it")
            .next("leave the state directory alone while a run goes on"),
        )
    }

    /// What an injection may last at most.
    pub fn at_most(&self, injection: InjectionId) -> Option<Duration> {
        self.get(injection).ok().map(|slot| slot.at_most)
    }

    fn slot(&self, entry: &'static Entry, wanted: Wanted) -> Arc<Slot> {
        let context = Context {
            run: self.run.clone(),
            injection: wanted.injection,
            others: wanted.others.clone(),
            observers: wanted.observers.clone(),
            rank: 0,
            seed: wanted.seed,
            at_most: wanted.at_most.0,
            state: self.state.path().to_owned(),
            engines: self.engines.clone(),
            nursery: self.nursery.clone(),
        };
        let (target, at_most) = (wanted.target.identity.clone(), wanted.at_most.0);
        let work = Work {
            wanted,
            undo: None,
            state: None,
            rank: 0,
            not_after: Duration::ZERO,
            line: None,
        };
        Arc::new(Slot {
            entry,
            context,
            target,
            at_most,
            work: tokio::sync::Mutex::new(work),
            cancel: watch::Sender::new(false),
        })
    }

    fn get(&self, injection: InjectionId) -> Result<Arc<Slot>> {
        self.slots()
            .get(&injection)
            .cloned()
            .ok_or_else(|| Problem::new(&codes::INSIDE, format!("there is no injection {injection}")))
    }

    fn all(&self) -> Vec<InjectionId> {
        self.slots().keys().copied().collect()
    }

    fn set_cancelled(&self, injections: &[InjectionId], cancelled: bool) {
        let slots = self.slots();
        for slot in injections.iter().filter_map(|injection| slots.get(injection)) {
            slot.cancel.send_replace(cancelled);
        }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<InjectionId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes records that must be on disk before anything is done.
    fn record_first(&self, records: &[Record]) -> Result<()> {
        if let Some(problem) = self.endangered() {
            return Err(problem);
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ledger) = ledger.as_mut() else {
            return Err(Problem::new(&codes::INSIDE, "a dry run was asked to apply"));
        };
        ledger.promise(records)
    }

    /// Writes what has happened; without a ledger there is nothing to write to.
    fn record(&self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.as_mut().map_or(Ok(()), |ledger| ledger.append(records))
    }

    fn tell_state(&self, injection: InjectionId, state: State, how: &str, took_ms: Option<u64>) {
        let _ = self.news.send(FromGuardian::State {
            injection,
            state,
            how: how.to_owned(),
            took_ms,
        });
    }

    fn failed(&self, injection: InjectionId, problem: &Problem) -> Said {
        let said = Said::from(problem);
        let _ = self.news.send(FromGuardian::Failed {
            injection,
            problem: said.clone(),
        });
        said
    }
}

/// A fault's function must not take the guardian with it: a panic is an error like any other.
async fn guarded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    use futures_util::FutureExt;
    match std::panic::AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(Problem::new(&codes::INSIDE, format!("a fault panicked: {text}")))
        }
    }
}
