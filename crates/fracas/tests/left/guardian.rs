//! The guardian is struck while a fault is on, and the runner lives.

use std::time::Duration;

use fracas_core::record::{Certificate, State};
use fracas_guardian::Client;
use fracas_guardian::protocol::Task;
use fracas_linux::child::WorkerOptions;

use crate::support::{Bench, Blow, Document, LIMIT, Target, certificate, memory_limit, read, signal, soon};

const INT: i32 = 2;
const STOP: i32 = 19;

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
    // Asked every second and seen to be stopped: not given the ten seconds that one has which is busy.
    struck(STOP, Duration::from_secs(8));
}

/// A guardian that is stopped while faults are to come off: the other one's undo is in the report's times.
#[test]
fn what_another_guardian_undid_is_in_the_times_of_the_report() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    signal(&guardian, STOP);
    signal(run.process(), INT);
    let said = run.wait(LIMIT);
    assert_eq!(target.look(), before, "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&read(directory.join("report.json")).unwrap()).unwrap();
    assert!(report["stop"]["took_ms"].is_u64(), "{report:#}");
    assert!(report["rollback_ms"].is_u64(), "{report:#}");
    assert!(!said.out.contains("not every fault was seen to be gone"), "{said:?}");
    assert!(guardian.wait(LIMIT).unwrap());
    bench.finish();
}

/// The check of a script may take its time, also when it is run for the proof at the end: that is no guardian that hangs.
#[test]
fn a_guardian_that_takes_long_to_prove_the_end_is_not_called_lost() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let on = bench.place().join("on");
    let inject = format!(
        "script: {{ apply: [touch, '{0}'], revert: [rm, '-f', '{0}'], measure: ['true'], check: [sh, '-c', 'sleep 3; test ! -e {0}'] }}",
        on.display()
    );
    let document = Document {
        target: &target,
        inject: &inject,
        irreversible: false,
        on: "1s",
        duration: "2s",
    };
    let said = bench.run(&document.text()).end();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        !said.err.contains("another one recovers") && !said.err.contains("error["),
        "{said:?}"
    );
    assert!(!on.exists());
    bench.finish();
}

/// Two who recover at once: the one that comes second finds the end on disk, and the proof of the first stands.
#[test]
fn a_run_that_has_ended_is_not_recovered_again() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    assert_eq!(bench.fracas(&["recover"]).code, 0);
    let proof = read(directory.join("certificate.json")).unwrap();
    assert!(proof.contains("restored"), "{proof}");
    let second = recover_once_more(&bench, &directory);
    assert_eq!(second, certificate(&directory).unwrap());
    assert_eq!(read(directory.join("certificate.json")).unwrap(), proof);
    // The first was killed before it could write its proof: what the ledger says stands for it, and nothing is touched.
    std::fs::remove_file(directory.join("certificate.json")).unwrap();
    let third = recover_once_more(&bench, &directory);
    assert!(third.is_clean() && third.lines.len() == 1, "{third:?}");
    assert!(third.lines[0].undo.contains("says the ledger"), "{third:?}");
    bench.finish();
}

/// What a second `fracas recover` does that found the run before the first had ended it.
fn recover_once_more(bench: &Bench, directory: &std::path::Path) -> Certificate {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = WorkerOptions {
            own_session: true,
            program: Some(env!("CARGO_BIN_EXE_fracas").into()),
            ..WorkerOptions::default()
        };
        let run = directory.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let (client, _news) = Client::start(bench.state(), Task::Recover { run }, options)
            .await
            .unwrap();
        client.end().await.unwrap()
    })
}

/// Without its ledger nobody but this guardian can undo what is on: it does so at once, and the run ends.
#[test]
fn a_run_whose_ledger_is_deleted_is_undone_and_aborted() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    soon(LIMIT, "the state directory is gone", || {
        // Whoever writes into it meanwhile may keep it for a moment.
        (std::fs::remove_dir_all(bench.state()).is_ok() || !bench.state().exists()).then_some(())
    });
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("the ledger of the run was deleted"), "{said:?}");
    assert!(guardian.wait(LIMIT).unwrap());
    bench.finish();
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
