//! What all the blows came to.

use std::collections::BTreeMap;
use std::time::Duration;

use fracas_core::record::State;

use crate::fall::Fall;
use crate::support::Blow;

/// The row of one kind of blow.
#[derive(Debug, Default)]
struct Row {
    millis: Vec<u128>,
    states: BTreeMap<State, usize>,
}

/// Prints for each kind of blow how many fell, how long it took without the engine, and in which states they fell.
pub(crate) fn print(title: &str, falls: &[Fall]) {
    let mut rows: BTreeMap<Blow, Row> = BTreeMap::new();
    for fall in falls {
        let row = rows.entry(fall.blow).or_default();
        row.millis.push(fall.clean.saturating_sub(fall.engine).as_millis());
        *row.states.entry(fall.at).or_default() += 1;
    }
    println!("\n{title}: milliseconds until the system was as before, without the engine's own");
    println!("  kind     n    p50    p99    max  struck at");
    for (blow, mut row) in rows {
        row.millis.sort_unstable();
        let at = |share: f64| row.millis[((row.millis.len() - 1) as f64 * share).ceil() as usize];
        let states: Vec<_> = row
            .states
            .iter()
            .map(|(state, count)| format!("{state} {count}"))
            .collect();
        println!(
            "  {:<5} {:>4} {:>6} {:>6} {:>6}  {}",
            blow.name(),
            row.millis.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            states.join(", ")
        );
    }
    println!();
}

/// Every blow was undone within its bound, and most of them well within.
#[track_caller]
pub(crate) fn check(falls: &[Fall]) {
    let late: Vec<_> = falls
        .iter()
        .filter(|fall| fall.clean.saturating_sub(fall.engine) > fall.bound())
        .map(ToString::to_string)
        .collect();
    assert!(
        late.is_empty(),
        "later than the bound of {:?}: {late:#?}",
        Duration::from_secs(1)
    );
}
