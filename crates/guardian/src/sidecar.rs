//! A guardian beside a container engine on another machine: in a container of its own, one for the machine, made of this very binary.
//!
//! ```text
//!   runner ── the engine's API: attach ──> sidecar: guardian ── the engine's socket there
//! ```
//!
//! Nothing is pulled: the image is this program with its libraries, imported through the engine. The container sees the machine as a
//! process of the machine does. The ledger is in a volume, so that it outlives the sidecar. The container has one name ([`NAME`]), which
//! the engine gives once: two runs never have a sidecar on the same machine. Image and volume are named after the run, and the container
//! has its id as a label: whoever removes something removes what is his run's, and nothing else has to be known for that.
//!
//! The guardian has its own sidecar removed, whatever happened to the runner ([`end`]): the container, its image, and the volume unless
//! there is something to recover in it. When it was killed itself, all three stay, and whoever comes next with the same engine finds them.

pub mod end;
mod image;

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

/// The name of the container, and of its image, whose tag is the run's id.
pub const NAME: &str = "fracas-sidecar";
/// The worker that is the guardian in it. Its argument is the run.
pub const WORKER: &str = "sidecar";
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
/// How long a runner that has lost sight of its own guardian waits for it to undo everything.
const UNDOING: Duration = Duration::from_mins(2);
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
    AtWork(RunId),
    /// The volume with the ledger of this run, without a guardian.
    Left(RunId),
    /// A container or an image of this run without a ledger: nothing was ever put on.
    Rest(RunId),
    /// A container of somebody else's that has the name.
    Stranger,
}

