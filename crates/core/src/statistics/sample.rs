//! From readings to samples that are independent enough to be counted.

use std::time::Duration;

use crate::probe::Reading;

/// Two readings whose data is no further apart than this come from the same scrape: clocks of a server and of a run drift by less
/// within a run, and no scrape interval is shorter.
const SAME_SCRAPE: i64 = 500;

/// A value, and when the data behind it was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dated {
    /// The value.
    pub value: f64,
    /// Milliseconds since the run began; negative before it.
    taken: i64,
    /// Whether the age of the data is known; otherwise every reading is a measurement of its own.
    aged: bool,
    /// Over how many milliseconds its query looks back.
    range: i64,
}

impl Dated {
    /// The value of a reading that was made so long after the run began.
    pub fn of(value: f64, elapsed: Duration, reading: &Reading) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let age = reading.age.map_or(0, |age| millis(age.0));
        Self {
            value,
            taken: millis(elapsed).saturating_sub(age),
            aged: reading.age.is_some(),
            range: reading.range.map_or(0, |range| millis(range.0)),
        }
    }
}

/// The samples among the values of one moment, oldest first: one per distinct scrape, and of a query over ranges one per longest
/// range, for two overlapping ranges share their data. What is not finite is no sample. How many there are is the effective n.
pub fn independent(values: &[Dated]) -> Vec<f64> {
    let range = values.iter().map(|one| one.range).max().unwrap_or(0);
    let scrape = if values.iter().any(|one| one.aged) {
        SAME_SCRAPE
    } else {
        0
    };
    // Ranges that begin together overlap by no more than the noise of one scrape's time.
    let apart = scrape.max(range - SAME_SCRAPE);
    let mut dated: Vec<Dated> = values.iter().copied().filter(|one| one.value.is_finite()).collect();
    dated.sort_by_key(|one| one.taken);
    let mut last: Option<i64> = None;
    dated.retain(|one| {
        let fresh = last.is_none_or(|last| one.taken.saturating_sub(last) >= apart);
        if fresh {
            last = Some(one.taken);
        }
        fresh
    });
    dated.into_iter().map(|one| one.value).collect()
}
