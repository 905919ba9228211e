//! The metrics of a run that goes on: a fold of its events into counters, gauges and histograms.
//!
//! Doses are counted by whether they landed. What was asked and what was delivered are texts of many units in the events
//! (`512MiB`, `throttled 41 % of periods`), and a number made of them would be a guess.

mod abort;
mod bounded;
mod families;
mod page;

use std::collections::BTreeMap;

use fracas_core::event::{Event, Phase, Verdict, What};
use fracas_core::ids::InjectionId;
use fracas_core::record::{Dose, Landed, State};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use abort::Abort;
use bounded::{Bounded, value};
use families::{Families, OfDose, OfFault, OfOutcome, OfPhase, OfProbe, OfRun, OfVerdict, OfVersion};

pub use families::{ALL, Described};
pub use page::{Form, Page};

const FAILED: &str = "failed";
const LANDED: [&str; 3] = ["yes", "no", "unmeasured"];
const VERDICTS: [Verdict; 6] = [
    Verdict::Passed,
    Verdict::Failed,
    Verdict::Inconclusive,
    Verdict::Aborted,
    Verdict::Error,
    Verdict::Residue,
];

/// The metrics of one run, as far as it has come.
#[derive(Debug)]
pub struct Metrics {
    families: Families,
    page: Page,
    faults: Bounded,
    probes: Bounded,
    injections: BTreeMap<InjectionId, Injection>,
    abort: Abort,
}

#[derive(Debug, Default)]
struct Injection {
    /// The value of its label.
    fault: String,
    /// `None`: planned in the run, and the ledger does not know it yet.
    state: Option<State>,
    /// When its way back was on disk, in milliseconds since the run began.
    planned: Option<u64>,
    failed: bool,
    was_on: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        let (families, registry) = Families::new();
        let version = env!("CARGO_PKG_VERSION");
        families.build.get_or_create(&OfVersion { version }).set(1);
        Self {
            families,
            page: Page::new(registry),
            faults: Bounded::default(),
            probes: Bounded::default(),
            injections: BTreeMap::new(),
            abort: Abort::default(),
        }
    }
}

impl Metrics {
    /// What is shown of them, now and from now on.
    pub fn page(&self) -> Page {
        self.page.clone()
    }

    /// Takes an event.
    pub fn apply(&mut self, event: &Event) {
        let at = event.elapsed_ms;
        match &event.what {
            What::RunStarted {
                run,
                experiment,
                dry_run,
                ..
            } => {
                let labels = OfRun {
                    run: run.to_string(),
                    experiment: value(&experiment.name),
                    dry_run: *dry_run,
                };
                self.families.run.get_or_create(&labels).set(1);
                self.judged(None);
                // The first of the document have names of their own, whoever answers first.
                for probe in &experiment.probes {
                    self.read(&probe.name, 0, false, false);
                }
            }
            What::PhaseEntered { phase, .. } => self.entered(at, *phase),
            What::Planned { injection, kind, .. } => self.planned(*injection, kind),
            What::Injection {
                injection,
                state,
                took_ms,
                ..
            } => self.became(at, *injection, *state, *took_ms),
            What::InjectionFailed { injection, .. } => self.failed(*injection),
            What::DoseMeasured { injection, dose } => self.measured(*injection, dose),
            What::ProbeRead {
                probe,
                violation,
                danger,
                ..
            } => {
                self.read(probe, 1, violation.is_some(), danger.is_some());
                self.abort.read(at, probe, danger.is_some());
            }
            What::StopAsked { cause } => self.abort.stop(at, cause),
            What::GuardianLost { .. } => {
                self.families.takeovers.inc();
            }
            What::Certified { certificate } => {
                for line in &certificate.lines {
                    if !self.injections.contains_key(&line.injection) {
                        self.planned(line.injection, &line.fault);
                    }
                    self.became(at, line.injection, line.state, Some(line.millis));
                }
            }
            What::RunEnded { verdict, .. } => self.judged(Some(*verdict)),
            What::Surrounded(_)
            | What::PhaseLeft { .. }
            | What::TargetsChosen { .. }
            | What::Decided { .. }
            | What::TargetRestarted { .. }
            | What::MetricRead { .. }
            | What::Judged(_)
            | What::Note { .. }
            | What::Failed { .. } => {}
        }
    }

    fn entered(&mut self, at: u64, phase: Phase) {
        for one in Phase::ALL {
            let labels = OfPhase { phase: one.word() };
            self.families.phase.get_or_create(&labels).set((one == phase).into());
        }
        if phase == Phase::Rollback
            && let Some(took) = self.abort.rollback(at)
        {
            self.families.abort_rollback.observe(seconds(took));
        }
    }

    fn judged(&self, verdict: Option<Verdict>) {
        for one in VERDICTS {
            let labels = OfVerdict {
                verdict: one.word().to_ascii_lowercase(),
            };
            let is_it = verdict == Some(one);
            self.families.verdict.get_or_create(&labels).set(is_it.into());
        }
    }

