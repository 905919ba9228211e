//! When probes are read, and what was read.

use std::time::Duration;

use super::{Command, Machine};
use crate::event::{Phase, StopCause, What};
use crate::experiment::Experiment;
use crate::judge::{Bounds, Timed};
use crate::probe::{Moment, Probe, Reading};

/// The readings of a run.
#[derive(Debug)]
pub(super) struct Watch {
    interval: Duration,
    probes: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    /// When it is read next.
    due: Duration,
    /// When the reading that is under way began, and in which moment.
    asked: Option<(Duration, Option<Moment>)>,
    /// All readings by moment.
    taken: Vec<Taken>,
}

/// A reading that counts.
#[derive(Debug)]
struct Taken {
    moment: Moment,
    at: Duration,
    reading: Reading,
}

impl Watch {
    pub(super) fn new(experiment: &Experiment) -> Self {
        let watched = || Watched {
            due: Duration::ZERO,
            asked: None,
            taken: Vec::new(),
        };
        Self {
            interval: experiment.interval.0,
            probes: experiment.probes.iter().map(|_| watched()).collect(),
        }
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.probes
            .iter()
            .filter(|probe| probe.asked.is_none())
            .map(|probe| probe.due)
            .min()
    }

    /// Whatever was asked for until then is read.
    pub(super) fn has_answered(&self, until: Duration) -> bool {
        self.probes
            .iter()
            .all(|probe| probe.asked.is_none_or(|(asked, _)| asked > until))
    }

    /// The readings of a probe in a moment, oldest first.
    pub(super) fn taken(&self, probe: usize, moment: Moment) -> Vec<Timed<'_>> {
        let taken = self.probes[probe].taken.iter().filter(|taken| taken.moment == moment);
        taken
            .map(|taken| Timed {
                elapsed: taken.at,
                reading: &taken.reading,
            })
            .collect()
    }
}

/// Whether a probe is of use in a phase: it is judged in it, or watches for danger.
fn is_watched(probe: &Probe, phase: Phase, on: bool) -> bool {
    let judged = |moment| probe.when.iter().any(|when| when.moment == moment);
    match phase {
        Phase::Baseline => judged(Moment::Before) || probe.abort.is_some(),
        Phase::Inject | Phase::Monitor | Phase::Detect | Phase::Cooldown => {
            (judged(Moment::During) && on) || probe.abort.is_some()
        }
        Phase::Recovery => judged(Moment::After),
        _ => false,
    }
}

impl Machine {
    /// Asks for the readings that are due; `all` asks for every one that is of use now.
    pub(super) fn read_due(&mut self, now: Duration, all: bool) {
        let (phase, on, moment) = (self.phase, self.faults.any_on(), self.moment());
        for index in 0..self.experiment.probes.len() {
            if !is_watched(&self.experiment.probes[index], phase, on) {
                // Not now, and not at once either when it becomes of use: keeps the machine from spinning.
                let watched = &mut self.watch.probes[index];
                if watched.due <= now {
                    watched.due = now + Duration::from_millis(50).min(self.watch.interval);
                }
                continue;
            }
            let watched = &mut self.watch.probes[index];
            if watched.asked.is_none() && (all || watched.due <= now) {
                watched.asked = Some((now, moment));
                watched.due = now + self.watch.interval;
                self.out.push_back(Command::Read { probe: index });
            }
        }
    }

    /// A reading came.
    pub(super) fn take_reading(&mut self, now: Duration, index: usize, reading: Reading) {
        let Some((asked, moment)) = self.watch.probes[index].asked.take() else {
            return;
        };
        let probe = &self.experiment.probes[index];
        let name = probe.name.clone();
        // Data that is older than the moment says nothing about it: Prometheus still shows the last scrape from before the fault
        // when it comes on, and the last one with it when it is gone. Stale data is a failure of its own, and counts.
        let moment = moment.filter(|moment| reading.stale || self.is_of(*moment, asked, &reading));
        let judged = moment.is_some_and(|moment| probe.when.iter().any(|when| when.moment == moment));
        let violation = probe
            .expect
            .filter(|_| judged)
            .and_then(|expect| reading.violates(expect));
        // Danger is looked for until the faults are gone; afterwards there is nothing left to stop.
        let danger = probe
            .abort
            .filter(|_| self.phase < Phase::Rollback)
            .and_then(|abort| reading.endangers(abort));
        self.emit(What::ProbeRead {
            probe: name.clone(),
            moment,
            reading: reading.clone(),
            violation,
            danger: danger.clone(),
        });
        // A reading that was asked for before the faults came on and answered after belongs to neither moment.
        if let Some(moment) = moment
            && self.moment() == Some(moment)
        {
            self.watch.probes[index].taken.push(Taken {
                moment,
                at: asked,
                reading,
            });
        }
        if let Some(why) = danger {
            let cause = if self.phase == Phase::Baseline {
                StopCause::Baseline { probe: name, why }
            } else {
                StopCause::Abort { probe: name, why }
            };
            self.take_stop(now, cause);
        }
    }

    /// Whether the data behind a reading, where its age is known, was taken in the moment. The baseline is asked about a state that
    /// was there before it, so older data may speak of it.
    fn is_of(&self, moment: Moment, asked: Duration, reading: &Reading) -> bool {
        let Some(age) = reading.age.filter(|_| moment != Moment::Before) else {
            return true;
        };
        // From the asking on the age can only have grown: no data is believed to be younger than it is.
        asked.saturating_sub(age.0) >= self.bounds(moment, asked).from
    }

    /// From when to when a moment lasted, as far as it has come.
    pub(super) fn bounds(&self, moment: Moment, now: Duration) -> Bounds {
        let from = match moment {
            Moment::Before | Moment::After => self.since,
            Moment::During => self.faults.first_on().unwrap_or(now),
        };
        Bounds { from, until: now }
    }
}
