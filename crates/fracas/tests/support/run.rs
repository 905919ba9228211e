//! One `fracas` process of a test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fracas_core::record::{Certificate, State};
use fracas_guardian::ledger::Contents;
use fracas_linux::process::Process;

use super::{Bench, LIMIT, every, look, soon};

/// Between two looks at a state.
const PAUSE: Duration = Duration::from_micros(50);

/// A process that was started and is waited for when dropped.
pub(crate) struct Run {
    child: Child,
    process: Process,
    state: PathBuf,
    out: PathBuf,
    ended: Option<i32>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code; 128 and the signal's number where it was killed, as a shell says it.
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// `fracas run FILE --yes` and these flags.
    pub(crate) fn start(bench: &Bench, file: &Path, flags: &[&str]) -> Self {
        let file = file.display().to_string();
        Self::words(bench, &[&["run", &file, "--yes"], flags].concat())
    }

    pub(crate) fn words(bench: &Bench, words: &[&str]) -> Self {
        Self::with(bench, words, &[])
    }

    /// The same with these variables of the environment.
    #[expect(clippy::disallowed_methods, reason = "the program under test is started by its test")]
    pub(crate) fn with(bench: &Bench, words: &[&str], variables: &[(&str, &str)]) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let out = bench.place().join(format!("said-{number}"));
        let file = |end: &str| File::create(out.with_extension(end)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fracas"));
        command
            .args(words)
            .env("FRACAS_STATE", bench.state())
            .current_dir(bench.place())
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"));
        // The engine of tests, never the daily one of whoever runs them.
        match std::env::var("FRACAS_TEST_DOCKER_HOST") {
            Ok(host) => command.env("DOCKER_HOST", host),
            Err(_) => command.env_remove("DOCKER_HOST"),
        };
        command.envs(variables.iter().copied());
        let child = command.spawn().unwrap();
        // Not waited for yet: its pid is its own.
        let process = Process::find(child.id()).unwrap().expect("a child has a pid");
        Self {
            child,
            process,
            state: bench.state().to_owned(),
            out,
            ended: None,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Said {
        self.wait(LIMIT)
    }

    /// Waits for its end, at most so long.
    #[track_caller]
    pub(crate) fn wait(&mut self, limit: Duration) -> Said {
        assert!(
            self.process.wait(limit).unwrap(),
            "fracas did not end within {limit:?}; it said: {}",
            self.err()
        );
        let code = self.collect();
        Said {
            code,
            out: look::read(self.out.with_extension("out")).unwrap_or_default(),
            err: self.err(),
        }
    }

    fn collect(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        if let Some(code) = self.ended {
            return code;
        }
        let status = self.child.wait().unwrap();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        self.ended = Some(code);
        code
    }

    /// What it has said so far to people.
    pub(crate) fn err(&self) -> String {
        look::read(self.out.with_extension("err")).unwrap_or_default()
    }

    /// The directory of the run, once there is one with a ledger.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let runs = std::fs::read_dir(self.state.join("runs")).ok()?;
        runs.flatten()
            .map(|entry| entry.path())
            .find(|directory| of(directory).is_some_and(|contents| self.began(&contents)))
    }

    fn began(&self, contents: &Contents) -> bool {
        contents.runner.as_ref() == Some(self.process.identity())
    }

    /// Waits until the ledger is there. Gives the run's directory and its guardian.
    #[track_caller]
    pub(crate) fn begun(&self) -> (PathBuf, Process) {
        let directory = soon(LIMIT, "the ledger is there", || {
            let found = self.directory();
            assert!(
                found.is_some() || !self.process.has_ended().unwrap(),
                "fracas ended before it had a ledger; it said: {}",
                self.err()
            );
            found
        });
        let guardian = of(&directory).and_then(|contents| contents.guardian).unwrap();
        look::remember(guardian.pid);
        let guardian = Process::open(&guardian).unwrap().expect("the guardian lives");
        (directory, guardian)
    }

    /// Waits until the first injection is in this state, or past it.
    #[track_caller]
    pub(crate) fn until(&self, directory: &Path, state: State) -> Instant {
        // With hardly a pause: a state may last for less than a millisecond.
        every(PAUSE, LIMIT, &format!("an injection is {state}"), || {
            let now = first(directory);
            assert!(
                now >= Some(state) || !self.process.has_ended().unwrap(),
                "fracas ended before an injection was {state}; it said: {}",
                self.err()
            );
            (now >= Some(state)).then(Instant::now)
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // Gone already, or killed here: either way it is waited for.
            let _gone = self.child.kill();
            let _status = self.child.wait();
        }
    }
}

/// What the ledger in this directory says, read without its lock: who looks must not stand in the way of who writes.
pub(crate) fn of(directory: &Path) -> Option<Contents> {
    let bytes = std::fs::read(directory.join("ledger")).ok()?;
    Contents::parse(&bytes).ok()
}

/// The state of the first injection in the ledger; `None` before it is planned.
pub(crate) fn first(directory: &Path) -> Option<State> {
    of(directory)?.entries.into_values().next().map(|entry| entry.state)
}

/// The certificate of a run, if it has one.
pub(crate) fn certificate(directory: &Path) -> Option<Certificate> {
    serde_json::from_str(&look::read(directory.join("certificate.json"))?).ok()
}
