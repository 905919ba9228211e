//! How long the last answers took, for whoever asks the API.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// So many answers are kept, the last ones.
pub(crate) const KEPT: usize = 4096;
/// So that those who count at the same moment do not wait for each other.
const PARTS: usize = 16;

/// The last answers.
#[derive(Debug)]
pub(crate) struct Measures {
    next: AtomicUsize,
    /// The n-th answer of all is in the part n % [`PARTS`].
    parts: [Mutex<VecDeque<(usize, Sample)>>; PARTS],
}

/// One answer.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct Sample {
    /// When it had ended.
    #[schemars(with = "String")]
    pub(crate) timestamp: Timestamp,
    /// From the head of the request to the end of the answer, with its body, or until its client had gone; in milliseconds.
    pub(crate) latency_ms: f64,
    /// For how much of that a fault held the request: `latency`, and time-outs that were made.
    pub(crate) injected_ms: f64,
}

/// What is said of many answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LatencyStats")]
pub(crate) struct Stats {
    /// Of how many answers this is: the last, 4096 at most.
    count: usize,
    /// Of their `latency_ms`.
    #[serde(flatten)]
    latency: Spread,
    /// The same of their `injected_ms`.
    injected: Spread,
}

/// Percentiles are values that were seen: the least that so many of a hundred do not exceed. `null` if nothing was measured.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
struct Spread {
    min_ms: Option<f64>,
    max_ms: Option<f64>,
    avg_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            next: AtomicUsize::new(0),
            parts: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Measures {
    /// An answer has ended.
    pub(crate) fn add(&self, took: Duration, injected: Duration) {
        self.put(Sample {
            timestamp: Timestamp::now(),
            latency_ms: millis(took),
            injected_ms: millis(injected),
        });
    }

    fn put(&self, sample: Sample) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut part = self.parts[number % PARTS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if part.len() == KEPT / PARTS {
            part.pop_front();
        }
        part.push_back((number, sample));
    }

    /// The last answers, in the order in which they ended: the clock of the wall may be set back meanwhile.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let mut all: Vec<(usize, Sample)> = Vec::with_capacity(KEPT);
        for part in &self.parts {
            all.extend(&*part.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, sample)| sample).collect()
    }

    /// How many have ended by now.
    pub(crate) fn ended(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// How many have ended by now, and the median and the 99th percentile, in milliseconds, of how long those took of them that came after
    /// so many, the last [`KEPT`] of them; `None` of none. Whoever is about to be added is not waited for, and not made up for.
    pub(crate) fn since(&self, before: usize) -> (usize, [Option<f64>; 2]) {
        let ended = self.ended();
        (ended, self.between(before, ended))
    }

    fn between(&self, before: usize, ended: usize) -> [Option<f64>; 2] {
        let mut all = Vec::with_capacity(ended.saturating_sub(before).min(KEPT));
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            let meanwhile = part.iter().filter(|(number, _)| (before..ended).contains(number));
            all.extend(meanwhile.map(|(_, sample)| sample.latency_ms));
        }
        let spread = Spread::of(all);
        [spread.p50_ms, spread.p99_ms]
    }

    /// What is said of them.
    pub(crate) fn stats(&self) -> Stats {
        let samples = self.samples();
        Stats {
            count: samples.len(),
            latency: Spread::of(samples.iter().map(|sample| sample.latency_ms).collect()),
            injected: Spread::of(samples.iter().map(|sample| sample.injected_ms).collect()),
        }
    }
}

impl Spread {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        // The nearest rank: of n values the one at ⌈n · percent / 100⌉, from 1 on.
        let percentile = |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let sum: f64 = all.iter().sum();
        Self {
            min_ms: all.first().copied(),
            max_ms: all.last().copied(),
            avg_ms: (!all.is_empty()).then(|| sum / all.len() as f64),
            p50_ms: percentile(50),
            p95_ms: percentile(95),
            p99_ms: percentile(99),
        }
    }
}

/// With the microseconds, and no more digits than that.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(f64::from).collect());
        let expected = Spread {
            min_ms: Some(1.0),
            max_ms: Some(200.0),
            avg_ms: Some(100.5),
            p50_ms: Some(100.0),
            p95_ms: Some(190.0),
            p99_ms: Some(198.0),
        };
        assert_eq!(spread, expected);
        let one = Spread::of(vec![3.0]);
        assert_eq!((one.p50_ms, one.p99_ms, one.avg_ms), (Some(3.0), Some(3.0), Some(3.0)));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn between_two_looks_are_those_that_ended_meanwhile() {
        let measures = Measures::default();
        let add = |from: u64, to: u64| (from..to).for_each(|n| measures.add(Duration::from_millis(n), Duration::ZERO));
        assert_eq!(measures.since(0), (0, [None; 2]));
        // No two looks are at the same place in the parts.
        let mut seen = 0;
        for (from, to) in [(0, 1), (1, 4), (4, 21), (21, 150), (150, 150)] {
            add(from, to);
            let expected = Spread::of((from..to).map(|n| n as f64).collect());
            let (ended, percentiles) = measures.since(seen);
            assert_eq!((ended, percentiles), (to as usize, [expected.p50_ms, expected.p99_ms]));
            seen = ended;
        }
        add(150, 10_000);
        let kept = Spread::of((10_000 - KEPT as u64..10_000).map(|n| n as f64).collect());
        assert_eq!(measures.since(seen), (10_000, [kept.p50_ms, kept.p99_ms]));
    }

    #[test]
    fn who_came_after_the_count_was_read_is_of_the_next_look() {
        let measures = Measures::default();
        let sample = |latency_ms| Sample {
            timestamp: Timestamp::now(),
            latency_ms,
            injected_ms: 0.0,
        };
        (0..PARTS).for_each(|_| measures.put(sample(1.0)));
        let ended = measures.ended();
        (0..PARTS).for_each(|_| measures.put(sample(2.0)));
        assert_eq!(measures.between(0, ended), [Some(1.0); 2]);
        assert_eq!(measures.between(ended, 2 * PARTS), [Some(2.0); 2]);
    }

    #[test]
    fn the_last_are_kept_and_no_more() {
        let measures = Measures::default();
        for number in 0..KEPT as u64 + 100 {
            measures.add(Duration::from_millis(number), Duration::ZERO);
        }
        let mut seen: Vec<f64> = measures.samples().iter().map(|sample| sample.latency_ms).collect();
        seen.sort_by(f64::total_cmp);
        let last: Vec<f64> = (100..KEPT as u64 + 100).map(|number| number as f64).collect();
        assert_eq!(seen, last);
    }

    #[test]
    fn a_clock_that_is_set_back_changes_no_order() {
        let measures = Measures::default();
        for number in 0..100_u32 {
            measures.put(Sample {
                timestamp: Timestamp::from_second(1000 - i64::from(number)).unwrap(),
                latency_ms: f64::from(number),
                injected_ms: 0.0,
            });
        }
        let seen: Vec<f64> = measures.samples().iter().map(|sample| sample.latency_ms).collect();
        assert_eq!(seen, (0..100).map(f64::from).collect::<Vec<f64>>());
    }

    #[test]
    fn nobody_who_counts_at_the_same_time_is_lost() {
        let measures = Measures::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..KEPT / 8 {
                        measures.add(Duration::from_millis(1), Duration::from_millis(1));
                    }
                });
            }
        });
        assert_eq!(measures.stats().count, KEPT / 2);
    }
}
