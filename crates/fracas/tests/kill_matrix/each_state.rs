//! Each fault, in each state, struck in each way, once.

use std::sync::Mutex;

use fracas_core::record::State;

use crate::cases::{self, Case};
use crate::fall::{Fall, Scene, When};
use crate::support::{Bench, Blow};
use crate::{AT_ONCE, in_threads, table};

/// `planned`: the way back is on disk and the fault may be on or not. `applied`: it is on. `clean`: it is over and the run goes on.
const STATES: [State; 3] = [State::Planned, State::Applied, State::Clean];

/// How often a blow is struck until one falls where it was aimed: `planned` may last for less than a look takes.
const TRIES: usize = 5;

#[test]
fn every_fault_struck_in_every_state_in_every_way_leaves_nothing() {
    let bench = Bench::new();
    let falls = Mutex::new(Vec::new());
    let cases = cases::all();
    in_threads(AT_ONCE, cases.clone(), |case| each(&case, &falls));
    let falls = falls.into_inner().unwrap();
    table::print("each state", &falls);
    table::check(&falls, 0);
    for case in cases {
        for state in STATES {
            let struck = falls.iter().any(|fall| fall.fault == case.fault && fall.at == state);
            let none = falls.iter().all(|fall| fall.fault != case.fault);
            assert!(struck || none, "no blow fell at {state} of {}", case.fault);
        }
    }
    bench.finish();
}

fn each(case: &Case, falls: &Mutex<Vec<Fall>>) {
    let Some(mut scene) = Scene::new(case) else { return };
    for state in STATES {
        for blow in Blow::ALL {
            for _ in 0..TRIES {
                let fall = scene.strike(blow, When::At(state));
                println!("{fall}");
                let at = fall.at;
                falls.lock().unwrap().push(fall);
                // The kernel's killer takes longer than `planned` lasts, unless the engine is asked.
                if at == state || blow == Blow::Oom {
                    break;
                }
                assert_eq!(state, State::Planned, "{} goes past {state} to {at}", case.fault);
            }
        }
    }
}
