//! What all the blows came to.

use std::collections::BTreeMap;

use fracas_core::record::State;

use crate::fall::Fall;
use crate::support::Blow;

/// The row of one kind of blow.
#[derive(Debug, Default)]
struct Row {
    millis: Vec<u128>,
    states: BTreeMap<State, usize>,
}

/// Prints for each kind of blow how many fell and in which states, and how long the undo took without the engine. Blows that fell when
/// everything was over had nothing to undo and would only make the times look better.
pub(crate) fn print(title: &str, falls: &[Fall]) {
    let mut rows: BTreeMap<Blow, Row> = BTreeMap::new();
    for fall in falls {
        let row = rows.entry(fall.blow).or_default();
        if !fall.at.is_over() {
            row.millis.push(fall.clean.saturating_sub(fall.engine).as_millis());
        }
        *row.states.entry(fall.at).or_default() += 1;
    }
    println!("\n{title}: milliseconds until the system was as before, without the engine's own");
    println!("  kind     n   undone    p50    p99    max  struck at");
    for (blow, mut row) in rows {
        row.millis.sort_unstable();
        let at = |share: f64| {
            let last = row.millis.len().saturating_sub(1);
            row.millis
                .get((last as f64 * share).ceil() as usize)
                .copied()
                .unwrap_or(0)
        };
        let states: Vec<_> = row
            .states
            .iter()
            .map(|(state, count)| format!("{state} {count}"))
            .collect();
        println!(
            "  {:<5} {:>4}   {:>6} {:>6} {:>6} {:>6}  {}",
            blow.name(),
            row.states.values().sum::<usize>(),
            row.millis.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            states.join(", ")
        );
    }
    println!();
}

/// Every blow was undone within its bound, but for so many.
#[track_caller]
pub(crate) fn check(falls: &[Fall], late_at_most: usize) {
    let late: Vec<_> = falls
        .iter()
        .filter(|fall| fall.clean.saturating_sub(fall.engine) > fall.bound())
        .map(ToString::to_string)
        .collect();
    println!("later than the bound: {} of {}", late.len(), falls.len());
    assert!(late.len() <= late_at_most, "later than the bound: {late:#?}");
}
