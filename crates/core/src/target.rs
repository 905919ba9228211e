//! What a fault is put on, and how it is known again.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process, exactly: a pid alone is reused by the kernel, a pid with its start time within one boot is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ProcessIdentity {
    /// The pid in the namespace of Fracas.
    pub pid: u32,
    /// Start in clock ticks since boot: field 22 of `/proc/PID/stat`, see `proc_pid_stat(5)`.
    pub start: u64,
    /// `/proc/sys/kernel/random/boot_id`: what was written before a reboot names nothing after it.
    pub boot: String,
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)
    }
}

/// A control group, exactly: the path survives a restart of a container, the group behind it does not; the inode tells, within one boot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct CgroupIdentity {
    /// The directory in the file system of the host.
    pub path: String,
    /// Its inode.
    pub inode: u64,
    /// The boot that it belongs to, as that of a process: the kernel counts inodes anew in each. Empty in records that are older than
    /// this key: there path and inode must do.
    #[serde(default)]
    pub boot: String,
}

/// One chosen thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// The alias under which the document knows it; several targets share one.
    pub alias: String,
    /// What is stable between runs: the container's name, or a process's command line and rank. Seeds draw on it, reports show it.
    pub identity: String,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A running container.
    Container(Container),
    /// A process of this machine.
    Process(Process),
}

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Container {
    /// The engine's full id.
    pub id: String,
    /// The name, without the leading slash.
    pub name: String,
    /// The image as the container was made from.
    pub image: String,
    /// The address of the engine that runs it, e.g. `unix:///var/run/docker.sock`.
    pub engine: String,
    /// The first process in it, seen from the host.
    pub init: ProcessIdentity,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its first address on a network of the engine.
    #[serde(default)]
    pub ip: Option<String>,
}

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Which.
    pub process: ProcessIdentity,
    /// Its command line, arguments separated by spaces.
    pub command: String,
}

impl Target {
    /// The process that stands for the target: a container's init, or the process itself.
    pub fn process(&self) -> &ProcessIdentity {
        match &self.kind {
            Kind::Container(container) => &container.init,
            Kind::Process(process) => &process.process,
        }
    }

    /// The container, if it is one.
    pub fn container(&self) -> Option<&Container> {
        match &self.kind {
            Kind::Container(container) => Some(container),
            Kind::Process(_) => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)
    }
}
