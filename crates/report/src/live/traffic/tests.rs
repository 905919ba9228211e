use super::super::paint::columns;
use super::*;

const SHOWN: fn() -> Shown = || Shown {
    address: "http://127.0.0.1:3000".to_owned(),
    seed: 7,
};

fn counts(of: &[(&'static str, u64)]) -> Vec<(&'static str, u64)> {
    of.to_vec()
}

fn nothing() -> Passed {
    Passed {
        requests: counts(&[("1xx", 0), ("2xx", 0), ("3xx", 0), ("4xx", 0), ("5xx", 0)]),
        faults: counts(&[("http_error", 0), ("latency", 0), ("tcp_close", 0), ("tcp_reset", 0)]),
        ..Passed::default()
    }
}

fn then() -> Passed {
    Passed {
        at: Duration::from_secs(46),
        requests: counts(&[("1xx", 0), ("2xx", 2900), ("3xx", 0), ("4xx", 11), ("5xx", 390)]),
        faults: counts(&[
            ("bulkhead", 9),
            ("http_error", 380),
            ("json_mutation", 0),
            ("latency", 1500),
            ("rate_limit", 11),
            ("tcp_close", 0),
            ("tcp_reset", 2),
        ]),
        connections: 12,
        ..Passed::default()
    }
}

/// Two seconds later.
fn now() -> Passed {
    Passed {
        at: Duration::from_secs(48),
        requests: counts(&[("1xx", 0), ("2xx", 3100), ("3xx", 0), ("4xx", 11), ("5xx", 401)]),
        faults: counts(&[
            ("bulkhead", 9),
            ("http_error", 390),
            ("json_mutation", 0),
            ("latency", 1623),
            ("rate_limit", 11),
            ("tcp_close", 0),
            ("tcp_reset", 7),
        ]),
        connections: 14,
        p50_ms: Some(12.345),
        p99_ms: Some(2010.7),
        scenarios: vec!["slow_backend".to_owned(), "spike".to_owned()],
        orchestration: Some(Orchestrated {
            name: "checkout".to_owned(),
            state: "running",
            progress: 0.439,
            steps: vec!["warm".to_owned(), "storm".to_owned()],
        }),
        ..Passed::default()
    }
}

#[test]
fn the_picture_of_a_second() {
    let traffic = Traffic::between(&then(), &now());
    insta::assert_snapshot!(traffic.picture(&SHOWN(), 100, false).join("\n"));
}

#[test]
fn the_picture_of_nothing() {
    let ends = Passed {
        ends: true,
        ..nothing()
    };
    let traffic = Traffic::between(&nothing(), &ends);
    insta::assert_snapshot!(traffic.picture(&SHOWN(), 100, false).join("\n"));
}

#[test]
fn the_line_of_a_second() {
    insta::assert_snapshot!(Traffic::between(&then(), &now()).line());
    insta::assert_snapshot!(Traffic::between(&now(), &now()).line());
    insta::assert_snapshot!(Traffic::between(&nothing(), &nothing()).line());
}

#[test]
fn the_object_of_a_second() {
    let traffic = Traffic::between(&then(), &now());
    insta::assert_snapshot!(serde_json::to_string_pretty(&traffic).unwrap());
}

// Rates are of the time that really passed, however late the second look is.
#[test]
fn rates_are_of_the_time_between_the_two() {
    let rates = |millis| {
        let later = Passed {
            at: then().at + Duration::from_millis(millis),
            ..now()
        };
        let traffic = Traffic::between(&then(), &later);
        (
            traffic.requests_per_second,
            traffic.errors_per_second,
            traffic.faults_per_second,
        )
    };
    assert_eq!(rates(1000), (211.0, 16.0, 138.0));
    assert_eq!(rates(4000), (52.75, 4.0, 34.5));
    assert_eq!(rates(0), (0.0, 0.0, 0.0));
}

#[test]
fn colours_do_not_change_what_is_shown_and_nothing_is_wider_than_it_may_be() {
    let hostile = Passed {
        scenarios: (0..100).map(|n| format!("漢字漢字\u{1b}[2J{n}")).collect(),
        orchestration: Some(Orchestrated {
            name: "o\u{7}\u{1b}]0;x\u{7}".to_owned(),
            state: "running",
            progress: 1.0,
            steps: (0..100).map(|n| format!("step\n{n}")).collect(),
        }),
        ..now()
    };
    for passed in [now(), nothing(), hostile] {
        let traffic = Traffic::between(&then(), &passed);
        assert!(!traffic.line().contains(char::is_control), "{:?}", traffic.line());
        assert!(traffic.line().len() < 1000, "{:?}", traffic.line());
        for width in [0, 1, 10, 40, 79, 200] {
            let plain = traffic.picture(&SHOWN(), width, false);
            let coloured = traffic.picture(&SHOWN(), width, true);
            let bare: Vec<String> = coloured
                .iter()
                .map(|line| super::super::tests::without_sgr(line))
                .collect();
            assert_eq!(bare, plain);
            assert!(plain.len() <= 8, "{plain:?}");
            assert!(plain.iter().all(|line| columns(line) <= width), "{plain:?}");
            assert!(!plain.iter().any(|line| line.contains(char::is_control)), "{plain:?}");
        }
    }
}

#[test]
fn errors_are_seen_and_silence_is_dim() {
    let picture = Traffic::between(&then(), &now()).picture(&SHOWN(), 100, true);
    assert!(picture[2].contains("\u{1b}[31m8/s"), "{:?}", picture[2]);
    let picture = Traffic::between(&now(), &now()).picture(&SHOWN(), 100, true);
    assert!(picture[2].contains("\u{1b}[2m0/s"), "{:?}", picture[2]);
}
