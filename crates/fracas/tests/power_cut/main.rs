//! The machine loses its power while every fault is on. At the next boot `fracas recover`, which is what the unit runs, puts back what
//! survived on the disk and forgets what went with the kernel; nothing of it is left, and the certificate says so.
//!
//! `cargo xtask vm` starts this program with a mode, in a machine that it can take the power from: `before` puts everything on and says when
//! it is time, `after` looks at the next boot. That is as soon as a fault is seen: all that is on the disk is what Fracas itself has taken
//! care of, and that must be its way back. In `before-written` everything is on, and the disk has all of it; the
//! power goes once more when `after-written` has recovered, and what was called clean is `still` so.
//!
//! `host-clock` sets the machine's clock, see [`host_clock`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends at its first surprise, and a mode speaks to whoever started it"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../kill_matrix/cases.rs"]
#[allow(dead_code, reason = "the kill matrix uses the rest")]
mod cases;
mod host_clock;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cases::{Case, On};
use fracas_core::record::State;
use fracas_linux::process;
use libtest_mimic::{Arguments, Trial};
use serde::{Deserialize, Serialize};
use support::{Bench, Target, certificate, files_in, of, soon};

/// What the program says when everything is on.
const NOW: &str = "power cut: now";
/// Where root's state is unless somebody says otherwise: at a boot nobody does.
const STATE: &str = "/var/lib/fracas";
/// The fault that is seen first: the kernel writes what it does to the disk when it likes.
const SEEN: &str = "file_delete";
/// What the next boot must know.
const NOTES: &str = "/var/lib/power-cut.json";
/// Processors of the machine are slow, and twenty faults are put on.
const LIMIT: Duration = Duration::from_mins(3);

/// What was there before any fault.
#[derive(Debug, Serialize, Deserialize)]
struct Notes {
    boot: String,
    /// By fault: the directory of its target's own.
    places: BTreeMap<String, PathBuf>,
    /// By fault: what was in it, by name.
    files: BTreeMap<String, Vec<(String, String)>>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["app"] => println!("{}", fracas_lab::app().display()),
        ["before"] => before(false),
        ["before-written"] => before(true),
        ["after"] => after(false),
        ["after-written"] => {
            after(true);
            now();
        }
        ["still"] => still(),
        ["host-clock"] => host_clock::check(),
        _ => return libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
    ExitCode::SUCCESS
}

fn trials() -> Vec<Trial> {
    vec![Trial::test("what_a_machine_alone_can_have_is_on_when_it_goes", || {
        let faults: Vec<_> = on_a_machine_alone().iter().map(|case| case.fault).collect();
        let left_out: Vec<_> = fracas_faults::FAULTS
            .iter()
            .map(|fault| fault.name)
            .filter(|name| !faults.contains(name))
            .collect();
        // The engine restores what it keeps, and starts what died: the others have nothing but a disk.
        assert_eq!(
            left_out,
            [
                "disk_fill",
                "process_kill",
                "container_pause",
                "container_kill",
                "container_stop",
                "container_restart"
            ]
        );
        Ok(())
    })]
}

/// The faults whose target needs no engine.
fn on_a_machine_alone() -> Vec<Case> {
    let needs_engine = |case: &Case| matches!(case.on, On::Container(_));
    cases::all().into_iter().filter(|case| !needs_engine(case)).collect()
}

/// Puts everything on and waits for the end.
fn before(written: bool) {
    let bench = Bench::another().with_state(Path::new(STATE));
    let stricken: Vec<_> = on_a_machine_alone()
        .into_iter()
        .map(|case| (case, case.target().expect("the machine can have it")))
        .collect();
    let notes = note(&stricken);
    // From here on the disk has what Fracas writes to it, and what the kernel finds time for.
    rustix::fs::sync();
    let run = bench.run(&document(&stricken));
    let (directory, _) = run.begun();
    let alive = || {
        let err = run.err();
        assert!(!run.process().has_ended().unwrap(), "fracas ended; it said: {err}");
    };
    if written {
        soon(LIMIT, "every fault is on", || {
            alive();
            let entries = of(&directory)?.entries;
            let over = entries.values().find(|entry| entry.state.is_over());
            let over = over.map(|entry| (&entry.planned.fault, entry.state));
            assert_eq!(over, None, "it does not stay on; fracas said: {}", run.err());
            let on = entries.values().filter(|entry| entry.state == State::Applied).count();
            (on == stricken.len()).then_some(())
        });
        rustix::fs::sync();
    } else {
        soon(LIMIT, "a fault is seen", || {
            alive();
            (files_in(&notes.places[SEEN]) != notes.files[SEEN]).then_some(())
        });
    }
    now()
}

/// Says that it is time, and is here when it happens.
fn now() -> ! {
    println!("{NOW}");
    loop {
        std::thread::park();
    }
}

fn note(stricken: &[(Case, Target)]) -> Notes {
    let by_fault = |(case, target): &(Case, Target)| (case.fault.to_owned(), target.place.path().to_owned());
    let places: BTreeMap<_, _> = stricken.iter().map(by_fault).collect();
    let notes = Notes {
        boot: process::boot_id().unwrap(),
        files: places
            .iter()
            .map(|(fault, place)| (fault.clone(), files_in(place)))
            .collect(),
        places,
    };
    fs::write(NOTES, serde_json::to_vec(&notes).unwrap()).unwrap();
    notes
}

