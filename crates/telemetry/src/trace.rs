//! One trace a run: a fold of its events into spans.
//!
//! ```text
//! run
//! ├── phase baseline, phase inject, …      with the probes that were read in it
//! ├── injection memory_limit               when it was planned, measured, applied and over
//! │   ├── apply                            from "its way back is on disk" to "applied"
//! │   └── revert                           with its line of the certificate
//! └── cleanup                              by whoever did it
//! ```
//!
//! A span is given out when it has ended. What is open when a runner dies is ended by whoever cleans up, who has the same events.

mod injection;

use std::collections::BTreeMap;

use fracas_core::event::{Event, Outcome as PhaseOutcome, Phase, Verdict, What};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::probe::Reading;
use fracas_core::record::Certificate;

use crate::ids::{root_id, span_id, trace_id};
use crate::span::{Attribute, Kind, Outcome, Span, Value};
use injection::Injection;

/// The cleanup of a run whose runner lived to hear of it.
const BY_THE_RUN: &str = "the guardian, asked by the runner";

/// The trace of one run, as far as it has come.
#[derive(Debug, Default)]
pub struct Trace {
    open: Option<Open>,
}

/// What is going on.
#[derive(Debug)]
struct Open {
    run: RunId,
    /// When the run began: nanoseconds since 1970. Later times are counted from here by a clock that never steps.
    base: u64,
    root: Span,
    phase: Option<Span>,
    injections: BTreeMap<InjectionId, Injection>,
    /// When the rollback began.
    rollback: Option<u64>,
    readings: u64,
}

impl Trace {
    /// The trace of a run of which nothing but its id is known, and that it went on at this time, in nanoseconds since 1970.
    pub fn of(run: &RunId, at: u64) -> Self {
        let mut trace = Self::default();
        trace.begin(run, at);
        trace
    }

    /// The run, once its first event was seen.
    pub fn run(&self) -> Option<&RunId> {
        Some(&self.open.as_ref()?.run)
    }

    /// Takes an event. Gives the spans that ended with it.
    pub fn apply(&mut self, event: &Event) -> Vec<Span> {
        if let What::RunStarted { run, .. } = &event.what {
            let at = event.at.parse::<jiff::Timestamp>().unwrap_or_default();
            // Before 1970 there was no Fracas.
            self.begin(run, u64::try_from(at.as_nanosecond()).unwrap_or_default());
        }
        let mut ended = Vec::new();
        if let Some(open) = &mut self.open {
            let at = open.base.saturating_add(event.elapsed_ms.saturating_mul(1_000_000));
            open.take(at, &event.what, &mut ended);
        }
        if matches!(event.what, What::RunEnded { .. }) {
            self.open = None;
        }
        ended
    }

    /// Somebody else than the runner undid everything, between these times. Gives the spans of it.
    pub fn cleaned(&mut self, by: &str, began: u64, ended: u64, certificate: &Certificate) -> Vec<Span> {
        let mut spans = Vec::new();
        if let Some(open) = &mut self.open {
            open.certified(by, began, ended, certificate, &mut spans);
        }
        spans
    }

    /// Ends whatever is open: the runner cannot say any more how it ended.
    pub fn abandon(&mut self, at: u64, why: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        if let Some(mut open) = self.open.take() {
            open.end_parts(at, Some(why), &mut spans);
            open.root.fail(why);
            spans.push(open.root.end(at));
        }
        spans
    }

    fn begin(&mut self, run: &RunId, at: u64) {
        let mut root = blank(run, "run", 0, at);
        root.parent = None;
        "run".clone_into(&mut root.name);
        root.know("fracas.run.id", run.as_str());
        self.open = Some(Open {
            run: run.clone(),
            base: at,
            root,
            phase: None,
            injections: BTreeMap::new(),
            rollback: None,
            readings: 0,
        });
    }
}

