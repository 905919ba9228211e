//! A run of a document in simulated time: the machine of the run is real, the world answers at once.

use std::collections::VecDeque;
use std::time::Duration;

use fracas_core::event::{Phase, Verdict, What};
use fracas_core::ids::InjectionId;
use fracas_core::probe::{Moment, Reading};
use fracas_core::problem::Said;
use fracas_core::record::{Certificate, Dose, Landed};
use fracas_core::run::{Command, Injection, Input, Machine};
use fracas_spec::Source;

/// How the world behaves.
pub(crate) struct World {
    /// What every probe gives, by the milliseconds since the beginning.
    pub(crate) value: fn(u64) -> f64,
    /// The injection that cannot be put on, if one cannot.
    pub(crate) fails: Option<u32>,
    /// Whether the meters answer.
    pub(crate) measures: bool,
}

impl Default for World {
    /// Every probe gives 1, everything can be put on and measured.
    fn default() -> Self {
        Self {
            value: |_| 1.0,
            fails: None,
            measures: true,
        }
    }
}

/// What happened, and after how many milliseconds.
#[derive(Debug)]
pub(crate) struct Story {
    events: Vec<(u64, What)>,
    /// `on 0`, `off 0`: by injection.
    did: Vec<(u64, String)>,
    pub(crate) verdict: Verdict,
}

/// Every fault is put on two targets: fault 0 has the injections 0 and 1.
const TARGETS: u32 = 2;

/// Tells the story of a document in a world.
pub(crate) fn story(document: &str, world: &World) -> Story {
    let source = Source {
        name: "document.yaml".to_owned(),
        text: document.to_owned(),
    };
    let experiment = fracas_spec::load(&source, &[], &|_| None).unwrap().experiment;
    let injections = (0..experiment.faults.len() as u32 * TARGETS).map(|number| Injection {
        id: InjectionId(number),
        fault: (number / TARGETS) as usize,
    });
    let mut machine = Machine::new(experiment.clone(), injections.collect());
    let mut story = Story {
        events: Vec::new(),
        did: Vec::new(),
        verdict: Verdict::Error,
    };
    let mut now = Duration::ZERO;
    let mut inputs = VecDeque::from([Input::Tick]);
    // Each step is an answer or a wait; no story of these tests has so many.
    for _ in 0..100_000 {
        let input = inputs.pop_front().unwrap_or(Input::Tick);
        for command in machine.on(now, input) {
            if let Command::Finish(verdict) = command {
                story.verdict = verdict;
                return story;
            }
            inputs.extend(story.answer(now, command, world));
        }
        if inputs.is_empty() {
            now = machine.next().max(now + Duration::from_micros(1));
            assert!(now < Duration::from_hours(24), "the machine waits for ever");
        }
    }
    panic!("the machine never ends");
}

impl Story {
    fn answer(&mut self, now: Duration, command: Command, world: &World) -> Option<Input> {
        let ms = now.as_millis() as u64;
        let mut note = |word: &str, ids: &[InjectionId]| {
            self.did.extend(ids.iter().map(|id| (ms, format!("{word} {}", id.0))));
        };
        Some(match command {
            Command::Emit(what) => {
                self.events.push((ms, what));
                return None;
            }
            Command::Read { probe } => Input::Read {
                probe,
                reading: Reading::of((world.value)(ms)),
            },
            Command::Apply(ids) => {
                note("on", &ids);
                let fails = |id: InjectionId| world.fails == Some(id.0);
                let results = ids
                    .into_iter()
                    .map(|id| (id, if fails(id) { Err(no()) } else { Ok(()) }));
                Input::Applied(results.collect())
            }
            Command::Measure(_) if !world.measures => return None,
            Command::Measure(ids) => {
                let dose = Dose {
                    asked: "it".to_owned(),
                    delivered: "it".to_owned(),
                    landed: Landed::Yes,
                    effect: None,
                };
                Input::Measured(ids.into_iter().map(|id| (id, Ok(dose.clone()))).collect())
            }
            Command::Revert(ids) => {
                note("off", &ids);
                Input::Reverted(ids)
            }
            Command::Certify => Input::Certified(Certificate { lines: Vec::new() }),
            Command::ReadMetrics | Command::Follow(_) | Command::Finish(_) => return None,
        })
    }

    /// When something was first done: `on 0`.
    #[track_caller]
    pub(crate) fn when(&self, did: &str) -> u64 {
        let found = self.did.iter().find(|(_, what)| what == did);
        found.unwrap_or_else(|| panic!("never {did}: {:?}", self.did)).0
    }

    /// When a phase began.
    pub(crate) fn begun(&self, wanted: Phase) -> Option<u64> {
        self.events.iter().find_map(|(at, what)| match what {
            What::PhaseEntered { phase, .. } if *phase == wanted => Some(*at),
            _ => None,
        })
    }

    /// How long a phase took.
    #[track_caller]
    pub(crate) fn took(&self, wanted: Phase) -> u64 {
        let left = self.events.iter().find_map(|(at, what)| match what {
            What::PhaseLeft { phase, .. } if *phase == wanted => Some(*at),
            _ => None,
        });
        left.unwrap() - self.begun(wanted).unwrap()
    }

    /// When probes were read.
    pub(crate) fn read(&self) -> Vec<u64> {
        let read = self.events.iter();
        read.filter(|(_, what)| matches!(what, What::ProbeRead { .. }))
            .map(|(at, _)| *at)
            .collect()
    }

    /// In which moments it was judged, and whether it held.
    pub(crate) fn judged(&self) -> Vec<(Moment, bool)> {
        let judged = self.events.iter();
        judged
            .filter_map(|(_, what)| match what {
                What::Judged(judgement) => Some((judgement.moment, judgement.passed)),
                _ => None,
            })
            .collect()
    }
}

fn no() -> Said {
    Said {
        code: "F002".to_owned(),
        what: "no".to_owned(),
        causes: Vec::new(),
        next: String::new(),
        place: None,
    }
}
