//! Something real for every fault to be put on, and a stranger who changes the same thing.

#[path = "by_kernel.rs"]
pub mod by_kernel;
#[path = "clock.rs"]
mod clock;
#[path = "ground.rs"]
mod ground;
#[path = "net.rs"]
pub mod net;

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fracas_core::ids::{InjectionId, RunId};
use fracas_core::target::{Container, Kind, Target};
use fracas_faults::{Context, Engines, Entry, Nursery};
use fracas_lab::{TestContainer, TestDocker, TestGroup, TestNetwork, TestProcess, eventually, eventually_async, skip};
use fracas_linux::cgroup::{Cgroup, Controller, Version};
use fracas_linux::mount::Backing;
use fracas_linux::process::{self, Process, Reaction};
use fracas_linux::{limits, unnamed};
use serde_json::{Value, json};

pub use ground::{AT, Ground, VICTIM, WITH_FILES};

/// How long anything may take that is not a fault.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A fault with a target that is its own.
pub struct Stage {
    pub entry: &'static Entry,
    pub params: Value,
    pub target: Target,
    pub cx: Context,
    pub thing: Thing,
    pub ground: Ground,
    /// The container's, removed after it.
    #[allow(dead_code, reason = "it is kept to be dropped")]
    pub network: Option<TestNetwork>,
}

/// What the target is. Removed when dropped.
#[allow(dead_code, reason = "a group is kept to be dropped")]
pub enum Thing {
    Process(TestProcess),
    Grouped(TestProcess, TestGroup),
    Container(TestContainer),
    /// A process with networks of its own.
    Node(net::Node),
    /// Kept by another stage.
    None,
}

/// Where a fault is tried: in its simplest surroundings, or on a container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    Simplest,
    Container,
    /// As the simplest, by the other mechanism of faults on packets.
    KernelQueue,
}

/// Where processors are emulated, what takes time takes so much of it that theirs tells nothing.
fn slow<'a>(here: &'a str, emulated: &'a str) -> &'a str {
    if std::env::var_os("FRACAS_TEST_VM").is_some() {
        emulated
    } else {
        here
    }
}

