//! One timed run of the real binary.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a run took.
pub(crate) struct Took {
    /// From the command to everything injected.
    pub(crate) on: Duration,
    /// From the stop to everything clean.
    pub(crate) off: Duration,
    /// The most memory that runner and guardian had in KiB.
    pub(crate) peak: (u64, u64),
}

/// Runs a document, with this engine, until `is_on`, then stops it until `is_off`; both are read from the system.
pub(crate) fn timed(document: &str, engine: Option<&str>, is_on: &dyn Fn() -> bool, is_off: &dyn Fn() -> bool) -> Took {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("bench.yaml");
    std::fs::write(&file, document).unwrap();
    let state = place.path().join("state");
    // A file: a pipe that nobody reads would stop the runner at the first 64 KiB.
    let said = place.path().join("said");
    let began = Instant::now();
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark starts the program that it measures"
    )]
    let mut runner = Command::new(env!("CARGO_BIN_EXE_fracas"))
        .args(["run", "--yes", "--format", "json"])
        .arg(&file)
        .env("FRACAS_STATE", &state)
        .envs(engine.map(|address| ("DOCKER_HOST", address)))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    wait(&said, is_on, "on");
    let on = began.elapsed();
    let peak = (high_water(runner.id()), guardian_of(runner.id()).map_or(0, high_water));
    let process = fracas_linux::process::Process::find(runner.id())
        .unwrap()
        .expect("the runner runs");
    let stopped = Instant::now();
    process.signal(2).unwrap();
    wait(&said, is_off, "off");
    let off = stopped.elapsed();
    let ended = runner.wait().unwrap();
    assert_eq!(ended.code(), Some(3), "a run that is stopped is aborted");
    Took { on, off, peak }
}

fn wait(said: &Path, done: &dyn Fn() -> bool, what: &str) {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > Duration::from_mins(1) {
            let said = std::fs::read_to_string(said).unwrap_or_default();
            panic!("not {what} within a minute: {said}");
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
}

fn guardian_of(runner: u32) -> Option<u32> {
    let all = fracas_linux::process::all().unwrap();
    all.iter()
        .find(|status| status.parent == runner && status.command.contains("worker guardian"))
        .map(|status| status.identity.pid)
}

fn high_water(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}