/// A span under the run that begins now.
fn blank(run: &RunId, what: &str, ordinal: u64, at: u64) -> Span {
    Span {
        trace: trace_id(run),
        id: span_id(run, what, ordinal),
        parent: Some(root_id(run)),
        kind: Kind::Internal,
        name: what.to_owned(),
        began: at,
        ended: at,
        attributes: Vec::new(),
        happened: Vec::new(),
        left_out: 0,
        outcome: Outcome::Unsaid,
    }
}

impl Open {
    fn take(&mut self, at: u64, what: &What, ended: &mut Vec<Span>) {
        match what {
            What::RunStarted {
                version,
                experiment,
                seed,
                dry_run,
                pid,
                ..
            } => {
                self.root.know("fracas.version", version);
                self.root.know("fracas.experiment.name", &experiment.name);
                self.root.know("fracas.seed", seed.0);
                self.root.know("fracas.dry_run", *dry_run);
                self.root.know("process.pid", *pid);
            }
            What::Surrounded(around) => {
                self.root.know("host.arch", &around.architecture);
                if let Some(host) = &around.host {
                    self.root.know("host.name", host);
                }
            }
            What::PhaseEntered { phase, .. } => {
                if *phase == Phase::Rollback {
                    self.rollback = Some(at);
                }
                let mut span = blank(&self.run, &format!("phase {}", phase.word()), 0, at);
                span.know("fracas.phase", phase.word());
                // A phase that was never left has ended when the next begins.
                ended.extend(self.phase.replace(span).map(|before| before.end(at)));
            }
            What::PhaseLeft { outcome, .. } => {
                if let Some(mut span) = self.phase.take() {
                    match outcome {
                        PhaseOutcome::Done => span.outcome = Outcome::Good,
                        PhaseOutcome::Stopped => span.know("fracas.stopped", true),
                        PhaseOutcome::Failed => span.fail("the phase failed"),
                    }
                    ended.push(span.end(at));
                }
            }
            What::TargetsChosen {
                alias,
                candidates,
                sum,
                chosen,
            } => self.here().happen(
                at,
                "targets chosen",
                vec![
                    ("fracas.alias", alias.into()),
                    ("fracas.candidates", (candidates.len() as u64).into()),
                    ("fracas.chosen", (chosen.len() as u64).into()),
                    ("fracas.blast_radius", sum.into()),
                ],
            ),
            What::Planned { injection, .. } => {
                let planned = Injection::planned(&self.run, at, what);
                self.injections.extend(planned.map(|planned| (*injection, planned)));
            }
            What::Injection {
                injection, state, how, ..
            } => {
                if let Some(one) = self.injections.get_mut(injection) {
                    ended.extend(one.became(at, *state, how));
                }
            }
            What::InjectionFailed { injection, problem } => {
                if let Some(one) = self.injections.get_mut(injection) {
                    ended.extend(one.failed(at, problem));
                }
            }
            What::DoseMeasured { injection, dose } => {
                if let Some(one) = self.injections.get_mut(injection) {
                    one.measured(at, dose);
                }
            }
            What::TargetRestarted { target, times } => self.root.happen(
                at,
                "target restarted",
                vec![("fracas.target", target.into()), ("fracas.times", (*times).into())],
            ),
            What::ProbeRead {
                probe,
                reading,
                violation,
                danger,
                ..
            } => {
                let mut span = self.reading("probe", at, ("fracas.probe", probe), reading);
                if let Some(violation) = violation {
                    span.know("fracas.violation", violation);
                }
                if let Some(danger) = danger {
                    span.know("fracas.danger", danger);
                }
                if let Some(why) = danger.as_ref().or(violation.as_ref()) {
                    span.fail(why);
                }
                ended.push(span);
            }
            What::MetricRead { metric, reading } => {
                ended.push(self.reading("metric", at, ("fracas.metric", metric), reading));
            }
            What::Judged(judgement) => self.root.happen(
                at,
                "judged",
                vec![
                    ("fracas.probe", (&judgement.probe).into()),
                    ("fracas.passed", judgement.passed.into()),
                    ("fracas.critical", judgement.critical.into()),
                    ("fracas.why", (&judgement.message).into()),
                ],
            ),
            What::StopAsked { cause } => {
                self.root
                    .happen(at, "stop asked", vec![("fracas.why", cause.words().into())]);
            }
            What::GuardianLost { why } => {
                self.root.happen(at, "guardian lost", vec![("fracas.why", why.into())]);
            }
            What::Note { text } => self.root.happen(at, "note", vec![("fracas.text", text.into())]),
            What::Failed { problem } => {
                self.root
                    .happen(at, "failed", vec![("fracas.problem", problem.to_string().into())]);
            }
            What::Certified { certificate } => {
                let began = self.rollback.unwrap_or(at);
                self.certified(BY_THE_RUN, began, at, certificate, ended);
            }
            What::RunEnded { verdict, why, .. } => self.end(at, *verdict, why, ended),
            // Decisions are in the report, with their digest: thousands of them would bury the trace.
            What::Decided { .. } => {}
        }
    }

