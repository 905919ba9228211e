//! Events into a report, one at a time. Any order of events is accepted: a record may be torn, and a report on half a run is worth
//! more than none.

mod readings;

use std::collections::BTreeMap;

use fracas_core::event::{Event, Hypothesis, Phase, StopCause, What};
use fracas_core::experiment::{Experiment, Format};
use fracas_core::ids::InjectionId;
use fracas_core::probe::Moment;
use fracas_core::record::{Landed, State};
use fracas_core::seed::{DecisionLog, Seed};

use self::readings::Readings;
use crate::compared::{Values, compare_moments};
use crate::lines::guardian_lost;
use crate::model::{
    At, Decisions, FaultReport, InjectionReport, JudgementReport, Note, PhaseReport, ProbeReport, Report, StateChange,
    StopReport, TargetsReport, VERSION,
};
use crate::series::Series;

/// The report on these events.
pub fn fold(events: impl IntoIterator<Item = Event>) -> Report {
    let mut fold = Fold::default();
    for event in events {
        fold.apply(&event);
    }
    fold.report()
}

/// So many notes are kept, and so many further causes of a stop.
const MOST_NOTES: usize = 1000;
/// So many changes of state, problems and judgements are kept of one thing. A run makes a handful; a torn or forged record may
/// hold more.
const MOST_OF_ONE: usize = 1000;

/// A report that grows with the events.
#[derive(Debug)]
pub struct Fold {
    report: Report,
    first_ms: Option<u64>,
    injections: BTreeMap<InjectionId, InjectionReport>,
    probes: BTreeMap<String, BTreeMap<Moment, Readings>>,
    // What each probe gave over time, for a picture and for the comparison of its moments.
    series: BTreeMap<String, Series>,
    values: BTreeMap<String, BTreeMap<Moment, Values>>,
    metrics: BTreeMap<String, BTreeMap<Moment, Readings>>,
    log: DecisionLog,
    // Of each probe whose last reading was danger, the first of that streak: where an abort begins.
    dangers: BTreeMap<String, At>,
    // How many injections are on, and whether one ever was.
    on: usize,
    ever_on: bool,
}

impl Default for Fold {
    fn default() -> Self {
        Self {
            report: Report {
                version: VERSION,
                run: None,
                fracas: String::new(),
                format: Format::Native,
                name: String::new(),
                description: None,
                owner: None,
                document_version: None,
                tags: Vec::new(),
                started: String::new(),
                ended: String::new(),
                duration_ms: 0,
                verdict: None,
                why: "the run has not ended, or its runner died before it could say how".to_owned(),
                exit_code: None,
                hypothesis: Hypothesis::NotEvaluated,
                dry_run: false,
                seed: None,
                decisions: Decisions::default(),
                environment: None,
                phases: Vec::new(),
                targets: BTreeMap::new(),
                faults: Vec::new(),
                injections: Vec::new(),
                probes: Vec::new(),
                metrics: BTreeMap::new(),
                stop: None,
                rollback_ms: None,
                notes: Vec::new(),
                notes_left_out: 0,
                problems: Vec::new(),
                certificate: None,
                logs: Vec::new(),
            },
            first_ms: None,
            injections: BTreeMap::new(),
            probes: BTreeMap::new(),
            series: BTreeMap::new(),
            values: BTreeMap::new(),
            metrics: BTreeMap::new(),
            log: DecisionLog::default(),
            dangers: BTreeMap::new(),
            on: 0,
            ever_on: false,
        }
    }
}

/// The samples of each probe in each moment.
pub(crate) type Samples = BTreeMap<String, BTreeMap<Moment, Vec<f64>>>;

fn push_bounded<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST_OF_ONE {
        list.push(item);
    }
}