/// Parameters with which the fault leaves something in the system for as long as it is on, and the groups that its target needs.
fn setting(fault: &str) -> (Value, &'static [Controller], &'static [&'static str]) {
    const STRESS: &[Controller] = &[
        Controller::CpuAcct,
        Controller::Cpu,
        Controller::Memory,
        Controller::Pids,
        Controller::Blkio,
    ];
    match fault {
        "memory_limit" => (json!({ "limit": "64MiB" }), &[Controller::Memory], &["sleep"]),
        "memory_stress" => (json!({ "size": "32MiB" }), STRESS, &["sleep"]),
        // Everywhere a file system of its own, in memory; in a container with 64 MiB.
        "disk_fill" => (json!({ "path": "/dev/shm", "size": "32MiB" }), &[], &["sleep"]),
        "disk_io" => (json!({ "path": "/", "block_size": "64KiB" }), STRESS, &["sleep"]),
        "disk_throttle" => (
            json!({ "path": "/", "read_bps": "1MiB" }),
            &[Controller::Blkio],
            &["sleep"],
        ),
        "cpu_limit" => (json!({ "percent": "37%" }), &[Controller::Cpu], &["sleep"]),
        "cpu_stress" => (json!({ "percent": "10%" }), STRESS, &["sleep"]),
        "pid_exhaustion" => (json!({ "reserve": 2 }), &[Controller::Pids], &["sleep"]),
        "fd_exhaustion" => (json!({ "reserve": 3 }), &[], &["sleep"]),
        "process_pause" => (json!({ "children": true }), &[], &["fork", "3"]),
        "process_kill" => (
            json!({ "children": true, "count": 3, "interval": "1m" }),
            &[],
            &["fork", "3"],
        ),
        "clock_skew" => (json!({ "offset": "+1h" }), &[], &["fork", "3"]),
        "container_pause" | "container_kill" => (json!({}), &[], &["sleep"]),
        "container_stop" => (json!({ "grace": "1s" }), &[], &["sleep"]),
        "container_restart" => (json!({ "grace": "1s", "delay": "1m" }), &[], &["sleep"]),
        "network_disconnect" => (json!({}), &[], &["sleep"]),
        // What nobody sends is hit by nothing.
        "delay" => (json!({ "mean": slow("30ms", "600ms") }), &[], &["chat", "20"]),
        "loss" => (json!({ "percent": "60%" }), &[], &["chat", "20"]),
        "duplicate" => (json!({ "percent": "60%" }), &[], &["chat", "20"]),
        "corrupt" => (json!({ "percent": "60%" }), &[], &["chat", "20"]),
        "reorder" => (json!({ "percent": "40%", "delay": "30ms" }), &[], &["chat", "20"]),
        "rate" => (json!({ "rate": slow("1mbit", "100kbit") }), &[], &["chat", "20"]),
        "connection_drop" => (json!({ "probability": "60%" }), &[], &["chat", "20"]),
        "partition" => (json!({ "from": "others" }), &[], &["chat", "20"]),
        "connection_reset" => (json!({ "count": 3, "interval": "1m" }), &[], &["hold"]),
        "dns" => (
            json!({ "names": ["*.example"], "answer": "nxdomain" }),
            &[],
            &["ask", "20", "db.example"],
        ),
        "http" => (
            json!({ "port": 8080, "chaos": { "fault_injection": { "http_errors": [503], "http_error_probability": 0.6 } } }),
            &[],
            &["call", "20", "8080"],
        ),
        // Their parameters name files of the test.
        fault if WITH_FILES.contains(&fault) => (Value::Null, &[], &["sleep"]),
        other => panic!("the contract has no fixture for the fault {other}: write one here"),
    }
}

/// Whether the fault is a worker in groups of its own below the target's.
pub fn has_worker(fault: &str) -> bool {
    matches!(fault, "cpu_stress" | "memory_stress" | "disk_io") || on_packets(fault)
}

/// Whether the fault is a queue of packets, or rules about them: its target must have a network of its own.
pub fn on_packets(fault: &str) -> bool {
    matches!(
        fault,
        "delay"
            | "loss"
            | "duplicate"
            | "corrupt"
            | "reorder"
            | "rate"
            | "dns"
            | "http"
            | "connection_drop"
            | "partition"
    )
}

/// Waits until a target that holds a connection has it.
pub fn holds(pid: u32) {
    eventually(LIMIT, "it has a connection", || {
        let open = process::established(&format!("/proc/{pid}")).unwrap();
        open.is_some_and(|open| !open.is_empty())
    });
}

/// A target of this process's own network namespace, in which is the bridge that others chat with.
pub fn here() -> Target {
    let own = process::identity(std::process::id()).unwrap().unwrap();
    Target {
        alias: "others".to_owned(),
        identity: "this test".to_owned(),
        kind: Kind::Process(fracas_core::target::Process {
            process: own,
            command: "contract".to_owned(),
        }),
    }
}

/// A stage for a fault. `None`: something that it needs is not there, which was said.
pub async fn stage(entry: &'static Entry, on: On) -> Option<Stage> {
    let (mut params, controllers, mode) = setting(entry.name);
    let ground = Ground::here();
    if let Some(with_files) = ground.params(entry.name, on == On::Container) {
        params = with_files;
    }
    if on == On::KernelQueue {
        params["mechanism"] = json!("kernel_queue");
    }
    let needs = (entry.needs)(&params).unwrap();
    if needs.root && !fracas_linux::privileges::is_root() {
        skip("not root");
        return None;
    }
    if needs.container || on == On::Container {
        let engine = TestDocker::get().await?;
        let mut container = TestContainer::build(&engine).mode(mode);
        let mut network = None;
        if entry.name == "network_disconnect" {
            let made = TestNetwork::make(&engine).await.unwrap();
            container = container.network(made.name());
            network = Some(made);
        }
        let container = container.start().await.unwrap();
        let mut stage = in_container(entry, params, container).await;
        if entry.name == "partition" {
            stage.cx.others = vec![here()];
        }
        if WITH_FILES.contains(&entry.name) {
            Ground::make_in(stage.target.process().pid);
        }
        return Some(Stage {
            ground,
            network,
            ..stage
        });
    }
    if matches!(entry.name, "network_disconnect" | "connection_reset") || on_packets(entry.name) {
        let node = if entry.name == "dns" {
            net::Node::asking("db.example")
        } else {
            net::Node::new(mode)
        };
        let Some(node) = node else {
            skip("no privileges for links");
            return None;
        };
        if let Some(server) = node.server() {
            params["servers"] = json!([server]);
        }
        let pid = node.process().pid();
        let mut stage = on_thing(entry, params, Thing::Node(node)).await;
        match entry.name {
            "connection_reset" => holds(pid),
            "partition" => stage.cx.others = vec![here()],
            _ => {}
        }
        if on == On::KernelQueue {
            return by_kernel::or_refused(stage).await;
        }
        return Some(stage);
    }
    let process = TestProcess::run(mode).unwrap();
    ready(process.pid(), mode);
    let mut thing = Thing::Process(process);
    if !controllers.is_empty() {
        let Some(group) = TestGroup::new(controllers).unwrap() else {
            skip("no control groups");
            return None;
        };
        if let Thing::Process(process) = thing {
            group.add(&process).unwrap();
            thing = Thing::Grouped(process, group);
        }
    }
    let target = target(&thing).await;
    Some(Stage {
        entry,
        params,
        target,
        cx: context(),
        thing,
        ground,
        network: None,
    })
}

/// A stage on this container, which runs the lab's program.
pub async fn in_container(entry: &'static Entry, params: Value, container: TestContainer) -> Stage {
    ready(container.pid().await.unwrap(), &[]);
    if entry.name == "network_disconnect" {
        net::forwards(container.pid().await.unwrap(), "eth0");
    }
    let thing = Thing::Container(container);
    let target = target(&thing).await;
    Stage {
        entry,
        params,
        target,
        cx: context(),
        thing,
        ground: Ground::here(),
        network: None,
    }
}

/// A stage on this process, which runs the lab's program.
pub async fn on_process(entry: &'static Entry, params: Value, process: TestProcess, mode: &[&str]) -> Stage {
    ready(process.pid(), mode);
    let thing = Thing::Process(process);
    let target = target(&thing).await;
    Stage {
        entry,
        params,
        target,
        cx: context(),
        thing,
        ground: Ground::here(),
        network: None,
    }
}

/// A stage on this.
pub async fn on_thing(entry: &'static Entry, params: Value, thing: Thing) -> Stage {
    let target = target(&thing).await;
    ready(target.process().pid, &[]);
    Stage {
        entry,
        params,
        target,
        cx: context(),
        thing,
        ground: Ground::here(),
        network: None,
    }
}

/// The lab's program handles SIGTERM from its first line on, and has its children soon after.
pub fn ready(pid: u32, mode: &[&str]) {
    eventually(LIMIT, "the lab's program runs", || {
        process::reaction(pid, 15).unwrap() == Some(Reaction::Handled)
    });
    if let ["fork", count] = mode {
        let count: usize = count.parse().unwrap();
        eventually(LIMIT, "its children run", || {
            let children = process::descendants(pid).unwrap();
            let up =
                |child: &process::Status| process::reaction(child.identity.pid, 15).unwrap() == Some(Reaction::Handled);
            children.len() == count && children.iter().all(up)
        });
    }
}

/// Stands for the state directory: it is everywhere, and on no device that a fault touches.
pub const NO_STATE: &str = "/proc";

/// A context of a run that nothing else has.
pub fn context() -> Context {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let run: RunId = format!("{:08}-{count:06}-0000", std::process::id()).parse().unwrap();
    Context {
        run,
        injection: InjectionId(0),
        others: Vec::new(),
        observers: Vec::new(),
        rank: 0,
        at_most: Duration::from_mins(10),
        seed: fracas_core::seed::Seed(7),
        state: NO_STATE.into(),
        engines: Engines::default(),
        nursery: Nursery::default(),
    }
}

async fn target(thing: &Thing) -> Target {
    let of = |process: &TestProcess| {
        Kind::Process(fracas_core::target::Process {
            process: process.identity().clone(),
            command: process::status(process.pid()).unwrap().unwrap().command,
        })
    };
    let kind = match thing {
        Thing::Process(process) | Thing::Grouped(process, _) => of(process),
        Thing::Node(node) => of(node.process()),
        Thing::None => panic!("kept by another stage"),
        Thing::Container(container) => {
            let found = container.inspect().await.unwrap();
            Kind::Container(Container {
                id: found.id,
                name: found.name,
                image: found.image,
                engine: container.engine().address(),
                init: container.identity().await.unwrap(),
                labels: found.labels,
                ip: None,
            })
        }
    };
    Target {
        alias: "it".to_owned(),
        identity: "the target".to_owned(),
        kind,
    }
}

impl Stage {
    /// The target as it is now, after a restart of the container.
    pub async fn target_now(&self) -> Target {
        target(&self.thing).await
    }

    pub fn container(&self) -> &TestContainer {
        match &self.thing {
            Thing::Container(container) => container,
            _ => panic!("{} is not tried on a container", self.entry.name),
        }
    }

    /// The target ends for good.
    pub async fn end(&self) {
        match &self.thing {
            Thing::Process(process) | Thing::Grouped(process, _) => kill(process.pid()),
            Thing::Node(node) => kill(node.process().pid()),
            Thing::None => {}
            Thing::Container(container) => {
                container.engine().remove(container.id()).await.unwrap();
            }
        }
    }

    /// The container is started anew, whatever state it is in.
    pub async fn restart(&self) {
        let container = self.container();
        let engine = container.engine();
        // An engine does not reliably stop what is frozen.
        engine.unpause(container.id()).await.unwrap();
        engine.restart(container.id(), Duration::ZERO).await.unwrap();
        ready(container.pid().await.unwrap(), &[]);
        if self.entry.name == "network_disconnect" {
            net::forwards(container.pid().await.unwrap(), "eth0");
        }
    }

    /// Whether it is a fault on packets by the kernel queue.
    fn is_by_kernel(&self) -> bool {
        self.params["mechanism"] == "kernel_queue"
    }

    /// Somebody else decides about what the fault changes, before it is on: a value that is neither, or what the fault would do.
    pub async fn disturb_before(&self) {
        if self.is_by_kernel() {
            return by_kernel::disturb_before(self);
        }
        match self.entry.name {
            "process_pause" => {
                let pid = self.target.process().pid;
                signal(pid, 19);
                eventually(LIMIT, "it is stopped", || {
                    process::status(pid).unwrap().unwrap().state == 'T'
                });
            }
            "process_kill" | "connection_reset" => self.end().await,
            "disk_fill" => {
                std::fs::write(self.inside("/dev/shm").join(self.cx.trace_name()), "somebody's").unwrap();
            }
            worker if has_worker(worker) => {
                let group = self.group(if on_packets(worker) {
                    Controller::Blkio
                } else {
                    Controller::CpuAcct
                });
                group.child(&self.cx.trace_name()).unwrap();
            }
            "container_pause" => {
                let container = self.container();
                container.engine().pause(container.id()).await.unwrap();
            }
            "container_stop" | "container_kill" | "container_restart" => self.restart().await,
            "script" => std::fs::write(self.ground.file("on"), "").unwrap(),
            "file_delete" => std::fs::remove_file(self.file(VICTIM)).unwrap(),
            _ => self.set(STRANGE(self.entry.name)),
        }
    }

    /// Somebody else decides about it while it is on: a value that is neither, or takes it back.
    pub async fn disturb_while_on(&self) {
        if self.is_by_kernel() {
            return by_kernel::disturb_while_on(self);
        }
        match self.entry.name {
            "process_pause" => {
                for process in process::descendants(self.target.process().pid).unwrap() {
                    signal(process.identity.pid, 18);
                }
                signal(self.target.process().pid, 18);
            }
            "process_kill" | "connection_reset" => {}
            "disk_fill" => {
                // Root can empty whatever anybody has open.
                let held = unnamed::held_here(self.cx.trace_name().as_bytes()).unwrap();
                let path = format!("/proc/self/fd/{}", held[0].as_raw_fd());
                let file = std::fs::File::options().write(true).open(path).unwrap();
                file.set_len(0).unwrap();
            }
            worker if has_worker(worker) => {
                let controllers = [
                    Controller::CpuAcct,
                    Controller::Cpu,
                    Controller::Memory,
                    Controller::Pids,
                    Controller::Blkio,
                ];
                for controller in controllers {
                    let group = self.group(controller);
                    let Some(ours) = group.find_child(&self.cx.trace_name()).unwrap() else {
                        continue;
                    };
                    for pid in ours.processes().unwrap() {
                        kill(pid);
                    }
                    eventually(LIMIT, "the worker is gone", || {
                        self.cx.nursery.reap();
                        group.remove_child(&self.cx.trace_name()).is_ok()
                    });
                }
                // Not in a controller of the test's own: a group of the machine's.
                self.forget_elsewhere();
            }
            "container_pause" => {
                let container = self.container();
                container.engine().unpause(container.id()).await.unwrap();
            }
            "container_stop" | "container_kill" | "container_restart" => {
                let container = self.container();
                // The engine learns of a death some time after it.
                eventually_async(LIMIT, "the engine knows that it is down", || async {
                    !container.inspect().await.unwrap().state.running
                })
                .await;
                container.engine().start(container.id()).await.unwrap();
            }
            "script" => std::fs::remove_file(self.ground.file("on")).unwrap(),
            "file_delete" => {
                let aside = format!(".{}", self.cx.trace_name());
                std::fs::rename(self.file(&aside), self.file(VICTIM)).unwrap();
            }
            _ => self.set(STRANGE(self.entry.name)),
        }
    }

    fn forget_elsewhere(&self) {
        for controller in [Controller::Cpuset, Controller::Blkio] {
            let pid = self.target.process().pid;
            if let Some(group) = fracas_linux::cgroup::of(pid, controller).unwrap() {
                group.remove_child(&self.cx.trace_name()).unwrap();
            }
        }
    }

    /// Whether a stranger's value can be told from both of ours.
    pub fn has_value(&self) -> bool {
        matches!(
            self.entry.name,
            "memory_limit"
                | "cpu_limit"
                | "pid_exhaustion"
                | "fd_exhaustion"
                | "file_corrupt"
                | "disk_throttle"
                | "network_disconnect"
                | "clock_skew"
        )
    }

    /// The value that the fault changes, read by the test itself.
    pub fn value(&self) -> String {
        let pid = self.target.process().pid;
        match self.entry.name {
            "network_disconnect" => net::state(pid),
            "clock_skew" => clock::beginning(pid),
            "fd_exhaustion" => limits::descriptor_limit(pid).unwrap().unwrap().0.to_string(),
            "file_corrupt" => {
                let bytes = std::fs::read(self.file(VICTIM)).unwrap();
                let first: [u8; 16] = bytes[AT..AT + 16].try_into().unwrap();
                format!("{:032x}", u128::from_be_bytes(first))
            }
            "disk_throttle" => {
                let group = self.group(Controller::Blkio);
                let (file, none) = match group.version() {
                    Version::V1 => ("blkio.throttle.read_bps_device", "0"),
                    Version::V2 => ("io.max", "rbps=max"),
                };
                let text = group.read(file).unwrap();
                let line = text.lines().find_map(|line| line.strip_prefix(&self.disk()));
                let value = line.and_then(|line| line.split_ascii_whitespace().next());
                value.unwrap_or(none).to_owned()
            }
            fault => {
                let (controller, v1, v2) = file(fault);
                let group = self.group(controller);
                let text = group
                    .read(if group.version() == Version::V1 { v1 } else { v2 })
                    .unwrap();
                text.split(' ').next().unwrap_or_default().to_owned()
            }
        }
    }

    /// Writes the value that the fault changes, as somebody else.
    pub fn set(&self, value: &str) {
        if self.entry.name == "fd_exhaustion" {
            let pid = self.target.process().pid;
            assert!(limits::set_descriptor_soft_limit(pid, value.parse().unwrap()).unwrap());
            return;
        }
        if self.entry.name == "network_disconnect" {
            return net::set_state(self.target.process().pid, value);
        }
        if self.entry.name == "clock_skew" {
            return clock::set_beginning(self.target.process().pid, value);
        }
        if self.entry.name == "file_corrupt" {
            self.overwrite(AT, &[0xff; 16]);
            return;
        }
        if self.entry.name == "disk_throttle" {
            let group = self.group(Controller::Blkio);
            let file = match group.version() {
                Version::V1 => "blkio.throttle.read_bps_device",
                Version::V2 => "io.max",
            };
            let field = if group.version() == Version::V2 && !value.contains('=') {
                "rbps="
            } else {
                ""
            };
            return group.write(file, &format!("{} {field}{value}", self.disk())).unwrap();
        }
        let (controller, v1, v2) = file(self.entry.name);
        let group = self.group(controller);
        group
            .write(if group.version() == Version::V1 { v1 } else { v2 }, value)
            .unwrap();
    }

    /// A file of the ground, as the test reaches it.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        match &self.thing {
            Thing::Container(_) => Ground::file_in(self.target.process().pid, name),
            _ => self.ground.file(name),
        }
    }

    /// Somebody writes into the file.
    pub fn overwrite(&self, at: usize, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new().write(true).open(self.file(VICTIM)).unwrap();
        file.write_all_at(bytes, at as u64).unwrap();
    }

    /// A directory of the target, by the way on which its processes see it.
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.target.process().pid))
    }

    /// The number of the disk below the target's root.
    pub fn disk(&self) -> String {
        let root = std::fs::File::open(self.inside("/")).unwrap();
        let backing = Backing::of(&root, self.target.process().pid).unwrap();
        backing.disk().unwrap().expect("the root is on a disk").to_string()
    }

    pub fn group(&self, controller: Controller) -> Cgroup {
        fracas_linux::cgroup::of(self.target.process().pid, controller)
            .unwrap()
            .unwrap_or_else(|| panic!("the target has no {} group", controller.name()))
    }
}

