//! How many of the last requests failed, in a window that moves on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Into so many parts a window is divided; what is older than all of them is forgotten part by part.
const PARTS: u32 = 64;

/// The requests of a window. It holds a number for each of its parts, however many requests there are.
#[derive(Debug)]
pub(crate) struct Window {
    begun: Instant,
    /// Of one part.
    width: Duration,
    parts: VecDeque<Part>,
}

#[derive(Debug)]
struct Part {
    /// The how-manieth since the beginning.
    number: u128,
    failed: u64,
    all: u64,
}

impl Window {
    /// One of this length, with nothing in it.
    pub(crate) fn new(length: Duration, begun: Instant) -> Self {
        Self {
            begun,
            width: (length / PARTS).max(Duration::from_nanos(1)),
            parts: VecDeque::new(),
        }
    }

    /// Counts a request, and gives how many failed and how many there are in all.
    pub(crate) fn add(&mut self, failed: bool, now: Instant) -> (u64, u64) {
        let number = now.saturating_duration_since(self.begun).as_nanos() / self.width.as_nanos();
        while self
            .parts
            .front()
            .is_some_and(|part| part.number + u128::from(PARTS) <= number)
        {
            self.parts.pop_front();
        }
        // Who asked for the time first may be the second here.
        if self.parts.back().is_none_or(|part| part.number < number) {
            self.parts.push_back(Part {
                number,
                failed: 0,
                all: 0,
            });
        }
        if let Some(part) = self.parts.back_mut() {
            part.failed += u64::from(failed);
            part.all += 1;
        }
        let sum = |(failed, all), part: &Part| (failed + part.failed, all + part.all);
        self.parts.iter().fold((0, 0), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let begun = Instant::now();
        let mut window = Window::new(Duration::from_millis(6400), begun);
        let mut add = |failed, millis| window.add(failed, begun + Duration::from_millis(millis));
        assert_eq!(add(true, 0), (1, 1));
        assert_eq!(add(true, 50), (2, 2));
        assert_eq!(add(false, 3000), (2, 3));
        assert_eq!(add(false, 6399), (2, 4));
        // The part of the first two has gone, and then that of the third.
        assert_eq!(add(false, 6400), (0, 3));
        assert_eq!(add(true, 9399), (1, 4));
        assert_eq!(add(true, 9400), (2, 4));
        assert_eq!(add(false, 1_000_000), (0, 1));
        // Time that seems to go back.
        assert_eq!(add(true, 999_000), (1, 2));
    }

    #[test]
    fn it_holds_no_more_than_its_parts() {
        let begun = Instant::now();
        let mut window = Window::new(Duration::from_millis(1), begun);
        for n in 0..100_000 {
            window.add(n % 2 == 0, begun + Duration::from_micros(n));
        }
        assert!(window.parts.len() <= PARTS as usize, "{}", window.parts.len());
    }
}
