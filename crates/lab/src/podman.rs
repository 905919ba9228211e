//! Podman for tests: a service of Docker's API, with storage of its own.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fracas_core::problem::codes::SYSTEM;
use fracas_core::problem::{Problem, Result};
use fracas_docker::Engine;
use fracas_linux::process;

use crate::engine::{is_orphan, maker};
use crate::unique;

/// How the folders of these services are named; the pid and start of the process that made one follow.
const PREFIX: &str = "fracas-podman-";
/// How long a service may take to answer.
const LIMIT: Duration = Duration::from_mins(1);
/// A service whose test was killed ends after so many seconds without a call.
const IDLE: &str = "120";

/// A Podman service of the test's own. Its containers, its storage and itself are gone when it is dropped.
#[derive(Debug)]
pub struct TestPodman {
    folder: PathBuf,
    child: Child,
    engine: Engine,
}

impl TestPodman {
    /// Starts a service. Without the program or without root: a printed skip, or a panic under `CI=true`.
    ///
    /// Panics when it does not answer within a minute. What a killed test left behind is removed.
    #[expect(clippy::panic, reason = "this ends a test")]
    pub async fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|place| place.join("podman").exists()) {
            crate::skip("no podman");
            return None;
        }
        if !fracas_linux::privileges::is_root() {
            crate::skip("Podman's storage needs root");
            return None;
        }
        sweep();
        match Self::serve().await {
            Ok(podman) => Some(podman),
            Err(problem) => panic!("{}", problem.line()),
        }
    }

    async fn serve() -> Result<Self> {
        let failed = |error: std::io::Error| Problem::new(&SYSTEM, "Podman cannot be started").because(&error);
        // The maker's pid and start are digits with a colon between them, and a colon in a path looks like the end of one.
        let name = format!("{PREFIX}{}", maker().replace(':', "-"));
        let folder = std::env::temp_dir().join(unique(&name));
        fs::create_dir(&folder).map_err(failed)?;
        // Without CAP_SYS_RESOURCE nobody can raise limits to those that Podman gives by itself (setrlimit(2)).
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        fs::write(folder.join("containers.conf"), settings).map_err(failed)?;
        let log = File::create(folder.join("log")).map_err(failed)?;
        let socket = format!("unix://{}", folder.join("podman.sock").display());
        let child = podman(&folder)
            .args(["system", "service", "--time", IDLE, &socket])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        let mut starting = Starting(Some((folder, child)));
        let engine = starting.answers(&socket).await?;
        let (folder, child) = starting
            .0
            .take()
            .ok_or_else(|| Problem::new(&SYSTEM, "Podman has just ended"))?;
        Ok(Self { folder, child, engine })
    }

    /// The service, asked by Docker's API.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for TestPodman {
    fn drop(&mut self) {
        end(&mut self.child);
        clear(&self.folder);
    }
}

/// A service that does not answer yet; ended when dropped.
struct Starting(Option<(PathBuf, Child)>);

impl Starting {
    async fn answers(&mut self, socket: &str) -> Result<Engine> {
        let begun = Instant::now();
        loop {
            let problem = match Engine::connect(Some(socket)).await {
                Ok(engine) => return Ok(engine),
                Err(problem) => problem,
            };
            let Some((folder, child)) = &mut self.0 else {
                return Err(problem);
            };
            let ended = !matches!(child.try_wait(), Ok(None));
            if ended || begun.elapsed() > LIMIT {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(problem.since(format!("Podman said: {log}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some((folder, child)) = &mut self.0 {
            end(child);
            clear(folder);
        }
    }
}

/// The program, with storage and settings in this folder.
///
/// `cgroupfs` and `vfs` work everywhere: without systemd, and inside a container, where overlays may not be stacked.
#[expect(clippy::disallowed_methods, reason = "the lab's engine is started by tests only")]
fn podman(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    for (option, name) in [("--root", "data"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
        command.arg(option).arg(folder.join(name));
    }
    command
        .args([
            "--cgroup-manager",
            "cgroupfs",
            "--storage-driver",
            "vfs",
            "--runtime",
            "runc",
        ])
        .args(["--events-backend", "file"])
        .env("CONTAINERS_CONF", folder.join("containers.conf"))
        .stdin(Stdio::null());
    command
}

fn end(child: &mut Child) {
    // It keeps nothing in memory that is not on disk. What a drop cannot do, nobody can: errors have no reader here.
    let _gone = child.kill();
    let _reaped = child.wait();
}

/// Removes containers that a test left, and the folder. What cannot be removed is left to the next sweep.
fn clear(folder: &Path) {
    let removed = podman(folder)
        .args(["rm", "--all", "--force", "--time", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if removed.is_ok_and(|status| status.success()) {
        let _next_time = fs::remove_dir_all(folder);
    }
}

/// Clears the folders of tests that are gone.
fn sweep() {
    let us = process::status(std::process::id())
        .ok()
        .flatten()
        .map(|status| status.uid);
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(made) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let mut parts = made.split('-');
        let (Some(pid), Some(start)) = (parts.next(), parts.next()) else {
            continue;
        };
        // Of the entry itself: a link to somewhere else is not a folder of ours.
        let ours = entry
            .metadata()
            .is_ok_and(|data| data.is_dir() && Some(data.uid()) == us);
        if ours && is_orphan(&format!("{pid}:{start}")) {
            clear(&entry.path());
        }
    }
}
