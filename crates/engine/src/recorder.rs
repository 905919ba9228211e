//! Everything that happens, once: numbered, dated, written down, folded, and told to whoever listens.

use std::path::Path;
use std::time::{Duration, Instant};

use fracas_core::event::{Event, What};
use fracas_core::problem::{Problem, Said};
use fracas_core::seed::DecisionLog;
use fracas_report::{EventLog, Fold, Report};
use tokio::sync::mpsc;

/// The record of one run.
pub(crate) struct Recorder {
    began: Instant,
    next: u64,
    log: Option<EventLog>,
    fold: Fold,
    decisions: DecisionLog,
    listener: mpsc::UnboundedSender<Event>,
    problems: Vec<Box<Problem>>,
}

impl Recorder {
    /// Begins to record. `events` is the file for it.
    pub(crate) fn new(events: Option<&Path>, listener: mpsc::UnboundedSender<Event>) -> Self {
        let mut problems = Vec::new();
        let log = events.and_then(|path| match EventLog::create(path) {
            Ok(log) => Some(log),
            Err(problem) => {
                problems.push(problem);
                None
            }
        });
        Self {
            began: Instant::now(),
            next: 0,
            log,
            fold: Fold::default(),
            decisions: DecisionLog::default(),
            listener,
            problems,
        }
    }

    /// The time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// When that was.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Records one thing.
    pub(crate) fn emit(&mut self, mut what: What) {
        match &mut what {
            What::Decided {
                purpose,
                identity,
                ordinal,
                chosen,
            } => self.decisions.add(purpose, identity, *ordinal, chosen),
            What::RunEnded { decisions, .. } => *decisions = self.decisions.digest(),
            _ => {}
        }
        let event = Event {
            seq: self.next,
            at: jiff::Timestamp::now().to_string(),
            elapsed_ms: self.now().as_millis() as u64,
            what,
        };
        self.next += 1;
        if let Some(log) = &mut self.log
            && let Err(problem) = log.append(&event)
        {
            self.complain(problem);
        }
        self.fold.apply(&event);
        // Nobody listening is no reason to stop.
        let _ = self.listener.send(event);
    }

    /// Records a failure.
    pub(crate) fn failed(&mut self, problem: &Problem) {
        self.emit(What::Failed {
            problem: Said::from(problem),
        });
    }

    /// Records a sentence.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.emit(What::Note { text: text.into() });
    }

    /// Remembers what went wrong beside the run; each once.
    pub(crate) fn complain(&mut self, problem: Box<Problem>) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// The report so far.
    pub(crate) fn report(&self) -> Report {
        self.fold.report()
    }

    /// The end: the report and the complaints.
    pub(crate) fn close(self) -> (Report, Vec<Box<Problem>>) {
        (self.fold.report(), self.problems)
    }
}
