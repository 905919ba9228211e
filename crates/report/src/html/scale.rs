//! Where a time and a value stand in a drawing.
//!
//! Widths are shares of the page, so that a drawing fits a phone while its texts keep their size; heights are pixels.

use crate::figure::figure;

/// The time axis of all drawings of a report: the whole run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    whole_ms: u64,
}

/// Steps between marks, in seconds.
const STEPS: [u64; 21] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 432_000,
    864_000,
];

impl Times {
    pub(super) fn new(whole_ms: u64) -> Self {
        Self {
            whole_ms: whole_ms.max(1),
        }
    }

    /// The share of the width at which a time stands, from 0 to 100.
    pub(super) fn share(self, elapsed_ms: u64) -> f64 {
        elapsed_ms.min(self.whole_ms) as f64 / self.whole_ms as f64 * 100.0
    }

    /// As an attribute: `12.34%`.
    pub(super) fn at(self, elapsed_ms: u64) -> String {
        percent(self.share(elapsed_ms))
    }

    /// The width of a stretch, never so narrow that it cannot be seen.
    pub(super) fn width(self, from_ms: u64, until_ms: u64) -> String {
        percent((self.share(until_ms) - self.share(from_ms)).max(0.25))
    }

    /// Times to be marked, in whole steps: at most six, for which a phone has room.
    pub(super) fn marks(self) -> Vec<u64> {
        let seconds = self.whole_ms / 1000;
        let longest = seconds.div_ceil(5).max(1);
        let step = STEPS.into_iter().find(|step| *step * 5 >= seconds).unwrap_or(longest);
        let marks = (0..=5).map(|n: u64| n.saturating_mul(step).saturating_mul(1000));
        marks.take_while(|mark| *mark <= self.whole_ms).collect()
    }
}

/// A share as an attribute.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{share:.2}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `0:05`, `1:02:03`: a time as a clock since the run began.
pub(super) fn clock(elapsed_ms: u64) -> String {
    let seconds = elapsed_ms / 1000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{rest:02}")
    } else {
        format!("{minutes}:{rest:02}")
    }
}

/// The value axis of one drawing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values {
    low: f64,
    high: f64,
    /// Pixels from the top of the drawing.
    pub(super) top: f64,
    /// Pixels of the whole range.
    pub(super) height: f64,
}

impl Values {
    /// An axis that holds these values. What is not finite is left out.
    pub(super) fn holding(values: impl IntoIterator<Item = f64>, top: f64, height: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // From zero, where that costs less than a third of the height: a picture that begins elsewhere exaggerates.
        if low > 0.0 && low <= high / 2.0 {
            low = 0.0;
        }
        let span = high - low;
        let margin = if span > 0.0 && span.is_finite() {
            span * 0.08
        } else {
            (high.abs() * 0.1).clamp(0.5, f64::MAX / 4.0)
        };
        high = (high + margin).min(f64::MAX / 4.0);
        if low != 0.0 || span == 0.0 {
            low = (low - margin).max(-f64::MAX / 4.0);
        }
        Self { low, high, top, height }
    }

    /// How much it holds.
    pub(super) fn span(&self) -> f64 {
        self.high - self.low
    }

    /// Whether a value lies above it.
    pub(super) fn is_above(&self, value: f64) -> bool {
        value > self.high
    }

    /// Pixels from the top of the drawing; beyond the axis at its edge.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.top + self.height * (1.0 - share)
    }

    /// Round values to be marked: three to six.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let first = (self.low / step).ceil();
        (0..6)
            .map(|n| {
                // Whole multiples: a sum of steps would drift off.
                let value = (first + f64::from(n)) * step;
                // No -0.
                if value == 0.0 { 0.0 } else { value }
            })
            .filter(|value| value.is_finite() && *value <= self.high)
            .map(|value| (value, figure(value, 4)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_marked_in_whole_steps() {
        let marks = |ms| Times::new(ms).marks().into_iter().map(clock).collect::<Vec<_>>();
        assert_eq!(marks(105_310), ["0:00", "0:30", "1:00", "1:30"]);
        assert_eq!(marks(3_600_000), ["0:00", "15:00", "30:00", "45:00", "1:00:00"]);
        assert_eq!(marks(0), ["0:00"]);
        assert!(marks(u64::MAX).len() <= 6);
    }

    #[test]
    fn a_time_has_its_share() {
        let times = Times::new(200);
        assert_eq!(
            (times.at(50), times.at(0), times.at(999)),
            ("25%".into(), "0%".into(), "100%".into())
        );
        assert_eq!(times.width(50, 50), "0.25%");
    }

    #[test]
    fn values_have_room_and_round_marks() {
        let axis = Values::holding([0.04, 0.3, f64::NAN, f64::INFINITY], 10.0, 100.0);
        assert_eq!(axis.at(0.0).to_bits(), 110f64.to_bits());
        assert!(axis.at(0.3) > 10.0 && axis.at(f64::INFINITY).to_bits() == 10f64.to_bits());
        let marks: Vec<String> = axis.marks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(marks, ["0", "0.1", "0.2", "0.3"]);
    }

    #[test]
    fn no_values_break_an_axis() {
        for values in [
            vec![],
            vec![0.0],
            vec![7.0; 3],
            vec![-f64::MAX, f64::MAX],
            vec![f64::MIN_POSITIVE],
            vec![1e300, 2e300],
            vec![-5.0, -4.0],
        ] {
            let axis = Values::holding(values.clone(), 0.0, 100.0);
            for value in &values {
                assert!((0.0..=100.0).contains(&axis.at(*value)), "{values:?}");
            }
            let marks = axis.marks();
            assert!((1..=6).contains(&marks.len()), "{values:?}: {marks:?}");
        }
    }
}
