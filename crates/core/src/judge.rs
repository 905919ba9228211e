//! Judging: what all the readings of a moment say about an expectation. Pure; the rules are those of seed 0's criteria.

use std::time::Duration;

use crate::event::Judgement;
use crate::probe::{Expect, Op, Over, Probe, Reading, When};

/// A reading with its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed<'a> {
    /// When it was asked for, since the run began, by a clock that never steps.
    pub elapsed: Duration,
    /// What it gave.
    pub reading: &'a Reading,
}

/// Beginning and end of a moment, since the run began. Both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The beginning.
    pub from: Duration,
    /// The end.
    pub until: Duration,
}

impl Bounds {
    fn hold(self, elapsed: Duration) -> bool {
        self.from <= elapsed && elapsed <= self.until
    }
}

/// Judges a probe over one of its moments. `None` if it expects nothing.
///
/// `readings` may hold readings of other moments and in any order: `bounds` decides which count. No reading at all fails, and so
/// does every error, stale reading and NaN. A window is clamped to the moment; one that is shorter than the interval, so that it
/// holds no reading, is judged by the last reading before its beginning: that is the newest that is known of it.
pub fn judge(probe: &Probe, when: When, readings: &[Timed<'_>], bounds: Bounds) -> Option<Judgement> {
    let expect = probe.expect?;
    let counted = counted(when.over, readings, bounds);
    let failing = counted.iter().filter(|reading| !holds(reading, expect)).count();
    let worst = worst(&counted, expect);
    let value = worst.and_then(|reading| measured(reading, expect));
    let mut message = match (worst, value) {
        (None, _) => "no data: there is no reading in this moment".to_owned(),
        (Some(reading), value) => match (reading.violates(expect), value) {
            (Some(why), _) => why,
            (None, Some(value)) => format!("value {value} meets threshold {expect}"),
            // `violates` answers `None` only where a value decides.
            (None, None) => "no data".to_owned(),
        },
    };
    if failing > 0 && counted.len() > 1 {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(message, " ({failing} of {} readings fail)", counted.len());
    }
    Some(Judgement {
        probe: probe.name.clone(),
        moment: when.moment,
        passed: failing == 0 && value.is_some(),
        critical: probe.critical,
        value,
        message,
    })
}

/// The readings that count, oldest first.
fn counted<'a>(over: Over, readings: &[Timed<'a>], bounds: Bounds) -> Vec<&'a Reading> {
    let mut inside: Vec<Timed<'a>> = readings
        .iter()
        .copied()
        .filter(|timed| bounds.hold(timed.elapsed))
        .collect();
    inside.sort_by_key(|timed| timed.elapsed);
    let from = match over {
        Over::Last => inside.len().saturating_sub(1),
        Over::Whole => 0,
        Over::Window(window) => {
            let begin = bounds.until.saturating_sub(window.0);
            inside
                .partition_point(|timed| timed.elapsed < begin)
                .min(inside.len().saturating_sub(1))
        }
    };
    inside[from..].iter().map(|timed| timed.reading).collect()
}

fn holds(reading: &Reading, expect: Expect) -> bool {
    measured(reading, expect).is_some() && reading.violates(expect).is_none()
}

/// The value that decides, of a reading that can be believed.
fn measured(reading: &Reading, expect: Expect) -> Option<f64> {
    if reading.error.is_some() || reading.stale {
        return None;
    }
    expect.decisive(&reading.values)
}

/// The reading that is reported: a measured violation before one that nobody can see (a person learns more from the value), and
/// of measured values the one that is hardest on the expectation.
fn worst<'a>(counted: &[&'a Reading], expect: Expect) -> Option<&'a Reading> {
    let badness = |reading: &Reading| -> (u8, f64) {
        match measured(reading, expect) {
            Some(value) if value.is_nan() => (2, 0.0),
            Some(value) => (if expect.holds(value) { 0 } else { 3 }, hardness(value, expect)),
            None => (1, 0.0),
        }
    };
    counted
        .iter()
        .copied()
        // Of equals the first: it is when it went wrong.
        .reduce(|kept, next| {
            let (a, b) = (badness(kept), badness(next));
            if b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).is_gt() {
                next
            } else {
                kept
            }
        })
}

/// How far on the wrong side a value is; larger is worse.
fn hardness(value: f64, expect: Expect) -> f64 {
    match expect.op {
        Op::Less | Op::AtMost => value,
        Op::Greater | Op::AtLeast => -value,
        Op::Equal => (value - expect.number).abs(),
        Op::Unequal => -(value - expect.number).abs(),
    }
}

#[cfg(test)]
mod tests;
