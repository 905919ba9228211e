//! One line per undo: what, result, milliseconds. The certificate says it; where there is none, so much is said.

use std::collections::BTreeSet;

use fracas_core::record::State;

use crate::model::Report;

/// How one injection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undo {
    /// `#0 memory_limit on web-1`.
    pub what: String,
    /// What the revert did and what was then seen.
    pub result: String,
    /// From the start of the revert to the absence read from the system.
    pub millis: u64,
    /// Of these, waiting for the container engine.
    pub engine_millis: u64,
    /// Whether nothing of it is left.
    pub over: bool,
    /// What a person can do by hand.
    pub manual: Vec<String>,
}

impl Undo {
    /// `✓` or `✗`.
    pub(crate) fn mark(&self) -> char {
        if self.over { '✓' } else { '✗' }
    }

    /// The whole line, without the mark.
    pub(crate) fn line(&self) -> String {
        let engine = if self.engine_millis > 0 {
            format!(", of it {} ms container engine", self.engine_millis)
        } else {
            String::new()
        };
        format!("{}: {} ({} ms{engine})", self.what, self.result, self.millis)
    }
}

/// All undos, by injection.
pub(crate) fn undos(report: &Report) -> Vec<Undo> {
    let mut undos = Vec::new();
    let mut told = BTreeSet::new();
    for line in report.certificate.iter().flat_map(|certificate| &certificate.lines) {
        told.insert(line.injection);
        let state = match line.state {
            State::Clean => String::new(),
            other => format!("{}: ", other.word().to_uppercase()),
        };
        undos.push(Undo {
            what: format!("{} {} on {}", line.injection, line.fault, line.target),
            result: format!("{state}{}; seen: {}", line.undo, line.seen),
            millis: line.millis,
            engine_millis: line.engine_millis,
            over: line.state.is_over(),
            manual: line.manual.clone(),
        });
    }
    for injection in report.injections.iter().filter(|one| !told.contains(&one.number)) {
        // Only thought of, and the run ended in good order (a dry run, a baseline that did not hold): there is nothing to undo.
        let never_begun = injection.states.is_empty() && (report.dry_run || report.verdict.is_some());
        if never_begun {
            continue;
        }
        undos.push(Undo {
            what: format!("{} {} on {}", injection.number, injection.kind, injection.target),
            result: format!("not certified, last known state {}", injection.state),
            millis: 0,
            engine_millis: 0,
            over: injection.state.is_over(),
            manual: Vec::new(),
        });
    }
    undos
}
