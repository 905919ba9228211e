use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const FRESH: Duration = Duration::from_secs(30);

fn found(query: &str) -> Vec<(String, i64, u64)> {
    selectors(query)
        .unwrap()
        .into_iter()
        .map(|selector| (selector.series, selector.offset_ms, selector.range.as_secs()))
        .collect()
}

fn one(series: &str, offset_ms: i64, range: u64) -> Vec<(String, i64, u64)> {
    vec![(series.to_owned(), offset_ms, range)]
}

#[test]
fn selectors_are_found_wherever_they_stand() {
    assert_eq!(found("up"), one("{__name__=\"up\"}", 0, 0));
    assert_eq!(
        found("sum by (job) (rate(http_requests_total{code=~\"5..\"}[1m])) / -sum(up)").len(),
        2
    );
    assert_eq!(found("topk(scalar(limit), up)").len(), 2);
    assert_eq!(
        found("label_replace((up), \"a\", \"$1\", \"b\", \"(.*)\") or vector(time())").len(),
        1
    );
    assert_eq!(found("up + up * up").len(), 1);
    assert!(found("vector(1) + time()").is_empty());
}

#[test]
fn ranges_and_offsets_add_up_through_subqueries() {
    assert_eq!(
        found("max_over_time(rate(x[1m] offset 10s)[5m:30s] offset 1m)"),
        one("{__name__=\"x\"}", 70_000, 360)
    );
    assert_eq!(found("x offset -5m"), one("{__name__=\"x\"}", -300_000, 0));
    let longest = |query: &str| longest_range(&selectors(query).unwrap());
    assert_eq!(longest("rate(x[1m]) + rate(y[5m])"), Some(Span::secs(300)));
    assert_eq!((longest("x"), longest("vector(1)")), (None, None));
    // A reading with a longer one could not be read back.
    assert_eq!(longest("rate(x[60d])"), Some(Span::MAX));
}

#[test]
fn a_fixed_time_is_not_judged() {
    assert!(found("x @ 1700000000").is_empty());
    assert!(found("max_over_time(x[5m:1m] @ 1700000000)").is_empty());
    assert_eq!(found("x - x @ end()").len(), 1);
}

#[test]
fn values_are_escaped_again() {
    assert_eq!(
        found(r#"x{a="q\"uo\\te\n",b!~'y'}"#),
        one("{__name__=\"x\",a=\"q\\\"uo\\\\te\\n\",b!~\"y\"}", 0, 0)
    );
    // What is written is read back as the same.
    let query = r#"{__name__=~"a|b",job!="ü"}"#;
    let written = found(query)[0].0.clone();
    assert_eq!(found(&written), found(query));
}

#[test]
fn a_hostile_query_is_bounded_and_does_not_overflow_the_stack() {
    for hostile in [
        format!("{}x{}", "(".repeat(2000), ")".repeat(2000)),
        format!("x{}", "+1".repeat(2000)),
        format!("{}x", "-".repeat(4000)),
    ] {
        // Either way is right, as long as it comes back.
        let _ = selectors(&hostile);
    }
    assert!(selectors(&"(".repeat(100_000)).unwrap_err().contains("at most 16384"));
    assert!(selectors(&"1+".repeat(4000)).unwrap_err().contains("outside of quotes"));
    let quoted = format!("x{{a=\"{}\"}}", "y".repeat(8000));
    assert_eq!(found(&quoted).len(), 1);
    assert!(selectors("  ").unwrap_err().contains("empty"));
    assert!(selectors("sum(up").is_err());
}

#[test]
fn the_age_is_asked_for_each_selector_in_one_query() {
    let asked = age_query(&selectors("x offset 1m").unwrap(), FRESH).unwrap();
    assert_eq!(
        asked,
        "label_replace(time() - 60 - max(timestamp({__name__=\"x\"} offset 60000ms)), \"fracas\", \"now-0\", \"fracas\", \"\")"
    );
    let both = age_query(&selectors("x + rate(y[1m])").unwrap(), FRESH).unwrap();
    for part in ["now-0", "now-1", "recent-1", "ever-1"] {
        assert!(both.contains(&format!("\"{part}\"")), "{both}");
    }
    // It must be PromQL itself.
    parser::parse(&both).unwrap();
    assert_eq!(age_query(&BTreeSet::new(), FRESH), None);
}

fn answer(said: &[(&str, f64)]) -> Vec<Sample> {
    said.iter()
        .map(|(tag, value)| Sample {
            labels: BTreeMap::from([(LABEL.to_owned(), (*tag).to_owned())]),
            time: 0.0,
            value: *value,
        })
        .collect()
}

fn aged(query: &str, said: &[(&str, f64)]) -> (Option<f64>, bool) {
    let age = age(&selectors(query).unwrap(), &answer(said), FRESH);
    (age.age.map(|age| age.as_secs_f64()), age.stale)
}

#[test]
fn the_oldest_selector_is_the_age() {
    assert_eq!(aged("x + y", &[("now-0", 3.0), ("now-1", 12.0)]), (Some(12.0), false));
    assert_eq!(aged("x + y", &[("now-0", 30.0), ("now-1", 30.5)]), (Some(30.5), true));
    assert_eq!(aged("x", &[("now-0", -2.0)]), (Some(0.0), false));
    // Nonsense is not young, and does not hide behind another's sense.
    assert_eq!(aged("x + y", &[("now-0", f64::NAN), ("now-1", 1.0)]), (None, true));
    assert_eq!(aged("x", &[("now-0", 1e300)]), (None, true));
}

#[test]
fn a_selector_without_series_makes_nothing_stale_unless_its_range_outlives_it() {
    assert_eq!(aged("absent(x)", &[]), (None, false));
    assert_eq!(aged("rate(x[5m])", &[]), (None, false));
    assert_eq!(
        aged("rate(x[5m])", &[("recent-0", 20.0), ("ever-0", 1.0)]),
        (Some(20.0), false)
    );
    assert_eq!(
        aged("rate(x[5m])", &[("recent-0", 31.0), ("ever-0", 1.0)]),
        (Some(31.0), true)
    );
    assert_eq!(aged("rate(x[5m])", &[("ever-0", 1.0)]), (None, true));
    assert_eq!(
        aged("rate(x[5m])", &[("now-0", 2.0), ("ever-0", 1.0)]),
        (Some(2.0), false)
    );
}

proptest! {
    #[test]
    fn nothing_makes_the_walk_panic(query in "[a-z0-9(){}\\[\\]\"=~!:,+*/<>@ -]{0,60}") {
        let _ = selectors(&query).map(|found| age_query(&found, FRESH));
    }
}
