//! Runs as they might have been, for tests: what they are made of.

mod stories;

use std::collections::BTreeMap;

use fracas_core::event::{
    Candidate, Environment, Event, Hypothesis, Judgement, Outcome, Phase, StopCause, Verdict, What,
};
use fracas_core::experiment::{
    BlastRadius, ContainerSelector, Execution, Experiment, FaultSpec, Format, OnTargetFailure, Pattern, Recovery,
    Selector, TargetSpec,
};
use fracas_core::ids::{InjectionId, RunId};
use fracas_core::params::{Inject, MemoryLimit};
use fracas_core::probe::{Moment, Over, Probe, Prometheus, Reading, Source, When};
use fracas_core::problem::{Problem, Said, codes};
use fracas_core::record::{Certificate, Certified, Dose, Landed, State, UndoClass};
use fracas_core::seed::Seed;
use fracas_core::target::{Container, Kind, ProcessIdentity, Target};
use fracas_core::units::{Size, Span};

pub(crate) use stories::{
    aborted, all, dry_run, failed, inconclusive, measured, passed, passed_scenario, residue, restart,
};

/// An event at this time.
pub(crate) fn event(seq: u64, elapsed_ms: u64, what: What) -> Event {
    let start: jiff::Timestamp = "2026-01-30T12:34:56Z".parse().unwrap();
    let at = start + jiff::SignedDuration::from_millis(elapsed_ms.min(1 << 40) as i64);
    Event {
        seq,
        at: at.to_string(),
        elapsed_ms,
        what,
    }
}

/// A run that is being told.
struct Story(Vec<Event>);

impl Story {
    fn begin(format: Format, dry_run: bool) -> Self {
        let mut story = Self(Vec::new());
        story.at(
            0,
            What::RunStarted {
                run: RunId::new("2026-01-30T12:34:56Z".parse().unwrap(), 0xbeef),
                version: "0.1.0".into(),
                experiment: Box::new(experiment(format)),
                seed: Seed(42),
                dry_run,
                pid: 4711,
            },
        );
        story
    }

    fn at(&mut self, elapsed_ms: u64, what: What) -> &mut Self {
        self.0.push(event(self.0.len() as u64, elapsed_ms, what));
        self
    }

    fn phase(&mut self, from: u64, to: u64, phase: Phase, expected: Option<u64>, inside: &[(u64, What)]) -> &mut Self {
        let expected = expected.map(Span::secs);
        self.at(from, What::PhaseEntered { phase, expected });
        for (at, what) in inside {
            self.at(*at, what.clone());
        }
        let outcome = Outcome::Done;
        self.at(to, What::PhaseLeft { phase, outcome })
    }

    fn planned(&mut self) -> &mut Self {
        self.phase(0, 3, Phase::Parse, None, &[]);
        let chosen: Vec<Target> = (1..=2).map(target).collect();
        let decided = What::Decided {
            purpose: "target".into(),
            identity: "payments-3".into(),
            ordinal: 0,
            chosen: "no".into(),
        };
        let candidate = |n: usize, chosen: bool, why: Option<&str>| Candidate {
            identity: format!("payments-{n}"),
            chosen,
            why: why.map(Into::into),
        };
        let targets = What::TargetsChosen {
            alias: "payments".into(),
            candidates: vec![
                candidate(1, true, None),
                candidate(2, true, None),
                candidate(3, false, Some("blast radius")),
            ],
            sum: "min(max(at_least 1, 67% of 3 = 2), 3 - leave_healthy 1 = 2) = 2".into(),
            chosen,
        };
        self.phase(3, 40, Phase::Discover, None, &[(20, decided), (30, targets)]);
        let plans: Vec<_> = (0..2)
            .map(|n| {
                let planned = What::Planned {
                    injection: InjectionId(n),
                    fault: "squeeze".into(),
                    kind: "memory_limit".into(),
                    target: format!("payments-{}", n + 1),
                    undo: UndoClass::Exact,
                    change: "memory.limit_in_bytes: 9223372036854771712 to 536870912 and back".into(),
                    start: Span::default(),
                    duration: Some(Span::secs(60)),
                };
                (50, planned)
            })
            .collect();
        self.phase(40, 60, Phase::Prepare, None, &plans)
    }

    fn baseline(&mut self) -> &mut Self {
        let judged = judged(Moment::Before, true, 0.05);
        self.phase(
            60,
            30_060,
            Phase::Baseline,
            Some(30),
            &[
                (15_000, read(Moment::Before, 0.04)),
                (30_000, read(Moment::Before, 0.05)),
                (30_050, judged),
            ],
        )
    }

    fn inject(&mut self) -> &mut Self {
        let on = |n| moved(n, State::Applied, "memory limit 512MiB is in force");
        self.phase(
            30_060,
            30_100,
            Phase::Inject,
            None,
            &[
                (30_070, moved(0, State::Planned, "on disk")),
                (30_070, moved(1, State::Planned, "on disk")),
                (30_080, on(0)),
                (30_090, on(1)),
                (30_095, dose(0, Landed::Yes)),
                (30_096, dose(1, Landed::Yes)),
            ],
        )
    }

    fn rollback(&mut self, from: u64, last: State) -> &mut Self {
        let clean = moved(1, State::Clean, "limit restored, and seen to be");
        self.phase(
            from,
            from + 50,
            Phase::Rollback,
            None,
            &[(from + 12, clean), (from + 40, moved(0, last, "undone"))],
        )
    }

