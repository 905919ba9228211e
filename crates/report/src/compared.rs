//! The moments of a probe compared with its baseline. It informs; only `expect` and `abort` decide.

use std::time::Duration;

use fracas_core::number::Number;
use fracas_core::probe::{Moment, Reading};
use fracas_core::seed::Seed;
use fracas_core::statistics::{ALPHA, Comparison, Dated, compare, holm, independent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::figure::figure;
use crate::fold::Samples;
use crate::model::ProbeReport;

/// Two moments of one probe, or one moment of two runs, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonReport {
    /// What is compared.
    pub first: Moment,
    /// With what.
    pub second: Moment,
    /// Independent samples in the first, the effective n: one per distinct scrape, and one per range of a query with ranges.
    pub first_n: u64,
    /// The same in the second.
    pub second_n: u64,
    /// The test; absent below 8 samples on either side.
    pub test: Option<TestReport>,
    /// Why there is no test, in words.
    pub why_not: Option<String>,
}

/// The Mann–Whitney U test, two-sided, and the size of the difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestReport {
    /// U of the first.
    pub u: f64,
    /// The probability of a difference so large, or larger, where there is none.
    pub p: f64,
    /// The same when every comparison of the run is looked at (Holm).
    pub p_corrected: f64,
    /// Whether `p` was counted out; otherwise by the normal approximation, corrected for ties and continuity.
    pub exact: bool,
    /// Whether the difference is called one: `p_corrected` is below 0.05.
    pub differs: bool,
    /// How much larger the second is, in the unit of the probe (Hodges–Lehmann).
    pub shift: Number,
    /// The ends of the 95 % bootstrap interval of the shift: 10,000 resamples, drawn by the run's seed.
    pub interval: (Number, Number),
}

/// How it is compared, for whoever reads the figures.
pub(crate) const METHOD: &str = "Mann–Whitney U test, two-sided, corrected for all comparisons together (Holm); a p below 0.05 \
    is called a difference. Shift: Hodges–Lehmann, with a 95 % bootstrap interval. Samples: one per scrape or range, so fewer than \
    readings. It informs; only expect and abort decide.";

impl ComparisonReport {
    /// In words: the samples, the shift with its interval, p as corrected, and what it says.
    pub(crate) fn words(&self) -> [String; 4] {
        let samples = format!("{} and {}", self.first_n, self.second_n);
        let Some(test) = &self.test else {
            let why = self.why_not.clone().unwrap_or_default();
            return [samples, String::new(), String::new(), why];
        };
        let signed = |Number(value): Number| {
            let sign = if value > 0.0 { "+" } else { "" };
            format!("{sign}{}", figure(value, 4))
        };
        let (low, high) = test.interval;
        let shift = format!("{} ({} to {})", signed(test.shift), signed(low), signed(high));
        let p = if test.p_corrected < 0.0001 {
            "< 0.0001".to_owned()
        } else {
            format!("{:.4}", test.p_corrected)
        };
        let says = if test.differs { "differs" } else { "no difference seen" };
        [samples, shift, p, says.to_owned()]
    }
}

/// So many values of a moment are kept, a day's at one in five seconds. Beyond, every second one is dropped, as often as needed.
const KEPT: usize = 1 << 14;

/// The values of one moment of one probe, on their way to samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    kept: Vec<Dated>,
    /// One of `1 << thinned` values is kept.
    thinned: u32,
    seen: u64,
}

impl Values {
    /// Adds the value of a reading that can be believed.
    pub(crate) fn add(&mut self, elapsed_ms: u64, value: f64, reading: &Reading) {
        if self.seen.is_multiple_of(1u64 << self.thinned) {
            if self.kept.len() == KEPT {
                let mut odd = true;
                self.kept.retain(|_| {
                    odd = !odd;
                    !odd
                });
                self.thinned += 1;
            }
            self.kept
                .push(Dated::of(value, Duration::from_millis(elapsed_ms), reading));
        }
        self.seen += 1;
    }

    /// The independent samples among them.
    pub(crate) fn samples(&self) -> Vec<f64> {
        independent(&self.kept)
    }
}

/// The pairs that are compared: did the faults change anything, and is it as before when they are gone.
const PAIRS: [(Moment, Moment); 2] = [(Moment::Before, Moment::During), (Moment::Before, Moment::After)];

/// Compares the moments of every probe. All tests are corrected together: the
/// chance of a single false alarm in the whole run is at most alpha.
pub(crate) fn compare_moments(probes: &mut [ProbeReport], samples: &Samples, seed: Seed) {
    let mut of_probes = Vec::new();
    for probe in probes.iter() {
        for (first, second) in PAIRS {
            let Some(moments) = samples.get(&probe.name) else {
                continue;
            };
            let (Some(a), Some(b)) = (moments.get(&first), moments.get(&second)) else {
                continue;
            };
            let identity = format!("{}: {first}, {second}", probe.name);
            of_probes.push((probe.name.clone(), first, second, compare(a, b, seed, &identity)));
        }
    }
    let comparisons: Vec<&Comparison> = of_probes.iter().map(|(.., one)| one).collect();
    let mut tests = corrected(&comparisons).into_iter();
    for (name, first, second, comparison) in of_probes {
        let report = ComparisonReport {
            first,
            second,
            first_n: comparison.first as u64,
            second_n: comparison.second as u64,
            test: tests.next().flatten(),
            why_not: comparison.why_not,
        };
        if let Some(probe) = probes.iter_mut().find(|probe| probe.name == name) {
            probe.comparisons.push(report);
        }
    }
}

/// The tests with their p values as they stand when all of them are looked at.
pub(crate) fn corrected(comparisons: &[&Comparison]) -> Vec<Option<TestReport>> {
    let p: Vec<f64> = comparisons
        .iter()
        .filter_map(|one| one.test.map(|test| test.p))
        .collect();
    let mut corrected = holm(&p).into_iter();
    let report = |one: &&Comparison| {
        let test = one.test?;
        let p_corrected = corrected.next()?;
        Some(TestReport {
            u: test.u,
            p: test.p,
            p_corrected,
            exact: test.exact,
            differs: p_corrected < ALPHA,
            shift: Number(test.shift),
            interval: (Number(test.interval.0), Number(test.interval.1)),
        })
    };
    comparisons.iter().map(report).collect()
}

#[cfg(test)]
mod tests;
