//! Each fault, in each state, struck in each way, once.

use std::sync::Mutex;

use fracas_core::record::State;

use crate::cases::{self, Case};
use crate::fall::{Fall, When, strike};
use crate::support::{Bench, Blow};
use crate::{in_threads, table};

/// `planned`: the way back is on disk and the fault may be on or not. `applied`: it is on. `clean`: it is over and the run goes on.
const STATES: [State; 3] = [State::Planned, State::Applied, State::Clean];

#[test]
fn every_fault_struck_in_every_state_in_every_way_leaves_nothing() {
    let bench = Bench::new();
    let falls = Mutex::new(Vec::new());
    in_threads(cases::all(), |case| each(&case, &falls));
    let falls = falls.into_inner().unwrap();
    table::print("each state", &falls);
    table::check(&falls);
    bench.finish();
}

fn each(case: &Case, falls: &Mutex<Vec<Fall>>) {
    let Some(target) = case.target() else { return };
    let before = target.look();
    for state in STATES {
        for blow in Blow::ALL {
            let fall = strike(case, &target, &before, blow, When::At(state));
            println!("{fall}");
            falls.lock().unwrap().push(fall);
        }
    }
}
