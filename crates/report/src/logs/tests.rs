use std::os::unix::fs::symlink;

use super::*;
use crate::{fold, samples};

fn log(target: &str, lines: &[&str]) -> TargetLog {
    TargetLog {
        target: target.into(),
        service: format!("{target}-service"),
        lines: Ok(lines.iter().map(|line| (*line).to_owned()).collect()),
    }
}

#[test]
fn a_log_begins_shortly_before_the_breach() {
    let start = 1_769_776_496; // 2026-01-30T12:34:56Z
    assert_eq!(since(&fold(samples::passed())), None);
    assert_eq!(since(&fold(samples::dry_run())), None);
    // The breach was read after 45 s.
    assert_eq!(since(&fold(samples::aborted())), Some(start + 15));
    // The first violation too.
    assert_eq!(since(&fold(samples::failed())), Some(start + 15));
    // Nothing was violated: around the end, after 90.31 s.
    assert_eq!(since(&fold(samples::residue())), Some(start + 60));
}

#[test]
fn every_target_has_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let gone = TargetLog {
        lines: Err("there is no such container".into()),
        ..log("gone", &[])
    };
    let logs = [log("web-1", &["a", "b\u{1b}[2Jc"]), log("silent", &[]), gone];
    let written = write_logs(dir.path(), &logs).unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("logs/web-1.log")).unwrap(),
        "a\nb\\u{1b}[2Jc\n"
    );
    let shown: Vec<_> = written
        .iter()
        .map(|one| (one.file.as_deref(), one.lines, one.error.is_some()))
        .collect();
    assert_eq!(
        shown,
        [(Some("logs/web-1.log"), 2, false), (None, 0, false), (None, 0, true)]
    );
}

#[test]
fn names_that_others_chose_are_no_paths() {
    let dir = tempfile::tempdir().unwrap();
    let evil = ["../../etc/passwd", "a/b", "a_b", "..", "", "\u{202e}x"];
    let logs = evil.map(|name| log(name, &["x"]));
    let written = write_logs(&dir.path().join("out"), &logs).unwrap();
    let names: Vec<String> = written.into_iter().filter_map(|one| one.file).collect();
    assert_eq!(
        names,
        [
            "logs/_.._.._etc_passwd.log",
            "logs/a_b.log",
            "logs/a_b-2.log",
            "logs/_...log",
            "logs/_.log",
            "logs/_x.log"
        ]
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(dir.path().join("out/logs")).unwrap().count(), 6);
}

#[test]
fn a_link_in_the_place_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, dir.path().join("logs")).unwrap();
    let problem = write_logs(dir.path(), &[log("web", &["x"])]).unwrap_err();
    assert_eq!(problem.code.id, "S002");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn the_newest_lines_are_kept_within_the_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let long = vec!["x".repeat(60_000); 10];
    let logs = [
        TargetLog {
            lines: Ok(many),
            ..log("many", &[])
        },
        TargetLog {
            lines: Ok(long),
            ..log("long", &[])
        },
    ];
    let written = write_logs(dir.path(), &logs).unwrap();
    let text = fs::read_to_string(dir.path().join("logs/many.log")).unwrap();
    assert!(text.starts_with("700\n") && text.ends_with("999\n"), "{text}");
    assert_eq!((written[0].lines, written[1].lines), (300, 4));
    assert!(fs::metadata(dir.path().join("logs/long.log")).unwrap().len() <= BYTES as u64);
}

#[test]
fn a_scenario_has_the_files_of_seed_0() {
    let dir = tempfile::tempdir().unwrap();
    let report = fold(samples::failed());
    let lines = [
        "all well",
        "ERROR: no memory",
        "errors=0",
        "kernel panic!",
        "a_error",
        "fatal",
    ];
    let written = write_scenario_logs(dir.path(), &report, &[log("payments-1", &lines)]).unwrap();
    let place = dir.path().join("logs/20260130-123456-beef");
    assert_eq!(
        written,
        [
            place.join("payments-1-service.tail.log"),
            place.join("payments-1-service.errors.log")
        ]
    );
    assert_eq!(fs::read_to_string(&written[0]).unwrap().lines().count(), 6);
    assert_eq!(
        fs::read_to_string(&written[1]).unwrap(),
        "ERROR: no memory\nkernel panic!\nfatal\n"
    );
}
