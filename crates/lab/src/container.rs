//! Containers for tests.

use fracas_core::problem::codes::{SYSTEM, TARGET_GONE};
use fracas_core::problem::{Problem, Result};
use fracas_core::target::ProcessIdentity;
use fracas_docker::{Details, Engine, NewContainer};
use fracas_linux::cgroup::{self, Cgroup, Controller};
use fracas_linux::process;

use crate::engine::{LABEL, maker};
use crate::image::{INSIDE, image};
use crate::unique;

/// A container that runs the lab's program, removed when dropped.
#[derive(Debug)]
pub struct TestContainer {
    engine: Engine,
    id: String,
    name: String,
}

/// A network of the engine's with a bridge of its own, removed when dropped: after the containers that are in it.
#[derive(Debug)]
pub struct TestNetwork {
    engine: Engine,
    id: String,
    name: String,
}

impl TestNetwork {
    /// A network under a name of its own, without a way out.
    pub async fn make(engine: &Engine) -> Result<Self> {
        let name = unique("fracas-lab-net");
        let id = engine.make_network(&name, (LABEL, &maker())).await?;
        Ok(Self {
            engine: engine.clone(),
            id,
            name,
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Joins a container to it.
    pub async fn join(&self, container: &TestContainer) -> Result<()> {
        self.engine.join_network(&self.id, &container.id).await
    }
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let removed = apart(async move { engine.remove_network(&id).await });
        if removed.is_none() && !std::thread::panicking() {
            complain("network", &self.name);
        }
    }
}

/// Does something that a drop cannot wait for in the runtime that it may be in: another thread has its own. `None`: it failed.
fn apart<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Option<T> {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| runtime.block_on(work))
    });
    thread.join().ok()?.ok()?.ok()
}

/// What a container is made from.
#[derive(Debug)]
pub struct TestContainerBuilder {
    engine: Engine,
    new: NewContainer,
}

impl TestContainer {
    /// Begins a container that sleeps, without network, limits or restarts, under a name of its own.
    pub fn build(engine: &Engine) -> TestContainerBuilder {
        TestContainerBuilder {
            engine: engine.clone(),
            new: NewContainer {
                name: unique("fracas-lab"),
                command: vec![INSIDE.to_owned(), "sleep".to_owned()],
                labels: vec![(LABEL.to_owned(), maker())],
                network: "none".to_owned(),
                ..Default::default()
            },
        }
    }

    /// The engine that runs it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The full id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the engine says of it now. T004 when it is gone.
    pub async fn inspect(&self) -> Result<Details> {
        let found = self.engine.inspect(&self.id).await?;
        found.ok_or_else(|| Problem::new(&TARGET_GONE, format!("container {} is gone", self.name)))
    }

    /// Its first process, seen from the host. T004 when it does not run.
    pub async fn pid(&self) -> Result<u32> {
        let pid = self.inspect().await?.state.pid;
        pid.ok_or_else(|| Problem::new(&TARGET_GONE, format!("container {} does not run", self.name)))
    }

    /// Its first process, exactly.
    pub async fn identity(&self) -> Result<ProcessIdentity> {
        let pid = self.pid().await?;
        process::identity(pid)
            .map_err(|error| Problem::new(&SYSTEM, format!("pid {pid} cannot be looked at")).because(&error))?
            .ok_or_else(|| Problem::new(&TARGET_GONE, format!("container {} has just ended", self.name)))
    }

    /// Its control group in one controller; `None` where the machine has no such controller.
    pub async fn cgroup(&self, controller: Controller) -> Result<Option<Cgroup>> {
        let pid = self.pid().await?;
        cgroup::of(pid, controller).map_err(|error| {
            Problem::new(&SYSTEM, format!("the control group of pid {pid} cannot be found")).because(&error)
        })
    }
}

impl Drop for TestContainer {
    fn drop(&mut self) {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        let removed = apart(async move { engine.remove(&id).await });
        // While a test fails already, a second panic would abort and hide the first.
        if removed.is_none() && !std::thread::panicking() {
            complain("container", &self.name);
        }
    }
}

#[expect(clippy::panic, reason = "a test that leaves something behind has failed")]
fn complain(what: &str, name: &str) {
    panic!("{what} {name} could not be removed");
}

impl TestContainerBuilder {
    /// Gives it exactly this name, which no other container may have.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.new.name);
        self
    }

    /// Gives it a name of its own that begins like this.
    #[must_use]
    pub fn named_like(mut self, prefix: &str) -> Self {
        self.new.name = unique(prefix);
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.new.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    /// The mode of the lab's program with its arguments, as `["--ignore-term", "sleep"]`.
    #[must_use]
    pub fn mode<S: AsRef<str>>(mut self, mode: impl IntoIterator<Item = S>) -> Self {
        self.new.command.truncate(1);
        self.new
            .command
            .extend(mode.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Another program than the lab's: a file that is bound into it, see [`Self::bind`]. Its arguments are the mode.
    #[must_use]
    pub fn program(mut self, inside: &str) -> Self {
        inside.clone_into(&mut self.new.command[0]);
        self
    }

    /// `no`, `always`, `unless-stopped` or `on-failure`.
    #[must_use]
    pub fn restart(mut self, policy: &str) -> Self {
        policy.clone_into(&mut self.new.restart_policy);
        self
    }

    /// Limits its memory, in bytes.
    #[must_use]
    pub fn memory(mut self, bytes: i64) -> Self {
        self.new.memory = bytes;
        self
    }

    /// `none`, `host`, or the name of a network.
    #[must_use]
    pub fn network(mut self, network: &str) -> Self {
        network.clone_into(&mut self.new.network);
        self
    }

    /// Has it ask this name server.
    #[must_use]
    pub fn name_server(mut self, at: std::net::IpAddr) -> Self {
        self.new.dns.push(at.to_string());
        self
    }

    /// Adds to its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.new.env.push(format!("{name}={value}"));
        self
    }

    /// Has its health checked every second by the lab's program in this mode: `["exit", "1"]` is never healthy.
    #[must_use]
    pub fn health_check(mut self, mode: &[&str]) -> Self {
        let words = std::iter::once(INSIDE).chain(mode.iter().copied());
        self.new.health_check = words.map(str::to_owned).collect();
        self
    }

    /// Gives it a terminal.
    #[must_use]
    pub fn tty(mut self) -> Self {
        self.new.tty = true;
        self
    }

    /// Mounts a directory of the machine in it, for reading and writing.
    #[must_use]
    pub fn bind(mut self, directory: &std::path::Path, inside: &str) -> Self {
        self.new.binds.push(format!("{}:{inside}", directory.display()));
        self
    }

    /// Makes and starts it.
    pub async fn start(mut self) -> Result<TestContainer> {
        self.new.image = image(&self.engine).await?;
        let id = self.engine.create(&self.new).await?;
        // From here on it is removed whatever happens.
        let container = TestContainer {
            engine: self.engine,
            id,
            name: self.new.name,
        };
        container.engine.start(&container.id).await?;
        Ok(container)
    }
}
