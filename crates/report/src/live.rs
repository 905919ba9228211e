//! The state behind a live view, and its picture as lines. Pure: the clock, the width and the drawing belong to the caller.

mod paint;
mod traffic;

use std::collections::BTreeMap;

use fracas_core::event::{Event, Phase, Verdict, What};
use fracas_core::ids::InjectionId;
use fracas_core::probe::{Expect, Reading};
use fracas_core::record::{Landed, State};

use self::paint::{Colour, Line};
pub use self::traffic::{Orchestrated, Passed, Shown, Traffic};
use crate::duration::clock;
use crate::lines::{guardian_lost, value};
use crate::plain::plain;

/// So many targets are shown; of the others only the number.
const MOST_TARGETS: usize = 12;
/// So many probes are shown.
const MOST_PROBES: usize = 12;
/// So many faults are shown of one target.
const MOST_FAULTS: usize = 4;

/// What a live view shows, grown from events.
#[derive(Debug, Default)]
pub struct Live {
    name: String,
    dry_run: bool,
    phase: Option<(Phase, u64, Option<u64>)>,
    // Targets in the order of their choice, by identity.
    order: Vec<String>,
    targets: BTreeMap<String, LiveTarget>,
    injections: BTreeMap<InjectionId, LiveInjection>,
    probes: Vec<LiveProbe>,
    stop: Option<(String, u64)>,
    said: Option<String>,
    trouble: Option<String>,
    end: Option<(Verdict, String)>,
}

#[derive(Debug, Default)]
struct LiveTarget {
    injections: Vec<InjectionId>,
    restarts: u32,
}

#[derive(Debug)]
struct LiveInjection {
    kind: String,
    state: State,
    failed: bool,
    missed: bool,
}

#[derive(Debug)]
struct LiveProbe {
    name: String,
    expect: Option<Expect>,
    abort: Option<Expect>,
    last: Option<LastReading>,
}

#[derive(Debug)]
struct LastReading {
    reading: Reading,
    violates: bool,
    endangers: bool,
    at_ms: u64,
}

