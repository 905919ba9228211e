//! The readings of one probe in one moment, on their way to figures.

use fracas_core::number::Number;
use fracas_core::probe::{Expect, Moment, Op, Reading};

use crate::model::{MomentReport, ProbeReport};
use crate::stats::Samples;

/// Counts and samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings {
    taken: u64,
    missing: u64,
    stale: u64,
    violations: u64,
    dangers: u64,
    samples: Samples,
    worst: Option<f64>,
    error: Option<String>,
}

/// The comparison under which a probe's readings are hard or easy: its expectation; else the contrary of its abort threshold, for
/// what is nearest to danger is hardest.
pub(super) fn hardest(probe: &ProbeReport) -> Option<Expect> {
    probe.expect.or_else(|| {
        probe.abort.map(|Expect { op, number }| Expect {
            op: match op {
                Op::Less => Op::AtLeast,
                Op::AtMost => Op::Greater,
                Op::Greater => Op::AtMost,
                Op::AtLeast => Op::Less,
                Op::Equal => Op::Unequal,
                Op::Unequal => Op::Equal,
            },
            number,
        })
    })
}

/// The value of a reading that can be believed: of several series the one that is hardest, else the first.
pub(super) fn value(reading: &Reading, hard: Option<Expect>) -> Option<f64> {
    if reading.error.is_some() || reading.stale {
        return None;
    }
    match hard {
        Some(hard) => hard.decisive(&reading.values),
        None => reading.values.first().copied(),
    }
}

impl Readings {
    /// Adds a reading, of which the series counts that is hardest.
    pub(super) fn add(&mut self, reading: &Reading, hard: Option<Expect>, violates: bool, endangers: bool) {
        self.violations += u64::from(violates);
        self.dangers += u64::from(endangers);
        if !self.counts(reading) {
            return;
        }
        let Some(value) = value(reading, hard) else { return };
        self.samples.add(value);
        if let Some(hard) = hard {
            self.worst = Some(self.worst.map_or(value, |worst| harder(hard, worst, value)));
        }
    }

    /// Adds every series of a reading that nobody judges.
    pub(super) fn add_all(&mut self, reading: &Reading) {
        if self.counts(reading) {
            for value in &reading.values {
                self.samples.add(*value);
            }
        }
    }

    /// Whether there is something to count.
    fn counts(&mut self, reading: &Reading) -> bool {
        self.taken += 1;
        if reading.error.is_some() || reading.values.is_empty() {
            self.missing += 1;
            self.error = Some(reading.error.clone().unwrap_or_else(|| "no data".to_owned()));
            return false;
        }
        if reading.stale {
            self.stale += 1;
            return false;
        }
        true
    }

    pub(super) fn report(&self, moment: Moment, hard: Option<Expect>) -> MomentReport {
        MomentReport {
            moment,
            readings: self.taken,
            missing: self.missing,
            stale: self.stale,
            violations: self.violations,
            dangers: self.dangers,
            stats: self.samples.stats(),
            worst: hard.and(self.worst).map(Number),
            error: self.error.clone(),
        }
    }
}

/// The harder of two values. For `==` and `!=` [`Expect::decisive`] takes the first that fails; over time the one that is farthest
/// from what `==` asks says more.
fn harder(hard: Expect, one: f64, other: f64) -> f64 {
    if hard.op == Op::Equal && !one.is_nan() && !other.is_nan() {
        let off = |value: f64| (value - hard.number).abs();
        return if off(other) > off(one) { other } else { one };
    }
    hard.decisive(&[one, other]).unwrap_or(one)
}
