//! How a run goes from phase to phase.

use std::time::Duration;

use super::{Command, Machine};
use crate::event::{Outcome, Phase, StopCause, What};
use crate::judge;
use crate::probe::{Moment, Over};
use crate::units::Span;

impl Machine {
    /// Does whatever time makes due, until nothing changes any more.
    pub(super) fn advance(&mut self, now: Duration) {
        loop {
            let before = (self.phase, self.closing);
            self.step(now);
            if (self.phase, self.closing) == before {
                return;
            }
        }
    }

    fn step(&mut self, now: Duration) {
        if self.max_end().is_some_and(|end| end <= now) && self.phase < Phase::Rollback {
            return self.take_stop(now, StopCause::MaxDuration);
        }
        match self.phase {
            Phase::Baseline => self.baseline(now),
            Phase::Inject => {
                self.move_faults(now, true);
                self.observe(now);
                if self.faults.are_first_on() {
                    self.go(now, Phase::Monitor);
                }
            }
            Phase::Monitor => {
                let over = self.is_over(now);
                self.move_faults(now, !over);
                self.observe(now);
                if over && self.close(now) {
                    self.go(now, Phase::Detect);
                }
            }
            Phase::Detect => {
                self.judge(now, Moment::During);
                self.go(now, Phase::Cooldown);
            }
            Phase::Cooldown => {
                self.move_faults(now, false);
                self.observe(now);
                if self.is_over(now) {
                    // From here on an answer is awaited, not a time.
                    self.closing.get_or_insert(now);
                    if self.are_weighed() {
                        self.go(now, Phase::Rollback);
                    }
                }
            }
            Phase::Recovery => self.recovery(now),
            Phase::Parse | Phase::Discover | Phase::Prepare | Phase::Rollback | Phase::Report => {}
        }
    }

    /// Everything that goes on while faults may be on.
    fn observe(&mut self, now: Duration) {
        self.read_due(now, false);
        let interval = self.experiment.interval.0;
        if !self.experiment.metrics.is_empty() && self.metrics_due <= now {
            self.metrics_due = now + interval;
            self.do_(Command::ReadMetrics);
        }
        let on = self.faults.on();
        if !on.is_empty() && self.follow_due <= now {
            self.follow_due = now + interval.min(Duration::from_secs(1));
            self.do_(Command::Follow(on));
        }
    }

    fn baseline(&mut self, now: Duration) {
        self.read_due(now, false);
        if let Some((probe, why)) = self.broken_baseline() {
            return self.take_stop(now, StopCause::Baseline { probe, why });
        }
        if !self.is_over(now) || !self.close(now) {
            return;
        }
        self.judge(now, Moment::Before);
        let broken = self
            .judgements
            .iter()
            .find(|judgement| judgement.moment == Moment::Before && judgement.critical && !judgement.passed);
        if let Some(judgement) = broken {
            let cause = StopCause::Baseline {
                probe: judgement.probe.clone(),
                why: judgement.message.clone(),
            };
            return self.take_stop(now, cause);
        }
        self.zero = Some(now);
        self.faults.begin(now);
        self.go(now, Phase::Inject);
    }

    /// A probe that must hold throughout the baseline and does not: no use in waiting for its end.
    fn broken_baseline(&self) -> Option<(String, String)> {
        self.experiment.probes.iter().enumerate().find_map(|(index, probe)| {
            let throughout = probe
                .when
                .iter()
                .any(|when| when.moment == Moment::Before && when.over == Over::Whole);
            let expect = probe.expect.filter(|_| throughout && probe.critical)?;
            let why = self
                .watch
                .taken(index, Moment::Before)
                .last()?
                .reading
                .violates(expect)?;
            Some((probe.name.clone(), why))
        })
    }

    /// Reads everything a last time, and is true when that is done. Readings go on meanwhile, for danger does not wait; those that
    /// are asked for later are not awaited, or slow probes would take turns and keep the phase open for ever.
    fn close(&mut self, now: Duration) -> bool {
        if self.closing.is_none() {
            self.closing = Some(now);
            self.read_due(now, true);
        }
        self.watch.has_answered(self.closing.unwrap_or(now))
    }

    fn recovery(&mut self, now: Duration) {
        self.read_due(now, false);
        let stable = self.has_held(now, false);
        let late = self.is_over(now);
        if (stable && self.has_held(now, true)) || (late && self.close(now)) {
            self.judge(now, Moment::After);
            if stable {
                self.leave(now, Outcome::Done);
            } else {
                self.unstable = true;
                self.leave(now, Outcome::Failed);
            }
            self.enter(now, Phase::Report);
        }
    }

