//! A probe over time, for a picture, in bounded memory.

use fracas_core::number::Number;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One stretch of a probe's readings: a single reading in a short run, a few in a long one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// When its first reading was taken, in milliseconds since the run began.
    pub elapsed_ms: u64,
    /// The smallest value; absent if none could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// The largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// How many of its readings gave no value that could be believed: an error, no data, stale data, NaN.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Point {
    /// Takes the stretch that follows into this one.
    pub(crate) fn join(&mut self, next: &Self) {
        let pick = |a: Option<Number>, b: Option<Number>, of: fn(f64, f64) -> f64| match (a, b) {
            (Some(a), Some(b)) => Some(Number(of(a.0, b.0))),
            (a, b) => a.or(b),
        };
        self.min = pick(self.min, next.min, f64::min);
        self.max = pick(self.max, next.max, f64::max);
        self.missing += next.missing;
    }
}

/// So many points at most: more than a picture has room for.
const MOST: usize = 480;

/// Points as they come in. When there are too many, every two become one with the extremes of both: no peak is ever lost.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    points: Vec<Point>,
    /// So many readings make a point.
    each: u64,
    /// So many are in the last one.
    last: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            points: Vec::new(),
            each: 1,
            last: 1,
        }
    }
}

impl Series {
    /// Adds a reading; NaN counts as none.
    pub(crate) fn add(&mut self, elapsed_ms: u64, value: Option<f64>) {
        let value = value.filter(|value| !value.is_nan()).map(Number);
        let point = Point {
            elapsed_ms,
            min: value,
            max: value,
            missing: u64::from(value.is_none()),
        };
        if self.last < self.each
            && let Some(open) = self.points.last_mut()
        {
            open.join(&point);
            self.last += 1;
            return;
        }
        if self.points.len() == MOST {
            let halved = self.points.chunks(2).map(|pair| {
                let mut one = pair[0];
                if let Some(next) = pair.get(1) {
                    one.join(next);
                }
                one
            });
            self.points = halved.collect();
            self.each *= 2;
        }
        self.points.push(point);
        self.last = 1;
    }

    /// The points so far.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = Option<f64>>) -> Vec<Point> {
        let mut series = Series::default();
        for (second, value) in values.into_iter().enumerate() {
            series.add(second as u64 * 1000, value);
        }
        series.points()
    }

    #[test]
    fn a_short_run_keeps_every_reading() {
        let points = series([Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY)]);
        let shown: Vec<_> = points
            .iter()
            .map(|one| (one.elapsed_ms, one.max, one.missing))
            .collect();
        let infinite = Some(Number(f64::INFINITY));
        assert_eq!(
            shown,
            [
                (0, Some(Number(1.0)), 0),
                (1000, None, 1),
                (2000, None, 1),
                (3000, infinite, 0)
            ]
        );
    }

    #[test]
    fn a_long_run_loses_no_peak_and_no_gap() {
        let n = 10 * MOST as u64 + 7;
        let points = series((0..n).map(|at| match at {
            1234 => Some(99.0),
            2345 => Some(-99.0),
            3456 => None,
            at => Some((at % 10) as f64),
        }));
        assert!((MOST / 2..=MOST).contains(&points.len()), "{}", points.len());
        let max = points
            .iter()
            .filter_map(|one| one.max)
            .map(|max| max.0)
            .fold(0.0, f64::max);
        let min = points
            .iter()
            .filter_map(|one| one.min)
            .map(|min| min.0)
            .fold(0.0, f64::min);
        assert_eq!((min.to_bits(), max.to_bits()), ((-99f64).to_bits(), 99f64.to_bits()));
        assert_eq!(points.iter().map(|one| one.missing).sum::<u64>(), 1);
        assert!(points.is_sorted_by_key(|one| one.elapsed_ms));
        let widths: Vec<u64> = points
            .windows(2)
            .map(|two| two[1].elapsed_ms - two[0].elapsed_ms)
            .collect();
        assert!(
            widths.iter().all(|width| *width == 16_000),
            "every point is as long: {widths:?}"
        );
    }
}
