//! When faults come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Command, Machine};
use crate::event::{StopCause, What};
use crate::experiment::{Execution, Experiment, OnTargetFailure};
use crate::ids::InjectionId;
use crate::problem::Said;
use crate::record::{Dose, Landed};

/// A planned injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// Its number.
    pub id: InjectionId,
    /// Which fault of the experiment.
    pub fault: usize,
}

/// How long after a fault came on its dose is read first.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Faults {
    execution: Execution,
    measure_every: Duration,
    list: Vec<Fault>,
    injections: Vec<One>,
    /// When the first came on.
    first_on: Option<Duration>,
}

#[derive(Debug)]
struct Fault {
    start: Duration,
    duration: Option<Duration>,
    /// It waits for the end of the one before it.
    follows: bool,
    stage: Stage,
    /// When it is to begin: known once its turn has come.
    begins: Option<Duration>,
    /// When it came on.
    came_on: Option<Duration>,
    measure_due: Option<Duration>,
    /// A dose is being read: meters may take longer than the time between two readings.
    measuring: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Applying,
    On,
    /// Its dose is read a last time before it goes.
    Weighing,
    Reverting,
    Over,
}

#[derive(Debug)]
pub(super) struct One {
    pub(super) id: InjectionId,
    fault: usize,
    on: bool,
    pub(super) was_on: bool,
    pub(super) failed: Option<Said>,
    pub(super) dose: Option<Dose>,
}

impl Faults {
    pub(super) fn new(experiment: &Experiment, injections: Vec<Injection>) -> Self {
        let fault = |spec: &crate::experiment::FaultSpec| Fault {
            start: spec.start.0,
            duration: spec.duration.map(|duration| duration.0),
            follows: spec.follows,
            stage: Stage::Waiting,
            begins: None,
            came_on: None,
            measure_due: None,
            measuring: false,
        };
        let one = |injection: Injection| One {
            id: injection.id,
            fault: injection.fault,
            on: false,
            was_on: false,
            failed: None,
            dose: None,
        };
        Self {
            execution: experiment.execution,
            measure_every: experiment.interval.0.max(SETTLE),
            list: experiment.faults.iter().map(fault).collect(),
            injections: injections.into_iter().map(one).collect(),
            first_on: None,
        }
    }

    pub(super) fn any_on(&self) -> bool {
        self.injections.iter().any(|one| one.on)
    }

    pub(super) fn first_on(&self) -> Option<Duration> {
        self.first_on
    }

    pub(super) fn injections(&self) -> &[One] {
        &self.injections
    }

    pub(super) fn is_on(&self, injection: InjectionId) -> bool {
        let one = self.injections.iter().find(|one| one.id == injection);
        one.is_some_and(|one| one.on && self.list[one.fault].stage == Stage::On)
    }

    pub(super) fn on(&self) -> Vec<InjectionId> {
        self.injections.iter().filter(|one| one.on).map(|one| one.id).collect()
    }

    /// Zero is here: the first may begin.
    pub(super) fn begin(&mut self, zero: Duration) {
        for (index, fault) in self.list.iter_mut().enumerate() {
            if index == 0 || self.execution == Execution::Parallel {
                fault.begins = Some(zero + fault.start);
            }
        }
    }

    /// Whether all faults with the earliest start have come on or failed.
    pub(super) fn are_first_on(&self) -> bool {
        let earliest = self.list.iter().filter_map(|fault| fault.begins).min();
        self.list
            .iter()
            .filter(|fault| fault.begins.is_some() && fault.begins == earliest)
            .all(|fault| fault.stage >= Stage::On)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        let of = |(index, fault): (usize, &Fault)| match fault.stage {
            // What waits for another is woken by the end of that one.
            Stage::Waiting => fault.begins.filter(|_| self.may_begin(index)),
            Stage::On => [fault.ends(), fault.measure_due.filter(|_| !fault.measuring)]
                .into_iter()
                .flatten()
                .min(),
            _ => None,
        };
        self.list.iter().enumerate().filter_map(of).min()
    }

    /// Whether nothing of its series is still on before it.
    fn may_begin(&self, index: usize) -> bool {
        !self.list[index].follows || index == 0 || self.list[index - 1].stage == Stage::Over
    }

    /// Whether the next of its series waits for its end, and its dose is known: a last one would be read in the other's time.
    fn makes_way(&self, index: usize) -> bool {
        let followed = self.list.get(index + 1).is_some_and(|next| next.follows);
        let mut on = self.injections.iter().filter(|one| one.fault == index && one.on);
        followed && !self.list[index].measuring && on.all(|one| one.dose.is_some())
    }

    fn of(&self, fault: usize) -> Vec<InjectionId> {
        self.injections
            .iter()
            .filter(|one| one.fault == fault)
            .map(|one| one.id)
            .collect()
    }

    fn on_of(&self, fault: usize) -> Vec<InjectionId> {
        self.injections
            .iter()
            .filter(|one| one.fault == fault && one.on)
            .map(|one| one.id)
            .collect()
    }
}

impl Fault {
    fn ends(&self) -> Option<Duration> {
        Some(self.came_on? + self.duration?)
    }
}

