use std::os::unix::fs::symlink;

use super::*;
use crate::samples;
use crate::{fold, read_events};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_run_leaves_its_files_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("runs/x");
    let events = samples::passed();
    let report = fold(events.clone());
    write_all(&out, &report, Some(&events)).unwrap();
    assert_eq!(
        names(&out),
        ["events.ndjson", "junit.xml", "report.html", "report.json", "report.md"]
    );
    let read: Report = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(read, report);
    let mut again = Vec::new();
    assert_eq!(
        read_events(&out.join("events.ndjson"), |event| again.push(event)).unwrap(),
        0
    );
    assert_eq!(again, events);
}

#[test]
fn a_report_replaces_a_link_and_does_not_follow_it() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("precious");
    fs::write(&precious, "keep").unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    for name in ["report.json", "report.md"] {
        symlink(&precious, out.join(name)).unwrap();
    }
    // Also where the file aside should be.
    let aside = format!(".junit.xml.{}.tmp", std::process::id());
    symlink(&precious, out.join(aside)).unwrap();
    let report = fold(samples::failed());
    write_all(&out, &report, None).unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "keep");
    assert_eq!(names(&out), ["junit.xml", "report.html", "report.json", "report.md"]);
    assert!(!out.join("report.json").is_symlink());
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let report = fold(samples::passed());
    for problem in [
        write_all(&file.join("below"), &report, None).unwrap_err(),
        write_scenario(&file.join("below"), &report, 0).unwrap_err(),
    ] {
        assert_eq!(problem.code.id, "S002");
        assert!(
            problem.what.contains("below") && !problem.causes.is_empty(),
            "{problem}"
        );
    }
}

#[test]
fn reports_of_one_second_stand_side_by_side_and_the_oldest_of_ours_go() {
    let dir = tempfile::tempdir().unwrap();
    let report = fold(samples::passed());
    let strangers = [
        "test-20260130-123456-test-1769776496.json",
        "test-20250101-000000.json.bak",
        "test-2025.json",
        "test-20250101_000000.json",
        "test-20250101-000000-0.json",
        "notes.json",
    ];
    for name in strangers {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let linked = dir.path().join("test-20240101-000000.json");
    symlink(dir.path().join("notes.json"), &linked).unwrap();
    fs::write(dir.path().join("test-20250101-000000.json"), "").unwrap();
    let write = || {
        let path = write_scenario(dir.path(), &report, 3).unwrap();
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(write(), "test-20260130-123456.json");
    assert_eq!(write(), "test-20260130-123456-2.json");
    assert!(dir.path().join("test-20250101-000000.json").exists());
    assert_eq!(write(), "test-20260130-123456-3.json");
    assert!(!dir.path().join("test-20250101-000000.json").exists());
    assert_eq!(write(), "test-20260130-123456-4.json");
    // The first was deleted, so its name is free, and the newest is never what is deleted.
    assert_eq!(write(), "test-20260130-123456.json");
    assert!(dir.path().join("test-20260130-123456.json").exists());
    for name in strangers {
        assert!(dir.path().join(name).exists(), "{name}");
    }
    assert!(linked.is_symlink());
}

#[test]
fn zero_keeps_every_report() {
    let dir = tempfile::tempdir().unwrap();
    let report = fold(samples::passed());
    for _ in 0..4 {
        write_scenario(dir.path(), &report, 0).unwrap();
    }
    assert_eq!(names(dir.path()).len(), 4);
}
