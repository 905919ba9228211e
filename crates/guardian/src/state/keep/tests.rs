use fracas_core::ids::InjectionId;
use fracas_core::record::State as Stage;
use fracas_core::target::{Kind, Process, ProcessIdentity, Target};

use super::*;
use crate::ledger::{PlannedRecord, Record};

fn place() -> (tempfile::TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(&dir.path().join("state")).unwrap();
    (dir, state)
}

fn id(n: u32) -> RunId {
    format!("20261121-1000{n:02}-beef").parse().unwrap()
}

fn left(state: &State) -> Vec<RunId> {
    state.runs().unwrap().into_iter().map(|kept| kept.run).collect()
}

/// A run with a report of so many bytes.
fn run(state: &State, n: u32, bytes: usize) -> RunId {
    let directory = state.run_directory(&id(n)).unwrap();
    fs::create_dir(directory.path().join("logs")).unwrap();
    fs::write(directory.path().join("logs/web.log"), vec![b'x'; bytes]).unwrap();
    id(n)
}

/// Its ledger, with an injection that came to this stage.
fn ledger(state: &State, run: &RunId, stage: Stage, ended: bool) -> Ledger {
    let identity = ProcessIdentity {
        pid: 7,
        start: 8,
        boot: "b".into(),
    };
    let mut ledger = Ledger::create(&state.run_directory(run).unwrap(), 1).unwrap();
    let planned = PlannedRecord {
        injection: InjectionId(0),
        fault: "memory_limit".into(),
        params: serde_json::json!({}),
        target: Target {
            alias: "a".into(),
            identity: "x".into(),
            kind: Kind::Process(Process {
                process: identity.clone(),
                command: "x".into(),
            }),
        },
        undo: serde_json::json!({}),
        not_after_ms: 0,
    };
    let mut records = vec![
        Record::Began {
            run: run.clone(),
            runner: identity.clone(),
            // This process: a guardian that lives while it holds the lock.
            guardian: fracas_linux::process::identity(std::process::id()).unwrap().unwrap(),
        },
        Record::Planned(Box::new(planned)),
        Record::Became {
            injection: InjectionId(0),
            state: stage,
        },
    ];
    records.extend(ended.then_some(Record::Ended));
    ledger.append(&records).unwrap();
    ledger
}

const MANY: Keep = Keep { runs: 2, size: Size(0) };

#[test]
fn the_newest_stay_by_number() {
    let (_dir, state) = place();
    let runs: Vec<RunId> = (0..5).map(|n| run(&state, n, 10)).collect();
    assert!(state.forget(Keep::default(), &runs[4]).unwrap().is_empty(), "no bounds");
    assert_eq!(state.forget(MANY, &runs[4]).unwrap(), runs[..3]);
    assert_eq!(left(&state), runs[3..]);
    assert!(state.forget(MANY, &runs[4]).unwrap().is_empty());
}

#[test]
fn the_newest_stay_by_size() {
    let (_dir, state) = place();
    let runs: Vec<RunId> = (0..4).map(|n| run(&state, n, 100_000)).collect();
    let keep = Keep {
        runs: 0,
        size: Size(250_000),
    };
    assert_eq!(state.forget(keep, &runs[3]).unwrap(), runs[..2]);
    // The last one stays, however large it is.
    let keep = Keep { runs: 0, size: Size(1) };
    assert_eq!(state.forget(keep, &runs[3]).unwrap(), runs[2..3]);
    assert_eq!(left(&state), runs[3..]);
}

#[test]
fn what_may_be_left_in_the_system_is_never_deleted() {
    let (_dir, state) = place();
    let runs: Vec<RunId> = (0..6).map(|n| run(&state, n, 10)).collect();
    drop(ledger(&state, &runs[0], Stage::Applied, false));
    drop(ledger(&state, &runs[1], Stage::Residue, false));
    let path = state.path().join("runs").join(runs[2].as_str()).join("ledger");
    fs::write(&path, "torn").unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let guarded = ledger(&state, &runs[3], Stage::Clean, true);
    drop(ledger(&state, &runs[4], Stage::Clean, true));
    let one = Keep { runs: 1, size: Size(1) };
    // Abandoned, with residue, unreadable, guarded: only the finished one goes.
    assert_eq!(state.forget(one, &runs[5]).unwrap(), runs[4..5]);
    drop(guarded);
    assert_eq!(state.forget(one, &runs[5]).unwrap(), runs[3..4]);
    assert_eq!(left(&state), [&runs[..3], &runs[5..]].concat());
}

#[test]
fn a_run_that_goes_on_is_never_deleted() {
    let (_dir, state) = place();
    let runs: Vec<RunId> = (0..4).map(|n| run(&state, n, 10)).collect();
    // It has planned nothing yet, and so has no ledger.
    let held = state.hold(&runs[0]).unwrap();
    assert!(state.hold(&runs[0]).is_err(), "once");
    let one = Keep { runs: 1, size: Size(0) };
    assert_eq!(state.forget(one, &runs[2]).unwrap(), [runs[1].clone()]);
    // One that began later is not this run's to judge.
    assert_eq!(left(&state), [runs[0].clone(), runs[2].clone(), runs[3].clone()]);
    drop(held);
    assert_eq!(state.forget(one, &runs[3]).unwrap(), [runs[0].clone(), runs[2].clone()]);
}

#[test]
fn what_is_no_run_is_not_ours() {
    let (_dir, state) = place();
    let runs: Vec<RunId> = (0..2).map(|n| run(&state, n, 10)).collect();
    let stranger = state.path().join("runs/notes");
    fs::create_dir(&stranger).unwrap();
    fs::write(stranger.join("x"), vec![b'x'; 100_000]).unwrap();
    let one = Keep { runs: 1, size: Size(0) };
    assert_eq!(state.forget(one, &runs[1]).unwrap(), runs[..1]);
    assert!(stranger.join("x").exists());
}
