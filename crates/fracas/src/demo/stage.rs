//! What is around the shop: its namespaces and control groups, and the end of it all.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use fracas_linux::cgroup::{self, Cgroup, Controller};
use fracas_linux::child::{Inner, Worker, WorkerOptions, number as descriptor, start_inner, start_worker};
use fracas_linux::signals::Stops;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{closed, single_thread};

/// How often it looks whether the shop lives.
const LOOK: Duration = Duration::from_millis(50);
/// How long the supervisor may take to end in order.
const GRACE: Duration = Duration::from_secs(2);
/// Between two looks at something that ends at any moment.
const STEP: Duration = Duration::from_millis(5);
/// How long a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names of our control groups begin so; the rest is the pid of the stage.
const PREFIX: &str = "fracas-demo-";
/// The controllers that experiments of the demo write.
const CONTROLLERS: [Controller; 2] = [Controller::Memory, Controller::Cpu];

/// What the stage says once the shop is started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The port of the front page, on loopback of the machine.
    pub(crate) port: u16,
    /// Why it has no control groups of its own, if it has none.
    pub(crate) no_groups: Option<String>,
}

/// The stage, from the side of the demo. When it is dropped the shop ends.
pub(crate) struct Stage {
    worker: Worker,
    /// What it said.
    pub(crate) ready: Ready,
    /// Why the shop has no namespaces, if it has none.
    pub(crate) no_namespaces: Option<String>,
}

impl Stage {
    /// Starts the shop: in namespaces if the kernel gives any, else without. Blocks for a moment.
    pub(crate) fn start() -> io::Result<Self> {
        match begin("apart") {
            Ok((worker, ready)) => Ok(Self {
                worker,
                ready,
                no_namespaces: None,
            }),
            Err(error) => {
                let (worker, ready) = begin("plain")?;
                Ok(Self {
                    worker,
                    ready,
                    no_namespaces: Some(error.to_string()),
                })
            }
        }
    }

    /// Ends the shop and waits until nothing is left of it.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.worker.socket.shutdown(std::net::Shutdown::Both)?;
        match self.worker.reap(PATIENCE * 2)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(io::Error::other(format!("the stage of the demo ended with {status}"))),
            None => Err(io::Error::other(format!(
                "the stage of the demo, {}, does not end",
                self.worker.process.identity()
            ))),
        }
    }
}

fn begin(how: &str) -> io::Result<(Worker, Ready)> {
    let options = WorkerOptions {
        own_session: true,
        arguments: vec![how.to_owned()],
        ..WorkerOptions::default()
    };
    let mut worker = start_worker("demo-stage", options)?;
    worker.socket.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new((&worker.socket).take(4096)).read_line(&mut line)?;
    match serde_json::from_str::<Result<Ready, String>>(&line) {
        Ok(Ok(ready)) => Ok((worker, ready)),
        Ok(Err(why)) => {
            worker.reap(PATIENCE)?;
            Err(io::Error::other(why))
        }
        Err(_) => Err(io::Error::other(
            "the stage of the demo ended before the shop was started",
        )),
    }
}

/// The worker.
pub(super) fn main(arguments: &[String]) -> io::Result<()> {
    fracas_linux::child::set_name("demo-stage")?;
    let mut socket = fracas_linux::child::parent_socket()?;
    // Before the namespaces: this socket stays on the machine's loopback.
    let front = TcpListener::bind(("127.0.0.1", 0))?;
    let port = front.local_addr()?.port();
    // Before there is a thread.
    if arguments.first().is_some_and(|how| how == "apart")
        && let Err(error) = fracas_linux::apart::move_apart()
    {
        // The one who started us decides whether to go on without.
        return say(&mut socket, &Err(error.to_string()));
    }
    single_thread()?.block_on(async {
        // From here on a signal ends it in order.
        let mut stops = Stops::listen()?;
        let (groups, no_groups) = match Groups::make() {
            Ok(groups) => (groups, None),
            Err(error) => (Groups::default(), Some(error.to_string())),
        };
        let played = play(socket, &mut stops, &groups, front, Ready { port, no_groups }).await;
        let removed = groups.remove().await;
        played.and(removed)
    })
}

/// From the start of the shop to the end of its last process.
async fn play(
    mut socket: std::os::unix::net::UnixStream,
    stops: &mut Stops,
    groups: &Groups,
    front: TcpListener,
    ready: Ready,
) -> io::Result<()> {
    let arguments = [
        "demo-supervisor".to_owned(),
        format!("shop={}", ready.port),
        format!("listener={}", descriptor(&front)),
    ];
    let input = Stdio::from(OwnedFd::from(socket.try_clone()?));
    let mut init: Inner = start_inner(&arguments, input, Some(&front), &groups.made)?;
    drop(front);
    say(&mut socket, &Ok(ready))?;
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut end = std::pin::pin!(closed(socket));
    loop {
        tokio::select! {
            result = &mut end => {
                // The supervisor sees the same end, and reaps its children, which without a pid namespace nobody else of us
                // can. One that takes long is killed as `init` is dropped.
                let deadline = Instant::now() + GRACE;
                while init.try_reap()?.is_none() && Instant::now() < deadline {
                    tokio::time::sleep(STEP).await;
                }
                return result;
            }
            _ = stops.next() => return Ok(()),
            _ = tick.tick() => if let Some(status) = init.try_reap()? {
                return Err(io::Error::other(format!("the supervisor of the shop ended with {status}")));
            },
        }
    }
}

fn say(socket: &mut std::os::unix::net::UnixStream, what: &Result<Ready, String>) -> io::Result<()> {
    let mut line = serde_json::to_string(what)?;
    line.push('\n');
    socket.write_all(line.as_bytes())
}

/// Control groups for the shop.
#[derive(Default)]
struct Groups {
    name: String,
    roots: Vec<Cgroup>,
    made: Vec<Cgroup>,
}

impl Groups {
    /// Makes one in each controller, or none. Removes those of demos that were killed together with their stage.
    fn make() -> io::Result<Self> {
        if !fracas_linux::privileges::is_root() {
            return Err(io::Error::other("only root makes control groups"));
        }
        let mut roots = Vec::new();
        for controller in CONTROLLERS {
            let root = cgroup::root(controller)?
                .ok_or_else(|| io::Error::other(format!("this machine has no controller {}", controller.name())))?;
            sweep(&root)?;
            roots.push(root);
        }
        let mut groups = Self {
            name: format!("{PREFIX}{}", std::process::id()),
            roots,
            made: Vec::new(),
        };
        match groups.fill() {
            Ok(()) => Ok(groups),
            Err(error) => {
                for root in &groups.roots {
                    root.remove_child(&groups.name)?;
                }
                Err(error)
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        for root in &self.roots {
            self.made.push(root.child(&self.name)?);
        }
        Ok(())
    }

    /// Removes them. A group is busy for a moment after its last process was reaped.
    async fn remove(self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for root in &self.roots {
            while let Err(error) = root.remove_child(&self.name) {
                if Instant::now() > deadline {
                    return Err(error);
                }
                tokio::time::sleep(STEP).await;
            }
        }
        Ok(())
    }
}

fn sweep(root: &Cgroup) -> io::Result<()> {
    for name in root.children()? {
        let Some(Ok(pid)) = name.strip_prefix(PREFIX).map(str::parse::<u32>) else {
            continue;
        };
        if fracas_linux::process::identity(pid)?.is_none() {
            // Another demo may sweep at the same time, and what still has a process is not ours to end.
            let _ = root.remove_child(&name);
        }
    }
    Ok(())
}