/// One run of all of them, each on a target of its own.
fn document(stricken: &[(Case, Target)]) -> String {
    let (mut targets, mut faults) = (String::new(), String::new());
    for (case, target) in stricken {
        let name = case.fault;
        let inject = case.inject(target);
        writeln!(targets, "  - {{ alias: {name}, {} }}", target.selector).unwrap();
        if inject.contains("from: other") {
            writeln!(targets, "  - {{ alias: other, {} }}", target.other()).unwrap();
        }
        let agreed = if case.irreversible {
            ", allow_irreversible: true"
        } else {
            ""
        };
        writeln!(
            faults,
            "  - {{ name: {name}, target: {name}, inject: {{ {inject} }}{agreed} }}"
        )
        .unwrap();
    }
    format!(
        "apiVersion: fracas.dev/v1\n\
         kind: Experiment\n\
         metadata: {{ name: power-cut }}\n\
         hypothesis: {{ interval: 1s, warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
         targets:\n{targets}\
         faults:\n{faults}\
         duration: 30m\n"
    )
}

impl Notes {
    fn read() -> Self {
        let notes: Self = serde_json::from_slice(&fs::read(NOTES).unwrap()).unwrap();
        assert_ne!(process::boot_id().unwrap(), notes.boot, "this is no other boot");
        notes
    }

    /// The faults whose files are not as they were.
    fn changed(&self) -> Vec<&str> {
        let now = |fault: &String| files_in(&self.places[fault]);
        let others = self.files.iter().filter(|(fault, files)| now(fault) != **files);
        others.map(|(fault, _)| fault.as_str()).collect()
    }
}

/// Looks once more, one boot after the recovery.
fn still() {
    let notes = Notes::read();
    // What a program of the user's does, it writes itself.
    let changed: Vec<_> = notes.changed().into_iter().filter(|fault| *fault != "script").collect();
    assert!(
        changed.is_empty(),
        "what was called clean was not on the disk: {changed:?}"
    );
    let bench = Bench::another().with_state(Path::new(STATE));
    let status = bench.fracas(&["status"]);
    assert_eq!(status.code, 0, "{status:?}");
    let recovered = bench.fracas(&["recover"]);
    assert_eq!(
        (recovered.code, recovered.out.as_str()),
        (0, "nothing to recover"),
        "{recovered:?}"
    );
}

/// Looks what is there, recovers, and looks again.
fn after(written: bool) {
    let notes = Notes::read();
    let bench = Bench::another().with_state(Path::new(STATE));
    if written {
        assert_eq!(
            notes.changed(),
            ["file_corrupt", "file_delete", "script"],
            "what is on the disk outlives the machine, and nothing else has been there"
        );
    }
    let runs: Vec<_> = fs::read_dir(Path::new(STATE).join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|directory| certificate(directory).is_none())
        .collect();
    let [directory] = runs.as_slice() else {
        panic!("one run was cut off, and these have no certificate: {runs:?}");
    };
    let contents = of(directory).expect("the ledger can be read");
    let promised: BTreeSet<&str> = contents.entries.values().map(|entry| &*entry.planned.fault).collect();
    // Before the first cut one was seen, whatever of it has reached the disk; the others may not have had their turn.
    let done: BTreeSet<&str> = if written {
        notes.places.keys().map(String::as_str).collect()
    } else {
        notes.changed().into_iter().chain([SEEN]).collect()
    };
    let unpromised: Vec<_> = done.difference(&promised).collect();
    assert!(
        unpromised.is_empty(),
        "{unpromised:?} were done before their way back was on the disk"
    );
    let id = directory.file_name().unwrap().to_str().unwrap();
    let status = bench.fracas(&["status"]);
    assert_eq!(status.code, 4, "{status:?}");
    assert!(
        status.out.contains(id) && status.out.contains("fracas recover"),
        "{status:?}"
    );

    let recovered = bench.fracas(&["recover"]);
    println!("{}", recovered.out);
    assert_eq!(recovered.code, 0, "{recovered:?}");
    let changed = notes.changed();
    assert!(changed.is_empty(), "{changed:?} are not as they were: {recovered:?}");
    if written {
        for fault in ["file_corrupt", "file_delete", "script"] {
            let line = recovered
                .out
                .lines()
                .find(|line| line.contains(&format!(" {fault} on ")))
                .unwrap();
            assert!(line.contains("clean") && line.contains("restored"), "{line}");
        }
    }
    let certificate = certificate(directory).expect("there is a certificate");
    assert!(certificate.is_clean(), "{certificate:?}");
    assert_eq!(certificate.lines.len(), promised.len(), "{certificate:?}");
    let again = bench.fracas(&["recover"]);
    assert_eq!((again.code, again.out.as_str()), (0, "nothing to recover"), "{again:?}");
    assert_eq!(bench.fracas(&["status"]).code, 0);
}
