//! Files that are broken through the whole product, and scripts whose word is all there is.

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use fracas_core::record::State;

use crate::support::{Bench, Blow, Document, LIMIT, Target, certificate};

/// Everything that is broken here is in the first kibibyte; this lies in the middle of it.
const THEIRS: std::ops::Range<usize> = 500..520;

fn document(target: &Target, inject: &str, duration: &str) -> String {
    Document {
        target,
        inject,
        irreversible: false,
        on: "",
        duration,
    }
    .text()
}

/// The application writes while the fault is on, and then the runner is killed.
#[test]
fn what_an_application_wrote_into_its_broken_file_stays() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let victim = target.place.path().join("victim");
    let before = std::fs::read(&victim).unwrap();
    let inject = format!(
        "file_corrupt: {{ path: '{}', bytes: 1KiB, offset: 0 }}",
        victim.display()
    );
    let run = bench.run(&document(&target, &inject, "60s"));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    let broken = std::fs::read(&victim).unwrap();
    assert!((0..1024).all(|at| broken[at] != before[at]) && broken[1024..] == before[1024..]);
    let mut wanted = before;
    for at in THEIRS {
        // Neither what it was nor what it is.
        wanted[at] = (0..3).find(|byte| *byte != wanted[at] && *byte != broken[at]).unwrap();
    }
    let file = std::fs::OpenOptions::new().write(true).open(&victim).unwrap();
    file.write_all_at(&wanted[THEIRS], THEIRS.start as u64).unwrap();
    Blow::Kill.strike(&run, &guardian, None);
    assert!(guardian.wait(LIMIT).unwrap(), "the guardian goes on");
    assert!(
        std::fs::read(&victim).unwrap() == wanted,
        "only what was ours is put back"
    );
    let certificate = certificate(&directory).expect("there is a certificate");
    let line = &certificate.lines[0];
    assert_eq!(line.state, State::Foreign, "{line:?}");
    assert!(line.seen.starts_with("20 of 1024 bytes at 0"), "{line:?}");
    assert_eq!(bench.fracas(&["status"]).code, 0);
    drop(run);
    bench.finish();
}

/// An application falls over its broken file, and its container with it; then runner and guardian die. The recovery puts the file back
/// where the engine keeps it.
#[test]
fn a_stopped_container_has_its_file_back_before_it_runs_again() {
    let Some(target) = Target::container("no") else { return };
    let inside = |target: &Target| PathBuf::from(format!("/proc/{}/root/data", target.pid().expect("it runs")));
    let bench = Bench::new();
    std::fs::write(inside(&target), vec![7; 4096]).unwrap();
    let run = bench.run(&document(&target, "file_corrupt: { path: /data }", "60s"));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    assert!(std::fs::read(inside(&target)).unwrap() != [7; 4096]);
    Blow::Both.strike(&run, &guardian, None);
    drop(run);
    target.container_do(async |container| {
        container.engine().stop(container.id(), Duration::ZERO).await.unwrap();
    });
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    target.container_do(async |container| container.engine().start(container.id()).await.unwrap());
    assert!(std::fs::read(inside(&target)).unwrap() == [7; 4096]);
    assert!(certificate(&directory).expect("there is a certificate").is_clean());
    bench.finish();
}

/// Nobody measures it and nobody can look: the verdict and the certificate say so.
#[test]
fn a_script_without_measure_and_check_is_believed_and_not_called_seen() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let on = target.place.path().join("on");
    let inject = format!("script: {{ apply: [touch, '{0}'], revert: [rm, '{0}'] }}", on.display());
    let mut run = bench.run(&document(&target, &inject, "2s"));
    let (directory, _) = run.begun();
    run.until(&directory, State::Applied);
    assert!(on.exists());
    let said = run.wait(LIMIT);
    assert!(!on.exists());
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("INCONCLUSIVE"), "{said:?}");
    assert!(said.out.contains("the document gives no `measure`"), "{said:?}");
    let certificate = certificate(&directory).expect("there is a certificate");
    let line = &certificate.lines[0];
    assert_eq!(line.state, State::Clean, "{line:?}");
    assert!(
        line.seen.contains("by its own word") && line.seen.contains("/rm"),
        "{line:?}"
    );
    bench.finish();
}
