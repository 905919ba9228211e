//! The circuit breaker of a proxy, and the requests that it let pass.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fracas_core::chaos::CircuitBreaker;
use fracas_telemetry::proxy::Level;
use hyper::StatusCode;

use crate::faults::circuit::{Circuit, Outcome, Phase, Ticket};

/// The breaker. It is one for as long as the proxy lives, whatever its block says.
#[derive(Debug)]
pub(crate) struct Breaker {
    circuit: Mutex<Circuit>,
    /// Shows its state.
    level: Level,
}

/// A request that was let pass, until it is known how it ended. Dropped before, it says nothing and takes no room.
#[derive(Debug)]
pub(crate) struct Passing {
    breaker: Arc<Breaker>,
    ticket: Ticket,
    is_answered: bool,
}

impl Breaker {
    pub(crate) fn new(block: Option<&CircuitBreaker>, level: Level) -> Arc<Self> {
        let circuit = Circuit::new(block.cloned().unwrap_or_default(), Instant::now());
        Arc::new(Self {
            circuit: Mutex::new(circuit),
            level,
        })
    }

    /// Goes by this block from now on. Without one it forgets what was.
    pub(crate) fn configure(&self, block: Option<&CircuitBreaker>) {
        let now = Instant::now();
        self.with(|circuit| match block {
            Some(block) => circuit.configure(block, now),
            None => circuit.forget(now),
        });
    }

    pub(crate) fn phase(&self) -> Phase {
        self.with(|circuit| circuit.phase())
    }

    /// Lets a request pass.
    ///
    /// # Errors
    /// It may not. After so long another may; zero: nobody knows.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Passing, Duration> {
        let now = Instant::now();
        let ticket = self.with(|circuit| circuit.admit(now))?;
        Ok(Passing {
            breaker: Arc::clone(self),
            ticket,
            is_answered: false,
        })
    }

    /// Looks and changes with nobody in between.
    fn with<T>(&self, does: impl FnOnce(&mut Circuit) -> T) -> T {
        // What is in there is whole at every moment.
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let done = does(&mut circuit);
        self.level.set(match circuit.phase() {
            Phase::Closed => 0,
            Phase::Open => 1,
            Phase::HalfOpen => 2,
        });
        done
    }
}

impl Passing {
    /// The answer has begun, with this status. Gives back a request whose end is yet to be seen.
    pub(crate) fn answered(mut self, status: StatusCode) -> Option<Self> {
        if status.is_server_error() {
            self.ended(Outcome::Failure);
            return None;
        }
        self.make_room();
        status.is_success().then_some(self)
    }

    /// It is known how it ended.
    pub(crate) fn ended(self, outcome: Outcome) {
        let now = Instant::now();
        self.breaker.with(|circuit| circuit.ended(self.ticket, outcome, now));
    }

    fn make_room(&mut self) {
        if !self.is_answered {
            self.is_answered = true;
            self.breaker.with(|circuit| circuit.answered(self.ticket));
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.make_room();
    }
}