/// A stranger's value.
pub const STRANGE: &dyn Fn(&str) -> &'static str = &|fault| match fault {
    "memory_limit" => "50331648",
    "cpu_limit" => "77000",
    "pid_exhaustion" => "7777",
    "fd_exhaustion" => "333",
    "file_corrupt" => "ffffffffffffffffffffffffffffffff",
    // Five times nothing.
    "clock_skew" => "9090909090",
    // A port that is blocked goes on at once without a spanning tree (`br_make_forwarding` in net/bridge/br_stp.c).
    "network_disconnect" => "learning",
    "disk_throttle" if on_version_2() => "rbps=777000",
    "disk_throttle" => "777000",
    other => panic!("{other} changes no value"),
};

fn on_version_2() -> bool {
    let root = fracas_linux::cgroup::root(Controller::Blkio).unwrap();
    root.is_some_and(|root| root.version() == Version::V2)
}

fn file(fault: &str) -> (Controller, &'static str, &'static str) {
    match fault {
        "memory_limit" => (Controller::Memory, "memory.limit_in_bytes", "memory.max"),
        "cpu_limit" => (Controller::Cpu, "cpu.cfs_quota_us", "cpu.max"),
        "pid_exhaustion" => (Controller::Pids, "pids.max", "pids.max"),
        other => panic!("{other} changes no file"),
    }
}

pub fn signal(pid: u32, number: i32) {
    if let Some(process) = Process::find(pid).unwrap() {
        process.signal(number).unwrap();
    }
}

/// Kills a process and waits for its end.
pub fn kill(pid: u32) {
    if let Some(process) = Process::find(pid).unwrap() {
        process.signal(9).unwrap();
        assert!(process.wait(LIMIT).unwrap(), "pid {pid} does not die");
    }
}
