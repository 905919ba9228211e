//! Which requests meet an error of HTTP, where a pattern says it. Two of the three count requests in the order in which they come.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::chaos::{ErrorPattern, PatternKind};

use crate::faults::failure::one_of;
use crate::identity::Chance;

/// The status in a sequence that lets a request pass.
const PASSES: u16 = 200;

/// A pattern, and how far it is.
#[derive(Debug)]
pub(crate) struct Pattern {
    block: ErrorPattern,
    position: Mutex<Position>,
}

#[derive(Debug, Default)]
struct Position {
    /// Of the next request in the sequence.
    next: usize,
    burst: Option<Burst>,
}

/// An interval that has begun.
#[derive(Debug, Clone, Copy)]
struct Burst {
    begun: Instant,
    /// How many requests have met an error in it.
    met: u32,
}

impl Pattern {
    pub(crate) fn new(block: ErrorPattern) -> Self {
        Self {
            block,
            position: Mutex::default(),
        }
    }

    /// Whether its block is still this one.
    pub(crate) fn is_of(&self, block: &ErrorPattern) -> bool {
        self.block == *block
    }

    /// What the next request is answered with: one of these statuses, or one of the sequence. `None`: it passes.
    pub(crate) fn next(&self, statuses: &[u16], chance: &Chance, now: Instant) -> Option<u16> {
        // What a kind needs was asked for when the configuration was read.
        let meets = match self.block.kind {
            PatternKind::Random => chance.happens("proxy http_error", self.block.probability.unwrap_or(0.0)),
            PatternKind::Burst => self.burst(now),
            PatternKind::Sequential => return self.sequential(),
        };
        if meets { one_of(statuses, chance) } else { None }
    }

    fn burst(&self, now: Instant) -> bool {
        let interval = Duration::from_millis(self.block.interval_ms.unwrap_or(0));
        // What is in there is whole at every moment.
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |burst: &Burst| now.saturating_duration_since(burst.begun) < interval;
        let mut burst = position.burst.filter(goes_on).unwrap_or(Burst { begun: now, met: 0 });
        let meets = burst.met < self.block.count.unwrap_or(0);
        burst.met += u32::from(meets);
        position.burst = Some(burst);
        meets
    }

    fn sequential(&self) -> Option<u16> {
        let sequence = self.block.sequence.as_deref().unwrap_or_default();
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let status = sequence.get(position.next).copied();
        position.next = (position.next + 1) % sequence.len().max(1);
        status.filter(|status| *status != PASSES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(kind: PatternKind) -> ErrorPattern {
        ErrorPattern {
            kind,
            count: None,
            interval_ms: None,
            probability: None,
            sequence: None,
        }
    }

    fn chance(n: usize) -> Chance {
        Chance::named(1, &format!("request {n}"))
    }

    #[test]
    fn a_burst_is_the_first_of_each_interval() {
        let begun = Instant::now();
        let pattern = Pattern::new(ErrorPattern {
            count: Some(2),
            interval_ms: Some(100),
            ..pattern(PatternKind::Burst)
        });
        let meets = |millis| {
            let at = begun + Duration::from_millis(millis);
            pattern.next(&[503], &chance(0), at) == Some(503)
        };
        assert!(meets(0) && meets(10));
        assert!(!meets(20) && !meets(99));
        assert!(meets(100));
        // The next interval began with that one, and the one behind a silence begins with whoever ends it.
        assert!(meets(199) && !meets(199));
        assert!(meets(1000) && meets(1099) && !meets(1099));
    }

    #[test]
    fn a_sequence_begins_again_behind_its_end() {
        let pattern = Pattern::new(ErrorPattern {
            sequence: Some(vec![503, 200, 500]),
            ..pattern(PatternKind::Sequential)
        });
        let now = Instant::now();
        let all: Vec<_> = (0..7).map(|n| pattern.next(&[], &chance(n), now)).collect();
        let once = [Some(503), None, Some(500)];
        assert_eq!(all, [&once[..], &once, &once[..1]].concat());
    }

    // Order changes nothing: it is the requests that were chosen, not their places.
    #[test]
    fn chance_is_that_of_the_identity() {
        let pattern = Pattern::new(ErrorPattern {
            probability: Some(0.3),
            ..pattern(PatternKind::Random)
        });
        let now = Instant::now();
        let one = |n| pattern.next(&[500, 503], &chance(n), now);
        let forth: Vec<_> = (0..1000).map(one).collect();
        let mut back: Vec<_> = (0..1000).rev().map(one).collect();
        back.reverse();
        assert_eq!(forth, back);
        // Five standard deviations of 1000 times 0.3. The draws are fixed by the seed.
        let met = forth.iter().flatten().count();
        assert!((228..=372).contains(&met), "{met}");
    }
}
