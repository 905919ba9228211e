//! Runner and guardian die together.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use fracas_core::record::State;

use crate::support::{Bench, Blow, Document, LIMIT, Target, certificate, memory_limit, read, signal};

#[test]
fn what_both_left_is_said_blocks_the_next_run_and_is_recovered_once() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let document = memory_limit(&target);
    let run = bench.run(&document);
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    let limit = target.memory_limit();
    let ours = (64 << 20).to_string();
    assert_eq!(read(&limit).as_ref(), Some(&ours), "nobody is there to undo it");

    let id = directory.file_name().unwrap().to_str().unwrap();
    let status = bench.fracas(&["status"]);
    assert_eq!(status.code, 4, "{status:?}");
    assert!(
        status.out.contains(id) && status.out.contains("fracas recover"),
        "{status:?}"
    );
    assert!(status.out.contains("memory_limit"), "{status:?}");

    let report = bench.fracas(&["report", id]);
    assert_eq!(report.code, 0, "{report:?}");
    let by_hand = report
        .out
        .split("By hand, as root:")
        .nth(1)
        .expect("it says what is left");
    assert!(by_hand.contains(&limit.display().to_string()), "{report:?}");
    assert!(
        report.out.contains("UNFINISHED") && report.out.contains("something is left"),
        "{report:?}"
    );

    let refused = bench.run(&document).end();
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("G005") && refused.err.contains(id), "{refused:?}");
    assert_eq!(
        read(&limit).as_ref(),
        Some(&ours),
        "a run that was refused touches nothing"
    );

    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert!(
        recovered.out.contains("clean") && recovered.out.contains("restored"),
        "{recovered:?}"
    );
    assert_eq!(target.look(), before);
    assert!(certificate(&directory).expect("there is a certificate").is_clean());
    let report = bench.fracas(&["report", id]);
    assert!(
        report.out.contains("everything was undone") && !report.out.contains("SOMETHING IS LEFT"),
        "{report:?}"
    );

    let again = bench.fracas(&["recover"]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to recover"), "{again:?}");
    assert_eq!(bench.fracas(&["status"]).code, 0);
    bench.finish();
}

/// Nobody undoes what two stopped processes keep: it is said, and `fracas stop` does it.
#[test]
fn a_run_whose_processes_are_both_stopped_is_seen_and_can_be_stopped() {
    const STOP: i32 = 19;
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let mut run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    // The guardian first: it would end a runner that is stopped.
    signal(&guardian, STOP);
    signal(run.process(), STOP);
    let id = directory.file_name().unwrap().to_str().unwrap();
    let status = bench.fracas(&["status"]);
    assert_eq!(status.code, 4, "{status:?}");
    assert!(
        status.out.contains("is stopped") && status.out.contains("fracas stop"),
        "{status:?}"
    );
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 4, "{recovered:?}");
    assert!(recovered.err.contains(&format!("fracas stop {id}")), "{recovered:?}");
    let stopped = bench.fracas(&["stop", "--all"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert!(
        stopped.err.contains("are stopped") && stopped.out.contains("is stopped and undone"),
        "{stopped:?}"
    );
    assert_eq!(target.look(), before);
    assert!(guardian.wait(LIMIT).unwrap());
    assert_eq!(run.wait(LIMIT).code, 128 + 9, "the runner never acts again");
    assert!(certificate(&directory).expect("there is a certificate").is_clean());
    assert_eq!(bench.fracas(&["status"]).code, 0);
    bench.finish();
}

/// A ledger that cannot be read is said, and keeps no other run from being recovered.
#[test]
fn a_run_that_cannot_be_recovered_stands_in_no_others_way() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    let broken = "20200101-000000-dead";
    let place = bench.state().join("runs").join(broken);
    std::fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    let mut ledger = std::fs::OpenOptions::new();
    let mut ledger = ledger
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place.join("ledger"))
        .unwrap();
    ledger.write_all(b"this is no ledger at all").unwrap();
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 4, "{recovered:?}");
    assert!(recovered.err.contains(broken), "{recovered:?}");
    assert_eq!(target.look(), before, "the other run was not recovered: {recovered:?}");
    bench.finish();
}

#[test]
fn a_run_that_was_settled_needs_no_recovery_and_its_groups_are_swept() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let document = Document {
        target: &target,
        inject: "memory_limit: { limit: 64MiB }",
        irreversible: false,
        on: "200ms",
        duration: "60s",
    };
    let document = document.text();
    let run = bench.run(&document);
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Clean);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    assert_eq!(target.look(), before);
    assert_eq!(bench.fracas(&["status"]).code, 0);
    let recovered = bench.fracas(&["recover"]);
    assert_eq!((recovered.code, recovered.out.as_str()), (0, "nothing to recover"));
    bench.finish();
}
