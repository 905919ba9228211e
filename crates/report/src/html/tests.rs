use std::collections::{BTreeMap, BTreeSet};

use fracas_core::event::{Event, What};
use quick_xml::Reader;
use quick_xml::events::Event as Xml;

use super::*;
use crate::{fold, samples};

/// How often each element occurs, and every attribute with its values; whatever is not well-formed is a failure.
#[derive(Default)]
struct Read {
    elements: BTreeMap<String, usize>,
    attributes: BTreeMap<String, BTreeSet<String>>,
    text: String,
}

fn read(page: &str) -> Read {
    let body = page.strip_prefix("<!DOCTYPE html>\n").unwrap();
    let mut reader = Reader::from_str(body);
    reader.config_mut().check_end_names = true;
    let mut read = Read::default();
    let mut open = 0;
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error}: {page}"));
        let (start, empty) = match &event {
            Xml::Start(start) => (start, false),
            Xml::Empty(start) => (start, true),
            Xml::End(_) => {
                open -= 1;
                continue;
            }
            Xml::Text(text) => {
                read.text.push_str(&text.decode().unwrap());
                continue;
            }
            Xml::GeneralRef(name) => {
                let name = name.decode().unwrap();
                let plain = quick_xml::escape::unescape(&format!("&{name};")).unwrap().into_owned();
                read.text.push_str(&plain);
                continue;
            }
            Xml::Eof => break,
            other => panic!("{other:?} in the page"),
        };
        open += i32::from(!empty);
        let name = String::from_utf8(start.name().as_ref().to_vec()).unwrap();
        *read.elements.entry(name).or_default() += 1;
        for attribute in start.attributes() {
            let attribute = attribute.unwrap();
            let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            let value = String::from_utf8(attribute.value.to_vec()).unwrap();
            read.attributes.entry(key).or_default().insert(value);
        }
    }
    assert_eq!(open, 0);
    read
}

fn story(name: &str) -> Vec<Event> {
    samples::all().into_iter().find(|(one, _)| *one == name).unwrap().1
}

#[test]
fn every_page_is_well_formed_and_asks_nobody_for_anything() {
    for (name, events) in samples::all() {
        let page = html(&fold(events));
        let read = read(&page);
        for forbidden in ["script", "img", "iframe", "link", "object", "a", "form"] {
            assert!(!read.elements.contains_key(forbidden), "{name}: {forbidden}");
        }
        for forbidden in ["src", "href", "style", "srcset", "action"] {
            assert!(!read.attributes.contains_key(forbidden), "{name}: {forbidden}");
        }
        assert!(!page.contains("url(") && !page.contains("@import"), "{name}");
        assert!(
            read.attributes["content"]
                .iter()
                .any(|value| value.starts_with("default-src 'none'"))
        );
        let titles = ["h1", "main", "title", "style"];
        assert!(titles.iter().all(|one| read.elements[*one] == 1), "{name}");
        let ids = &read.attributes["id"];
        assert_eq!(
            &read.attributes["aria-labelledby"], ids,
            "{name}: a section without its heading"
        );
        assert_eq!(ids.len(), read.elements["section"], "{name}: an id twice");
    }
}

/// What somebody might give a container for a name.
const EVIL: &str =
    "</style></title></script><script>alert(1)</script><img src=x onerror=alert(1)> \" onload=\"x' & &amp; ]]> <!-- {}";

