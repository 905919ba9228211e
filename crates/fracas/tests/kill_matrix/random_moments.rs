//! Blows at random moments between the first injection that is planned and the last that is clean.

use std::ops::Range;
use std::sync::Mutex;

use fracas_core::seed::Seed;

use crate::cases::{self, Case};
use crate::fall::{Fall, Scene, When};
use crate::support::{Bench, Blow, reap_orphans};
use crate::{AT_ONCE, in_threads, table};

/// The full matrix takes long, most of which it waits for the engine: more goes on at once, and the machine is measured a little, too.
const AT_ONCE_IN_FULL: usize = 12;
/// Blows that one target gets in the full matrix, so that no fault has its turn alone at the end.
const ON_ONE_TARGET: u64 = 20;

/// Blows, over all faults and kinds.
const KILLS: u64 = 200;
/// Where nothing else is said.
const SEED: u64 = 20_261_121;

#[test]
fn blows_at_random_moments_leave_nothing() {
    let bench = Bench::new();
    let seed = Seed(number("FRACAS_SEED").unwrap_or(SEED));
    let cases = cases::all();
    let each_kind = number("FRACAS_KILLS_EACH");
    let per_case = match each_kind {
        Some(each) => each * Blow::ALL.len() as u64,
        None => number("FRACAS_KILLS").unwrap_or(KILLS).div_ceil(cases.len() as u64),
    };
    println!("{} blows, seed {}", per_case * cases.len() as u64, seed.0);
    let falls = Mutex::new(Vec::new());
    let (at_once, on_one) = match each_kind {
        Some(_) => (AT_ONCE_IN_FULL, ON_ONE_TARGET),
        None => (AT_ONCE, per_case),
    };
    let work: Vec<_> = (0..per_case.div_ceil(on_one))
        .flat_map(|turn| {
            let ordinals = turn * on_one..per_case.min((turn + 1) * on_one);
            cases.iter().map(move |case| (*case, ordinals.clone()))
        })
        .collect();
    in_threads(at_once, work, |(case, ordinals)| each(&case, seed, ordinals, &falls));
    let falls = falls.into_inner().unwrap();
    table::print("random moments", &falls);
    // Of thousands, one in a hundred may meet a machine that does something else for a second.
    let late_at_most = each_kind.map_or(0, |_| falls.len() / 100);
    table::check(&falls, late_at_most);
    bench.finish();
}

fn each(case: &Case, seed: Seed, ordinals: Range<u64>, falls: &Mutex<Vec<Fall>>) {
    let Some(mut scene) = Scene::new(case) else { return };
    for ordinal in ordinals {
        // The kinds in turn: each comes as often as the others.
        let blow = Blow::ALL[ordinal as usize % Blow::ALL.len()];
        let delay = case.span.mul_f64(seed.draw("moment", case.fault, ordinal).uniform());
        let fall = scene.strike(blow, When::After(delay));
        println!("{fall} ({} ms after planned)", delay.as_millis());
        falls.lock().unwrap().push(fall);
    }
    reap_orphans();
}

#[track_caller]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
