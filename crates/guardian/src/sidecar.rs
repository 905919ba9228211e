//! A guardian beside a container engine on another machine: in a container of its own, one for the machine, made of this very binary.
//!
//! ```text
//!   runner ── the engine's API: attach ──> sidecar: guardian ── the engine's socket there
//! ```
//!
//! Nothing is pulled: the image is this program with its libraries, imported through the engine. The container sees the machine as a
//! process of the machine does. The ledger is in a volume, so that it outlives the sidecar. Image, container and volume have one name
//! ([`NAME`]), which the engine gives once: two runs never have a sidecar on the same machine.
//!
//! The guardian has its own sidecar removed, whatever happened to the runner ([`end`]): the container, its image, and the volume unless
//! there is something to recover in it. When it was killed itself, all three stay, and whoever comes next with the same engine finds them.

pub mod end;
mod image;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::params::Signal;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Certified, State};
use fracas_docker::{Attached, Engine, NewContainer, OnHost, SIDECAR, Status};
use fracas_linux::privileges::Capability;
use tokio::time::Instant;

use crate::protocol::Task;

/// The name of the container, of its image and of the volume with the ledger.
pub const NAME: &str = "fracas-sidecar";
/// The tag of the image.
const TAG: &str = "own";
/// Where the engine's socket is in the sidecar.
pub(crate) const SOCKET: &str = "/run/fracas/engine.sock";
/// The state directory in the sidecar. The volume itself belongs to whom the engine says, with whatever permissions.
pub(crate) const STATE: &str = "/var/lib/fracas/state";
/// Where the volume is.
const VOLUME: &str = "/var/lib/fracas";

/// How long a sidecar that has come to its end may take to be removed.
const REMOVAL: Duration = Duration::from_secs(30);
/// How long a new one waits for a former one that is just being removed.
const FORMER: Duration = Duration::from_secs(5);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(50);

/// Beside which engine a sidecar is.
#[derive(Debug, Clone)]
pub struct Site {
    engine: Engine,
    socket: PathBuf,
}

/// What is on a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A sidecar that runs, of this run.
    AtWork(String),
    /// What a guardian left that was killed, with the ledger of this run.
    Left(String),
    /// The same without a ledger: nothing was ever put on.
    Rest,
}