    fn read(&mut self, probe: &str, count: u64, violation: bool, danger: bool) {
        let labels = OfProbe {
            probe: self.probes.value(probe),
        };
        let families = &self.families;
        families.readings.get_or_create(&labels).inc_by(count);
        families.violations.get_or_create(&labels).inc_by(violation.into());
        families.breaches.get_or_create(&labels).inc_by(danger.into());
    }

    /// All series of a fault begin at zero: a rate over the first one that comes would not see it otherwise.
    fn planned(&mut self, injection: InjectionId, kind: &str) {
        let fault = self.faults.value(kind);
        let labels = of(&fault);
        let families = &self.families;
        drop(families.applied.get_or_create(&labels));
        drop(families.apply.get_or_create(&labels));
        drop(families.rollback.get_or_create(&labels));
        for gauge in [&families.active, &families.residue, &families.drift] {
            drop(gauge.get_or_create(&labels));
        }
        let ends = [State::Clean, State::Foreign, State::Residue].map(State::word);
        for outcome in ends.into_iter().chain([FAILED]) {
            self.ended(&fault, outcome, 0);
        }
        for landed in LANDED {
            self.dosed(&fault, landed, 0);
        }
        let one = Injection {
            fault,
            ..Injection::default()
        };
        self.injections.entry(injection).or_insert(one);
    }

    fn became(&mut self, at: u64, injection: InjectionId, state: State, took: Option<u64>) {
        let Some(mut one) = self.injections.remove(&injection) else {
            return;
        };
        // The certificate repeats what was told as it happened.
        let news = one.state != Some(state);
        if news {
            let labels = of(&one.fault);
            if let Some(gauge) = self.gauge(one.state) {
                gauge.get_or_create(&labels).dec();
            }
            if let Some(gauge) = self.gauge(Some(state)) {
                gauge.get_or_create(&labels).inc();
            }
            match state {
                State::Planned => {
                    one.planned = Some(at);
                    one.failed = false;
                }
                State::Applied => {
                    one.was_on = true;
                    self.families.applied.get_or_create(&labels).inc();
                    if let Some(planned) = one.planned.take() {
                        let took = seconds(at.saturating_sub(planned));
                        self.families.apply.get_or_create(&labels).observe(took);
                    }
                }
                State::Clean | State::Foreign | State::Residue => {
                    // One that failed was counted then; if nothing of it is left there is nothing to add.
                    if !(one.failed && state == State::Clean) {
                        self.ended(&one.fault, state.word(), 1);
                    }
                    if let Some(took) = took.filter(|_| state == State::Clean) {
                        self.families.rollback.get_or_create(&labels).observe(seconds(took));
                    }
                }
            }
            one.state = Some(state);
        }
        self.injections.insert(injection, one);
        if news {
            self.look_for_the_end(at);
        }
    }

    /// An abort is over when the last fault is gone: also one that is still being put on is not.
    fn look_for_the_end(&mut self, at: u64) {
        let gone = |one: &Injection| one.state.is_none_or(State::is_over);
        let mut all = self.injections.values();
        if all.clone().any(|one| one.was_on)
            && all.all(gone)
            && let Some(took) = self.abort.gone(at)
        {
            self.families.abort_clean.observe(seconds(took));
        }
    }

    fn failed(&mut self, injection: InjectionId) {
        if let Some(one) = self.injections.get_mut(&injection)
            && one.state.is_none_or(|state| state == State::Planned)
            && !std::mem::replace(&mut one.failed, true)
        {
            let fault = one.fault.clone();
            self.ended(&fault, FAILED, 1);
        }
    }

    fn measured(&self, injection: InjectionId, dose: &Dose) {
        let landed = match dose.landed {
            Landed::Yes => LANDED[0],
            Landed::No(_) => LANDED[1],
            Landed::Unmeasured(_) => LANDED[2],
        };
        if let Some(one) = self.injections.get(&injection) {
            self.dosed(&one.fault, landed, 1);
        }
    }

    fn ended(&self, fault: &str, outcome: &'static str, count: u64) {
        let fault = fault.to_owned();
        let outcomes = &self.families.outcomes;
        outcomes.get_or_create(&OfOutcome { fault, outcome }).inc_by(count);
    }

    fn dosed(&self, fault: &str, landed: &'static str, count: u64) {
        let fault = fault.to_owned();
        let doses = &self.families.doses;
        doses.get_or_create(&OfDose { fault, landed }).inc_by(count);
    }

    /// What counts injections in this state.
    fn gauge(&self, state: Option<State>) -> Option<&Family<OfFault, Gauge>> {
        match state? {
            State::Applied => Some(&self.families.active),
            State::Residue => Some(&self.families.residue),
            State::Foreign => Some(&self.families.drift),
            State::Planned | State::Clean => None,
        }
    }
}

fn of(fault: &str) -> OfFault {
    OfFault {
        fault: fault.to_owned(),
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests;
