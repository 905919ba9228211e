use std::fmt::Write as _;

use super::*;
use crate::lines::{Verbosity, line};
use crate::{fold, samples};

/// One form of every story in one snapshot: they are read side by side.
fn snapshot(form: &str, of: impl Fn(&Report, &[Event]) -> String) {
    let mut all = String::new();
    for (name, events) in samples::all() {
        let report = fold(events.clone());
        writeln!(all, "=== {name}\n{}", of(&report, &events)).unwrap();
    }
    insta::with_settings!({ snapshot_suffix => form, omit_expression => true }, {
        insta::assert_snapshot!(all);
    });
}

#[test]
fn summaries() {
    snapshot("native", |report, _| summary(report, Style::Native));
    snapshot("chaos_scenario", |report, _| summary(report, Style::ChaosScenario));
}

#[test]
fn files() {
    for (format, form) in [
        (Format::Markdown, "md"),
        (Format::Junit, "xml"),
        (Format::ChaosScenario, "json"),
    ] {
        snapshot(form, |report, events| render(report, events, format).unwrap());
    }
}

#[test]
fn progress() {
    for (verbosity, form) in [
        (Verbosity::Quiet, "quiet"),
        (Verbosity::Normal, "normal"),
        (Verbosity::Verbose, "verbose"),
    ] {
        snapshot(form, |_, events| {
            let lines: Vec<String> = events.iter().filter_map(|event| line(event, verbosity)).collect();
            lines.join("\n")
        });
    }
}

#[test]
fn the_whole_report_as_json() {
    let report = fold(samples::aborted());
    insta::assert_snapshot!(render(&report, &[], Format::Json).unwrap());
}

#[test]
fn the_text_of_a_scenario_is_in_the_words_of_seed_0() {
    let text = |events| render(&fold(events), &[], Format::Text).unwrap();
    assert!(
        text(samples::passed_scenario())
            .starts_with("[TEST SUMMARY] PASSED\n  Duration: 1m45.31s\n  Targets: 2\n  Faults: 1\n")
    );
    assert!(text(samples::passed()).ends_with("PASSED: every expectation held\n"));
}

#[test]
fn junit_can_be_read_by_others() {
    for (name, events) in samples::all() {
        let text = render(&fold(events), &[], Format::Junit).unwrap();
        let read = quick_junit::Report::deserialize_from_str(&text).unwrap();
        assert!(read.tests > 0, "{name}");
        let red = read.failures + read.errors > 0;
        assert_eq!(
            red,
            !name.starts_with("passed") && !["dry_run", "restart"].contains(&name),
            "{name}"
        );
    }
}

#[test]
fn ndjson_is_one_event_per_line() {
    let events = samples::passed();
    let text = render(&fold(events.clone()), &events, Format::Ndjson).unwrap();
    let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, events);
}

#[test]
fn a_form_is_known_by_its_word() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
    }
    let problem = "pdf".parse::<Format>().unwrap_err();
    assert!(
        problem
            .to_string()
            .contains("text, json, html, markdown, junit, ndjson, chaos-scenario"),
        "{problem}"
    );
}

#[test]
fn residue_prints_the_exact_commands_in_every_form_that_people_read() {
    let report = fold(samples::residue());
    let command = "echo 9223372036854771712 > /sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes";
    for text in [
        summary(&report, Style::Native),
        summary(&report, Style::ChaosScenario),
        render(&report, &[], Format::Markdown).unwrap(),
    ] {
        assert!(text.lines().any(|line| line.trim() == command), "{text}");
    }
}

const EVIL: &str = "\u{1b}[2J\u{202e}\n# heading";

/// Whether this text would be obeyed by a terminal, or has a line that was forged.
fn is_evil(text: &str) -> bool {
    text.contains(['\u{1b}', '\u{202e}']) || text.lines().any(|line| line.starts_with("# heading"))
}

/// The paths of all texts in a JSON value.
fn texts(value: &serde_json::Value, path: &str, into: &mut Vec<String>) {
    match value {
        serde_json::Value::String(_) => into.push(path.to_owned()),
        serde_json::Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                texts(item, &format!("{path}/{n}"), into);
            }
        }
        serde_json::Value::Object(fields) => {
            for (key, item) in fields {
                texts(item, &format!("{path}/{key}"), into);
            }
        }
        _ => {}
    }
}

// Every text in every event, where the types allow it: no form of output lets it through.
#[test]
fn no_text_from_outside_can_speak_to_the_terminal() {
    let mut tried = 0;
    for (name, events) in samples::all() {
        let (mut fold, mut live) = (crate::Fold::default(), crate::Live::default());
        for event in &events {
            let mut value = serde_json::to_value(event).unwrap();
            let mut paths = Vec::new();
            texts(&value, "", &mut paths);
            for path in paths {
                let place = value.pointer_mut(&path).unwrap();
                let good = place.clone();
                *place = format!("{}{EVIL}", good.as_str().unwrap()).into();
                // Ids, durations and the words of enums do not take it.
                if serde_json::from_value::<Event>(value.clone()).is_ok() {
                    tried += 1;
                } else {
                    *value.pointer_mut(&path).unwrap() = good;
                }
            }
            let evil: Event = serde_json::from_value(value).unwrap();
            fold.apply(&evil);
            live.apply(&evil);
            for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
                let text = line(&evil, verbosity).unwrap_or_default();
                assert!(!is_evil(&text), "{name}: {text:?}");
            }
            for text in live.render(500, 0, false) {
                assert!(!is_evil(&text), "{name}: {text:?}");
            }
        }
        let report = fold.report();
        assert!(!is_evil(&summary(&report, Style::ChaosScenario)), "{name}");
        for format in [Format::Text, Format::Html, Format::Markdown, Format::Junit] {
            let text = render(&report, &[], format).unwrap();
            assert!(!is_evil(&text), "{name}: {text}");
        }
    }
    assert!(tried > 500, "{tried}");
}