/// Puts `EVIL` behind every text of an event, where its types allow that.
fn poisoned(event: &Event) -> Event {
    fn walk(value: &mut serde_json::Value, whole: &mut dyn FnMut(&mut serde_json::Value)) {
        match value {
            serde_json::Value::String(_) => whole(value),
            serde_json::Value::Array(items) => {
                for item in items {
                    walk(item, &mut *whole);
                }
            }
            serde_json::Value::Object(fields) => {
                for item in fields.values_mut() {
                    walk(item, &mut *whole);
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::to_value(event).unwrap();
    let mut texts = 0;
    walk(&mut value, &mut |_| texts += 1);
    for turn in 0..texts {
        let mut tried = value.clone();
        let mut at = 0;
        walk(&mut tried, &mut |text| {
            if at == turn {
                *text = format!("{}{EVIL}", text.as_str().unwrap_or_default()).into();
            }
            at += 1;
        });
        if serde_json::from_value::<Event>(tried.clone()).is_ok() {
            value = tried;
        }
    }
    serde_json::from_value(value).unwrap()
}

#[test]
fn hostile_names_queries_and_messages_stay_text() {
    for (name, events) in samples::all() {
        let good = read(&html(&fold(events.clone())));
        let evil = html(&fold(events.iter().map(poisoned)));
        let evil = read(&evil);
        assert_eq!(evil.elements, good.elements, "{name}: the same elements");
        let keys = |read: &Read| read.attributes.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&evil), keys(&good), "{name}: the same attributes");
        // It is there, as it was written.
        assert!(evil.text.matches("<script>alert(1)</script>").count() > 10, "{name}");
    }
}

#[test]
fn an_hour_of_ten_probes_is_a_small_page() {
    let mut events = samples::measured(10, [120, 480, 120], 0.3);
    for event in &mut events {
        // Few samples, for the comparison is not what is looked at.
        if let What::ProbeRead { reading, .. } = &mut event.what {
            reading.range = Some(fracas_core::units::Span::secs(60));
        }
    }
    let report = fold(events);
    let page = html(&report);
    read(&page);
    assert!(page.len() < 500_000, "{} bytes", page.len());
    // So many readings are a line, with a strip where they are not as expected.
    assert!(!page.contains("<circle") && page.contains("<rect class=\"bad\""));
    // A probe that is bad all the time, or half of it, is not drawn a thousand times either.
    let mut worst = report.clone();
    for probe in &mut worst.probes {
        for (at, point) in probe.series.iter_mut().enumerate() {
            point.max = Some(fracas_core::number::Number(if at % 2 == 0 { 5.0 } else { 0.1 }));
            point.missing = at as u64 % 3;
        }
    }
    let worst = html(&worst).len();
    assert!(worst < 500_000, "{worst} bytes");
}

#[test]
fn what_decides_is_on_top() {
    let passed = html(&fold(story("passed")));
    assert!(passed.contains("<div class=\"verdict passed\"><p class=\"word\">PASSED</p>"));
    assert!(passed.contains("<dt>Left in the system</dt><dd>nothing</dd>"));
    assert!(passed.contains("<dt>Faults that landed</dt><dd>2 of 2</dd>"));
    let aborted = html(&fold(story("aborted")));
    assert!(aborted.contains("<dt>Time to stop</dt><dd>90 ms</dd><dd>from the breach to the last fault gone</dd>"));
    assert!(aborted.contains(">breach 0:45</text>"));
    let inconclusive = html(&fold(story("inconclusive")));
    assert!(inconclusive.contains("<dt>Faults that landed</dt><dd>0 of 2</dd>"));
    let mut events = story("passed");
    events.truncate(30);
    let unfinished = html(&fold(events));
    assert!(unfinished.contains("UNFINISHED") && unfinished.contains("<dd>2 injections</dd>"));
}

#[test]
fn what_is_left_comes_with_its_commands() {
    let page = html(&fold(story("residue")));
    let read = read(&page);
    let command = "echo 9223372036854771712 > /sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes";
    assert!(read.text.lines().any(|line| line == command), "{}", read.text);
    let (hand, timeline) = (
        page.find("id=\"by-hand\"").unwrap(),
        page.find("id=\"timeline\"").unwrap(),
    );
    assert!(hand < timeline);
    assert!(!html(&fold(story("passed"))).contains("by-hand"));
}

#[test]
fn a_probe_is_drawn_with_its_thresholds_the_fault_and_its_gaps() {
    let mut report = fold(samples::measured(1, [10, 20, 10], 0.0));
    report.probes[0].series[3] = crate::series::Point {
        min: None,
        max: None,
        missing: 1,
        ..report.probes[0].series[3]
    };
    let page = html(&report);
    // On from 50.06 s to 150.06 s of 200.08 s.
    assert_eq!(report.duration_ms, 200_080);
    assert!(
        page.contains("<rect class=\"fault\" x=\"25.02%\" y=\"14\" width=\"49.98%\" height=\"150\"/>"),
        "{page}"
    );
    assert!(page.contains(">expect &lt; 0.9</text>") && page.contains(">abort &gt; 3</text>"));
    assert_eq!(page.matches("class=\"gap\"").count(), 1);
    // The gap cuts the line in two.
    assert_eq!(page.matches("<path class=\"line\"").count(), 2);
    let bad = page.matches("class=\"dot bad\"").count();
    let violations: u64 = report.probes[0].moments.iter().map(|moment| moment.violations).sum();
    assert!(bad > 0 && bad as u64 <= violations, "{bad} of {violations}");
    assert_eq!(page.matches("class=\"dot\"").count() + bad, 39);
    // The same for whoever sees no picture.
    assert!(page.contains("<caption>p0 over time</caption>"));
}

#[test]
fn a_threshold_far_away_does_not_press_the_values_flat() {
    let mut report = fold(samples::measured(1, [10, 20, 10], 0.0));
    report.probes[0].abort = Some("> 50".parse().unwrap());
    let page = html(&report);
    assert!(page.contains(">abort &gt; 50, far above</text>"));
    assert!(!page.contains("<line class=\"abort\""));
}

#[test]
fn tables_are_bounded() {
    let mut report = fold(story("passed"));
    let one = report.injections[0].clone();
    report.injections = vec![one; 2500];
    let page = html(&report);
    read(&page);
    assert!(page.contains("1500 further rows are in report.json."));
}
