//! A connection to one engine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, Docker};
use fracas_core::problem::codes::{ENGINE_ANSWER, ENGINE_REFUSED, SYSTEM};
use fracas_core::problem::{Problem, Result};

use crate::address::Address;
use crate::answer;
use crate::tls;
use crate::transport::{Agreed, LONGEST, Transport, Upgraded};

/// How long any call may take that does not itself wait for a container.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);
/// How long an engine may take to tell of everything that it is made of.
const SLOW: Duration = Duration::from_secs(20);
/// How long ssh may take to be connected.
const LOGIN: Duration = Duration::from_secs(10);
/// The oldest API that is spoken: Docker 18.09, the first with everything that is asked here.
const OLDEST: (u32, u32) = (1, 39);

/// One container engine. Cloning is cheap; clones share the negotiated version. Every call opens its own connection, so that a
/// dropped call is a closed connection and calls never wait for each other.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    transport: Arc<Transport>,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The newest API version of the engine, e.g. `1.41`.
    pub api: String,
    /// What it is: `Docker` or `Podman`.
    pub name: String,
    /// The version of the engine, e.g. `20.10.24`.
    pub server: String,
    /// The kernel under it.
    pub kernel: String,
    /// `cgroupfs` or `systemd`; decides the paths of control groups.
    pub cgroup_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
}

impl Engine {
    /// Finds the engine and agrees with it on an API version.
    ///
    /// `address` is `unix:///path`, `tcp://host:port`, `http://host:port`, `https://host:port` or `ssh://user@host:port/path`; without
    /// one the variable `DOCKER_HOST` decides, and without that `unix:///var/run/docker.sock`. What is at `tcp://` is spoken to by TLS
    /// where `DOCKER_TLS_VERIFY` is not empty, always with a client certificate: `ca.pem`, `cert.pem` and `key.pem` in the directory
    /// `DOCKER_CERT_PATH`, else `~/.docker`. By `ssh` its own configuration decides all else; it never asks. Takes at most 5 s, by `ssh`
    /// 15 s. X001: nobody is there. X002: somebody else is there.
    pub async fn connect(address: Option<&str>) -> Result<Self> {
        let from_environment = match address {
            Some(_) => None,
            None => std::env::var("DOCKER_HOST").ok(),
        };
        let address = Address::parse(address.or(from_environment.as_deref()), tls::is_on())?;
        let tls = match &address {
            Address::Tcp { tls: true, .. } => Some(tls::configuration()?),
            _ => None,
        };
        Self::by(Transport::new(address, None, tls)).await
    }

    /// The same engine by another way: it is called `address` in everything that is said and kept, and reached by the socket `way` of
    /// this machine, where it is. For whoever is beside an engine that others know by its address.
    pub async fn beside(address: &str, way: &Path) -> Result<Self> {
        let way = Address::Unix(way.to_owned());
        Self::by(Transport::new(Address::parse(Some(address), false)?, Some(way), None)).await
    }

    async fn by(transport: Transport) -> Result<Self> {
        let transport = Arc::new(transport);
        let way = Arc::clone(&transport);
        // The base only has to parse; the transport knows the real address. Its timeout is in seconds and does not cover the
        // body: `call` has the real ones.
        let docker = Docker::connect_with_custom_transport(
            move |request| {
                let way = Arc::clone(&way);
                async move { way.send(request).await }
            },
            Some("http://engine"),
            LONGEST.as_secs(),
            API_DEFAULT_VERSION,
        )
        .map_err(|error| answer::problem(transport.address(), "say its version", &error))?;
        let engine = Self { docker, transport };
        let agreed = engine.negotiate().await?;
        engine.transport.speak(agreed);
        Ok(engine)
    }

    async fn negotiate(&self) -> Result<Agreed> {
        let doing = "say its version";
        let (text, podman) = self.greet(doing).await.map_err(|problem| {
            // Before it said its version nobody is known to be an engine: a refusal is nonsense too.
            if problem.code == &ENGINE_REFUSED {
                let mut said = Problem::new(&ENGINE_ANSWER, problem.what.clone());
                said.causes.clone_from(&problem.causes);
                said
            } else {
                problem
            }
        })?;
        let Some(theirs) = number(&text) else {
            return Err(answer::nonsense(
                self.transport.address(),
                doing,
                format!("its API version is {text:?}"),
            ));
        };
        if theirs < OLDEST {
            return Err(answer::nonsense(
                self.transport.address(),
                doing,
                format!("its API version is {text}, older than {}.{}", OLDEST.0, OLDEST.1),
            )
            .next("update the engine"));
        }
        let ours = (
            API_DEFAULT_VERSION.major_version as u32,
            API_DEFAULT_VERSION.minor_version as u32,
        );
        let (major, minor) = theirs.min(ours);
        Ok(Agreed {
            api: format!("{major}.{minor}"),
            podman,
        })
    }

