//! The tables of the benchmarks say what was measured.

#[path = "../../benches/scale/figures.rs"]
mod figures;

use std::time::Duration;

use figures::{Figures, cost, judged, ratio, replace, table};

fn figures(rounds: &[f64]) -> Figures {
    let mut figures = Figures::of("MiB");
    for figure in rounds {
        figures.add(*figure);
    }
    figures
}

#[test]
fn the_median_stands_with_the_two_ends() {
    assert_eq!(figures(&[5.0, 1.0, 2.25]).to_string(), "2.2 MiB (1.0..5.0)");
    assert_eq!(figures(&[5.0, 1.0]).to_string(), "5.0 MiB (1.0..5.0)");
    assert_eq!(figures(&[5.0]).to_string(), "5.0 MiB");
    let mut times = Figures::times();
    times.took(Duration::from_micros(1500));
    assert_eq!(times.to_string(), "1.5 ms");
}

#[test]
fn what_was_not_measured_is_no_figure() {
    let none = Figures::times();
    assert_eq!(none.to_string(), "not here");
    assert!(none.median().is_nan());
    assert_eq!(ratio(&none, &figures(&[2.0])), "");
    assert_eq!(ratio(&figures(&[3.0]), &figures(&[2.0])), "1.5 ×");
}

#[test]
fn a_bound_may_be_reached_and_what_was_not_measured_does_not_keep_it() {
    assert_eq!(judged(50.0, 50.0), "kept");
    assert_eq!(judged(-1.0, 0.0), "kept");
    for missed in [50.1, f64::NAN] {
        assert_eq!(judged(missed, 50.0), "**missed**");
    }
}

#[test]
fn a_table_has_a_head_and_rows() {
    let rows = [vec!["1".to_owned(), "2".to_owned()]];
    assert_eq!(table(&["a", "b"], &rows), "| a | b |\n|---|---|\n| 1 | 2 |\n");
}

#[test]
fn the_price_of_a_run_is_not_that_of_a_target() {
    // 40 ms for the run, 1 ms for each.
    let text = cost(&[(1, 41.0), (10, 50.0), (100, 140.0)]);
    for line in [
        "| 1 | 41.00 ms |  |",
        "| 10 | 5.00 ms | 1.00 ms |",
        "| 100 | 1.40 ms | 1.00 ms |",
        "Per target, 100 cost 0.28 × what 10 cost (bound: 1.5 ×).",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn one_section_takes_the_place_of_its_elder() {
    let page = "# All\n\nHead.\n\n## One\n\n1\n\n## Two\n\n2\n";
    assert_eq!(
        replace(page, "## One\n\nnew\n\n## Three\n\n3\n\n"),
        "# All\n\nHead.\n\n## One\n\nnew\n\n## Two\n\n2\n\n## Three\n\n3\n"
    );
    assert_eq!(replace(page, ""), page);
}
