//! Requests that are lost: each by itself, or several in a row.

use std::sync::{Mutex, PoisonError};

use fracas_core::chaos::TrafficShaping;
use fracas_core::seed::Seed;

use crate::identity::Chance;

/// Where the way is between losing and letting pass. It is one for as long as the proxy lives, whatever its numbers are.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<State>);

/// Gilbert's model (1960): in its bad state all is lost, in its good one nothing. What comes next is drawn for each request by its place in
/// the order in which they come, so that a proxy with the same seed loses the same places again.
#[derive(Debug, Default)]
struct State {
    /// So many were asked about.
    count: u64,
    is_bad: bool,
}

impl Losses {
    /// Whether this request is lost, which is the next one.
    pub(crate) fn take(&self, block: &TrafficShaping, seed: Seed, chance: &Chance) -> bool {
        match block.packet_loss_burst {
            None => alone(block, chance),
            Some(burst) => self.next(block.packet_loss_percent / 100.0, burst, seed),
        }
    }

    fn next(&self, share: f64, burst: f64, seed: Seed) -> bool {
        // The share of time in the bad state is begin / (begin + end).
        let end = 1.0 / burst;
        let begin = if share < 1.0 { end * share / (1.0 - share) } else { 1.0 };
        // What is in there is whole at every moment.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = seed.draw("proxy packet_loss_burst", "", state.count).uniform();
        state.is_bad = match (state.count, state.is_bad) {
            // Whoever comes first finds it as it is in the long run.
            (0, _) => drawn < share,
            (_, true) => share >= 1.0 || drawn >= end,
            (_, false) => drawn < begin,
        };
        state.count += 1;
        // Of a share that was taken back while all was being lost nothing is left.
        state.is_bad && share > 0.0
    }
}

/// Whether a request is that is asked about by itself: by its share, and not by the order in which requests come.
pub(crate) fn alone(block: &TrafficShaping, chance: &Chance) -> bool {
    chance.happens("proxy packet_loss", block.packet_loss_percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 100_000;

    fn all(share: f64, burst: f64, seed: u64) -> Vec<bool> {
        let losses = Losses::default();
        (0..COUNT).map(|_| losses.next(share, burst, Seed(seed))).collect()
    }

    /// The share of what is lost, and how long a row of it is on average.
    fn measured(all: &[bool]) -> (f64, f64) {
        let lost = all.iter().filter(|is| **is).count() as f64;
        let rows = all.chunk_by(|one, next| one == next).filter(|row| row[0]).count();
        (lost / all.len() as f64, lost / rows as f64)
    }

    // The draws are fixed by the seed: what holds here, holds always. So many rows there are, and their lengths are geometric, so that these
    // are five standard errors of both.
    #[test]
    fn the_share_and_the_length_are_those_that_are_asked_for() {
        for (share, burst) in [
            (0.01, 3.0),
            (0.03, 4.0),
            (0.2, 50.0),
            (0.2, 5.0),
            (0.5, 1.0),
            (0.9, 100.0),
        ] {
            let rows = COUNT as f64 * share / burst;
            let error = 5.0 / rows.sqrt();
            let (lost, length) = measured(&all(share, burst, 7));
            assert!(
                (length / burst - 1.0).abs() <= error,
                "{share} {burst}: {length} in a row"
            );
            // That of the good rows comes to it.
            assert!(
                (lost / share - 1.0).abs() <= error * 2.0,
                "{share} {burst}: {lost} lost"
            );
        }
    }

    #[test]
    fn what_is_certain_is_so() {
        assert!(all(1.0, 1.0, 7).iter().all(|lost| *lost));
        assert!(all(1.0, 9.0, 7).iter().all(|lost| *lost));
        assert!(!all(0.0, 9.0, 7).iter().any(|lost| *lost));
        assert!(all(0.5, 1.0, 7).windows(2).all(|two| two[0] != two[1]));
    }

    #[test]
    fn the_same_places_are_lost_with_the_same_seed() {
        assert_eq!(all(0.2, 5.0, 7), all(0.2, 5.0, 7));
        assert_ne!(all(0.2, 5.0, 7), all(0.2, 5.0, 8));
    }
}
