//! Somebody else changes what a fault has changed.

use std::path::Path;

use fracas_core::record::State;
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use crate::support::{Bench, LIMIT, Target, certificate, memory_limit, read};

const OURS: u64 = 64 << 20;
const THEIRS: u64 = 100 << 20;

#[test]
fn a_strangers_value_is_left_and_told_with_all_three() {
    a_strangers_value(&[], 5, "INCONCLUSIVE");
}

#[test]
fn a_strangers_value_fails_a_strict_certificate() {
    a_strangers_value(&["--strict-certificate"], 1, "FAILED");
}

fn a_strangers_value(flags: &[&str], code: i32, verdict: &str) {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let limit = target.memory_limit();
    let before = read(&limit).unwrap();
    // The swap file stays ours: v1 wants the limit below it, so the stranger raises that one first.
    let swap = limit.with_file_name("memory.memsw.limit_in_bytes");
    let mut run = bench.run_with(&memory_limit(&target).replace("60s", "2s"), flags);
    let (directory, _) = run.begun();
    run.until(&directory, State::Applied);
    if swap.exists() {
        std::fs::write(&swap, THEIRS.to_string()).unwrap();
    }
    std::fs::write(&limit, THEIRS.to_string()).unwrap();
    let said = run.wait(LIMIT);
    assert_eq!(
        read(&limit).unwrap(),
        THEIRS.to_string(),
        "a stranger's decision is not overwritten"
    );
    let certificate = certificate(&directory).expect("there is a certificate");
    let line = &certificate.lines[0];
    assert_eq!(line.state, State::Foreign, "{line:?}");
    for value in [before.as_str(), &OURS.to_string(), &THEIRS.to_string()] {
        assert!(line.undo.contains(value), "{value} is not told: {}", line.undo);
    }
    // Our value was no longer there when the dose was read: the fault did not stay on.
    assert_eq!(said.code, code, "{said:?}");
    assert!(said.out.contains(verdict), "{said:?}");
    assert_eq!(
        bench.fracas(&["status"]).code,
        0,
        "what is a stranger's is not left by us"
    );
    bench.finish();
}

/// A file that cannot be written, for as long as this lives: a read-only mount of itself over itself.
struct Frozen<'a>(&'a Path);

impl<'a> Frozen<'a> {
    fn new(file: &'a Path) -> Option<Self> {
        if let Err(error) = mount_bind(file, file) {
            fracas_lab::skip(&format!("nothing can be mounted: {error}"));
            return None;
        }
        let frozen = Self(file);
        mount_remount(file, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
        Some(frozen)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _not_mounted = unmount(self.0, UnmountFlags::DETACH);
    }
}

/// The leak that a certificate must not miss: our value stays, because the kernel lets nobody write there any more.
#[test]
fn a_value_of_ours_that_cannot_be_taken_away_fails_the_certificate() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let limit = target.memory_limit();
    let value = read(&limit).unwrap();
    let mut run = bench.run(&memory_limit(&target).replace("60s", "2s"));
    let (directory, _) = run.begun();
    run.until(&directory, State::Applied);
    let Some(frozen) = Frozen::new(&limit) else { return };
    let said = run.wait(LIMIT);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.out.contains("RESIDUE"), "{said:?}");
    let certificate = certificate(&directory).expect("there is a certificate");
    let line = &certificate.lines[0];
    assert_eq!(line.state, State::Residue, "{line:?}");
    let by_hand = format!("echo {value} > {}", limit.display());
    assert!(line.manual.contains(&by_hand), "{line:?} lacks: {by_hand}");
    assert!(said.out.contains(&by_hand), "the person is told what to type: {said:?}");

    let status = bench.fracas(&["status"]);
    assert_eq!(status.code, 4, "{status:?}");
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(
        recovered.code, 4,
        "what cannot be undone cannot be recovered, either: {recovered:?}"
    );
    drop(frozen);
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    assert_eq!(target.look(), before);
    bench.finish();
}

#[test]
fn a_second_run_on_the_same_target_is_refused_with_the_holder_s_name() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let before = target.look();
    let document = memory_limit(&target);
    let mut first = bench.run(&document);
    let (directory, _) = first.begun();
    first.until(&directory, State::Applied);
    let id = directory.file_name().unwrap().to_str().unwrap();
    let second = bench.run(&document.replace("64MiB", "32MiB")).end();
    assert_eq!(second.code, 2, "{second:?}");
    assert!(second.err.contains("G003") && second.err.contains(id), "{second:?}");
    assert_eq!(read(target.memory_limit()).unwrap(), OURS.to_string());
    let stopped = bench.fracas(&["stop", id]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert_eq!(target.look(), before);
    assert_eq!(first.wait(LIMIT).code, 3);
    bench.finish();
}
