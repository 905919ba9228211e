use fracas_core::chaos::ChaosConfig;

use super::super::canary::{Asks, Messages};
use super::*;
use crate::impairment::verdict::Tally;
use fracas_core::record::Landed;

const MS: Duration = Duration::from_millis(1);

fn config(text: &str) -> ChaosConfig {
    serde_json::from_str(text).unwrap()
}

fn answer(status: u16, took: u32) -> Heard {
    Heard::Answer {
        passed: status == 200,
        took: took * MS,
        whole: true,
    }
}

/// What is known when this was heard, and others were met.
fn measured(config: &ChaosConfig, heard: Vec<Heard>) -> Measured {
    measured_with(config, heard, MS)
}

fn measured_with(config: &ChaosConfig, heard: Vec<Heard>, without: Duration) -> Measured {
    let parts = ["latency 9 3", "faults 9 3"];
    let heard = heard.into_iter().map(|heard| (0, heard)).collect();
    measured_of(&Part::all(config), heard, without, &parts)
}

/// The same, where the worker has counted this of parts.
fn measured_of(parts: &[Part], heard: Vec<(usize, Heard)>, without: Duration, counted: &[&str]) -> Measured {
    let mut known = Known::default();
    known.seen.resize(parts.len(), Seen::default());
    known.count(parts, &heard, without);
    let counted = counted.iter().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        (
            words[0].to_owned(),
            (words[1].parse().unwrap(), words[2].parse().unwrap()),
        )
    });
    Measured {
        known,
        heard,
        without,
        bystander: None,
        report: Report {
            asked: 9,
            hit: 3,
            parts: counted.collect(),
        },
        own: 5,
    }
}

fn landed(text: &str, heard: Vec<Heard>) -> Landed {
    let config = config(text);
    measured(&config, heard).judge(&Part::all(&config), 80).1
}

/// The same of parts behind the first, each with what was heard for it.
fn landed_of(text: &str, heard: &[(usize, Heard)], counted: &[&str]) -> (String, Landed) {
    let parts = Part::all(&config(text));
    let for_all = vec![(0, answer(200, 1)); 3];
    measured_of(&parts, [for_all, heard.to_vec()].concat(), MS, counted).judge(&parts, 80)
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
        passed: true,
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
        measured_with(&half, heard.clone(), 20 * MS).known.seen[0].late,
        Tally { seen: 10, of: 20 }
    );
    assert_eq!(measured_with(&half, heard, MS).known.seen[0].late.seen, 20);
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
    no(hit.judge(&Part::all(&config), 80).1, "port 7 came to somebody else");
    let silent = Measured {
        report: Report::default(),
        ..good.clone()
    };
    no(
        silent.judge(&Part::all(&config), 80).1,
        "no request came by 5 connections to port 80",
    );
    let nobody = Measured { own: 0, ..silent };
    no(
        nobody.judge(&Part::all(&config), 80).1,
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

const ROUTE: &str = r#"{ "routes": [
    { "path": "/a/{b}", "fault_injection": { "fault_types": [{ "type": "http_error", "status_code": 503 }] } } ] }"#;

#[test]
fn a_route_that_nobody_called_has_not_landed() {
    let failed = vec![(1, answer(503, 1)); 3];
    let (delivered, good) = landed_of(ROUTE, &failed, &["route.0.faults 4 4"]);
    assert_eq!(good, Landed::Yes);
    assert_eq!(
        delivered,
        "/a/{b}: 100.0% failed, 3 of 3 probes, 4 hits on 4 requests of others, another port answers as ever"
    );
    no(
        landed_of(ROUTE, &failed, &["route.0.faults 0 0"]).1,
        "/a/{b}: none of 9 requests of others was for /a/{b}",
    );
    no(landed_of(ROUTE, &failed, &[]).1, "none of 9 requests of others was for");
    no(
        landed_of(ROUTE, &[(1, answer(200, 1))], &["route.0.faults 4 4"]).1,
        "/a/{b}: 0.0% of 1",
    );
    let (_, none) = landed_of(ROUTE, &failed, &["route.0.faults 4 0"]);
    assert!(
        matches!(&none, Landed::Unmeasured(why) if why.contains("none of 4 requests of others was hit")),
        "{none:?}"
    );
    let (_, untried) = landed_of(ROUTE, &[], &["route.0.faults 4 4"]);
    assert!(matches!(untried, Landed::Unmeasured(why) if why.contains("no request of ours was for it")));
    // What a route is about does not come to others.
    let parts = Part::all(&config(ROUTE));
    let all = vec![(0, answer(503, 1)), (1, answer(503, 1))];
    no(
        measured_of(&parts, all, MS, &["route.0.faults 4 4"])
            .judge(&parts, 80)
            .1,
        "1 of 1 probes failed, and none was to",
    );
}