/// The container of the name.
struct Body {
    id: String,
    /// `None`: it is a stranger's.
    run: Option<RunId>,
    running: bool,
    /// Whether a signal ended it: a guardian that ends by itself has its sidecar removed. The engine gives such an end as a shell does.
    killed: bool,
    going: bool,
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
        // The volume last: a sidecar is removed in the order in which this looks, so that nothing is seen that is just going.
        let body = body(&self.engine).await?;
        let own = match &body {
            Some(Body { run: None, .. }) => return Ok(Found::Stranger),
            Some(Body {
                run: Some(run),
                running: true,
                ..
            }) => return Ok(Found::AtWork(run.clone())),
            Some(body) => body.run.clone(),
            None => None,
        };
        let tags = self.engine.image_tags(NAME).await?;
        let image = tags.iter().find_map(|tag| tag.parse::<RunId>().ok());
        let volumes = self.engine.volumes(SIDECAR).await?;
        // One that somebody else has given the label has another name.
        let ours = |(name, run): &(String, String)| run.parse::<RunId>().ok().filter(|run| volume(run) == *name);
        Ok(match (volumes.iter().find_map(ours), own.or(image)) {
            (Some(run), _) => Found::Left(run),
            (None, Some(run)) => Found::Rest(run),
            (None, None) => Found::Nothing,
        })
    }

    /// Removes what is left of this run, but no ledger.
    pub async fn remove(&self, run: &RunId) -> Result<()> {
        clear(&self.engine, run, false).await
    }

    /// Starts a sidecar for this task and attaches to its guardian. What was made for it is removed if that fails.
    pub(crate) async fn start(&self, task: &Task) -> Result<Attached> {
        let (run, recovers) = (task.run(), matches!(task, Task::Recover { .. }));
        if self.engine.is_podman() {
            return Err(failed("Podman cannot have a sidecar").next("run Fracas on the machine with the containers"));
        }
        if recovers {
            self.wait_for_own(run).await?;
        } else {
            self.wait_for_former().await?;
        }
        let started = self.launch(run, recovers).await;
        if let Err(problem) = &started {
            // Who has the name may be another recovery of the same run, of which everything is that this would remove.
            if !(recovers && problem.code.id == codes::CLAIMED.id) {
                // The first failure is the one to be told; what is left all the same is found by the next look.
                let _also = clear(&self.engine, run, !recovers).await;
            }
        }
        started
    }

    /// Waits until there is no former sidecar.
    async fn wait_for_former(&self) -> Result<()> {
        let until = Instant::now() + FORMER;
        loop {
            let late = Instant::now() > until;
            match self.look().await? {
                Found::Nothing => return Ok(()),
                Found::Stranger => return Err(self.stranger()),
                Found::AtWork(other) if late => return Err(self.taken(&other)),
                Found::Left(left) if late || body(&self.engine).await?.is_some_and(|body| body.killed) => {
                    return Err(self.unfinished(&left));
                }
                // Its run may just be beginning; it ends in an error then, before it has put anything on.
                Found::Rest(left) if late => return self.remove(&left).await,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Waits until the guardian whose ledger is to be recovered is dead, and its container gone.
    async fn wait_for_own(&self, run: &RunId) -> Result<()> {
        let began = Instant::now();
        let mut killed = false;
        loop {
            let late = began.elapsed() > FORMER;
            match body(&self.engine).await? {
                Some(Body { run: None, .. }) => return Err(self.stranger()),
                Some(Body {
                    run: Some(of),
                    running: true,
                    ..
                }) => {
                    let patience = if of == *run { UNDOING } else { FORMER };
                    if began.elapsed() > patience {
                        return Err(self.taken(&of));
                    }
                }
                // Dead, and nobody removes it any more, whoever's it is: only the ledger matters, and stays.
                Some(Body {
                    run: Some(of),
                    killed: dead,
                    ..
                }) if dead || late => {
                    killed |= of == *run;
                    self.remove(&of).await?;
                }
                Some(_) => {}
                None if self.engine.volume(&volume(run)).await?.is_none() => {
                    return Err(failed(&format!(
                        "the ledger of run {run} is not at {} any more",
                        self.engine.address()
                    ))
                    .since("a sidecar removes it when it has seen that nothing is left"));
                }
                // One that has ended by itself may be removing it right now.
                None if killed || late => return Ok(()),
                None => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn taken(&self, by: &RunId) -> Box<Problem> {
        let at = self.engine.address();
        Problem::new(&codes::CLAIMED, format!("run {by} has a sidecar at {at}"))
            .next("wait until that run is over: a machine has one sidecar at a time")
    }

    fn stranger(&self) -> Box<Problem> {
        let at = self.engine.address();
        Problem::new(
            &codes::CLAIMED,
            format!("at {at} there is a container {NAME} that is not of Fracas"),
        )
        .next(format!(
            "give it another name (`docker rename {NAME} …`): a sidecar has this one"
        ))
    }

    /// What is said of a run that was left.
    pub fn unfinished(&self, run: &RunId) -> Box<Problem> {
        Problem::new(
            &codes::UNFINISHED,
            format!(
                "run {run} was not cleaned up at {}: its sidecar was killed",
                self.engine.address()
            ),
        )
        .next("run `fracas recover` with the same engine")
    }

    async fn launch(&self, run: &RunId, recovers: bool) -> Result<Attached> {
        let tar = image::archive().map_err(|error| failed("this program cannot be read").because(&error))?;
        self.engine.import_stream(tar, NAME, run.as_str()).await?;
        let all: Vec<Capability> = Capability::ALL.to_vec();
        // On which disk a container's layers are can only be told where they are seen.
        let data = self.engine.data().await?;
        if !recovers {
            self.engine.make_volume(&volume(run), (SIDECAR, run.as_str())).await?;
        }
        match self.launch_with(run, &data, &all).await {
            // An engine that is itself in a container may lack one. What then is weaker, the guardian says.
            Err(problem) if problem.line().contains("unable to apply caps") => {
                remove_container(&self.engine, run).await?;
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
            image: format!("{NAME}:{run}"),
            command: [image::PROGRAM, "worker", WORKER, run.as_str()]
                .map(str::to_owned)
                .into(),
            labels: vec![(SIDECAR.to_owned(), run.as_str().to_owned())],
            network: "host".to_owned(),
            binds: vec![format!("{}:{VOLUME}", volume(run))],
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
            if problem.line().contains("already in use") {
                let at = self.engine.address();
                return Problem::new(&codes::CLAIMED, format!("another run has just begun a sidecar at {at}"))
                    .next("wait until that run is over: a machine has one sidecar at a time");
            }
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
    pub(crate) async fn give_up(&self, run: &RunId, recovers: bool) -> Result<()> {
        let until = Instant::now() + FORMER;
        while self.there_is(run).await?.is_some() {
            if Instant::now() > until {
                return clear(&self.engine, run, !recovers).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Kills the guardian of this run, and waits until it is dead.
    pub(crate) async fn kill(&self, run: &RunId) -> Result<()> {
        let until = Instant::now() + FORMER;
        while let Some(body) = body(&self.engine).await?
            && body.running
            && body.run.as_ref() == Some(run)
        {
            if Instant::now() > until {
                return Err(Problem::new(
                    &codes::GUARDIAN_LOST,
                    "the sidecar was killed and does not end",
                ));
            }
            self.engine.kill(&body.id, Signal::Kill).await?;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// What there is of this run's sidecar.
    async fn there_is(&self, run: &RunId) -> Result<Option<String>> {
        if let Some(body) = body(&self.engine).await?
            && body.run.as_ref() == Some(run)
        {
            return Ok(Some(format!("the container {NAME} of run {run}")));
        }
        if self.engine.has_image(NAME, run.as_str()).await? {
            return Ok(Some(format!("the image {NAME}:{run}")));
        }
        let volume = volume(run);
        let ledger = self.engine.volume(&volume).await?;
        Ok(ledger.map(|_| format!("the volume {volume} with the ledger")))
    }

    /// Waits until the sidecar of a run whose guardian has ended is removed. What is still there is residue like any other.
    pub(crate) async fn gone(&self, run: &RunId) -> Option<Certified> {
        let until = Instant::now() + REMOVAL;
        let seen = loop {
            let seen = match self.there_is(run).await {
                Ok(None) => return None,
                Ok(Some(thing)) => format!("there is {thing}"),
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

/// The volume with the ledger of a run.
fn volume(run: &RunId) -> String {
    format!("{NAME}-{run}")
}

/// The container that has the name.
async fn body(engine: &Engine) -> Result<Option<Body>> {
    let found = engine.inspect(NAME).await?;
    Ok(found.map(|found| Body {
        run: found.labels.get(SIDECAR).and_then(|run| run.parse().ok()),
        running: found.state.running,
        killed: !found.state.running && found.state.exit_code > 128,
        going: found.state.status == Status::Removing,
        id: found.id,
    }))
}

/// The run of a worker in a sidecar, which only a sidecar starts.
pub(crate) fn of(arguments: &[String]) -> Result<RunId> {
    let run = arguments.first().and_then(|run| run.parse().ok());
    run.ok_or_else(|| Problem::new(&codes::INSIDE, "a sidecar without its run"))
}

fn failed(what: &str) -> Box<Problem> {
    Problem::new(&codes::GUARDIAN_START, what.to_owned())
}

/// Removes the container of a run, then its image, then its volume if that is wanted. What is not there, or is another run's, is well.
async fn clear(engine: &Engine, run: &RunId, with_ledger: bool) -> Result<()> {
    remove_container(engine, run).await?;
    if engine.has_image(NAME, run.as_str()).await? {
        engine.remove_image(NAME, run.as_str()).await?;
    }
    let volume = volume(run);
    if with_ledger && engine.volume(&volume).await?.is_some() {
        engine.remove_volume(&volume).await?;
    }
    Ok(())
}

async fn remove_container(engine: &Engine, run: &RunId) -> Result<()> {
    let until = Instant::now() + REMOVAL;
    // Somebody else may be removing it: then it goes later than the answer comes.
    while let Some(body) = body(engine).await?
        && body.run.as_ref() == Some(run)
    {
        if !body.going {
            engine.remove(&body.id).await?;
        }
        if Instant::now() > until {
            return Err(Problem::new(
                &codes::RESIDUE,
                format!("the container {NAME} cannot be removed"),
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