    /// The newest API version of the engine, and whether it is Podman.
    ///
    /// By the head of the answer to a ping, as Docker's own client asks: to say its whole version, Podman starts several programs,
    /// which takes seconds on a busy machine. Whatever stands before an engine and answers pings itself is asked for the version.
    async fn greet(&self, doing: &str) -> Result<(String, bool)> {
        match self.call(doing, self.docker.ping()).await {
            Ok(_) => {
                let heard = self.transport.heard();
                if let Some(api) = heard.api {
                    return Ok((api, heard.podman));
                }
            }
            Err(problem) if problem.code != &ENGINE_REFUSED => return Err(problem),
            Err(_) => {}
        }
        let version = self.call(doing, self.docker.version()).await?;
        let podman = is_podman(&version);
        Ok((version.api_version.unwrap_or_default(), podman))
    }

    /// The program by which a person reaches this engine, with the option for its address: `docker -H unix:///…`.
    pub fn program(&self) -> String {
        let program = if self.transport.is_podman() {
            "podman --url"
        } else {
            "docker -H"
        };
        format!("{program} {}", self.address())
    }

    /// The address, as `unix:///path`, `tcp://host:port` or `ssh://…`.
    pub fn address(&self) -> String {
        self.transport.address().to_string()
    }

    /// Whether the engine is on this machine as far as the way to it tells: a socket in the file system, or a loopback address.
    pub fn is_local(&self) -> bool {
        self.transport.way().is_local()
    }

    /// Its socket in the file system of its own machine, where the address tells.
    pub fn socket(&self) -> Option<&Path> {
        self.transport.way().socket()
    }

    /// Whether it is Podman.
    pub fn is_podman(&self) -> bool {
        self.transport.is_podman()
    }

    /// Sets `descriptors` descriptors aside for later calls of this engine and its clones, so that a way back exists when the
    /// process has no free one left. Every call that needs one uses it up; call again to fill up.
    pub fn reserve(&self, descriptors: usize) -> Result<()> {
        self.transport
            .reserve(descriptors)
            .map_err(|error| Problem::new(&SYSTEM, "no descriptor can be set aside for the engine").because(&error))
    }

    /// What the engine says of itself. Takes at most 40 s: Podman starts several programs to say it.
    pub async fn version(&self) -> Result<Version> {
        let doing = "say its version";
        let failed = |error| answer::problem(self.place(), doing, &error);
        let version = self.within(SLOW, doing, self.docker.version()).await?.map_err(failed)?;
        let info = self.within(SLOW, doing, self.docker.info()).await?.map_err(failed)?;
        Ok(Version {
            name: if is_podman(&version) { "Podman" } else { "Docker" }.to_owned(),
            api: version.api_version.unwrap_or_default(),
            server: version.version.unwrap_or_default(),
            kernel: version.kernel_version.unwrap_or_default(),
            cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
            cgroup_version: info
                .cgroup_version
                .map(|version| version.to_string())
                .unwrap_or_default(),
        })
    }

    /// The directory in which the engine keeps what containers are made of, on its own machine; empty if it does not say. Takes at most
    /// 20 s.
    pub async fn data(&self) -> Result<String> {
        let doing = "say where its data are";
        let info = self.within(SLOW, doing, self.docker.info()).await?;
        let info = info.map_err(|error| answer::problem(self.place(), doing, &error))?;
        Ok(info.docker_root_dir.unwrap_or_default())
    }

    /// Asks for a connection of its own by this path.
    pub(crate) async fn hijack(&self, path: &str) -> Result<Upgraded, bollard::errors::Error> {
        self.transport.hijack(path).await
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    pub(crate) fn place(&self) -> &Address {
        self.transport.address()
    }

    /// A call within the usual time.
    pub(crate) async fn call<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T> {
        self.within(LIMIT, doing, call)
            .await?
            .map_err(|error| answer::problem(self.place(), doing, &error))
    }

    /// A call within a time of its own, with the engine's refusal left to the caller.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        doing: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<Result<T, bollard::errors::Error>> {
        // A login takes its time, and each call is one.
        let more = match self.place() {
            Address::Ssh { .. } => LOGIN,
            _ => Duration::ZERO,
        };
        let limit = (limit + more).min(LONGEST);
        tokio::time::timeout(limit, call)
            .await
            .map_err(|_| answer::late(self.place(), doing, limit))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.place())
    }
}

/// Podman names itself among its components, where Docker has `Engine`.
fn is_podman(version: &SystemVersion) -> bool {
    let mut components = version.components.iter().flatten();
    components.any(|part| part.name.starts_with("Podman"))
}

/// `1.41` as numbers.
fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a text can be part of a path of the API: the characters that engines allow in names and ids, see `RestrictedNameChars`
/// in moby. Anything else could name another path.
pub(crate) fn checked(name: &str) -> Result<&str> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let dots = name.chars().all(|c| c == '.');
    if name.is_empty() || name.len() > 255 || dots || !name.chars().all(good) {
        return Err(Problem::new(
            &ENGINE_REFUSED,
            format!("{name:?} is neither the name nor the id of a container"),
        )
        .since("names have letters, digits, and . _ -"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