impl Fold {
    /// Adds what happened.
    pub fn apply(&mut self, event: &Event) {
        let at = At {
            time: event.at.clone(),
            elapsed_ms: event.elapsed_ms,
        };
        let report = &mut self.report;
        if self.first_ms.is_none() {
            self.first_ms = Some(event.elapsed_ms);
            report.started.clone_from(&event.at);
        }
        report.ended.clone_from(&event.at);
        report.duration_ms = event.elapsed_ms.saturating_sub(self.first_ms.unwrap_or_default());
        match &event.what {
            What::RunStarted {
                run,
                version,
                experiment,
                seed,
                dry_run,
                pid: _,
            } => {
                report.run = Some(run.clone());
                report.fracas.clone_from(version);
                report.seed = Some(*seed);
                report.dry_run = *dry_run;
                describe(report, experiment);
            }
            What::Surrounded(environment) => report.environment = Some(environment.clone()),
            What::PhaseEntered { phase, expected } => push_bounded(
                &mut report.phases,
                PhaseReport {
                    phase: *phase,
                    start: at,
                    expected: *expected,
                    duration_ms: None,
                    outcome: None,
                },
            ),
            What::PhaseLeft { phase, outcome } => {
                let open = |entry: &&mut PhaseReport| entry.phase == *phase && entry.outcome.is_none();
                if let Some(entry) = report.phases.iter_mut().rev().find(open) {
                    entry.duration_ms = Some(at.elapsed_ms.saturating_sub(entry.start.elapsed_ms));
                    entry.outcome = Some(*outcome);
                }
            }
            What::TargetsChosen {
                alias,
                candidates,
                sum,
                chosen,
            } => {
                // Chosen anew at the end of the baseline: the last choice is the one that was used.
                report.targets.insert(
                    alias.clone(),
                    TargetsReport {
                        candidates: candidates.clone(),
                        sum: sum.clone(),
                        chosen: chosen.clone(),
                    },
                );
            }
            What::Decided {
                purpose,
                identity,
                ordinal,
                chosen,
            } => self.log.add(purpose, identity, *ordinal, chosen),
            What::Planned {
                injection,
                fault,
                kind,
                target,
                undo,
                change,
                start,
                duration,
            } => {
                self.injections.entry(*injection).or_insert_with(|| InjectionReport {
                    number: *injection,
                    fault: fault.clone(),
                    kind: kind.clone(),
                    target: target.clone(),
                    undo: *undo,
                    change: change.clone(),
                    planned_start: *start,
                    planned_duration: *duration,
                    applied: None,
                    gone: None,
                    state: State::Planned,
                    states: Vec::new(),
                    dose: None,
                    dose_measurements: 0,
                    dose_missed: 0,
                    problems: Vec::new(),
                    restarts: 0,
                });
            }
            What::Injection {
                injection, state, how, ..
            } => self.moved(*injection, *state, how, at),
            What::InjectionFailed { injection, problem } => match self.injections.get_mut(injection) {
                Some(injection) => push_bounded(&mut injection.problems, problem.clone()),
                // Without its plan the injection is unknown; its problem is not lost.
                None => push_bounded(&mut report.problems, problem.clone()),
            },
            What::DoseMeasured { injection, dose } => {
                if let Some(injection) = self.injections.get_mut(injection) {
                    injection.dose_measurements += 1;
                    injection.dose_missed += u64::from(matches!(dose.landed, Landed::No(_)));
                    injection.dose = Some(dose.clone());
                }
            }
            What::TargetRestarted { target, times } => {
                for injection in self.injections.values_mut() {
                    if injection.target == *target && injection.state == State::Applied {
                        injection.restarts = injection.restarts.max(*times);
                    }
                }
            }
            What::ProbeRead {
                probe,
                moment,
                reading,
                violation,
                danger,
            } => {
                let spec = report.probes.iter().find(|spec| spec.name == *probe);
                let hard = spec.and_then(readings::hardest);
                let moments = self.probes.entry(probe.clone()).or_default();
                // Between two faults only danger is looked for: such a reading belongs to no moment's figures.
                if let Some(moment) = moment {
                    let figures = moments.entry(*moment).or_default();
                    figures.add(reading, hard, violation.is_some(), danger.is_some());
                }
                let value = readings::value(reading, hard);
                if let (Some(moment), Some(value)) = (moment, value) {
                    let values = self.values.entry(probe.clone()).or_default();
                    values.entry(*moment).or_default().add(event.elapsed_ms, value, reading);
                }
                self.series
                    .entry(probe.clone())
                    .or_default()
                    .add(event.elapsed_ms, value);
                if danger.is_none() {
                    self.dangers.remove(probe);
                } else {
                    self.dangers.entry(probe.clone()).or_insert(at);
                }
            }
            What::MetricRead { metric, reading } => {
                // A metric is read all the time; the injections say in which moment.
                let moment = match (self.on, self.ever_on) {
                    (1.., _) => Moment::During,
                    (0, true) => Moment::After,
                    (0, false) => Moment::Before,
                };
                let moments = self.metrics.entry(metric.clone()).or_default();
                moments.entry(moment).or_default().add_all(reading);
            }
            What::Judged(judgement) => {
                if let Some(probe) = report.probes.iter_mut().find(|probe| probe.name == judgement.probe) {
                    push_bounded(
                        &mut probe.judgements,
                        JudgementReport {
                            at,
                            judgement: judgement.clone(),
                        },
                    );
                }
            }
            What::StopAsked { cause } => {
                if let Some(stop) = &mut report.stop {
                    push_bounded(&mut stop.later, cause.clone());
                    return;
                }
                let breach = match cause {
                    StopCause::Abort { probe, .. } => self.dangers.get(probe).cloned(),
                    _ => None,
                };
                report.stop = Some(StopReport {
                    cause: cause.clone(),
                    words: cause.words(),
                    asked: at,
                    breach,
                    took_ms: None,
                    engine_ms: 0,
                    later: Vec::new(),
                });
            }
            What::GuardianLost { why } => note(report, at, guardian_lost(why)),
            What::Note { text } => note(report, at, text.clone()),
            What::Failed { problem } => push_bounded(&mut report.problems, problem.clone()),
            What::Certified { certificate } => report.certificate = Some(certificate.clone()),
            What::RunEnded {
                verdict,
                why,
                hypothesis,
                decisions: (count, digest),
            } => {
                report.verdict = Some(*verdict);
                report.exit_code = Some(verdict.exit_code());
                report.why.clone_from(why);
                report.hypothesis = *hypothesis;
                report.decisions = Decisions {
                    count: *count,
                    digest: digest.clone(),
                };
            }
        }
    }

