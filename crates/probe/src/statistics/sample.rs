//! From readings to samples that are independent enough to be counted.

use std::time::Duration;

use fracas_core::probe::Probe;

use crate::prometheus::selectors;
use fracas_core::judge::Timed;

/// Two readings whose data is no further apart than this come from the same scrape: clocks of a server and of a run drift by less
/// within a run, and no scrape interval is shorter.
const SAME_SCRAPE: Duration = Duration::from_millis(500);

/// The samples in the readings of one moment, oldest first: one value per reading that can be believed, and only one per distinct
/// scrape. A query over ranges gives one per longest range, for two overlapping ranges share their data.
///
/// Of several series the value counts that decides the probe's `expect`, else its `abort`, else their mean. Errors, stale readings
/// and NaN are no samples. How many come back is the effective n.
pub fn sample(probe: &Probe, readings: &[Timed<'_>]) -> Vec<f64> {
    let spacing = match &probe.source {
        fracas_core::probe::Source::Prometheus(source) => selectors::longest_range(&source.query),
        _ => Duration::ZERO,
    };
    let mut timed: Vec<(Duration, f64)> = readings
        .iter()
        .filter(|timed| timed.reading.error.is_none() && !timed.reading.stale)
        .filter_map(|timed| {
            let values = &timed.reading.values;
            let value = match probe.expect.or(probe.abort) {
                Some(expect) => expect.decisive(values)?,
                None if values.is_empty() => return None,
                None => values.iter().map(|value| value / values.len() as f64).sum(),
            };
            // Without an age every reading is a measurement of its own.
            let scraped = timed
                .elapsed
                .saturating_sub(timed.reading.age.map_or(Duration::ZERO, |age| age.0));
            (!value.is_nan()).then_some((scraped, value))
        })
        .collect();
    timed.sort_by_key(|(scraped, _)| *scraped);
    let aged = readings.iter().any(|timed| timed.reading.age.is_some());
    let apart = if aged { spacing.max(SAME_SCRAPE) } else { spacing };
    let mut last: Option<Duration> = None;
    timed.retain(|(scraped, _)| {
        let fresh = last.is_none_or(|last| scraped.saturating_sub(last) >= apart);
        if fresh {
            last = Some(*scraped);
        }
        fresh
    });
    timed.into_iter().map(|(_, value)| value).collect()
}
