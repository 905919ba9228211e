use fracas_core::chaos::ChaosConfig;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn config(text: &str) -> ChaosConfig {
    serde_json::from_str(text).unwrap()
}

fn answer(status: u16, took: u32) -> Heard {
    Heard::Answer {
        status,
        took: took * MS,
        whole: true,
    }
}

/// What is known when this was heard, and others were met.
fn measured(config: &ChaosConfig, heard: Vec<Heard>) -> Measured {
    measured_with(config, heard, MS)
}

fn measured_with(config: &ChaosConfig, heard: Vec<Heard>, without: Duration) -> Measured {
    let mut known = Known::default();
    for one in &heard {
        Expected::of(config).count(one, without, &mut known);
    }
    Measured {
        known,
        heard,
        without,
        bystander: None,
        report: Report { asked: 9, hit: 3 },
        own: 5,
    }
}

fn landed(text: &str, heard: Vec<Heard>) -> Landed {
    let config = config(text);
    measured(&config, heard).judge(&config, 80).1
}

#[track_caller]
fn no(landed: Landed, why: &str) {
    let Landed::No(said) = landed else { panic!("{landed:?}") };
    assert!(said.contains(why), "{said}");
}

const ERRORS: &str = r#"{ "fault_injection": { "http_errors": [503], "http_error_probability": 0.5 } }"#;
const DELAY: &str = r#"{ "latency": { "fixed_delay_ms": 100 } }"#;

fn some(failed: usize, passed: usize) -> Vec<Heard> {
    [vec![answer(503, 1); failed], vec![answer(200, 1); passed]].concat()
}

#[test]
fn a_share_of_failures_lands_and_another_share_does_not() {
    assert_eq!(landed(ERRORS, some(9, 11)), Landed::Yes);
    no(landed(ERRORS, some(20, 0)), "whatever chance does");
    no(landed(ERRORS, some(0, 20)), "whatever chance does");
    assert_eq!(
        landed(ERRORS, vec![Heard::Ended; 10].into_iter().chain(some(0, 10)).collect()),
        Landed::Yes
    );
    let small = r#"{ "fault_injection": { "http_errors": [503], "http_error_probability": 0.01 } }"#;
    assert!(matches!(landed(small, some(0, 20)), Landed::Unmeasured(_)));
    no(landed(small, some(8, 12)), "whatever chance does");
}

#[test]
fn several_kinds_of_failures_add_up() {
    let both = r#"{ "fault_injection": { "http_errors": [503], "http_error_probability": 0.5, "connection_errors": true,
        "connection_error_probability": 0.5 }, "traffic_shaping": { "packet_loss_percent": 20 } }"#;
    let expected = Expected::of(&config(both));
    assert!((expected.failed - 0.8).abs() < 1e-9 && expected.harmed.abs() < 1e-9);
    let whole =
        r#"{ "fault_injection": { "http_errors": [], "partial_responses": true, "partial_response_probability": 1 } }"#;
    let broken = Heard::Answer {
        status: 200,
        took: MS,
        whole: false,
    };
    assert_eq!(landed(whole, vec![broken; 3]), Landed::Yes);
    no(landed(whole, vec![answer(200, 1); 3]), "0.0% of 3");
}

#[test]
fn a_delay_is_seen_and_one_that_is_too_long_is_not_the_one() {
    let of = |took| landed(DELAY, vec![answer(200, took); 3]);
    assert_eq!(of(102), Landed::Yes);
    no(of(60), "0.0% of 3");
    no(of(200), "199.0ms late");
    // Held for longer than anybody listens.
    let long = r#"{ "latency": { "fixed_delay_ms": 30000 } }"#;
    assert_eq!(landed(long, vec![Heard::Open; 3]), Landed::Yes);
    no(landed(DELAY, vec![Heard::Open; 3]), "3 of 3 probes failed");
    let half = r#"{ "latency": { "distribution": { "exponential": { "lambda": 0.01 } } } }"#;
    let expected = Expected::of(&config(half));
    assert!((expected.late.share - 0.5).abs() < 1e-9 && (expected.late.from - 69.3).abs() < 0.1);
    let spread = [vec![answer(200, 20); 10], vec![answer(200, 300); 10]].concat();
    assert_eq!(landed(half, spread), Landed::Yes);
    let tiny = r#"{ "latency": { "fixed_delay_ms": 1 } }"#;
    assert!(matches!(landed(tiny, vec![answer(200, 3); 3]), Landed::Unmeasured(why) if why.contains("cannot be told")));
}

#[test]
fn a_range_from_nothing_is_told_by_its_middle() {
    let range = r#"{ "latency": { "random_delay_range_ms": [0, 100] } }"#;
    let expected = Expected::of(&config(range));
    assert!((expected.late.share - 0.5).abs() < 1e-9 && (expected.late.from - 50.0).abs() < 1e-9);
    let spread = [vec![answer(200, 20); 10], vec![answer(200, 80); 10]].concat();
    assert_eq!(landed(range, spread), Landed::Yes);
    no(landed(range, vec![answer(200, 1); 20]), "0.0% of 20");
    // Half as long to one side is more than half as long to the other.
    let jitter = r#"{ "latency": { "random_delay_range_ms": [0, 100], "jitter_percent": 50 } }"#;
    let expected = Expected::of(&config(jitter));
    assert!((expected.late.share - 0.4507).abs() < 0.001, "{}", expected.late.share);
}

#[test]
fn what_an_answer_takes_anyway_is_no_delay() {
    let half = config(r#"{ "latency": { "distribution": { "normal": { "mean_ms": 100, "std_dev_ms": 20 } } } }"#);
    // Of all these 110 ms and 90 ms, 20 ms are the machine's.
    let heard = [vec![answer(200, 110); 10], vec![answer(200, 130); 10]].concat();
    assert_eq!(
        measured_with(&half, heard.clone(), 20 * MS).known.late,
        Tally { seen: 10, of: 20 }
    );
    assert_eq!(measured_with(&half, heard, MS).known.late.seen, 20);
}

#[test]
fn what_fails_though_nothing_was_to_is_no_fault_of_ours() {
    no(landed(DELAY, some(3, 0)), "3 of 3 probes failed, and none was to");
}

#[test]
fn a_bystander_and_others_are_part_of_it() {
    let config = config(ERRORS);
    let good = measured(&config, some(9, 11));
    let hit = Measured {
        bystander: Some("a connection to port 7 came to somebody else".to_owned()),
        ..good.clone()
    };
    no(hit.judge(&config, 80).1, "port 7 came to somebody else");
    let silent = Measured {
        report: Report::default(),
        ..good.clone()
    };
    no(
        silent.judge(&config, 80).1,
        "no request came by 5 connections to port 80",
    );
    let nobody = Measured { own: 0, ..silent };
    no(
        nobody.judge(&config, 80).1,
        "nobody else opened a connection to port 80",
    );
    assert_eq!(good.effect(), "3 of 9 requests of others were hit, in 5 connections");
}

#[test]
fn what_counts_requests_is_not_measured() {
    let limit = r#"{ "rate_limit": {} }"#;
    assert!(matches!(landed(limit, some(0, 3)), Landed::Unmeasured(_)));
    no(landed(limit, some(3, 0)), "none was to");
    let pattern = r#"{ "fault_injection": { "error_pattern": { "type": "burst", "count": 2, "interval_ms": 100 } } }"#;
    assert!(matches!(landed(pattern, some(0, 3)), Landed::Unmeasured(_)));
}