#[test]
fn a_matcher_that_takes_nobody_has_not_landed() {
    let matched = r#"{ "fault_injection": { "http_errors": [503], "http_error_probability": 1,
        "request_matcher": { "headers": [{ "name": "x-nobody" }] } } }"#;
    let parts = Part::all(&config(matched));
    let failed = vec![(0, answer(503, 1)); 3];
    let of = |counted: &[&str]| measured_of(&parts, failed.clone(), MS, counted).judge(&parts, 80).1;
    assert_eq!(of(&["faults 2 2"]), Landed::Yes);
    no(
        of(&["faults 0 0"]),
        "none of 9 requests of others was one that `request_matcher` takes",
    );
}

#[test]
fn a_route_has_a_request_that_no_other_takes() {
    let config = config(
        r#"{ "routes": [
            { "path": "/{x}/fracas", "latency": {} }, { "path": "/a/{y}", "latency": {} },
            { "path": "/b", "method": "GET", "latency": {} }, { "path": "/b", "latency": {} },
            { "path": "/c", "method": "HEAD", "latency": {} }, { "path": "/d", "method": "CONNECT", "latency": {} },
            { "path": "/*", "method": "get", "latency": {} }, { "path": "~/e.*", "latency": {} } ] }"#,
    );
    let asks: Vec<_> = Part::all(&config)
        .into_iter()
        .map(|part| {
            let of = |asks: Asks| asks.about.unwrap_or(format!("{} {}", asks.method, asks.path));
            part.asks.map(of)
        })
        .collect();
    let expected = [
        Some("POST /"),
        Some("GET /fracas/fracas"),
        Some("GET /a/fracas0"),
        Some("GET /b"),
        Some("POST /b"),
        Some("HEAD /c"),
        None,
        Some("GET /fracas"),
        Some("route 7"),
    ];
    assert_eq!(asks, expected.map(|asks| asks.map(str::to_owned)));
}

#[test]
fn a_route_s_shares_are_those_of_its_kinds() {
    let config = config(
        r#"{ "latency": { "fixed_delay_ms": 100 }, "traffic_shaping": { "packet_loss_percent": 50 }, "routes": [
            { "path": "/a", "latency": { "enabled": false }, "fault_injection": { "probability": 0.5, "fault_types": [
                { "type": "http_error", "status_code": 503 }, { "type": "timeout", "duration_ms": 5 },
                { "type": "partial_response", "truncate_percent": 5 }, { "type": "payload_corruption", "corruption_type": "bit_flip" } ] } },
            { "path": "/b", "fault_injection": { "enabled": false } } ] }"#,
    );
    let parts = Part::all(&config);
    let of = |at: usize| {
        let expected = parts[at].expected;
        [expected.failed, expected.harmed, expected.late.share].map(|share| (share * 1000.0).round() as u32)
    };
    // Of four kinds two fail, so a quarter of all; the rest of what meets any is harmed.
    assert_eq!(of(1), [625, 333, 0]);
    assert_eq!(of(2), [500, 0, 1000]);
    assert_eq!(of(0), [500, 0, 1000]);
}

