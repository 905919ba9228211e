use fracas_core::record::UndoClass;
use fracas_core::units::Span;

use super::*;
use crate::samples;

fn after(events: &[Event]) -> Live {
    let mut live = Live::default();
    for event in events {
        live.apply(event);
    }
    live
}

/// The view while the faults are on.
fn on() -> Live {
    let events = samples::passed();
    let until = events.iter().position(|event| event.elapsed_ms >= 60_000).unwrap();
    after(&events[..until])
}

#[test]
fn the_picture_while_faults_are_on() {
    insta::assert_snapshot!(on().render(100, 47_000, false).join("\n"));
}

#[test]
fn the_picture_of_a_run_that_was_stopped() {
    insta::assert_snapshot!(after(&samples::aborted()).render(100, 46_000, false).join("\n"));
}

#[test]
fn colours_do_not_change_what_is_shown() {
    for (_, events) in samples::all() {
        let live = after(&events);
        for width in [0, 1, 10, 40, 100] {
            let plain = live.render(width, 46_000, false);
            let coloured = live.render(width, 46_000, true);
            let bare: Vec<String> = coloured.iter().map(|line| without_sgr(line)).collect();
            assert_eq!(bare, plain);
            assert!(plain.iter().all(|line| paint::columns(line) <= width), "{plain:?}");
        }
    }
    assert!(on().render(100, 0, true)[0].starts_with("\u{1b}[1m"));
}

pub(super) fn without_sgr(line: &str) -> String {
    let mut out = String::new();
    for (n, part) in line.split("\u{1b}[").enumerate() {
        out.push_str(if n == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    out
}

#[test]
fn time_runs_down_and_then_over() {
    let live = on();
    assert!(live.render(100, 47_000, false)[0].contains("MONITOR  0:44 left  run 0:47"));
    assert!(live.render(100, 91_000, false)[0].contains("MONITOR  0:01 over"));
}

#[test]
fn of_a_thousand_targets_those_in_trouble_are_shown() {
    let mut live = Live::default();
    for n in 0..1000 {
        let planned = What::Planned {
            injection: InjectionId(n),
            fault: "f".into(),
            kind: "memory_limit".into(),
            target: format!("web-{n}"),
            undo: UndoClass::Exact,
            change: String::new(),
            start: Span::default(),
            duration: None,
        };
        live.apply(&samples::event(0, 0, planned));
    }
    let residue = What::Injection {
        injection: InjectionId(777),
        state: State::Residue,
        how: String::new(),
        took_ms: None,
    };
    live.apply(&samples::event(0, 0, residue));
    let picture = live.render(80, 0, false);
    assert!(picture.len() < 20, "{}", picture.len());
    assert!(
        picture[2].contains("web-777") && picture[2].contains("RESIDUE"),
        "{}",
        picture[2]
    );
    assert!(picture.last().unwrap().contains("and 988 more"));
}

#[test]
fn names_that_are_wide_or_hostile_stay_in_their_columns() {
    let mut live = Live::default();
    let planned = What::Planned {
        injection: InjectionId(0),
        fault: "f".into(),
        kind: "k\u{1b}[2J".into(),
        target: "漢字漢字漢字\u{1b}]0;x\u{7}".into(),
        undo: UndoClass::Exact,
        change: String::new(),
        start: Span::default(),
        duration: None,
    };
    live.apply(&samples::event(0, 0, planned));
    for width in 0..60 {
        for line in live.render(width, 0, false) {
            assert!(paint::columns(&line) <= width && !line.contains('\u{1b}'), "{line:?}");
        }
    }
}
