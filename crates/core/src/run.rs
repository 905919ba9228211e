//! The run as a pure machine: what happened goes in, what is to be done comes out. Time is passed in; nothing is read or written here.
//!
//! ```text
//! baseline → inject → monitor → detect → cooldown → rollback → recovery → report
//!     └─────────┴────────┴─────────┴─────────┴──── any stop ──┘
//! ```
//! Parse, discover and prepare come before the machine: they need no time of their own and can only succeed or fail.

mod faults;
mod phases;
mod verdict;
mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{Judgement, Outcome, Phase, StopCause, Verdict, What};
use crate::experiment::Experiment;
use crate::ids::InjectionId;
use crate::probe::{Moment, Reading};
use crate::problem::Said;
use crate::record::{Certificate, Dose};

use faults::Faults;
pub use faults::Injection;
use watch::Watch;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed, nothing else.
    Tick,
    /// A probe was read.
    Read {
        /// Its index in the experiment.
        probe: usize,
        /// What it gave.
        reading: Reading,
    },
    /// Applies were tried.
    Applied(Vec<(InjectionId, Result<(), Said>)>),
    /// Doses were read.
    Measured(Vec<(InjectionId, Result<Dose, Said>)>),
    /// These are undone, or as far as they can be.
    Reverted(Vec<InjectionId>),
    /// Something asks the run to stop.
    Stop(StopCause),
    /// The proof of what is left.
    Certified(Certificate),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Tell the world.
    Emit(What),
    /// Read a probe. Answer with [`Input::Read`], always: no answer is a reading that failed.
    Read {
        /// Its index in the experiment.
        probe: usize,
    },
    /// Read the metrics that are only recorded.
    ReadMetrics,
    /// See whether the targets of these are still the same.
    Follow(Vec<InjectionId>),
    /// Put these on. Answer with [`Input::Applied`].
    Apply(Vec<InjectionId>),
    /// Read the doses of these. Answer with [`Input::Measured`].
    Measure(Vec<InjectionId>),
    /// Undo these. Answer with [`Input::Reverted`].
    Revert(Vec<InjectionId>),
    /// Undo whatever is left and prove it. Answer with [`Input::Certified`].
    Certify,
    /// The run is over.
    Finish(Verdict),
}

/// A run.
#[derive(Debug)]
pub struct Machine {
    experiment: Experiment,
    phase: Phase,
    /// When the phase began.
    since: Duration,
    /// When the baseline was over: the zero of `start` and `duration`.
    zero: Option<Duration>,
    faults: Faults,
    watch: Watch,
    judgements: Vec<Judgement>,
    /// The recovery was over before everything had held for as long as the document asks.
    unstable: bool,
    stop: Option<StopCause>,
    failure: Option<Said>,
    certificate: Option<Certificate>,
    /// Drift fails the run.
    strict: bool,
    /// When the end of a phase was reached; its last readings are awaited.
    closing: Option<Duration>,
    metrics_due: Duration,
    follow_due: Duration,
    out: VecDeque<Command>,
}

impl Machine {
    /// A run of this experiment with these injections, numbered in the order in which they were planned. Begins with the first input.
    pub fn new(experiment: Experiment, injections: Vec<Injection>) -> Self {
        Self {
            faults: Faults::new(&experiment, injections),
            watch: Watch::new(&experiment),
            experiment,
            phase: Phase::Prepare,
            since: Duration::ZERO,
            zero: None,
            judgements: Vec::new(),
            unstable: false,
            stop: None,
            failure: None,
            certificate: None,
            strict: false,
            closing: None,
            metrics_due: Duration::ZERO,
            follow_due: Duration::ZERO,
            out: VecDeque::new(),
        }
    }

    /// Whether the run fails when others changed what it had changed. Not otherwise: that is drift, and no residue.
    #[must_use]
    pub fn strict_certificate(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Why the run stops, if it does.
    pub fn stopped(&self) -> Option<&StopCause> {
        self.stop.as_ref()
    }

    /// Whether an injection is to be on: it came on and nobody has begun to take it off.
    pub fn is_on(&self, injection: InjectionId) -> bool {
        self.phase < Phase::Rollback && self.faults.is_on(injection)
    }

    /// Whether the proof of what is left has come: nothing more is wanted of the guardian.
    pub fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Takes one input at a time since the beginning, and says what is to be done, in order.
    pub fn on(&mut self, now: Duration, input: Input) -> Vec<Command> {
        if self.phase == Phase::Prepare {
            self.enter(now, Phase::Baseline);
        }
        match input {
            Input::Tick => {}
            Input::Read { probe, reading } => self.take_reading(now, probe, reading),
            Input::Applied(results) => self.take_applied(now, results),
            Input::Measured(doses) => self.take_doses(now, doses),
            Input::Reverted(injections) => self.take_reverted(now, &injections),
            Input::Stop(cause) => self.take_stop(now, cause),
            Input::Certified(certificate) => self.take_certificate(now, certificate),
        }
        self.advance(now);
        self.out.drain(..).collect()
    }

    /// When the machine wants to be called again at the latest.
    pub fn next(&self) -> Duration {
        let phase_end = match self.phase {
            Phase::Report | Phase::Rollback | Phase::Prepare => None,
            // The end was noticed: what is awaited now is an answer, not a time.
            _ if self.closing.is_some() => None,
            _ => self.phase_end(),
        };
        // From the rollback on no fault comes or goes by the clock.
        let faults = if self.phase < Phase::Rollback {
            self.faults.next()
        } else {
            None
        };
        let watch = if matches!(self.phase, Phase::Rollback | Phase::Report) {
            None
        } else {
            self.watch.next()
        };
        [phase_end, watch, faults, self.max_end()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Duration::MAX)
    }

    fn emit(&mut self, what: What) {
        self.out.push_back(Command::Emit(what));
    }

    fn do_(&mut self, command: Command) {
        self.out.push_back(command);
    }

    fn take_stop(&mut self, now: Duration, cause: StopCause) {
        if self.stop.is_some() || self.phase >= Phase::Rollback {
            return;
        }
        self.emit(What::StopAsked { cause: cause.clone() });
        self.stop = Some(cause);
        self.leave(now, Outcome::Stopped);
        self.enter(now, Phase::Rollback);
    }

    fn take_certificate(&mut self, now: Duration, certificate: Certificate) {
        if self.phase == Phase::Report {
            self.emit(What::Certified {
                certificate: certificate.clone(),
            });
            self.certificate = Some(certificate);
            self.leave(now, Outcome::Done);
            let (verdict, why, hypothesis) = self.verdict();
            // The decisions are counted where they are made; the driver fills them in.
            self.emit(What::RunEnded {
                verdict,
                why,
                hypothesis,
                decisions: (0, String::new()),
            });
            self.do_(Command::Finish(verdict));
        }
    }

    /// The moment in which a reading is taken now.
    fn moment(&self) -> Option<Moment> {
        match self.phase {
            Phase::Baseline => Some(Moment::Before),
            Phase::Inject | Phase::Monitor | Phase::Detect | Phase::Cooldown if self.faults.any_on() => {
                Some(Moment::During)
            }
            Phase::Recovery => Some(Moment::After),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
