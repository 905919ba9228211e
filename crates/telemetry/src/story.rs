//! Runs as they might have been, for tests.

use fracas_core::event::{Event, Hypothesis, Outcome, Phase, Verdict, What};
use fracas_core::experiment::{Execution, Experiment, Format, OnTargetFailure, Recovery};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::probe::Reading;
use fracas_core::record::{Certified, State, UndoClass};
use fracas_core::seed::Seed;
use fracas_core::units::Span;

/// When every story begins.
const BEGAN: &str = "2026-11-21T10:00:00Z";

/// The run of every story.
pub(crate) fn run() -> RunId {
    "20261121-100000-beef".parse().unwrap()
}

/// Events in order.
pub(crate) struct Story(Vec<Event>);

impl Story {
    pub(crate) fn begin() -> Self {
        let mut story = Self(Vec::new());
        let experiment = Experiment {
            format: Format::Native,
            name: "little-memory".to_owned(),
            description: None,
            owner: None,
            version: None,
            tags: Vec::new(),
            seed: None,
            interval: Span::secs(1),
            warmup: Span::default(),
            recovery: Recovery::default(),
            probes: Vec::new(),
            targets: Vec::new(),
            preconditions: Vec::new(),
            faults: Vec::new(),
            execution: Execution::Parallel,
            on_target_failure: OnTargetFailure::Rollback,
            duration: Span::secs(1),
            cooldown: Span::default(),
            max_duration: Span::secs(10),
            metrics: Vec::new(),
        };
        story.at(
            0,
            What::RunStarted {
                run: run(),
                version: "0.1.0".to_owned(),
                experiment: Box::new(experiment),
                seed: Seed(42),
                dry_run: false,
                pid: 4711,
            },
        );
        story
    }

    /// In nanoseconds since 1970.
    pub(crate) fn base() -> u64 {
        let at: jiff::Timestamp = BEGAN.parse().unwrap();
        at.as_nanosecond() as u64
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.0
    }

    pub(crate) fn at(&mut self, elapsed_ms: u64, what: What) -> &mut Self {
        self.0.push(Event {
            seq: self.0.len() as u64,
            at: BEGAN.to_owned(),
            elapsed_ms,
            what,
        });
        self
    }

    pub(crate) fn enter(&mut self, at: u64, phase: Phase) -> &mut Self {
        self.at(at, What::PhaseEntered { phase, expected: None })
    }

    pub(crate) fn leave(&mut self, at: u64, phase: Phase) -> &mut Self {
        let outcome = Outcome::Done;
        self.at(at, What::PhaseLeft { phase, outcome })
    }

    pub(crate) fn state(&mut self, at: u64, injection: u32, state: State) -> &mut Self {
        self.at(
            at,
            What::Injection {
                injection: InjectionId(injection),
                state,
                how: "so".to_owned(),
                took_ms: None,
            },
        )
    }

    pub(crate) fn ended(&mut self, at: u64, verdict: Verdict) -> &mut Self {
        self.at(
            at,
            What::RunEnded {
                verdict,
                why: "because".to_owned(),
                hypothesis: Hypothesis::Maintained,
                decisions: (0, String::new()),
            },
        )
    }
}

pub(crate) fn planned(injection: u32) -> What {
    What::Planned {
        injection: InjectionId(injection),
        fault: "squeeze".to_owned(),
        kind: "memory_limit".to_owned(),
        target: "web-1".to_owned(),
        undo: UndoClass::Exact,
        change: "limit 64MiB and back".to_owned(),
        start: Span::default(),
        duration: None,
    }
}

pub(crate) fn probe_read(probe: &str, value: f64, violation: Option<&str>) -> What {
    What::ProbeRead {
        probe: probe.to_owned(),
        moment: None,
        reading: Reading::of(value),
        violation: violation.map(str::to_owned),
        danger: None,
    }
}

pub(crate) fn certified(injection: u32, state: State, millis: u64) -> Certified {
    let over = state.is_over();
    Certified {
        injection: InjectionId(injection),
        fault: "memory_limit".to_owned(),
        target: "web-1".to_owned(),
        state,
        undo: if over { "restored" } else { "refused: EBUSY" }.to_owned(),
        seen: if over { "as before" } else { "the limit is 64MiB" }.to_owned(),
        millis,
        engine_millis: 0,
        manual: if over {
            Vec::new()
        } else {
            vec!["echo 1 > limit".to_owned()]
        },
    }
}