    fn end(
        &mut self,
        at: u64,
        certificate: Certificate,
        verdict: Verdict,
        why: &str,
        hypothesis: Hypothesis,
    ) -> Vec<Event> {
        self.at(at, What::Certified { certificate });
        self.at(
            at + 10,
            What::RunEnded {
                verdict,
                why: why.into(),
                hypothesis,
                decisions: (1, "00112233445566778899aabbccddeeff".into()),
            },
        );
        std::mem::take(&mut self.0)
    }
}

fn target(n: u32) -> Target {
    Target {
        alias: "payments".into(),
        identity: format!("payments-{n}"),
        kind: Kind::Container(Container {
            id: format!("ffe8f3091e1f{n:052}"),
            name: format!("payments-{n}"),
            image: "payments:1".into(),
            engine: "unix:///var/run/docker.sock".into(),
            init: ProcessIdentity {
                pid: 1000 + n,
                start: 99,
                boot: "b".into(),
            },
            labels: BTreeMap::from([("com.kurtosistech.id".to_owned(), format!("payments-service-{n}"))]),
            ip: Some(format!("172.17.0.{n}")),
        }),
    }
}

fn experiment(format: Format) -> Experiment {
    Experiment {
        format,
        name: "checkout-survives-little-memory".into(),
        description: Some("Checkout answers while payments has little memory".into()),
        owner: Some("payments-team".into()),
        version: None,
        tags: vec!["checkout".into()],
        seed: Some(Seed(42)),
        interval: Span::secs(15),
        warmup: Span::secs(30),
        recovery: Recovery::default(),
        probes: vec![
            probe("p99", Some("< 0.2"), Some("> 1"), true),
            probe("queue", Some("== 0"), None, false),
        ],
        targets: vec![TargetSpec {
            alias: "payments".into(),
            selector: Selector::Container(ContainerSelector {
                name: Some(Pattern::Whole("payments-[0-9]+".into())),
                ..ContainerSelector::default()
            }),
            blast_radius: BlastRadius::default(),
        }],
        preconditions: vec![],
        faults: vec![FaultSpec {
            name: "squeeze".into(),
            description: Some("too little memory".into()),
            target: "payments".into(),
            written: None,
            inject: Inject::MemoryLimit(MemoryLimit { limit: Size::mib(512) }),
            start: Span::default(),
            duration: Some(Span::secs(60)),
            follows: false,
            allow_irreversible: false,
        }],
        execution: Execution::Parallel,
        on_target_failure: OnTargetFailure::Rollback,
        duration: Span::secs(60),
        cooldown: Span::default(),
        max_duration: Span::secs(600),
        metrics: vec!["up".into()],
    }
}

fn probe(name: &str, expect: Option<&str>, abort: Option<&str>, critical: bool) -> Probe {
    Probe {
        name: name.into(),
        description: None,
        source: Source::Prometheus(Prometheus {
            query: format!("{name}{{job=\"checkout\"}}"),
            url: None,
            scrape_interval: Span::secs(15),
            timeout: Span::secs(10),
        }),
        expect: expect.map(|text| text.parse().unwrap()),
        abort: abort.map(|text| text.parse().unwrap()),
        when: vec![When {
            moment: Moment::During,
            over: Over::Whole,
        }],
        critical,
    }
}

fn moved(n: u32, state: State, how: &str) -> What {
    What::Injection {
        injection: InjectionId(n),
        state,
        how: how.into(),
        took_ms: None,
    }
}

fn dose(n: u32, landed: Landed) -> What {
    What::DoseMeasured {
        injection: InjectionId(n),
        dose: Dose {
            asked: "memory limit 512MiB".into(),
            delivered: "536870912 bytes in memory.limit_in_bytes".into(),
            landed,
            effect: Some("in force, never reached".into()),
        },
    }
}

fn read(moment: Moment, value: f64) -> What {
    let reading = Reading::of(value);
    What::ProbeRead {
        probe: "p99".into(),
        moment: Some(moment),
        violation: reading.violates("< 0.2".parse().unwrap()),
        danger: reading.endangers("> 1".parse().unwrap()),
        reading,
    }
}

fn judged(moment: Moment, passed: bool, value: f64) -> What {
    let verb = if passed { "meets" } else { "fails" };
    What::Judged(Judgement {
        probe: "p99".into(),
        moment,
        passed,
        critical: true,
        value: Some(value),
        message: format!("value {value} {verb} threshold < 0.2"),
    })
}

fn certificate(first: State) -> Certificate {
    let line = |n: u32, state: State| Certified {
        injection: InjectionId(n),
        fault: "memory_limit".into(),
        target: format!("payments-{}", n + 1),
        state,
        undo: if state == State::Residue {
            "refused: EBUSY"
        } else {
            "restored"
        }
        .into(),
        seen: if state == State::Residue {
            "limit is 536870912"
        } else {
            "limit is 9223372036854771712"
        }
        .into(),
        millis: 12,
        engine_millis: 0,
        manual: if state == State::Residue {
            vec!["echo 9223372036854771712 > /sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes".into()]
        } else {
            vec![]
        },
    };
    Certificate {
        lines: vec![line(0, first), line(1, State::Clean)],
    }
}

fn up() -> What {
    What::MetricRead {
        metric: "up".into(),
        reading: Reading {
            values: vec![1.0, 1.0],
            age: None,
            range: None,
            stale: false,
            error: None,
        },
    }
}
