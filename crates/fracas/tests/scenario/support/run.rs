//! The program, run as a person runs it.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use fracas_core::event::{Event, Outcome, Phase, What};
use fracas_core::record::State;
use fracas_docker::Engine;
use fracas_lab::{TestDocker, eventually};
use serde_json::Value;
use tempfile::TempDir;

use super::{LIMIT, Prometheus};

/// A place for the runs of one test: the engine, and a directory in which each run has its own state and its own reports.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    prometheus: Option<String>,
    directory: TempDir,
    runs: Cell<u32>,
}

impl Bench {
    /// `None`, with a line that says so, where there is no engine for tests.
    pub(crate) async fn new() -> Option<Self> {
        Some(Self {
            engine: TestDocker::get().await?,
            prometheus: None,
            directory: tempfile::tempdir().unwrap(),
            runs: Cell::new(0),
        })
    }

    /// Tells the runs that begin from now on where Prometheus is.
    pub(crate) fn with(mut self, prometheus: &Prometheus) -> Self {
        self.prometheus = Some(prometheus.url());
        self
    }

    /// Begins `fracas run FILE --yes` with more arguments.
    pub(crate) fn begin(&self, document: &str, arguments: &[&str]) -> Running {
        self.begin_as("scenario.yaml", document, &["scenario.yaml"], arguments)
    }

    /// Begins a run of a document that is kept in a file of this name; `named` are the arguments that name it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test is started as users start it"
    )]
    pub(crate) fn begin_as(&self, name: &str, document: &str, named: &[&str], arguments: &[&str]) -> Running {
        let number = self.runs.get();
        self.runs.set(number + 1);
        let place = self.directory.path().join(number.to_string());
        fs::create_dir(&place).unwrap();
        fs::write(place.join(name), document).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fracas"));
        command
            .current_dir(&place)
            .arg("run")
            .args(named)
            .args(["--yes", "--out", "out", "--state"])
            .arg(place.join("state"))
            .args(arguments)
            .env("DOCKER_HOST", self.engine.address())
            .env_remove("PROMETHEUS_URL")
            .stdin(Stdio::null())
            .stdout(File::create(place.join("stdout")).unwrap())
            .stderr(File::create(place.join("stderr")).unwrap());
        if let Some(url) = &self.prometheus {
            command.env("PROMETHEUS_URL", url);
        }
        Running {
            child: command.spawn().unwrap(),
            place,
        }
    }

    /// Runs to the end.
    pub(crate) fn run(&self, document: &str, arguments: &[&str]) -> Done {
        self.begin(document, arguments).end()
    }
}

/// A run that goes on. Killed when dropped: its guardian then undoes everything.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    place: PathBuf,
}