    /// Whether all expectations have held for as long as the recovery wants, without a break; with `windows` each also for as long as
    /// its own window, or the window would be judged before it was there. What is not critical only has to be read: the run does not
    /// wait for it to hold.
    fn has_held(&self, now: Duration, windows: bool) -> bool {
        self.experiment.probes.iter().enumerate().all(|(index, probe)| {
            let Some(when) = probe.when.iter().find(|when| when.moment == Moment::After) else {
                return true;
            };
            let Some(expect) = probe.expect else { return true };
            let taken = self.watch.taken(index, Moment::After);
            if !probe.critical {
                return !taken.is_empty();
            }
            let wanted = match when.over {
                Over::Window(window) if windows => window.0.max(self.experiment.recovery.stable_for.0),
                _ => self.experiment.recovery.stable_for.0,
            };
            let holds = taken
                .iter()
                .rev()
                .take_while(|taken| taken.reading.violates(expect).is_none())
                .last();
            holds.is_some_and(|since| now.saturating_sub(since.elapsed) >= wanted)
        })
    }

    /// Judges every probe over a moment.
    fn judge(&mut self, now: Duration, moment: Moment) {
        let bounds = self.bounds(moment, now);
        for (index, probe) in self.experiment.probes.clone().iter().enumerate() {
            for when in probe.when.iter().filter(|when| when.moment == moment) {
                let Some(judgement) = judge::judge(probe, *when, &self.watch.taken(index, moment), bounds) else {
                    continue;
                };
                self.emit(What::Judged(judgement.clone()));
                self.judgements.push(judgement);
            }
        }
    }

    /// Everything is undone, as far as it can be.
    pub(super) fn rolled_back(&mut self, now: Duration) {
        if !self.faults.on().is_empty() {
            return;
        }
        self.leave(now, Outcome::Done);
        let by_a_person = matches!(
            &self.stop,
            Some(StopCause::Signal(_) | StopCause::StopFile(_) | StopCause::Asked(_))
        );
        let tested = self.faults.first_on().is_some();
        let watched = self
            .experiment
            .probes
            .iter()
            .any(|probe| probe.when.iter().any(|when| when.moment == Moment::After));
        self.enter(
            now,
            if tested && watched && !by_a_person {
                Phase::Recovery
            } else {
                Phase::Report
            },
        );
    }

    fn go(&mut self, now: Duration, phase: Phase) {
        self.leave(now, Outcome::Done);
        self.enter(now, phase);
    }

    pub(super) fn leave(&mut self, _now: Duration, outcome: Outcome) {
        self.emit(What::PhaseLeft {
            phase: self.phase,
            outcome,
        });
    }

    pub(super) fn enter(&mut self, now: Duration, phase: Phase) {
        self.phase = phase;
        self.since = now;
        self.closing = None;
        let expected = self.phase_end().map(|end| Span(end.saturating_sub(now)));
        self.emit(What::PhaseEntered { phase, expected });
        match phase {
            // Everything that was ever planned, whether on, coming or going: the guardian knows which.
            Phase::Rollback => {
                let all = self.faults.injections().iter().map(|one| one.id).collect();
                self.do_(Command::Revert(all));
            }
            Phase::Recovery => self.read_due(now, true),
            Phase::Report => self.do_(Command::Certify),
            _ => {}
        }
    }

    fn is_over(&self, now: Duration) -> bool {
        self.phase_end().is_some_and(|end| end <= now)
    }

    /// When the phase ends by the clock.
    pub(super) fn phase_end(&self) -> Option<Duration> {
        let end = self.zero.map(|zero| zero + self.experiment.duration.0);
        match self.phase {
            Phase::Baseline => Some(self.since + self.experiment.warmup.0),
            Phase::Monitor => end,
            Phase::Cooldown => end.map(|end| end.max(self.since) + self.experiment.cooldown.0),
            Phase::Recovery => Some(self.since + self.experiment.recovery.within.0),
            _ => None,
        }
    }

    /// When everything is over, whatever else.
    pub(super) fn max_end(&self) -> Option<Duration> {
        if self.phase >= Phase::Rollback {
            return None;
        }
        self.zero.map(|zero| zero + self.experiment.max_duration.0)
    }
}
