//! The spans of one injection.

use fracas_core::event::What;
use fracas_core::ids::RunId;
use fracas_core::problem::Said;
use fracas_core::record::{Certified, Dose, Landed, State, UndoClass};

use super::{blank, known};
use crate::span::{Outcome, Span};

/// An injection that is not over.
#[derive(Debug)]
pub(super) struct Injection {
    run: RunId,
    number: u64,
    span: Span,
    /// Being put on, since then.
    apply: Option<Span>,
    /// How often it was put on: a target that restarts gets it again.
    applies: u64,
    /// When it was last over.
    over: Option<u64>,
    dose: Option<Dose>,
}

impl Injection {
    /// From the event that it was planned; `None` for another event.
    pub(super) fn planned(run: &RunId, at: u64, what: &What) -> Option<Self> {
        let What::Planned {
            injection,
            fault,
            kind,
            target,
            undo,
            change,
            ..
        } = what
        else {
            return None;
        };
        let mut one = Self::begin(run, injection.0.into(), kind, target, at);
        let undo = match undo {
            UndoClass::Exact => "exact",
            UndoClass::Restart => "restart",
            UndoClass::None => "none",
        };
        one.span.know("fracas.name", fault);
        one.span.know("fracas.undo", undo);
        one.span.happen(at, "planned", vec![known("fracas.change", change)]);
        Some(one)
    }

    /// One of which only the certificate tells.
    pub(super) fn unknown(run: &RunId, at: u64, line: &Certified) -> Self {
        Self::begin(run, line.injection.0.into(), &line.fault, &line.target, at)
    }

    fn begin(run: &RunId, number: u64, kind: &str, target: &str, at: u64) -> Self {
        let mut span = blank(run, "injection", number, at);
        span.name = format!("injection {kind}");
        span.know("fracas.injection", number);
        span.know("fracas.fault", kind);
        span.know("fracas.target", target);
        Self {
            run: run.clone(),
            number,
            span,
            apply: None,
            applies: 0,
            over: None,
            dose: None,
        }
    }

    /// It came into a state. Gives the span that ended with it.
    pub(super) fn became(&mut self, at: u64, state: State, how: &str) -> Option<Span> {
        self.span.happen(at, state.word(), vec![known("fracas.how", how)]);
        match state {
            State::Planned => {
                let mut span = self.part("apply", self.applies, at);
                span.know("fracas.injection", self.number);
                self.applies += 1;
                self.over = None;
                self.apply.replace(span).map(|before| before.end(at))
            }
            State::Applied => self.apply.take().map(|mut span| {
                span.outcome = Outcome::Good;
                span.end(at)
            }),
            State::Clean | State::Foreign | State::Residue => {
                self.over = Some(at);
                self.apply.take().map(|mut span| {
                    span.fail("it was undone before it was on");
                    span.end(at)
                })
            }
        }
    }

    /// Something of it failed.
    pub(super) fn failed(&mut self, at: u64, problem: &Said) -> Option<Span> {
        let why = problem.to_string();
        self.span.happen(at, "failed", vec![known("fracas.problem", &why)]);
        self.span.fail(&why);
        self.apply.take().map(|mut span| {
            span.fail(&why);
            span.end(at)
        })
    }

    /// Its dose was read.
    pub(super) fn measured(&mut self, at: u64, dose: &Dose) {
        self.span.happen(at, "measured", about(dose));
        self.dose = Some(dose.clone());
    }

    /// It is off, or not, as its line says: by an undo that began at `began` unless its end was seen. Gives its spans.
    pub(super) fn certified(mut self, began: u64, at: u64, line: &Certified) -> Vec<Span> {
        let took = line.millis.saturating_mul(1_000_000);
        let (from, to) = match self.over {
            Some(over) => (over.saturating_sub(took), over),
            None => (began, began.saturating_add(took).min(at)),
        };
        let mut revert = self.part("revert", 0, from);
        revert.know("fracas.injection", self.number);
        for span in [&mut revert, &mut self.span] {
            span.know("fracas.state", line.state.word());
            span.know("fracas.reverted", &line.undo);
            span.know("fracas.seen", &line.seen);
        }
        revert.know("fracas.engine_seconds", line.engine_millis as f64 / 1000.0);
        if line.state.is_over() {
            revert.outcome = Outcome::Good;
        } else {
            revert.know("fracas.manual", line.manual.join("; "));
            revert.fail(&line.seen);
            self.span.fail(&line.seen);
        }
        let mut spans = vec![revert.end(to)];
        spans.extend(self.end(to, None));
        spans
    }

    /// It ends here, and with it what is under way.
    pub(super) fn end(mut self, at: u64, why: Option<&str>) -> Vec<Span> {
        if let Some(why) = why {
            self.span.fail(why);
        }
        if let Some(dose) = &self.dose {
            self.span.attributes.extend(about(dose));
        }
        let mut spans: Vec<Span> = Vec::new();
        spans.extend(self.apply.take().map(|mut span| {
            span.fail(why.unwrap_or("it was never on"));
            span.end(at)
        }));
        spans.push(self.span.end(at));
        spans
    }

    /// A part of it that begins now.
    fn part(&self, what: &str, ordinal: u64, at: u64) -> Span {
        let mut span = blank(&self.run, &format!("{what} {}", self.number), ordinal, at);
        what.clone_into(&mut span.name);
        span.parent = Some(self.span.id);
        span
    }
}

fn about(dose: &Dose) -> Vec<crate::span::Attribute> {
    let (landed, why) = match &dose.landed {
        Landed::Yes => ("yes", None),
        Landed::No(why) => ("no", Some(why)),
        Landed::Unmeasured(why) => ("unmeasured", Some(why)),
    };
    let mut about = vec![
        known("fracas.dose.asked", &dose.asked),
        known("fracas.dose.delivered", &dose.delivered),
        known("fracas.dose.landed", landed),
    ];
    about.extend(why.map(|why| known("fracas.dose.why", why)));
    about.extend(dose.effect.as_ref().map(|effect| known("fracas.dose.effect", effect)));
    about
}