impl Live {
    /// Adds what happened.
    pub fn apply(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted {
                experiment, dry_run, ..
            } => {
                self.name = plain(&experiment.name);
                self.dry_run = *dry_run;
                self.probes = experiment
                    .probes
                    .iter()
                    .map(|probe| LiveProbe {
                        name: probe.name.clone(),
                        expect: probe.expect,
                        abort: probe.abort,
                        last: None,
                    })
                    .collect();
            }
            What::PhaseEntered { phase, expected } => {
                let expected = expected.map(|span| span.0.as_millis() as u64);
                self.phase = Some((*phase, event.elapsed_ms, expected));
            }
            What::TargetsChosen { chosen, .. } => {
                for target in chosen {
                    self.target(&target.identity);
                }
            }
            What::Planned {
                injection,
                kind,
                target,
                ..
            } => {
                let new = LiveInjection {
                    kind: plain(kind),
                    state: State::Planned,
                    failed: false,
                    missed: false,
                };
                if self.injections.insert(*injection, new).is_none() {
                    self.target(target).injections.push(*injection);
                }
            }
            What::Injection { injection, state, .. } => {
                if let Some(one) = self.injections.get_mut(injection) {
                    one.state = *state;
                }
            }
            What::InjectionFailed { injection, problem } => {
                if let Some(one) = self.injections.get_mut(injection) {
                    one.failed = true;
                }
                self.trouble = Some(plain(&problem.to_string()));
            }
            What::DoseMeasured { injection, dose } => {
                if let Some(one) = self.injections.get_mut(injection) {
                    one.missed = matches!(dose.landed, Landed::No(_));
                }
            }
            What::TargetRestarted { target, times } => {
                if let Some(target) = self.targets.get_mut(target) {
                    target.restarts = *times;
                }
            }
            What::ProbeRead {
                probe,
                reading,
                violation,
                danger,
                ..
            } => {
                if let Some(one) = self.probes.iter_mut().find(|one| one.name == *probe) {
                    one.last = Some(LastReading {
                        reading: reading.clone(),
                        violates: violation.is_some(),
                        endangers: danger.is_some(),
                        at_ms: event.elapsed_ms,
                    });
                }
            }
            What::StopAsked { cause } => {
                if self.stop.is_none() {
                    self.stop = Some((plain(&cause.words()), event.elapsed_ms));
                }
            }
            What::GuardianLost { why } => self.said = Some(plain(&guardian_lost(why))),
            What::Note { text } => self.said = Some(plain(text)),
            What::Failed { problem } => self.trouble = Some(plain(&problem.to_string())),
            What::RunEnded { verdict, why, .. } => self.end = Some((*verdict, plain(why))),
            What::Surrounded(_)
            | What::PhaseLeft { .. }
            | What::Decided { .. }
            | What::MetricRead { .. }
            | What::Judged(_)
            | What::Certified { .. } => {}
        }
    }

    fn target(&mut self, identity: &str) -> &mut LiveTarget {
        if !self.targets.contains_key(identity) {
            self.order.push(identity.to_owned());
        }
        self.targets.entry(identity.to_owned()).or_default()
    }

    /// The picture: lines of at most `width` columns, without line breaks; with `colour`, between ANSI sequences that do not count
    /// as columns. `now_elapsed_ms` is the time since the run began, for what runs down. Never more than some 35 lines.
    pub fn render(&self, width: usize, now_elapsed_ms: u64, colour: bool) -> Vec<String> {
        let mut lines = vec![self.head(now_elapsed_ms)];
        if let Some((words, asked)) = &self.stop {
            let text = if self.end.is_some() {
                format!("stopped: {words}")
            } else {
                format!("stopping for {}: {words}", clock(now_elapsed_ms.saturating_sub(*asked)))
            };
            lines.push(Line::of(Colour::Red, text));
        }
        self.draw_targets(&mut lines);
        self.draw_probes(&mut lines, now_elapsed_ms);
        if let Some(trouble) = &self.trouble {
            lines.push(Line::of(Colour::Red, trouble.clone()));
        }
        if let Some(said) = &self.said {
            lines.push(Line::of(Colour::Dim, said.clone()));
        }
        if let Some((verdict, why)) = &self.end {
            let colour = match verdict {
                Verdict::Passed => Colour::Green,
                Verdict::Inconclusive => Colour::Yellow,
                _ => Colour::Red,
            };
            lines.push(Line::of(colour, verdict.word()).then(Colour::Plain, format!(": {why}")));
        }
        lines.iter().map(|line| line.paint(width, colour)).collect()
    }

    fn head(&self, now: u64) -> Line {
        let mut line = Line::of(Colour::Bold, if self.name.is_empty() { "fracas" } else { &self.name });
        if self.dry_run {
            line = line.then(Colour::Yellow, " dry run");
        }
        let Some((phase, since, expected)) = self.phase else {
            return line;
        };
        line = line
            .then(Colour::Plain, "  ")
            .then(Colour::Cyan, phase.word().to_uppercase());
        let spent = now.saturating_sub(since);
        let time = match expected {
            Some(expected) if expected >= spent => format!("  {} left", clock(expected - spent)),
            Some(expected) => format!("  {} over", clock(spent - expected)),
            None => format!("  {}", clock(spent)),
        };
        line.then(Colour::Plain, time)
            .then(Colour::Dim, format!("  run {}", clock(now)))
    }

    fn draw_targets(&self, lines: &mut Vec<Line>) {
        if self.order.is_empty() {
            return;
        }
        let count = |wanted: &[State]| {
            self.injections
                .values()
                .filter(|one| wanted.contains(&one.state))
                .count()
        };
        let (on, over) = (count(&[State::Applied]), count(&[State::Clean, State::Foreign]));
        let planned = count(&[State::Planned]);
        lines.push(Line::of(Colour::Bold, "targets").then(
            Colour::Plain,
            format!(
                "  {}, injections: {planned} planned, {on} on, {over} gone",
                self.order.len()
            ),
        ));
        // Those with something to see come first; the order among equals stays, so that lines do not jump.
        let mut shown: Vec<(&String, &LiveTarget)> = self
            .order
            .iter()
            .filter_map(|name| self.targets.get_key_value(name))
            .collect();
        if shown.len() > MOST_TARGETS {
            shown.sort_by_key(|(_, target)| std::cmp::Reverse(self.urgency(target)));
        }
        let shown = &shown[..shown.len().min(MOST_TARGETS)];
        let wide = shown
            .iter()
            .map(|(name, _)| paint::columns(&plain(name)))
            .max()
            .unwrap_or(0)
            .min(40);
        for (name, target) in shown {
            let mut line = Line::of(Colour::Plain, format!("  {}", paint::pad(&plain(name), wide)));
            for id in target.injections.iter().take(MOST_FAULTS) {
                let Some(one) = self.injections.get(id) else { continue };
                let (colour, word) = one.look();
                line = line.then(Colour::Plain, format!("  {} ", one.kind)).then(colour, word);
            }
            if target.injections.len() > MOST_FAULTS {
                line = line.then(
                    Colour::Dim,
                    format!("  and {} more", target.injections.len() - MOST_FAULTS),
                );
            }
            if target.restarts > 0 {
                line = line.then(Colour::Yellow, format!("  restarted {}x", target.restarts));
            }
            lines.push(line);
        }
        if self.order.len() > shown.len() {
            lines.push(Line::of(
                Colour::Dim,
                format!("  and {} more", self.order.len() - shown.len()),
            ));
        }
    }

    fn urgency(&self, target: &LiveTarget) -> u8 {
        let of = |id: &InjectionId| {
            self.injections.get(id).map_or(0, |one| match one.state {
                State::Residue => 4,
                _ if one.failed || one.missed => 3,
                State::Foreign => 2,
                State::Applied => 1,
                State::Planned | State::Clean => 0,
            })
        };
        target.injections.iter().map(of).max().unwrap_or(0)
    }

    fn draw_probes(&self, lines: &mut Vec<Line>, now: u64) {
        if self.probes.is_empty() {
            return;
        }
        lines.push(Line::of(Colour::Bold, "probes"));
        let wide = self
            .probes
            .iter()
            .map(|probe| paint::columns(&plain(&probe.name)))
            .max()
            .unwrap_or(0)
            .min(40);
        for probe in self.probes.iter().take(MOST_PROBES) {
            let (colour, mark, text) = match &probe.last {
                None => (Colour::Dim, '·', "not read yet".to_owned()),
                Some(last) => {
                    let (colour, mark) = match (last.endangers, last.violates) {
                        (true, _) => (Colour::Red, '✗'),
                        (false, true) => (Colour::Yellow, '✗'),
                        (false, false) => (Colour::Green, '✓'),
                    };
                    (colour, mark, value(&last.reading))
                }
            };
            let mut line = Line::of(colour, format!("  {mark} "))
                .then(Colour::Plain, paint::pad(&plain(&probe.name), wide))
                .then(colour, format!("  {text}"));
            for (word, threshold) in [("expect", probe.expect), ("abort", probe.abort)] {
                if let Some(threshold) = threshold {
                    line = line.then(Colour::Dim, format!("  {word} {threshold}"));
                }
            }
            if let Some(last) = &probe.last {
                line = line.then(Colour::Dim, format!("  {}s ago", now.saturating_sub(last.at_ms) / 1000));
            }
            lines.push(line);
        }
        if self.probes.len() > MOST_PROBES {
            lines.push(Line::of(
                Colour::Dim,
                format!("  and {} more", self.probes.len() - MOST_PROBES),
            ));
        }
    }
}

impl LiveInjection {
    fn look(&self) -> (Colour, &'static str) {
        match self.state {
            State::Residue => (Colour::Red, "RESIDUE"),
            State::Clean => (Colour::Green, "gone"),
            State::Foreign => (Colour::Yellow, "changed by others"),
            State::Planned | State::Applied if self.failed => (Colour::Red, "failed"),
            State::Planned => (Colour::Dim, "planned"),
            State::Applied if self.missed => (Colour::Yellow, "on, not landed"),
            State::Applied => (Colour::Cyan, "on"),
        }
    }
}

#[cfg(test)]
mod tests;