    /// Where something happens: in the phase, or between two of them in the run.
    fn here(&mut self) -> &mut Span {
        self.phase.as_mut().unwrap_or(&mut self.root)
    }

    /// A reading: an event says when it was there, not when it was asked for, so the span has no length.
    fn reading(&mut self, what: &str, at: u64, name: (&'static str, &str), reading: &Reading) -> Span {
        let mut span = blank(&self.run, what, self.readings, at);
        self.readings += 1;
        span.parent = Some(self.here().id);
        span.know(name.0, name.1);
        if let [value] = reading.values.as_slice() {
            span.know("fracas.value", *value);
        }
        span.know("fracas.series", reading.values.len() as u64);
        span.know("fracas.stale", reading.stale);
        if let Some(age) = reading.age {
            span.know("fracas.age_seconds", age.0.as_secs_f64());
        }
        if let Some(error) = &reading.error {
            span.know("fracas.error", error);
        }
        span
    }

    /// Everything is undone, or not: the certificate says it for each injection.
    fn certified(&mut self, by: &str, began: u64, at: u64, certificate: &Certificate, ended: &mut Vec<Span>) {
        // Two may clean up one after the other: the end tells them apart.
        let mut cleanup = blank(&self.run, "cleanup", at, began);
        cleanup.know("fracas.cleanup.by", by);
        cleanup.know("fracas.clean", certificate.is_clean());
        cleanup.know("fracas.injections", certificate.lines.len() as u64);
        let residue = certificate.lines.iter().filter(|line| !line.state.is_over()).count();
        cleanup.know("fracas.residue", residue as u64);
        if residue > 0 {
            cleanup.fail("something is left");
        } else {
            cleanup.outcome = Outcome::Good;
        }
        for line in &certificate.lines {
            let known = self.injections.remove(&line.injection);
            let one = known.unwrap_or_else(|| Injection::unknown(&self.run, began, line));
            ended.extend(one.certified(began, at, line));
        }
        ended.push(cleanup.end(at));
    }

    /// Ends what lies in the run.
    fn end_parts(&mut self, at: u64, why: Option<&str>, ended: &mut Vec<Span>) {
        for (_, one) in std::mem::take(&mut self.injections) {
            ended.extend(one.end(at, why));
        }
        if let Some(mut phase) = self.phase.take() {
            if let Some(why) = why {
                phase.fail(why);
            }
            ended.push(phase.end(at));
        }
    }

    fn end(&mut self, at: u64, verdict: Verdict, why: &str, ended: &mut Vec<Span>) {
        self.end_parts(at, None, ended);
        let mut root = self.root.clone();
        root.know("fracas.verdict", verdict.word());
        root.know("fracas.why", why);
        if verdict == Verdict::Passed {
            root.outcome = Outcome::Good;
        } else {
            root.fail(&format!("{}: {why}", verdict.word()));
        }
        ended.push(root.end(at));
    }
}

/// What belongs together, as an attribute.
fn known(name: &'static str, value: impl Into<Value>) -> Attribute {
    (name, value.into())
}

#[cfg(test)]
mod tests;