impl Machine {
    /// Puts on what is due, weighs what is on, takes off what is over. `begin` is false once no fault may come any more.
    pub(super) fn move_faults(&mut self, now: Duration, begin: bool) {
        for index in 0..self.faults.list.len() {
            let fault = &self.faults.list[index];
            match fault.stage {
                Stage::Waiting if begin && fault.begins.is_some_and(|at| at <= now) && self.faults.may_begin(index) => {
                    let ids = self.faults.of(index);
                    self.faults.list[index].stage = Stage::Applying;
                    self.do_(Command::Apply(ids));
                }
                Stage::On if fault.ends().is_some_and(|at| at <= now) && self.faults.makes_way(index) => {
                    let ids = self.faults.on_of(index);
                    self.faults.list[index].stage = Stage::Reverting;
                    self.do_(Command::Revert(ids));
                }
                Stage::On if fault.ends().is_some_and(|at| at <= now) => {
                    self.faults.list[index].stage = Stage::Weighing;
                    // A measurement that goes on is the last one.
                    if !self.faults.list[index].measuring {
                        let ids = self.faults.on_of(index);
                        self.do_(Command::Measure(ids));
                    }
                }
                Stage::On if fault.measure_due.is_some_and(|at| at <= now) && !fault.measuring => {
                    let ids = self.faults.on_of(index);
                    self.faults.list[index].measure_due = Some(now + self.faults.measure_every);
                    self.faults.list[index].measuring = true;
                    self.do_(Command::Measure(ids));
                }
                _ => {}
            }
        }
    }

    /// Whether every fault that is on has been measured at least once; asks for it where not. A run that ends by the clock waits for
    /// this, one that is stopped does not. It also waits for the last dose of a fault whose own time ends with the run: the rollback
    /// would take the fault away under its meter.
    pub(super) fn are_weighed(&mut self) -> bool {
        let mut all = true;
        for index in 0..self.faults.list.len() {
            if self.faults.list[index].stage == Stage::Weighing {
                all = false;
                continue;
            }
            let unweighed = self
                .faults
                .injections
                .iter()
                .any(|one| one.fault == index && one.on && one.dose.is_none());
            if self.faults.list[index].stage != Stage::On || !unweighed {
                continue;
            }
            all = false;
            if !self.faults.list[index].measuring {
                self.faults.list[index].measuring = true;
                let ids = self.faults.on_of(index);
                self.do_(Command::Measure(ids));
            }
        }
        all
    }

    pub(super) fn take_applied(&mut self, now: Duration, results: Vec<(InjectionId, Result<(), Said>)>) {
        let mut failed = false;
        let mut touched = BTreeSet::new();
        for (id, result) in results {
            let Some(one) = self.faults.injections.iter_mut().find(|one| one.id == id) else {
                continue;
            };
            touched.insert(one.fault);
            match result {
                Ok(()) => {
                    one.on = true;
                    one.was_on = true;
                    self.faults.first_on.get_or_insert(now);
                }
                Err(said) => {
                    failed = true;
                    one.failed = Some(said);
                }
            }
        }
        for index in touched {
            let any = !self.faults.on_of(index).is_empty();
            let fault = &mut self.faults.list[index];
            if fault.stage != Stage::Applying {
                continue;
            }
            fault.came_on = Some(now);
            fault.measure_due = Some(now + SETTLE);
            fault.stage = if any { Stage::On } else { Stage::Over };
            if !any {
                self.next_in_sequence(now, index);
            }
        }
        if failed && self.experiment.on_target_failure == OnTargetFailure::Rollback {
            self.take_stop(now, StopCause::ApplyFailed);
        }
    }

    pub(super) fn take_doses(&mut self, _now: Duration, doses: Vec<(InjectionId, Result<Dose, Said>)>) {
        let mut weighed = BTreeSet::new();
        for (id, result) in doses {
            let Some(one) = self.faults.injections.iter_mut().find(|one| one.id == id) else {
                continue;
            };
            weighed.insert(one.fault);
            let dose = match result {
                Ok(dose) => dose,
                Err(said) => Dose {
                    asked: "as planned".to_owned(),
                    delivered: "unknown".to_owned(),
                    landed: Landed::Unmeasured(said.to_string()),
                    effect: None,
                },
            };
            // A meter that fails once does not unsay what it said before, nor does a dose read after the end.
            let keep = matches!(dose.landed, Landed::Unmeasured(_)) && one.dose.is_some() || !one.on;
            if !keep {
                one.dose = Some(dose.clone());
                self.emit(What::DoseMeasured { injection: id, dose });
            }
        }
        for index in weighed {
            self.faults.list[index].measuring = false;
            if self.faults.list[index].stage == Stage::Weighing {
                self.faults.list[index].stage = Stage::Reverting;
                let ids = self.faults.on_of(index);
                self.do_(Command::Revert(ids));
            }
        }
    }

    pub(super) fn take_reverted(&mut self, now: Duration, injections: &[InjectionId]) {
        let mut touched = BTreeSet::new();
        for one in self
            .faults
            .injections
            .iter_mut()
            .filter(|one| injections.contains(&one.id))
        {
            one.on = false;
            touched.insert(one.fault);
        }
        for index in touched {
            if self.faults.list[index].stage == Stage::Reverting && self.faults.on_of(index).is_empty() {
                self.faults.list[index].stage = Stage::Over;
                self.next_in_sequence(now, index);
            }
        }
        if self.phase == crate::event::Phase::Rollback {
            self.rolled_back(now);
        }
    }

    fn next_in_sequence(&mut self, now: Duration, index: usize) {
        if self.faults.execution == Execution::Sequential
            && let Some(next) = self.faults.list.get_mut(index + 1)
            && next.begins.is_none()
        {
            next.begins = Some(now + next.start);
        }
    }
}