impl Running {
    /// Waits until the record holds this.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&[Event]) -> bool) {
        eventually(LIMIT, what, || {
            // Asked first: a run that has ended has written all that it will.
            let ended = self.child.try_wait().unwrap().is_some();
            let there = holds(&events(&self.place));
            assert!(
                there || !ended,
                "the run ended before: {what}\n{}",
                text(&self.place, "stderr")
            );
            there
        });
    }

    /// Waits until injections came on so many times.
    #[track_caller]
    pub(crate) fn until_applied(&mut self, times: usize) {
        self.until("the faults are on", |events| {
            let applied = events.iter().filter(|event| is_state(&event.what, State::Applied));
            applied.count() >= times
        });
    }

    /// Waits until a phase begins.
    #[track_caller]
    pub(crate) fn until_phase(&mut self, wanted: Phase) {
        self.until(&format!("{wanted:?} begins"), |events| {
            events
                .iter()
                .any(|event| matches!(event.what, What::PhaseEntered { phase, .. } if phase == wanted))
        });
    }

    /// Waits until a probe, read after so many events, gives this value.
    #[track_caller]
    pub(crate) fn until_read(&mut self, after: usize, value: f64) {
        self.until(&format!("a probe reads {value}"), |events| {
            events
                .iter()
                .skip(after)
                .any(|event| matches!(&event.what, What::ProbeRead { reading, .. } if reading.values.contains(&value)))
        });
    }

    /// How many events there were so far.
    pub(crate) fn so_far(&self) -> usize {
        events(&self.place).len()
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Done {
        let mut status = None;
        eventually(LIMIT, "the run ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let report = text(&self.place, "out/report.json");
        Done {
            code: status.unwrap().code(),
            stdout: text(&self.place, "stdout"),
            stderr: text(&self.place, "stderr"),
            events: events(&self.place),
            report: serde_json::from_str(&report).unwrap_or_default(),
            tests: tests(&self.place),
            place: self.place.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended in a test that succeeds.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) events: Vec<Event>,
    /// `report.json`; null where there is none.
    pub(crate) report: Value,
    /// Seed 0's report files, with their names.
    pub(crate) tests: Vec<(String, Value)>,
    /// Where it ran.
    place: PathBuf,
}

impl Done {
    /// A file that the run left, by its path from where it ran; empty if there is none.
    pub(crate) fn file(&self, path: &str) -> String {
        text(&self.place, path)
    }

    /// Fails, with all that the run said, unless it ended like this.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stderr, self.stdout);
        self
    }

    /// The only report file of seed 0, with its name.
    #[track_caller]
    pub(crate) fn test_report(&self) -> (String, Value) {
        let [one] = self.tests.as_slice() else {
            panic!("not one report: {:?}", self.tests)
        };
        one.clone()
    }

    /// A criterion in seed 0's report.
    #[track_caller]
    pub(crate) fn criterion(&self, name: &str) -> Value {
        let (_, report) = self.test_report();
        let criteria = report["success_criteria"].as_array().unwrap();
        criteria.iter().find(|one| one["name"] == name).unwrap().clone()
    }

    /// When each event like this happened, in milliseconds.
    pub(crate) fn times(&self, like: impl Fn(&What) -> bool) -> Vec<u64> {
        let found = self.events.iter().filter(|event| like(&event.what));
        found.map(|event| event.elapsed_ms).collect()
    }

    /// When injections came into a state.
    pub(crate) fn states(&self, state: State) -> Vec<u64> {
        self.times(|what| is_state(what, state))
    }

    /// The phases in order.
    pub(crate) fn phases(&self) -> Vec<Phase> {
        self.events
            .iter()
            .filter_map(|event| match event.what {
                What::PhaseEntered { phase, .. } => Some(phase),
                _ => None,
            })
            .collect()
    }

    /// When a phase began and ended, and how.
    #[track_caller]
    pub(crate) fn phase(&self, wanted: Phase) -> (u64, u64, Outcome) {
        let entered = self.times(|what| matches!(what, What::PhaseEntered { phase, .. } if *phase == wanted));
        let left = self.events.iter().find_map(|event| match event.what {
            What::PhaseLeft { phase, outcome } if phase == wanted => Some((event.elapsed_ms, outcome)),
            _ => None,
        });
        let (until, outcome) = left.unwrap();
        (entered[0], until, outcome)
    }

    /// Which targets were chosen, by identity.
    pub(crate) fn chosen(&self) -> Vec<String> {
        let chosen = self.events.iter().filter_map(|event| match &event.what {
            What::TargetsChosen { chosen, .. } => Some(chosen),
            _ => None,
        });
        chosen.flatten().map(|target| target.identity.clone()).collect()
    }

    /// The only certificate, which must be clean.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let clean = self.events.iter().find_map(|event| match &event.what {
            What::Certified { certificate } => Some(certificate.is_clean()),
            _ => None,
        });
        assert_eq!(clean, Some(true), "{}", self.stderr);
    }
}

/// The index of the first event like this.
pub(crate) fn at(events: &[Event], like: impl Fn(&What) -> bool) -> usize {
    events.iter().position(|event| like(&event.what)).unwrap()
}

fn is_state(what: &What, wanted: State) -> bool {
    matches!(what, What::Injection { state, .. } if *state == wanted)
}

/// Seed 0's report files; none where there is no directory for them.
fn tests(place: &Path) -> Vec<(String, Value)> {
    let Ok(files) = fs::read_dir(place.join("reports")) else {
        return Vec::new();
    };
    let read = |file: std::io::Result<fs::DirEntry>| {
        let file = file.unwrap();
        // Beside them are the logs of runs that failed.
        if file.file_type().unwrap().is_dir() {
            return None;
        }
        let text = fs::read_to_string(file.path()).unwrap();
        Some((
            file.file_name().into_string().unwrap(),
            serde_json::from_str(&text).unwrap(),
        ))
    };
    files.filter_map(read).collect()
}

/// The whole lines of the record.
fn events(place: &Path) -> Vec<Event> {
    let text = text(place, "out/events.ndjson");
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(place: &Path, file: &str) -> String {
    fs::read_to_string(place.join(file)).unwrap_or_default()
}
