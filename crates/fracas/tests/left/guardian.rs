//! The guardian is struck while a fault is on, and the runner lives.

use std::time::Duration;

use fracas_core::record::State;

use crate::support::{Bench, Blow, LIMIT, Target, certificate, memory_limit, read, signal, soon};

fn struck(number: i32, bound: Duration) {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    signal(&guardian, number);
    soon(bound, "another guardian has undone everything", || {
        (target.look() == before).then_some(())
    });
    assert!(guardian.wait(LIMIT).unwrap(), "one that hangs is ended, too");
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 3, "the run is aborted: {said:?}");
    assert!(
        said.err.contains("another one recovers from the ledger"),
        "{}",
        said.err
    );
    let certificate = certificate(&directory).expect("there is a certificate");
    assert!(
        certificate.is_clean() && certificate.lines.len() == 1,
        "{certificate:?}"
    );
    let report = read(directory.join("report.json")).unwrap();
    assert!(
        report.contains("the guardian is gone") || report.contains("guardian_lost"),
        "{report}"
    );
    assert_eq!(target.look(), before);
    assert_eq!(bench.fracas(&["status"]).code, 0);
    bench.finish();
}

#[test]
fn a_guardian_that_is_killed_is_replaced_and_the_run_is_aborted_clean() {
    struck(9, Duration::from_secs(2));
}

#[test]
fn a_guardian_that_is_stopped_is_noticed_ended_and_replaced() {
    // Asked every second, and given ten to answer.
    struck(19, Duration::from_secs(13));
}

/// Each claim holds a descriptor: with the usual soft limit of 1024 a run on a thousand targets could not be planned, or not undone.
#[test]
fn a_guardian_may_open_as_many_files_as_the_hard_limit_says() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let us = std::process::id();
    assert!(fracas_linux::limits::set_descriptor_soft_limit(us, 512).unwrap());
    let run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    let (soft, hard) = fracas_linux::limits::descriptor_limit(guardian.identity().pid)
        .unwrap()
        .unwrap();
    Blow::Kill.strike(&run, &guardian, None);
    assert!(guardian.wait(LIMIT).unwrap());
    drop(run);
    assert!(hard > 512 && soft == hard, "{soft} of {hard}");
    bench.finish();
}
