//! What is broken in these tests, and how it is looked at: through files and the engine's socket, never through Fracas.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fracas_lab::{TestBridge, TestContainer, TestDocker, TestGroup, TestPort, TestProcess};
use fracas_linux::cgroup::Controller;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use serde_json::Value;

use super::look::{self, groups_of, read};

/// Limits and freezers, by their names in both versions of control groups.
const FILES: [&str; 13] = [
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.max",
    "memory.swap.max",
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.max",
    "pids.max",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "io.max",
    "freezer.state",
    "cgroup.freeze",
];

/// The file in the target's own directory.
const VICTIM: &str = "victim";

/// A target of the test's own.
pub(crate) struct Target {
    pub(crate) made: Made,
    /// The line of a document that selects it.
    pub(crate) selector: String,
    /// Another process of this machine's own network, and the file with its pid: for faults between two.
    other: std::cell::OnceCell<(TestProcess, tempfile::NamedTempFile)>,
    /// A directory of its own, for faults that are about files: with one in it.
    pub(crate) place: tempfile::TempDir,
    _pid_file: Option<tempfile::NamedTempFile>,
}

/// The tables of packet rules in a process's network: no file has them.
fn packet_rules(process: &TestProcess) -> String {
    let there = NetNamespace::of(process.identity()).unwrap();
    let tables = there.map(|there| there.within(|| Netlink::netfilter()?.tables()).unwrap());
    format!("{tables:?}")
}

/// Sleeps, and is touched by nobody.
fn other() -> (TestProcess, tempfile::NamedTempFile) {
    let process = TestProcess::sleep().unwrap();
    let file = pid_file(&process);
    (process, file)
}

/// A control group of the target's own. `None`, with a printed skip, where none can be made.
fn group() -> Option<TestGroup> {
    let controllers = [
        Controller::Memory,
        Controller::Cpu,
        Controller::CpuAcct,
        Controller::Cpuset,
        Controller::Pids,
        Controller::Blkio,
    ];
    let made = TestGroup::new(&controllers).unwrap();
    if made.is_none() {
        fracas_lab::skip("no control group can be made");
    }
    made
}

/// What stands behind it.
pub(crate) enum Made {
    // The process before its group: a drop goes in this order.
    Process(TestProcess, TestGroup),
    // The process before its bridge. Its ports are this namespace's.
    Node(TestProcess, TestBridge, Vec<TestPort>, TestGroup),
    Container(Box<TestContainer>, tokio::runtime::Runtime),
}

impl Target {
    /// A process in control groups of its own. `None`, with a printed skip, where none can be made.
    pub(crate) fn process() -> Option<Self> {
        Self::process_in(&["sleep"])
    }

    /// A process in control groups of its own whose program runs in this mode.
    pub(crate) fn process_in(mode: &[&str]) -> Option<Self> {
        let group = group()?;
        let process = TestProcess::run(mode).unwrap();
        group.add(&process).unwrap();
        let file = pid_file(&process);
        Some(Self {
            selector: format!("process: {{ pid_file: \"{}\" }}", file.path().display()),
            made: Made::Process(process, group),
            other: std::cell::OnceCell::new(),
            place: place(),
            _pid_file: Some(file),
        })
    }

    /// A process with a network of its own: a port of a bridge. `None`, with a printed skip, where there can be none.
    pub(crate) fn node() -> Option<Self> {
        let Some(bridge) = TestBridge::new().unwrap() else {
            fracas_lab::skip("no privileges for links");
            return None;
        };
        let node = TestBridge::node(&[&bridge], ["sleep"]).unwrap();
        let ports = node.ports().to_vec();
        let process = node.into_process();
        // What others do in the group of the test is no change of this target.
        let group = group()?;
        group.add(&process).unwrap();
        let file = pid_file(&process);
        Some(Self {
            selector: format!("process: {{ pid_file: \"{}\" }}", file.path().display()),
            made: Made::Node(process, bridge, ports, group),
            other: std::cell::OnceCell::new(),
            place: place(),
            _pid_file: Some(file),
        })
    }

    /// A container under this restart policy. `None`, with a printed skip, without an engine.
    pub(crate) fn container(policy: &str) -> Option<Self> {
        Self::container_in(policy, &["sleep"])
    }

