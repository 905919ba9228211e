//! The binary in an environment of a test's own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fracas_guardian::ledger::Contents;
use fracas_linux::process::Process;

use crate::support::{LIMIT, Target, read, soon};

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A place with a state directory and an environment.
pub(crate) struct Cli {
    place: tempfile::TempDir,
    env: Vec<(String, String)>,
    uid: Option<u32>,
    under: Vec<String>,
    program: PathBuf,
}

/// A command that goes on.
pub(crate) struct Going {
    child: Child,
    process: Process,
    out: PathBuf,
}

impl Cli {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let env = [
            ("FRACAS_STATE", place.path().join("state")),
            ("FRACAS_EMERGENCY_STOP_FILE", place.path().join("stop-file")),
            ("HOME", place.path().to_owned()),
        ];
        let mut cli = Self {
            env: env
                .into_iter()
                .map(|(name, path)| (name.to_owned(), path.display().to_string()))
                .collect(),
            place,
            uid: None,
            under: Vec::new(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_fracas")),
        };
        // No engine unless a test has one.
        let socket = cli.place().join("no-engine.sock");
        cli.set("DOCKER_HOST", &format!("unix://{}", socket.display()));
        cli
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it by another program, which gets its path and arguments as its own last arguments.
    pub(crate) fn under(&mut self, words: &[&str]) {
        self.under = words.iter().map(ToString::to_string).collect();
    }

    /// Runs as another user, by a copy of the program that this user can reach.
    pub(crate) fn as_user(&mut self, uid: u32) {
        fs::set_permissions(self.place(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = self.place().join("fracas");
        fs::copy(&self.program, &program).unwrap();
        self.program = program;
        self.uid = Some(uid);
    }

    /// Runs as another user with a home of his own, where the state is, too.
    pub(crate) fn at_home_of(&mut self, uid: u32) {
        self.as_user(uid);
        let home = self.place().join("home");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&home, Some(uid), Some(uid)).unwrap();
        self.env.retain(|(name, _)| name != "FRACAS_STATE");
        self.set("HOME", &home.display().to_string());
        self.set("XDG_STATE_HOME", &home.display().to_string());
    }

    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        let value = |wanted: &str| self.env.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        match value("FRACAS_STATE") {
            Some(state) => PathBuf::from(state),
            None => Path::new(value("XDG_STATE_HOME").expect("one of them is set")).join("fracas"),
        }
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.place().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path.display().to_string()
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test is started by its test")]
    pub(crate) fn start(&self, words: &[&str]) -> Going {
        let out = tempfile::Builder::new()
            .prefix("said-")
            .tempdir_in(self.place())
            .unwrap()
            .keep();
        let file = |name: &str| File::create(out.join(name)).unwrap();
        let mut line = self.under.iter().map(OsStr::new).collect::<Vec<_>>();
        line.push(self.program.as_os_str());
        line.extend(words.iter().map(OsStr::new));
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .env_clear()
            .envs(self.env.iter().cloned())
            .current_dir(self.place())
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"));
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        let child = command.spawn().unwrap();
        let process = Process::find(child.id()).unwrap().expect("a child has a pid");
        Going { child, process, out }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        self.start(words).end()
    }

    /// Runs a command that must fail with exit code 2 and touch nothing.
    #[track_caller]
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!(said.code, 2, "{words:?} said: {}{}", said.out, said.err);
        assert!(said.err.contains("next: "), "it does not say what to do: {}", said.err);
        assert_eq!(
            self.ledgers(),
            Vec::<PathBuf>::new(),
            "something was planned: {}",
            said.err
        );
        said.err
    }

    /// The ledgers in which something was planned: what a run was about to do, or did.
    pub(crate) fn ledgers(&self) -> Vec<PathBuf> {
        let runs = fs::read_dir(self.state().join("runs")).into_iter().flatten().flatten();
        runs.map(|run| run.path().join("ledger"))
            .filter(|ledger| {
                let Ok(bytes) = fs::read(ledger) else { return false };
                Contents::parse(&bytes).map_or(true, |contents| !contents.entries.is_empty())
            })
            .collect()
    }

    /// A message without what differs from test to test.
    pub(crate) fn stable(&self, text: &str) -> String {
        text.replace(&self.place().display().to_string(), "PLACE")
    }
}

impl Going {
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// What stands on standard error so far.
    pub(crate) fn err(&self) -> String {
        read(self.out.join("err")).unwrap_or_default()
    }

    /// What stands on standard output so far.
    pub(crate) fn out(&self) -> String {
        read(self.out.join("out")).unwrap_or_default()
    }

    /// Waits until something is true of the run, and fails if it ends before.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        soon(LIMIT, what, || {
            let now = condition();
            assert!(
                now || !self.process.has_ended().unwrap(),
                "it ended before: {what}; it said: {}",
                self.err()
            );
            now.then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn end(mut self) -> Said {
        use std::os::unix::process::ExitStatusExt as _;
        assert!(
            self.process.wait(LIMIT).unwrap(),
            "it did not end; it said: {}",
            self.err()
        );
        let status = self.child.wait().unwrap();
        Said {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            out: fs::read_to_string(self.out.join("out")).unwrap(),
            err: fs::read_to_string(self.out.join("err")).unwrap(),
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// An experiment on a target of the lab: `probe` is the probe's source and expectation.
pub(crate) fn experiment(target: &Target, probe: &str, duration: &str) -> String {
    format!(
        "apiVersion: fracas.dev/v1\n\
         kind: Experiment\n\
         metadata: {{ name: cli }}\n\
         seed: 1\n\
         hypothesis:\n  interval: 100ms\n  warmup: 0s\n  recovery: {{ within: 1s, stable_for: 0s }}\n  probes:\n    - {{ name: p, {probe} }}\n\
         targets:\n  - {{ alias: it, {} }}\n\
         faults:\n  - {{ name: f, target: it, inject: {{ memory_limit: {{ limit: 64MiB }} }} }}\n\
         duration: {duration}\n",
        target.selector
    )
}

/// A probe that always holds.
pub(crate) const HOLDS: &str = "command: { argv: [/bin/true] }, expect: \"== 0\"";
/// A probe that holds before and after, and is violated while the limit is on.
pub(crate) fn violated_by_limit(target: &Target) -> String {
    format!(
        "command: {{ argv: [/bin/grep, -qx, \"67108864\", \"{}\"] }}, expect: \"!= 0\"",
        target.memory_limit().display()
    )
}

/// Whether the limit of [`experiment`] is on.
pub(crate) fn limited(target: &Target) -> bool {
    read(target.memory_limit()).as_deref() == Some("67108864")
}
