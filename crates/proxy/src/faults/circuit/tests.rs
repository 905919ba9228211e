use super::Outcome::{Failure, Success};
use super::*;

/// A machine with a clock of its own.
struct Clock {
    circuit: Circuit,
    begun: Instant,
    millis: u64,
}

fn by(block: CircuitBreaker) -> Clock {
    let begun = Instant::now();
    Clock {
        circuit: Circuit::new(block, begun),
        begun,
        millis: 0,
    }
}

/// After two failures in a row, for a second; then two at a time, and two successes close it. The share is out of the way.
fn block() -> CircuitBreaker {
    CircuitBreaker {
        failure_threshold: 2,
        success_threshold: 2,
        timeout_ms: 1000,
        half_open_max_requests: 2,
        min_requests_for_rate: u32::MAX,
        ..CircuitBreaker::default()
    }
}

impl Clock {
    fn now(&self) -> Instant {
        self.begun + Duration::from_millis(self.millis)
    }

    fn admit(&mut self) -> Result<Ticket, Duration> {
        let now = self.now();
        self.circuit.admit(now)
    }

    fn end(&mut self, ticket: Ticket, outcome: Outcome) {
        let now = self.now();
        self.circuit.answered(ticket);
        self.circuit.ended(ticket, outcome, now);
    }

    fn pass(&mut self, outcome: Outcome) {
        let ticket = self.admit().unwrap();
        self.end(ticket, outcome);
    }

    /// Open, and then as much later as it stays so.
    fn opened(mut self) -> Self {
        self.pass(Failure);
        self.pass(Failure);
        assert_eq!(self.circuit.phase(), Phase::Open);
        self.millis += 1000;
        self
    }
}

#[test]
fn failures_in_a_row_open_it_and_others_do_not() {
    let mut clock = by(block());
    for outcome in [Failure, Success, Failure, Success, Success, Failure] {
        clock.pass(outcome);
        assert_eq!(clock.circuit.phase(), Phase::Closed);
    }
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
}

#[test]
fn what_counts_for_neither_breaks_no_row() {
    let mut clock = by(block());
    clock.pass(Failure);
    let gone = clock.admit().unwrap();
    clock.circuit.answered(gone);
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
}

#[test]
fn open_it_lets_nothing_pass_and_says_for_how_long() {
    let mut clock = by(block()).opened();
    clock.millis -= 1000;
    assert_eq!(clock.admit(), Err(Duration::from_secs(1)));
    clock.millis += 999;
    assert_eq!(clock.admit(), Err(Duration::from_millis(1)));
    assert_eq!(clock.circuit.phase(), Phase::Open);
    clock.millis += 1;
    assert!(clock.admit().is_ok());
    assert_eq!(clock.circuit.phase(), Phase::HalfOpen);
}

#[test]
fn half_open_successes_close_it() {
    let mut clock = by(block()).opened();
    clock.pass(Success);
    assert_eq!(clock.circuit.phase(), Phase::HalfOpen);
    clock.pass(Success);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
    // Nothing of before is left: one failure is one.
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
}

#[test]
fn half_open_one_failure_opens_it_for_as_long_as_before() {
    let mut clock = by(block()).opened();
    clock.pass(Success);
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
    assert_eq!(clock.admit(), Err(Duration::from_secs(1)));
    clock.millis += 1000;
    // The success of the time before does not count.
    clock.pass(Success);
    assert_eq!(clock.circuit.phase(), Phase::HalfOpen);
}

#[test]
fn half_open_there_is_room_for_so_many_and_again_when_one_has_gone() {
    let mut clock = by(block()).opened();
    let (one, other) = (clock.admit().unwrap(), clock.admit().unwrap());
    assert_eq!(clock.admit(), Err(Duration::ZERO));
    // A client that goes away says nothing, and makes room: it does not stay half-open for ever.
    clock.circuit.answered(one);
    let third = clock.admit().unwrap();
    assert_eq!(clock.admit(), Err(Duration::ZERO));
    clock.end(third, Success);
    clock.end(other, Success);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
}