    /// A container under this restart policy whose program runs in this mode.
    pub(crate) fn container_in(policy: &str, mode: &[&str]) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let container = runtime.block_on(async {
            let engine = TestDocker::get().await?;
            Some(
                TestContainer::build(&engine)
                    .named_like("fracas-lab-kill")
                    .restart(policy)
                    .mode(mode)
                    .start()
                    .await
                    .unwrap(),
            )
        })?;
        Some(Self {
            selector: format!("container: {{ id: \"{}\" }}", container.id()),
            made: Made::Container(Box::new(container), runtime),
            other: std::cell::OnceCell::new(),
            place: place(),
            _pid_file: None,
        })
    }

    /// The line of a document that selects the process beside it.
    pub(crate) fn other(&self) -> String {
        format!(
            "process: {{ pid_file: \"{}\" }}",
            self.other.get_or_init(other).1.path().display()
        )
    }

    /// The process that stands for it; `None` while a container has none.
    pub(crate) fn pid(&self) -> Option<u32> {
        match &self.made {
            Made::Process(process, _) | Made::Node(process, ..) => Some(process.pid()),
            Made::Container(container, _) => {
                let pid = inspect(container.id())?["State"]["Pid"].as_u64()?;
                u32::try_from(pid).ok().filter(|pid| *pid != 0)
            }
        }
    }

    /// Everything about it that a fault changes, as text: equal before and after.
    pub(crate) fn look(&self) -> String {
        let mut text = String::new();
        for (name, inside) in look::files_in(self.place.path()) {
            let _ = writeln!(text, "{name}: {inside}");
        }
        if let Made::Container(container, _) = &self.made {
            let Some(details) = inspect(container.id()) else {
                return "the engine does not know it".to_owned();
            };
            let state = &details["State"];
            let _ = writeln!(
                text,
                "{} paused {} restarting {}",
                state["Status"], state["Paused"], state["Restarting"]
            );
            let _ = writeln!(text, "{} {}", details["Config"], details["HostConfig"]);
        }
        if let Made::Node(_, bridge, ports, _) = &self.made {
            for port in ports {
                let link = Path::new("/sys/class/net").join(&port.name);
                let state = read(link.join("brport/state")).unwrap_or_default();
                let master = std::fs::read_link(link.join("master")).unwrap_or_default();
                let _ = writeln!(text, "a port of {}: {}, state {state}", bridge.name(), master.display());
            }
        }
        let Some(pid) = self.pid() else {
            return text + "no process";
        };
        if let Made::Node(process, ..) = &self.made {
            let _ = writeln!(text, "packet rules {}", packet_rules(process));
        }
        if let Made::Container(..) = self.made {
            // A container's own; that of a process is everybody's.
            let room = fracas_linux::file::room(Path::new(&format!("/proc/{pid}/root/dev/shm")));
            let _ = writeln!(text, "free in /dev/shm {:?}", room.ok().map(|room| room.free));
        }
        let _ = writeln!(text, "stopped {}", look::is_stopped(pid));
        let limits = read(format!("/proc/{pid}/limits")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}",
            limits
                .lines()
                .find(|line| line.starts_with("Max open files"))
                .unwrap_or("no limits")
        );
        for group in groups_of(pid) {
            for file in FILES {
                if let Some(value) = read(group.join(file)) {
                    let _ = writeln!(text, "{}: {value}", group.join(file).display());
                }
            }
            let children = look::children_of(&group);
            let _ = writeln!(text, "{} has below it: {children:?}", group.display());
            let inside = read(group.join("cgroup.procs")).unwrap_or_default();
            let _ = writeln!(text, "and in it {} processes", inside.lines().count());
        }
        text
    }

    /// A file of its control group.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        look::cgroup_file(self.pid().expect("the target runs"), name)
            .unwrap_or_else(|| panic!("no group of the target has {name}"))
    }

    /// The file that holds its memory limit, whichever version of control groups the machine has.
    pub(crate) fn memory_limit(&self) -> PathBuf {
        let pid = self.pid().expect("the target runs");
        ["memory.limit_in_bytes", "memory.max"]
            .iter()
            .find_map(|name| look::cgroup_file(pid, name))
            .expect("the target has a memory limit")
    }

    /// The container, asked by its engine's API.
    pub(crate) fn container_do<T>(&self, work: impl AsyncFnOnce(&TestContainer) -> T) -> T {
        let Made::Container(container, runtime) = &self.made else {
            panic!("the target is no container");
        };
        runtime.block_on(work(container))
    }
}

fn pid_file(process: &TestProcess) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}", process.pid()).unwrap();
    file
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let text: Vec<u8> = (0..4096_u32).map(|index| (index % 251) as u8 + 1).collect();
    std::fs::write(place.path().join(VICTIM), text).unwrap();
    place
}

/// What the engine says of a container.
fn inspect(id: &str) -> Option<Value> {
    engine_says(&format!("/containers/{id}/json"))
}

/// What the engine says of a thing, asked by plain HTTP over its socket. `None`: there is no such thing.
pub(crate) fn engine_says(path: &str) -> Option<Value> {
    let host = std::env::var("FRACAS_TEST_DOCKER_HOST").ok()?;
    let mut socket = UnixStream::connect(host.strip_prefix("unix://")?).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(
        socket,
        "GET {path} HTTP/1.0\r\nHost: docker\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.0 200") {
        return None;
    }
    serde_json::from_str(body).ok()
}