    fn moved(&mut self, number: InjectionId, state: State, how: &str, at: At) {
        let Some(injection) = self.injections.get_mut(&number) else {
            return;
        };
        let was_on = injection.is_on();
        match state {
            State::Applied => {
                // Put on again after a restart: it has been on since the first time.
                injection.applied.get_or_insert_with(|| at.clone());
                injection.gone = None;
            }
            State::Clean | State::Foreign => injection.gone = Some(at.clone()),
            State::Planned => {}
            // Seen to be there again, or still: it is not gone.
            State::Residue => injection.gone = None,
        }
        match (was_on, injection.is_on()) {
            (false, true) => {
                self.on += 1;
                self.ever_on = true;
            }
            (true, false) => self.on = self.on.saturating_sub(1),
            _ => {}
        }
        injection.state = state;
        push_bounded(
            &mut injection.states,
            StateChange {
                state,
                at,
                how: how.to_owned(),
            },
        );
    }

    /// The independent samples of every probe in every moment.
    pub(crate) fn samples(&self) -> Samples {
        let of_moments = |moments: &BTreeMap<Moment, Values>| {
            let of_moment = moments.iter().map(|(moment, values)| (*moment, values.samples()));
            of_moment.collect()
        };
        let of_probes = self.values.iter();
        of_probes
            .map(|(probe, moments)| (probe.clone(), of_moments(moments)))
            .collect()
    }