#[test]
fn each_part_has_its_turn() {
    let routes: Vec<_> = (0..30)
        .map(|n| format!(r#"{{ "path": "/{n}", "latency": {{}} }}"#))
        .collect();
    let parts = Part::all(&config(&format!(r#"{{ "routes": [{}] }}"#, routes.join(","))));
    let mut known = Known::default();
    let (first, second) = (known.turns(&parts), known.turns(&parts));
    assert_eq!(first, (0..20).collect::<Vec<_>>());
    assert_eq!(second, (20..31).chain(0..9).collect::<Vec<_>>());
    let alone = Part::all(&config(ERRORS));
    assert_eq!(Known::default().turns(&alone), vec![0; 20]);
    assert_eq!(Known::default().turns(&Part::all(&config(DELAY))), vec![0; 3]);
}

#[test]
fn messages_are_counted_one_by_one() {
    let block = r#"{ "websocket": { "close_codes": [1011], "close_probability": 0.25, "message_drop_probability": 0.5,
        "message_corruption_probability": 0.5, "message_delay_ms": 40, "message_delay_probability": 0.5 } }"#;
    let parts = Part::all(&config(block));
    let expected = parts[1].expected;
    // Of four that come to be seen or close, one closes, three come to be dropped, and half of those are.
    assert!((expected.failed - 0.4).abs() < 1e-9, "{expected:?}");
    let mut seen = Seen::default();
    let gaps = [1, 45, 1, 60].map(|millis| millis * MS).to_vec();
    let came = Messages {
        of: 10,
        gaps,
        harmed: 2,
        is_closed: false,
        is_over: true,
    };
    expected.count(&Heard::Messages(came.clone()), MS, &mut seen);
    let tally = |seen, of| Tally { seen, of };
    assert_eq!(
        (seen.failed, seen.dropped, seen.harmed, seen.late),
        (tally(0, 4), tally(6, 10), tally(2, 4), tally(2, 4))
    );
    let closed = Messages {
        is_closed: true,
        ..came
    };
    expected.count(&Heard::Messages(closed), MS, &mut seen);
    assert_eq!((seen.failed, seen.dropped), (tally(1, 9), tally(6, 10)));
}

#[test]
fn a_rule_whose_answers_nobody_got_has_not_landed() {
    let rules = r#"{ "mutations": { "rules": [
        { "name": "r", "operations": [{ "type": "delete_field", "field": "a" }] },
        { "name": "never", "probability": 0.0, "operations": [{ "type": "delete_field", "field": "a" }] } ] } }"#;
    let changed = Heard::Answer {
        passed: true,
        took: MS,
        whole: false,
    };
    let changed = vec![(1, changed); 3];
    assert_eq!(landed_of(rules, &changed, &["rule.r 5 2"]).1, Landed::Yes);
    no(
        landed_of(rules, &changed, &["rule.r 0 0"]).1,
        "was answered by JSON that the rule `r` is about",
    );
    let (_, none) = landed_of(rules, &changed, &["rule.r 5 0"]);
    assert!(matches!(none, Landed::Unmeasured(why) if why.contains("none of 5 answers")));
    no(landed_of(rules, &[(1, answer(200, 1))], &["rule.r 5 2"]).1, "0.0% of 1");
}

#[test]
fn what_no_request_of_ours_can_see_is_not_measured() {
    let long = r#"{ "grpc": { "stream_interruption_probability": 1, "interrupt_after_messages": 5000 } }"#;
    let (_, landed) = landed_of(long, &[(1, answer(200, 1))], &["grpc 5 2"]);
    assert!(matches!(landed, Landed::Unmeasured(why) if why.contains("no stream of ours has so many messages")));
    let large = r#"{ "mutations": { "rules": [
        { "name": "r", "operations": [{ "type": "truncate_array", "field": "a", "value": 100000 }] } ] } }"#;
    let (_, landed) = landed_of(large, &[], &["rule.r 5 2"]);
    assert!(matches!(landed, Landed::Unmeasured(why) if why.contains("too large for a request of ours")));
}

