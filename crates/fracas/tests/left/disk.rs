//! The disk of the state is full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use fracas_core::record::State;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::support::{Bench, LIMIT, Target, memory_limit, signal, soon};

/// A small disk in memory, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(place: &Path) -> Option<Self> {
        let at = place.join("disk");
        std::fs::create_dir(&at).unwrap();
        match mount(
            "tmpfs",
            &at,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(c"size=4m,mode=0700"),
        ) {
            Ok(()) => Some(Self(at)),
            Err(error) => {
                fracas_lab::skip(&format!("a small disk cannot be mounted: {error}"));
                None
            }
        }
    }

    /// Writes until there is no room for one more byte.
    fn fill(&self) {
        let mut file = File::create(self.0.join("full")).unwrap();
        for size in [1 << 16, 4096, 1] {
            let block = vec![1; size];
            while file.write_all(&block).is_ok() {}
        }
        let full = File::create(self.0.join("more")).and_then(|mut more| more.write_all(&[1]));
        assert!(full.is_err(), "there is room left");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have processes in it, and nothing of the disk is worth waiting for.
        let _not_mounted = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_run_on_a_full_disk_is_refused_before_anything_is_touched() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let Some(disk) = Disk::new(bench.place()) else { return };
    let bench = bench.with_state(&disk.0.join("state"));
    assert_eq!(
        bench.fracas(&["status"]).code,
        0,
        "the state directory is made while there is room"
    );
    let before = target.look();
    disk.fill();
    let said = bench.run(&memory_limit(&target)).end();
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("G004"), "{said:?}");
    assert_eq!(target.look(), before);
    drop(disk);
    bench.finish();
}

#[test]
fn a_fault_is_undone_although_the_disk_is_full() {
    let Some(target) = Target::process() else { return };
    let bench = Bench::new();
    let Some(disk) = Disk::new(bench.place()) else { return };
    let bench = bench.with_state(&disk.0.join("state"));
    let before = target.look();
    let run = bench.run(&memory_limit(&target));
    let (directory, guardian) = run.begun();
    run.until(&directory, State::Applied);
    assert_ne!(target.look(), before);
    disk.fill();
    signal(run.process(), 9);
    soon(LIMIT, "the target is as before", || {
        (target.look() == before).then_some(())
    });
    assert!(guardian.wait(LIMIT).unwrap());
    // The ledger's room was taken beforehand: the end is in it, whatever else could not be written.
    let contents = crate::support::of(&directory).expect("the ledger can be read");
    assert!(contents.ended && contents.open().next().is_none(), "{contents:?}");
    drop(run);
    assert_eq!(bench.fracas(&["status"]).code, 0);
    drop(disk);
    bench.finish();
}
