//! A Docker engine of our own for the tests: own socket, data, run folder, configuration and containerd namespace, no network
//! set-up. An engine that the machine has already is never spoken to.

mod mounts;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

use crate::children;

/// Folders are made here, not in `TMPDIR`: the path of a Unix socket is at most 108 bytes (unix(7)), and the engine puts its
/// sockets some folders deep.
const PARENT: &str = "/tmp";
const PREFIX: &str = "fracas-engine-";

/// A cold start of dockerd and its containerd takes 1 to 5 s; slow disks are slower.
const START_LIMIT: Duration = Duration::from_secs(90);
/// dockerd gives containers 5 s (`--shutdown-timeout`) and its containerd 15 s.
const STOP_LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// A running engine. Stopped, and its folder removed, by [`Engine::stop`] or on drop.
#[derive(Debug)]
pub(crate) struct Engine {
    folder: PathBuf,
    child: Option<Child>,
}

impl Engine {
    /// Starts an engine and waits until it answers.
    pub(crate) fn start() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("a Docker engine needs root: run this task as root");
        }
        let program = children::find("dockerd").context("dockerd is not here: run `cargo xtask install`")?;
        sweep(Path::new(PARENT));
        let folder = Path::new(PARENT).join(format!("{PREFIX}{}", std::process::id()));
        // Fails if somebody else made it: we never use a folder that is not ours alone.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let mut engine = Self { folder, child: None };
        engine.spawn(&program)?;
        engine.wait_until_it_answers()?;
        Ok(engine)
    }

    /// What tests expect in `FRACAS_TEST_DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn spawn(&mut self, program: &Path) -> Result<()> {
        let config = self.folder.join("daemon.json");
        fs::write(&config, "{}\n").with_context(|| format!("cannot write {}", config.display()))?;
        let log = fs::File::create(self.log()).context("cannot make the engine's log")?;
        let child = self
            .command(program, &config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the engine's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// The command line. With `setpriv` the engine gets SIGTERM when this task dies, whatever kills it.
    fn command(&self, program: &Path, config: &Path) -> Command {
        let mut command = match children::find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        // A system's containerd is shared if there is one: then in namespaces of our own, which must be two.
        let namespace = self.folder.file_name().unwrap_or_default();
        let mut plugins = namespace.to_owned();
        plugins.push("-plugins");
        command
            .arg("--config-file")
            .arg(config)
            .arg("--host")
            .arg(self.host())
            .arg("--data-root")
            .arg(self.folder.join("data"))
            .arg("--exec-root")
            .arg(self.folder.join("exec"))
            .arg("--pidfile")
            .arg(self.folder.join("docker.pid"))
            .arg("--containerd-namespace")
            .arg(namespace)
            .arg("--containerd-plugins-namespace")
            .arg(plugins)
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .args(["--userland-proxy=false", "--shutdown-timeout=5"]);
        command
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if answers(&self.socket()) {
                return Ok(());
            }
            let ended = match &mut self.child {
                Some(child) => child.try_wait().context("cannot watch dockerd")?,
                None => bail!("dockerd was not started"),
            };
            if let Some(status) = ended {
                bail!(
                    "dockerd ended while starting ({status}); the end of its log:\n{}",
                    self.log_end()
                );
            }
            if start.elapsed() > START_LIMIT {
                bail!(
                    "dockerd does not answer after {START_LIMIT:?}; the end of its log:\n{}",
                    self.log_end()
                );
            }
            std::thread::sleep(POLL);
        }
    }

    /// The last lines of the log that are more than information, for an error.
    pub(crate) fn log_end(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().filter(|line| !line.contains("level=info")).collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Waits until the engine ends by itself: Ctrl-C reaches it too.
    fn wait(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child {
            child.wait().context("cannot wait for dockerd")?;
        }
        Ok(())
    }

    /// Stops the engine and removes its folder. An error says what is left.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.clean()
    }

    fn clean(&mut self) -> Result<()> {
        if let Some(child) = self.child.take() {
            end(child)?;
        }
        remove(&self.folder)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if !self.folder.exists() {
            return;
        }
        if let Err(error) = self.clean() {
            eprintln!("xtask: the test engine left something: {error:#}");
        }
    }
}

/// Starts an engine for a developer and waits until it is stopped.
pub(crate) fn foreground() -> Result<()> {
    let mut engine = Engine::start()?;
    println!("export FRACAS_TEST_DOCKER_HOST={}", engine.host());
    eprintln!("Ctrl-C stops the engine; the next start removes its folder.");
    engine.wait()?;
    engine.stop()
}

/// Whether an engine answers `/_ping` here. HTTP/1.0, so that the answer ends with the connection.
fn answers(socket: &Path) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer)?;
        let line = String::from_utf8_lossy(&answer);
        Ok(line.starts_with("HTTP/1.") && line.split_whitespace().nth(1) == Some("200"))
    };
    ask().unwrap_or(false)
}

/// SIGTERM, then after the limit SIGKILL.
fn end(mut child: Child) -> Result<()> {
    if child.try_wait().context("cannot watch dockerd")?.is_some() {
        return Ok(());
    }
    rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).context("cannot signal dockerd")?;
    let start = Instant::now();
    while child.try_wait().context("cannot watch dockerd")?.is_none() {
        if start.elapsed() > STOP_LIMIT {
            child.kill().context("cannot kill dockerd")?;
            child.wait().context("cannot wait for dockerd")?;
            bail!("dockerd did not stop within {STOP_LIMIT:?} and was killed: its containers may still run");
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Unmounts what is mounted in the folder and removes it.
fn remove(folder: &Path) -> Result<()> {
    for mount in mounts::under(folder)? {
        children::run(Command::new("umount").arg(&mount))?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Removes folders of engines whose task and engine are both gone. One that cannot be removed is only told about.
fn sweep(parent: &Path) {
    for folder in stale(parent, |pid| Path::new("/proc").join(pid).exists()) {
        match remove(&folder) {
            Ok(()) => println!("  removed {}, left by a task that was killed", folder.display()),
            Err(error) => eprintln!("xtask: {error:#}"),
        }
    }
}

/// Our folders, by name and owner, of tasks and engines that do not live.
fn stale(parent: &Path, lives: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let us = rustix::process::geteuid().as_raw();
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        let Some(task) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            return false;
        };
        // Of the entry itself: a link to somewhere else is not a folder of ours.
        let owned = entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == us);
        let engine = fs::read_to_string(entry.path().join("docker.pid")).unwrap_or_default();
        let engine = engine.trim();
        owned
            && !task.is_empty()
            && task.bytes().all(|byte| byte.is_ascii_digit())
            && !lives(task)
            && (engine.is_empty() || !lives(engine))
    });
    ours.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests;
