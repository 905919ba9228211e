//! Runner and guardian die together.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use fracas_core::record::State;

use crate::support::{Bench, Blow, Document, Target, certificate, memory_limit, read};

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

    let again = bench.fracas(&["recover"]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to recover"), "{again:?}");
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
