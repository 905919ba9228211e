//! A circuit breaker as a machine: what happens goes in, with its time, and whether a request may pass comes out.

use std::time::{Duration, Instant};

use fracas_core::chaos::CircuitBreaker;

use crate::faults::window::Window;

/// In what state a breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Closed,
    Open,
    HalfOpen,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
}

/// A request that was let pass. What it says counts in the state that let it pass, and in no later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The machine.
#[derive(Debug)]
pub(crate) struct Circuit {
    block: CircuitBreaker,
    state: State,
    /// How often the state has changed.
    era: u64,
}

#[derive(Debug)]
enum State {
    Closed {
        /// Failures without a success between them.
        in_a_row: u32,
        window: Window,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        /// Trials whose answer has not begun.
        trying: u32,
        successes: u32,
    },
}

impl Circuit {
    /// A closed one.
    pub(crate) fn new(block: CircuitBreaker, now: Instant) -> Self {
        let state = State::closed(&block, now);
        Self { block, state, era: 0 }
    }

    /// Goes by this block from now on: closed, unless it is the one of before, on or off.
    pub(crate) fn configure(&mut self, block: &CircuitBreaker, now: Instant) {
        let enabled = self.block.enabled;
        let same = CircuitBreaker {
            enabled,
            ..block.clone()
        };
        if self.block != same {
            self.block = block.clone();
            self.forget(now);
        }
    }

    /// Closed, as if nothing had been.
    pub(crate) fn forget(&mut self, now: Instant) {
        let closed = State::closed(&self.block, now);
        self.go(closed);
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Closed { .. } => Phase::Closed,
            State::Open { .. } => Phase::Open,
            State::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    /// A request comes.
    ///
    /// # Errors
    /// It may not pass. After so long another may; zero: nobody knows.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        if let State::Open { until } = self.state {
            let rest = until.saturating_duration_since(now);
            if !rest.is_zero() {
                return Err(rest);
            }
            self.go(State::HalfOpen {
                trying: 0,
                successes: 0,
            });
        }
        if let State::HalfOpen { trying, .. } = &mut self.state {
            if *trying >= self.block.half_open_max_requests {
                return Err(Duration::ZERO);
            }
            *trying += 1;
        }
        Ok(Ticket(self.era))
    }

    /// The answer has begun, or there will be none: if it was a trial, there is room for another. Once for each ticket.
    pub(crate) fn answered(&mut self, ticket: Ticket) {
        if let State::HalfOpen { trying, .. } = &mut self.state
            && ticket.0 == self.era
        {
            *trying = trying.saturating_sub(1);
        }
    }

    /// It is known how the request ended. At most once for each ticket.
    pub(crate) fn ended(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) {
        if ticket.0 != self.era {
            return;
        }
        let failed = outcome == Outcome::Failure;
        let block = &self.block;
        let opens = match &mut self.state {
            State::Closed { in_a_row, window } => {
                *in_a_row = if failed { in_a_row.saturating_add(1) } else { 0 };
                let (failures, all) = window.add(failed, now);
                let share = 100.0 * failures as f64 / all as f64;
                *in_a_row >= block.failure_threshold
                    || (all >= u64::from(block.min_requests_for_rate) && share >= block.failure_rate_threshold)
            }
            State::HalfOpen { successes, .. } => {
                *successes += u32::from(!failed);
                if *successes >= block.success_threshold {
                    let closed = State::closed(block, now);
                    return self.go(closed);
                }
                failed
            }
            // Nothing is let pass in it.
            State::Open { .. } => false,
        };
        if opens {
            let until = now + Duration::from_millis(block.timeout_ms);
            self.go(State::Open { until });
        }
    }

    fn go(&mut self, state: State) {
        self.state = state;
        self.era += 1;
    }
}

impl State {
    fn closed(block: &CircuitBreaker, now: Instant) -> Self {
        Self::Closed {
            in_a_row: 0,
            window: Window::new(Duration::from_millis(block.rolling_window_ms), now),
        }
    }
}

#[cfg(test)]
mod tests;