impl Site {
    /// Beside this engine, whose socket is there on its machine.
    pub fn new(engine: Engine, socket: PathBuf) -> Self {
        Self { engine, socket }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Looks what is there.
    pub async fn look(&self) -> Result<Found> {
        let run = |labels: &BTreeMap<String, String>| labels.get(SIDECAR).cloned().unwrap_or_default();
        // The volume last: a sidecar is removed in the order in which this looks, so that nothing is seen that is just going.
        let container = self.engine.inspect(NAME).await?;
        if let Some(container) = &container
            && container.state.running
        {
            return Ok(Found::AtWork(run(&container.labels)));
        }
        let image = self.engine.has_image(NAME, TAG).await?;
        Ok(match self.engine.volume(NAME).await? {
            Some(labels) => Found::Left(run(&labels)),
            None if image || container.is_some() => Found::Rest,
            None => Found::Nothing,
        })
    }

    /// Removes what is left, but no ledger.
    pub async fn remove(&self) -> Result<()> {
        clear(&self.engine, false).await
    }

    /// Starts a sidecar for this task and attaches to its guardian. What was made for it is removed if that fails.
    pub(crate) async fn start(&self, task: &Task) -> Result<Attached> {
        let recovers = matches!(task, Task::Recover { .. });
        if self.engine.is_podman() {
            return Err(failed("Podman cannot have a sidecar").next("run Fracas on the machine with the containers"));
        }
        self.make_room(task.run(), recovers).await?;
        let started = self.launch(task.run()).await;
        if started.is_err() {
            // The first failure is the one to be told; what is left all the same is found by the next look.
            let _also = clear(&self.engine, !recovers).await;
        }
        started
    }

    /// Waits until there is no former sidecar, or removes it where its run is to be recovered.
    async fn make_room(&self, run: &RunId, recovers: bool) -> Result<()> {
        let until = Instant::now() + FORMER;
        loop {
            let found = self.look().await?;
            match found {
                Found::AtWork(other) if Instant::now() > until => {
                    let at = self.engine.address();
                    return Err(
                        Problem::new(&codes::CLAIMED, format!("run {other} has a sidecar at {at}"))
                            .next("wait until that run is over: a machine has one sidecar at a time"),
                    );
                }
                Found::Left(left) if recovers && left == run.as_str() => return self.remove().await,
                Found::Left(left) if recovers || Instant::now() > until || self.was_killed().await? => {
                    return Err(self.unfinished(&left));
                }
                Found::Nothing | Found::Rest if recovers => {
                    return Err(failed(&format!(
                        "the ledger of run {run} is not at {} any more",
                        self.engine.address()
                    ))
                    .since("a sidecar removes it when it has seen that nothing is left"));
                }
                Found::Nothing => return Ok(()),
                Found::Rest if Instant::now() > until => return self.remove().await,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Whether a signal ended the guardian, whose sidecar is there: one that ends by itself has it removed. The engine gives such an end
    /// as a shell does.
    async fn was_killed(&self) -> Result<bool> {
        let container = self.engine.inspect(NAME).await?;
        Ok(container.is_some_and(|container| !container.state.running && container.state.exit_code > 128))
    }

    /// What is said of a run that was left.
    pub fn unfinished(&self, run: &str) -> Box<Problem> {
        Problem::new(
            &codes::UNFINISHED,
            format!(
                "run {run} was not cleaned up at {}: its sidecar was killed",
                self.engine.address()
            ),
        )
        .next("run `fracas recover` with the same engine")
    }

    async fn launch(&self, run: &RunId) -> Result<Attached> {
        let tar = image::archive().map_err(|error| failed("this program cannot be read").because(&error))?;
        self.engine.import_stream(tar, NAME, TAG).await?;
        self.engine.make_volume(NAME, (SIDECAR, run.as_str())).await?;
        let all: Vec<Capability> = Capability::ALL.to_vec();
        // On which disk a container's layers are can only be told where they are seen.
        let data = self.engine.data().await?;
        match self.launch_with(run, &data, &all).await {
            // An engine that is itself in a container may lack one. What then is weaker, the guardian says.
            Err(problem) if problem.line().contains("unable to apply caps") => {
                self.engine.remove(NAME).await?;
                let fewer: Vec<Capability> = all.into_iter().filter(|one| *one != Capability::SysResource).collect();
                self.launch_with(run, &data, &fewer).await
            }
            launched => launched,
        }
    }

    async fn launch_with(&self, run: &RunId, data: &str, capabilities: &[Capability]) -> Result<Attached> {
        let host = |path: &Path| path.display().to_string();
        let new = NewContainer {
            name: NAME.to_owned(),
            image: format!("{NAME}:{TAG}"),
            command: [image::PROGRAM, "worker", "sidecar"].map(str::to_owned).into(),
            labels: vec![(SIDECAR.to_owned(), run.as_str().to_owned())],
            network: "host".to_owned(),
            binds: vec![format!("{NAME}:{VOLUME}")],
            on_host: Some(OnHost {
                capabilities: capabilities
                    .iter()
                    .map(|one| one.name())
                    // To read what belongs to others, and to enter their roots and ids.
                    .chain([
                        "CAP_DAC_READ_SEARCH",
                        "CAP_FOWNER",
                        "CAP_CHOWN",
                        "CAP_SETUID",
                        "CAP_SETGID",
                        "CAP_SYS_CHROOT",
                    ])
                    .map(str::to_owned)
                    .collect(),
                readable: data.to_owned(),
                mounts: vec![
                    (host(&self.socket), SOCKET.to_owned()),
                    ("/sys/fs/cgroup".to_owned(), "/sys/fs/cgroup".to_owned()),
                ],
            }),
            ..Default::default()
        };
        let id = self.engine.create(&new).await.map_err(|mut problem| {
            if problem.line().contains("bind source path does not exist") {
                problem =
                    problem.next("say in `docker.sidecar_socket` where the engine's socket is on its own machine");
            }
            problem
        })?;
        // Before it starts: whoever is attached later misses the beginning.
        let attached = self.engine.attach(&id).await?;
        self.engine.start(&id).await?;
        Ok(attached)
    }

    /// A guardian that never was ready has nothing on: its sidecar goes, by itself or by this.
    pub(crate) async fn give_up(&self, recovers: bool) -> Result<()> {
        let until = Instant::now() + FORMER;
        while self.look().await? != Found::Nothing {
            if Instant::now() > until {
                return clear(&self.engine, !recovers).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Kills the guardian, and waits until it is dead.
    pub(crate) async fn kill(&self) -> Result<()> {
        let until = Instant::now() + FORMER;
        self.engine.kill(NAME, Signal::Kill).await?;
        while let Some(container) = self.engine.inspect(NAME).await?
            && container.state.running
        {
            if Instant::now() > until {
                return Err(Problem::new(
                    &codes::GUARDIAN_LOST,
                    "the sidecar was killed and does not end",
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Waits until a sidecar whose guardian has ended is removed. What is still there is residue like any other.
    pub(crate) async fn gone(&self) -> Option<Certified> {
        let until = Instant::now() + REMOVAL;
        let seen = loop {
            let seen = match self.look().await {
                Ok(Found::Nothing) => return None,
                Ok(Found::AtWork(run)) => format!("the sidecar of run {run} runs"),
                Ok(Found::Left(run)) => format!("the volume {NAME} with the ledger of run {run} is there"),
                Ok(Found::Rest) => format!("the container or the image {NAME} is there"),
                Err(problem) => problem.line(),
            };
            if Instant::now() > until {
                break seen;
            }
            tokio::time::sleep(PAUSE).await;
        };
        Some(Certified {
            injection: InjectionId(0),
            fault: "sidecar".to_owned(),
            target: self.engine.address(),
            state: State::Residue,
            undo: "the sidecar removes itself".to_owned(),
            seen,
            millis: REMOVAL.as_millis() as u64,
            engine_millis: 0,
            manual: vec!["fracas recover".to_owned()],
        })
    }
}

fn failed(what: &str) -> Box<Problem> {
    Problem::new(&codes::GUARDIAN_START, what.to_owned())
}

/// Removes the container, then its image, then the volume if that is wanted. What is not there, is well.
async fn clear(engine: &Engine, with_ledger: bool) -> Result<()> {
    let until = Instant::now() + REMOVAL;
    // Somebody else may be removing it: then it goes later than the answer comes.
    while let Some(container) = engine.inspect(NAME).await? {
        if container.state.status != Status::Removing {
            engine.remove(&container.id).await?;
        }
        if Instant::now() > until {
            return Err(Problem::new(
                &codes::RESIDUE,
                format!("the container {NAME} cannot be removed"),
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
    if engine.has_image(NAME, TAG).await? {
        engine.remove_image(NAME, TAG).await?;
    }
    if with_ledger && engine.volume(NAME).await?.is_some() {
        engine.remove_volume(NAME).await?;
    }
    Ok(())
}