// An answer whose body comes for an hour does not keep others from being tried.
#[test]
fn a_trial_whose_answer_has_begun_makes_room_and_counts_at_its_end() {
    let mut clock = by(CircuitBreaker {
        half_open_max_requests: 1,
        success_threshold: 1,
        ..block()
    })
    .opened();
    let long = clock.admit().unwrap();
    clock.circuit.answered(long);
    let other = clock.admit().unwrap();
    let now = clock.now();
    clock.circuit.ended(long, Failure, now);
    assert_eq!(clock.circuit.phase(), Phase::Open);
    // What is late changes nothing, and makes no room where none was taken.
    clock.end(other, Success);
    assert_eq!(clock.circuit.phase(), Phase::Open);
}

#[test]
fn what_was_let_pass_before_a_change_counts_no_more() {
    let mut clock = by(block());
    let late: Vec<Ticket> = (0..4).map(|_| clock.admit().unwrap()).collect();
    let mut clock = clock.opened();
    let trials = [clock.admit().unwrap(), clock.admit().unwrap()];
    for ticket in &late[..2] {
        clock.end(*ticket, Success);
    }
    assert_eq!(clock.circuit.phase(), Phase::HalfOpen);
    assert_eq!(clock.admit(), Err(Duration::ZERO));
    clock.end(late[2], Failure);
    assert_eq!(clock.circuit.phase(), Phase::HalfOpen);
    for ticket in trials {
        clock.end(ticket, Success);
    }
    assert_eq!(clock.circuit.phase(), Phase::Closed);
    clock.end(late[3], Failure);
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
}

/// Opens by the share alone.
fn by_share() -> CircuitBreaker {
    CircuitBreaker {
        failure_threshold: u32::MAX,
        failure_rate_threshold: 50.0,
        min_requests_for_rate: 4,
        rolling_window_ms: 6400,
        ..CircuitBreaker::default()
    }
}

#[test]
fn a_share_opens_it_once_there_are_enough() {
    let mut clock = by(by_share());
    for outcome in [Failure, Failure, Success] {
        clock.pass(outcome);
        assert_eq!(clock.circuit.phase(), Phase::Closed);
    }
    clock.pass(Success);
    assert_eq!(clock.circuit.phase(), Phase::Open);
    let mut clock = by(by_share());
    for outcome in [Success, Success, Success, Failure, Failure] {
        clock.pass(outcome);
        assert_eq!(clock.circuit.phase(), Phase::Closed);
    }
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
}

// The original has it over its whole life: after a good hour nothing opens it.
#[test]
fn the_share_is_that_of_the_window() {
    let mut clock = by(by_share());
    for _ in 0..1000 {
        clock.pass(Success);
    }
    clock.millis = 6400;
    for _ in 0..3 {
        clock.pass(Failure);
        assert_eq!(clock.circuit.phase(), Phase::Closed);
    }
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
}

#[test]
fn without_a_time_to_stay_open_the_next_request_is_a_trial() {
    let mut clock = by(CircuitBreaker {
        timeout_ms: 0,
        ..block()
    });
    clock.pass(Failure);
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
    assert!(clock.admit().is_ok());
}

#[test]
fn what_is_forgotten_counts_no_more() {
    let mut clock = by(block());
    clock.pass(Failure);
    let late = clock.admit().unwrap();
    let now = clock.now();
    clock.circuit.forget(now);
    clock.pass(Failure);
    clock.end(late, Failure);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
}

#[test]
fn another_block_closes_it_and_the_same_changes_nothing() {
    let mut clock = by(block()).opened();
    let now = clock.now();
    let off = CircuitBreaker {
        enabled: false,
        ..block()
    };
    clock.circuit.configure(&off, now);
    clock.circuit.configure(&block(), now);
    assert_eq!(clock.circuit.phase(), Phase::Open);
    let trial = clock.admit().unwrap();
    let other = CircuitBreaker {
        failure_threshold: 1,
        ..block()
    };
    clock.circuit.configure(&other, now);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
    clock.end(trial, Failure);
    assert_eq!(clock.circuit.phase(), Phase::Closed);
    clock.pass(Failure);
    assert_eq!(clock.circuit.phase(), Phase::Open);
}