    /// The report on the events so far.
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.injections = self.injections.values().cloned().collect();
        if report.verdict.is_none() {
            let (count, digest) = self.log.digest();
            report.decisions = Decisions { count, digest };
        }
        for probe in &mut report.probes {
            if let Some(moments) = self.probes.get(&probe.name) {
                let hard = readings::hardest(probe);
                probe.moments = moments.iter().map(|(moment, one)| one.report(*moment, hard)).collect();
            }
            if let Some(series) = self.series.get(&probe.name) {
                probe.series = series.points();
            }
        }
        for (metric, moments) in &self.metrics {
            let moments = moments.iter().map(|(moment, one)| one.report(*moment, None)).collect();
            report.metrics.insert(metric.clone(), moments);
        }
        compare_moments(&mut report.probes, &self.samples(), report.seed.unwrap_or(Seed(0)));
        times(&mut report);
        report
    }
}

fn note(report: &mut Report, at: At, text: String) {
    if report.notes.len() < MOST_NOTES {
        report.notes.push(Note { at, text });
    } else {
        report.notes_left_out += 1;
    }
}

/// How long it took to be rid of the faults.
fn times(report: &mut Report) {
    let was_on = |one: &&InjectionReport| one.applied.is_some() || one.took_effect();
    let applied = || report.injections.iter().filter(was_on);
    let all_gone = applied().all(|one| one.gone.is_some());
    let gone_since = |from: u64| {
        let after = applied()
            .filter_map(|one| one.gone.as_ref())
            .map(|gone| gone.elapsed_ms);
        all_gone.then(|| after.filter(|gone| *gone >= from).max().map(|last| last - from))?
    };
    let rollback = report.phases.iter().find(|entry| entry.phase == Phase::Rollback);
    let rollback_ms = rollback.and_then(|entry| gone_since(entry.start.elapsed_ms));
    let took_ms = report.stop.as_ref().and_then(|stop| {
        let from = stop.breach.as_ref().unwrap_or(&stop.asked).elapsed_ms;
        gone_since(from)
    });
    let engine_ms = report.certificate.as_ref().map_or(0, |certificate| {
        // Targets are undone in parallel: the slowest is the bound.
        certificate
            .lines
            .iter()
            .map(|line| line.engine_millis)
            .max()
            .unwrap_or(0)
    });
    report.rollback_ms = rollback_ms;
    if let Some(stop) = &mut report.stop {
        stop.took_ms = took_ms;
        stop.engine_ms = if took_ms.is_some() { engine_ms } else { 0 };
    }
}

/// What the document says.
fn describe(report: &mut Report, experiment: &Experiment) {
    report.format = experiment.format;
    report.name.clone_from(&experiment.name);
    report.description.clone_from(&experiment.description);
    report.owner.clone_from(&experiment.owner);
    report.document_version.clone_from(&experiment.version);
    report.tags.clone_from(&experiment.tags);
    report.faults = experiment
        .faults
        .iter()
        .map(|fault| FaultReport {
            name: fault.name.clone(),
            kind: fault.inject.name().to_owned(),
            target: fault.target.clone(),
            description: fault.description.clone(),
            parameters: fault.inject.params(),
            written: fault.written.clone(),
        })
        .collect();
    report.probes = experiment
        .probes
        .iter()
        .map(|probe| ProbeReport {
            name: probe.name.clone(),
            description: probe.description.clone(),
            source: probe.source.clone(),
            expect: probe.expect,
            abort: probe.abort,
            when: probe.when.clone(),
            critical: probe.critical,
            moments: Vec::new(),
            judgements: Vec::new(),
            comparisons: Vec::new(),
            series: Vec::new(),
        })
        .collect();
}

#[cfg(test)]
mod tests;
