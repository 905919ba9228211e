//! Runs of the real binary, timed from outside: whether a fault is on is read from the system.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fracas_linux::process::{self, Process};

/// Nothing that is waited for here takes so long.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK: Duration = Duration::from_micros(200);
const SIGINT: i32 = 2;

/// A document with one fault on all that this selects, without any waiting of its own.
pub(crate) fn document(selector: &str, inject: &str) -> String {
    format!(
        "apiVersion: fracas.dev/v1\nkind: Experiment\nmetadata: {{ name: bench }}\n\
         hypothesis: {{ warmup: 0s, recovery: {{ within: 1s, stable_for: 0s }} }}\n\
         targets:\n  - {{ alias: all, {selector} }}\n\
         faults:\n  - {{ name: one, target: all, inject: {{ {inject} }} }}\nduration: 10m\nmax_duration: 11m\n"
    )
}

/// What a run took.
pub(crate) struct Took {
    /// From the command to everything injected.
    pub(crate) on: Duration,
    /// From the stop to everything clean.
    pub(crate) off: Duration,
    /// The most memory that runner and guardian had, in MiB.
    pub(crate) peak: (f64, f64),
}

/// Runs a document, with this engine, until `is_on`, then stops it until `is_off`.
pub(crate) fn timed(document: &str, engine: Option<&str>, is_on: &dyn Fn() -> bool, is_off: &dyn Fn() -> bool) -> Took {
    let running = Running::start(document, engine);
    running.until("on", is_on);
    let on = running.began.elapsed();
    let guardian = running.guardian();
    let peaks = || (high_water(running.child.id()), high_water(guardian.identity().pid));
    let before = peaks();
    let stopped = Instant::now();
    running.runner.signal(SIGINT).unwrap();
    running.until("off", is_off);
    let off = stopped.elapsed();
    // Undoing takes memory, too; who has gone already shows nothing.
    let after = peaks();
    running.end();
    Took {
        on,
        off,
        peak: (before.0.max(after.0), before.1.max(after.1)),
    }
}

/// A run that goes on.
pub(crate) struct Running {
    pub(crate) runner: Process,
    child: Child,
    pub(crate) began: Instant,
    said: PathBuf,
    _place: tempfile::TempDir,
}

impl Running {
    /// The command.
    pub(crate) fn start(document: &str, engine: Option<&str>) -> Self {
        Self::start_with(document, engine, &[])
    }

    /// The command, with these settings.
    pub(crate) fn start_with(document: &str, engine: Option<&str>, settings: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("bench.yaml");
        std::fs::write(&file, document).unwrap();
        // A file: a pipe that nobody reads would stop the runner at the first 64 KiB.
        let said = place.path().join("said");
        let began = Instant::now();
        #[expect(
            clippy::disallowed_methods,
            reason = "a benchmark starts the program that it measures"
        )]
        let child = Command::new(env!("CARGO_BIN_EXE_fracas"))
            .args(["run", "--yes", "--format", "json"])
            .arg(&file)
            .env("FRACAS_STATE", place.path().join("state"))
            .envs(engine.map(|address| ("DOCKER_HOST", address)))
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&said).unwrap())
            .spawn()
            .unwrap();
        Self {
            // It cannot be another: whoever was not waited for keeps its pid.
            runner: Process::find(child.id()).unwrap().unwrap(),
            child,
            began,
            said,
            _place: place,
        }
    }

    /// Waits for it.
    pub(crate) fn until(&self, what: &str, done: &dyn Fn() -> bool) {
        let began = Instant::now();
        while !done() {
            if began.elapsed() > LIMIT {
                let said = std::fs::read_to_string(&self.said).unwrap_or_default();
                // Before the end there is a line for each target.
                let lines: Vec<_> = said.lines().collect();
                let end = lines[lines.len().saturating_sub(20)..].join("\n");
                panic!("not {what} within {LIMIT:?}: {end}");
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Its guardian.
    pub(crate) fn guardian(&self) -> Process {
        let all = process::all().unwrap();
        let found = all
            .iter()
            .find(|status| status.parent == self.child.id() && status.command.contains("worker guardian"));
        let found = found.expect("a run has a guardian");
        Process::open(&found.identity).unwrap().expect("it lives with its run")
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(self) {
        self.runner.signal(SIGINT).unwrap();
        self.end();
    }

    fn end(mut self) {
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), Some(3), "a run that is stopped is aborted");
    }

    /// Collects it after it was killed.
    pub(crate) fn buried(mut self) {
        assert_eq!(self.child.wait().unwrap().code(), None, "it was killed by a signal");
    }
}

/// A benchmark that fails leaves no run that goes on: its guardian undoes everything. Of one that was waited for nothing is killed.
impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _collected = self.child.wait();
    }
}

/// The most memory that a process had so far, in MiB: proc_pid_status(5), VmHWM. Nothing where it is gone.
fn high_water(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0.0);
    kib / 1024.0
}
