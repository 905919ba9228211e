use std::os::unix::fs::FileExt;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::record::State;
use fracas_core::target::{Kind, Process, ProcessIdentity, Target};
use fracas_linux::state_dir::{PrivateDir, private_dir};
use proptest::prelude::*;

use super::*;
use crate::ledger::file::AGAIN;

fn identity() -> ProcessIdentity {
    ProcessIdentity {
        pid: 7,
        start: 8,
        boot: "b".into(),
    }
}

fn run() -> RunId {
    "20261121-100000-beef".parse().unwrap()
}

/// As a guardian that lives writes it.
fn began() -> Record {
    began_by(fracas_linux::process::identity(std::process::id()).unwrap().unwrap())
}

fn began_by(guardian: ProcessIdentity) -> Record {
    Record::Began {
        run: run(),
        runner: identity(),
        guardian,
    }
}

fn planned(id: u32) -> Record {
    Record::Planned(Box::new(PlannedRecord {
        injection: InjectionId(id),
        fault: "memory_limit".into(),
        params: serde_json::json!({ "limit": "512MiB" }),
        target: Target {
            alias: "a".into(),
            identity: "x".into(),
            kind: Kind::Process(Process {
                process: identity(),
                command: "x".into(),
            }),
        },
        undo: serde_json::json!({ "files": [] }),
        not_after_ms: 0,
    }))
}

/// A trustworthy directory: under the build's own directory, because the parents of /tmp's children are checked too.
fn place() -> (tempfile::TempDir, PrivateDir) {
    let temporary = tempfile::tempdir().unwrap();
    let directory = private_dir(&temporary.path().join("state")).unwrap();
    (temporary, directory)
}

#[test]
fn what_was_appended_is_read_back_and_the_rest_of_the_room_is_no_record() {
    let (_temporary, directory) = place();
    let mut ledger = Ledger::create(&directory, 2).unwrap();
    ledger.append(&[began(), planned(0), planned(1)]).unwrap();
    ledger
        .append(&[Record::Became {
            injection: InjectionId(0),
            state: State::Clean,
        }])
        .unwrap();
    let (contents, kept) = Ledger::look(&directory).unwrap().unwrap();
    assert!(kept, "its guardian lives");
    assert_eq!(contents.run, Some(run()));
    assert_eq!(contents.entries[&InjectionId(0)].state, State::Clean);
    assert_eq!(
        contents.open().map(|entry| entry.planned.injection).collect::<Vec<_>>(),
        [InjectionId(1)]
    );
    assert!(!contents.torn && !contents.ended);
}

#[test]
fn a_second_guardian_goes_on_only_when_the_first_is_dead() {
    let (_temporary, directory) = place();
    let mut ledger = Ledger::create(&directory, 2).unwrap();
    ledger.append(&[began(), planned(0)]).unwrap();
    assert!(Ledger::open(&directory).unwrap().is_none());
    drop(ledger);
    let (mut ledger, contents) = Ledger::open(&directory).unwrap().expect("free");
    assert_eq!(contents.open().count(), 1);
    ledger
        .append(&[
            Record::Became {
                injection: InjectionId(0),
                state: State::Clean,
            },
            Record::Ended,
        ])
        .unwrap();
    drop(ledger);
    let (contents, kept) = Ledger::look(&directory).unwrap().unwrap();
    assert!(contents.ended && !kept && contents.open().count() == 0);
}

/// A child of a guardian that was killed between fork and exec shares its lock until it gets a processor.
#[test]
fn an_orphan_that_still_holds_the_lock_of_a_dead_guardian_is_waited_for() {
    let (_temporary, directory) = place();
    let mut ledger = Ledger::create(&directory, 2).unwrap();
    ledger.append(&[began_by(identity()), planned(0)]).unwrap();
    let orphan = ledger.file.try_clone().unwrap();
    drop(ledger);
    let (contents, kept) = Ledger::look(&directory).unwrap().unwrap();
    assert!(!kept && contents.open().count() == 1, "there is something to recover");
    std::thread::scope(|scope| {
        let opened = scope.spawn(|| Ledger::open(&directory).unwrap());
        // It waits for as long as the orphan is there.
        for _ in 0..50 {
            assert!(!opened.is_finished());
            std::thread::park_timeout(AGAIN);
        }
        drop(orphan);
        assert!(opened.join().unwrap().is_some());
    });
}

#[test]
fn a_torn_record_is_no_record_and_what_is_written_over_it_counts() {
    let (_temporary, directory) = place();
    let mut ledger = Ledger::create(&directory, 2).unwrap();
    ledger.append(&[began(), planned(0), planned(1)]).unwrap();
    drop(ledger);
    // The machine stopped in the middle of the last record.
    let (contents, _) = Ledger::look(&directory).unwrap().unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(directory.path().join("ledger"))
        .unwrap();
    file.write_all_at(&[0xff; 20], contents.length as u64 - 20).unwrap();
    let (mut ledger, contents) = Ledger::open(&directory).unwrap().expect("free");
    assert!(contents.torn);
    assert_eq!(contents.entries.len(), 1);
    ledger.append(&[planned(2)]).unwrap();
    drop(ledger);
    let (contents, _) = Ledger::look(&directory).unwrap().unwrap();
    assert!(!contents.torn);
    assert_eq!(
        contents.entries.keys().copied().collect::<Vec<_>>(),
        [InjectionId(0), InjectionId(2)]
    );
}

#[test]
fn a_newer_ledger_and_a_stranger_s_file_are_refused() {
    let mut newer = b"FRACAS".to_vec();
    newer.extend_from_slice(&(VERSION + 1).to_le_bytes());
    assert!(Contents::parse(&newer).unwrap_err().what.contains("version 2"));
    assert!(Contents::parse(b"#!/bin/sh and more").is_err());
    assert!(Contents::parse(b"FRA").is_err());
    assert_eq!(Contents::parse(&[0; 64]).unwrap().entries.len(), 0);
}

/// A guardian that is killed between making the file and taking room for it.
#[test]
fn a_ledger_that_was_only_made_promises_nothing() {
    let (_temporary, directory) = place();
    drop(directory.create_new_dsync("ledger").unwrap());
    let (contents, kept) = Ledger::look(&directory).unwrap().unwrap();
    assert!(!kept && contents.entries.is_empty());
    let (mut ledger, contents) = Ledger::open(&directory).unwrap().expect("free");
    assert_eq!(contents.open().count(), 0);
    drop(contents);
    ledger.append(&[Record::Ended]).unwrap();
}

/// Whoever looks while somebody else looks sees no guardian that is not there.
#[test]
fn two_who_look_at_once_see_no_guardian() {
    let (_temporary, directory) = place();
    drop(Ledger::create(&directory, 2).unwrap());
    let looks = |_| {
        std::thread::spawn({
            let path = directory.path().to_owned();
            move || {
                let directory = private_dir(&path).unwrap();
                (0..200).all(|_| !Ledger::look(&directory).unwrap().unwrap().1)
            }
        })
    };
    let all: Vec<_> = (0..4).map(looks).collect();
    assert!(all.into_iter().all(|one| one.join().unwrap()));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        let _ = Contents::parse(&bytes);
        let mut headed = b"FRACAS\x01\x00".to_vec();
        headed.append(&mut bytes);
        let _ = Contents::parse(&headed);
        headed.truncate(cut);
        let _ = Contents::parse(&headed);
    }
}
