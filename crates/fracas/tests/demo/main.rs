//! `fracas demo`, as its user sees it: both verdicts, and nothing left, however it ends. It plays `lost-replica.yaml`, as root
//! `tight-limits.yaml`, and `stopped-database.yaml`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests stop at the first surprise, as tests do"
)]

mod running;

use std::time::Duration;

use running::{Demo, Who};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
/// Where a fault is on.
const IN_THE_MIDDLE: &str = "pause-a-replica is on";

fn plays(who: Who) {
    let Some(mut demo) = Demo::start(who) else { return };
    demo.read_until("3 s").expect("a first fault");
    let seen = demo.look();
    assert!(seen.processes >= 6, "the shop, its supervisor and its stage: {seen:?}");
    let code = demo.wait(Duration::from_mins(1));
    let text = demo.text();
    assert_eq!(code, Some(0), "{text}");
    let acts = if who == Who::Root { 3 } else { 2 };
    for expected in [
        "PASSED, as expected",
        "FAILED, as expected: front-page during the faults",
        "pause-the-database is over",
        "front-page is well again",
        &format!("{acts} of {acts}"),
        "The shop is closed",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing:\n{text}");
    }
    assert_eq!(
        text.matches("nothing of the faults is left, the shop answers").count(),
        acts,
        "{text}"
    );
    assert!(text.lines().count() <= 60, "{text}");
    // The customers did not notice the first, and did notice the last.
    let turned_away: Vec<u32> = text
        .lines()
        .filter_map(|line| {
            line.split_once(" served, ")?
                .1
                .split_once(" turned away")?
                .0
                .parse()
                .ok()
        })
        .collect();
    assert_eq!(turned_away.len(), acts, "{text}");
    assert!(turned_away[acts - 1] > 10, "{text}");
    let reports: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("report: "))
        .collect();
    assert_eq!(reports.len(), acts, "{text}");
    for report in reports {
        let report = std::fs::read_to_string(report).unwrap();
        assert!(report.contains("PASSED") || report.contains("FAILED"), "{report}");
    }
    demo.assert_nothing_left(&seen);
}

#[test]
fn root_sees_both_verdicts_and_keeps_nothing_but_reports() {
    plays(Who::Root);
}

#[test]
fn nobody_in_particular_sees_both_verdicts_and_keeps_nothing_but_reports() {
    plays(Who::Nobody);
}

#[test]
fn ctrl_c_in_the_middle_leaves_nothing() {
    for who in [Who::Root, Who::Nobody] {
        let Some(mut demo) = Demo::start(who) else { continue };
        demo.read_until(IN_THE_MIDDLE).expect("a fault is on");
        let seen = demo.look();
        demo.signal(SIGINT);
        let code = demo.wait(Duration::from_secs(20));
        assert_eq!(code, Some(3), "{}", demo.text());
        assert!(demo.text().contains("The shop is closed"), "{}", demo.text());
        demo.assert_nothing_left(&seen);
    }
}

#[test]
fn a_killed_demo_leaves_nothing() {
    for who in [Who::Root, Who::Nobody] {
        let Some(mut demo) = Demo::start(who) else { continue };
        demo.read_until(IN_THE_MIDDLE).expect("a fault is on");
        let seen = demo.look();
        demo.signal(SIGKILL);
        let code = demo.wait(Duration::from_secs(20));
        assert_eq!(code, None, "a signal has no exit code");
        demo.assert_nothing_left(&seen);
    }
}