#[test]
fn what_is_done_to_all_has_landed_when_others_were_hit() {
    let harms = r#"{ "fault_injection": { "http_errors": [], "payload_corruption": true, "payload_corruption_probability": 1,
        "corruption_type": "bit_flip" } }"#;
    let broken = Heard::Answer {
        passed: true,
        took: MS,
        whole: false,
    };
    for (text, heard, counter) in [
        (harms, broken, "faults"),
        (ERRORS, answer(503, 1), "faults"),
        (DELAY, answer(200, 102), "latency"),
    ] {
        let parts = Part::all(&config(text));
        let heard = vec![(0, heard); 3];
        let judged = |hit: u32| {
            let counted = format!("{counter} 9 {hit}");
            measured_of(&parts, heard.clone(), MS, &[&counted]).judge(&parts, 80)
        };
        assert!(
            matches!(judged(0).1, Landed::Unmeasured(why) if why == "none of 9 requests of others was hit so far"),
            "{text}"
        );
        let (delivered, landed) = judged(1);
        assert!(
            landed == Landed::Yes && delivered.contains("1 hits on 9 requests of others"),
            "{delivered}"
        );
    }
    // Nobody can meet it.
    let never =
        r#"{ "latency": { "fixed_delay_ms": 100, "probability": 0 }, "fault_injection": { "http_errors": [] } }"#;
    assert!(Part::all(&config(never))[0].needs.is_empty());
}

#[test]
fn what_is_done_to_all_is_tried_by_what_is_of_no_route_or_has_not_landed() {
    let routes = |delay: &str, paths: &[&str], own: &str| {
        let routes: Vec<_> = paths
            .iter()
            .map(|path| format!(r#"{{ "path": "{path}", {own} }}"#))
            .collect();
        format!(r#"{{ {delay} "routes": [{}] }}"#, routes.join(", "))
    };
    let delay = r#""latency": { "fixed_delay_ms": 100 },"#;
    let (held, fails) = (
        r#""latency": { "fixed_delay_ms": 50 }"#,
        r#""fault_injection": { "fault_types": [{ "type": "http_error", "status_code": 503 }] }"#,
    );
    let path = |paths: &[&str]| {
        let base = Part::all(&config(&routes(delay, paths, held))).remove(0);
        base.asks.map(|asks| asks.path)
    };
    assert_eq!(path(&["/", "/{a}/{b}"]).as_deref(), Some("/fracas"));
    assert_eq!(
        path(&["/", "/{a}", "/{a}/{b}"]).as_deref(),
        Some("/fracas/fracas/fracas")
    );
    let unseen = |delay: &str, own: &str| Part::all(&config(&routes(delay, &["/*"], own))).remove(0).unseen;
    // Where all are of a route nobody meets it, or those of that route do, unless they fail.
    assert!(unseen(delay, held).is_some() && unseen(delay, fails).is_some());
    assert_eq!(unseen("", held), None);
    let some = fails.replace("\"fault_types\"", "\"probability\": 0.5, \"fault_types\"");
    assert_eq!(unseen(delay, &some), None);
    let parts = Part::all(&config(&routes(delay, &["/*"], fails)));
    let measured = measured_of(
        &parts,
        vec![(1, answer(503, 1)); 3],
        MS,
        &["latency 9 9", "route.0.faults 9 9"],
    );
    assert!(
        matches!(measured.judge(&parts, 80).1, Landed::Unmeasured(why) if why == "no request of ours is of no route")
    );
}

#[test]
fn what_none_could_meet_so_far_is_unmeasured() {
    let both = r#"{ "fault_injection": { "http_errors": [503], "http_error_probability": 0.5 }, "latency": { "fixed_delay_ms": 100 } }"#;
    assert!(
        matches!(landed(both, some(2, 0)), Landed::Unmeasured(why) if why == "no request of ours could be late so far")
    );
    // Where all fail there can be none.
    let all = both.replace("0.5", "1");
    assert_eq!(landed(&all, some(2, 0)), Landed::Yes);
}
