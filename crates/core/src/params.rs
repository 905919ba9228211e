//! The parameters of every fault, defined once: the document, the ledger, the schema and the reference come from these types.

mod clock;
mod connection;
mod dns;
mod file;
mod http;
mod impairment;
mod network;
mod profile;
mod script;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Percent, Rate, Size, Span};

pub use clock::ClockSkew;
pub use connection::{ConnectionDrop, ConnectionReset, Connections, Partition, Refusal, Ways};
pub use dns::{Answer, Dns};
pub use file::{FileCorrupt, FileDelete, Garbage};
pub use http::Http;
pub use impairment::{Corrupt, Delay, Distribution, Duplicate, Impairs, Loss, Mechanism, RateLimit, Reorder, Traffic};
pub use network::NetworkDisconnect;
pub use profile::{NetworkProfile, Profile};
pub use script::Script;

macro_rules! inject {
    ($($variant:ident = $name:literal),* $(,)?) => {
        /// A fault with its parameters: a map with a single key, the fault's type.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub enum Inject {
            $(#[doc = concat!("See [`", stringify!($variant), "`].")] #[serde(rename = $name)] $variant($variant),)*
        }

        impl Inject {
            /// The names of all types, in the order of this file.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The fault's type.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The parameters alone, as the ledger and the guardian hold them.
            pub fn params(&self) -> serde_json::Value {
                let value = match self { $(Self::$variant(params) => serde_json::to_value(params),)* };
                // Parameters are plain structs of texts and numbers: they always have a JSON form.
                value.unwrap_or(serde_json::Value::Null)
            }
        }
    };
}

inject! {
    MemoryLimit = "memory_limit",
    MemoryStress = "memory_stress",
    DiskFill = "disk_fill",
    DiskIo = "disk_io",
    DiskThrottle = "disk_throttle",
    CpuLimit = "cpu_limit",
    CpuStress = "cpu_stress",
    PidExhaustion = "pid_exhaustion",
    FdExhaustion = "fd_exhaustion",
    ProcessPause = "process_pause",
    ProcessKill = "process_kill",
    ClockSkew = "clock_skew",
    ContainerPause = "container_pause",
    ContainerKill = "container_kill",
    ContainerStop = "container_stop",
    ContainerRestart = "container_restart",
    NetworkDisconnect = "network_disconnect",
    Delay = "delay",
    Loss = "loss",
    Duplicate = "duplicate",
    Corrupt = "corrupt",
    Reorder = "reorder",
    RateLimit = "rate",
    NetworkProfile = "network_profile",
    ConnectionDrop = "connection_drop",
    Partition = "partition",
    ConnectionReset = "connection_reset",
    Dns = "dns",
    Http = "http",
    FileCorrupt = "file_corrupt",
    FileDelete = "file_delete",
    Script = "script",
}

/// The number that says how hard a fault is: what a ramp changes.
#[derive(Debug, PartialEq)]
pub enum Amount<'a> {
    /// A percentage.
    Percent(&'a mut Percent, Harder),
    /// A size.
    Size(&'a mut Size, Harder),
    /// A count.
    Count(&'a mut u32, Harder),
    /// A length of time.
    Span(&'a mut Span, Harder),
    /// A rate.
    Rate(&'a mut Rate, Harder),
}

/// In which direction a fault becomes harder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harder {
    /// A load: more is harder.
    Up,
    /// A limit: less is harder.
    Down,
}

/// A load that is given as a size or as a share.
fn load<'a>(size: &'a mut Option<Size>, percent: &'a mut Option<Percent>) -> Option<Amount<'a>> {
    let size = size.as_mut().map(|size| Amount::Size(size, Harder::Up));
    size.or_else(|| percent.as_mut().map(|percent| Amount::Percent(percent, Harder::Up)))
}

impl Inject {
    /// The faults that it stands for, where it is a set of others: no such one comes to the guardian.
    pub fn parts(&self) -> Option<Vec<Self>> {
        match self {
            Self::NetworkProfile(profile) => Some(profile.parts()),
            _ => None,
        }
    }

    /// The alias of other targets that it needs besides its own: those that it parts its own from.
    pub fn others(&self) -> Option<&str> {
        match self {
            Self::Partition(partition) => Some(&partition.from),
            _ => None,
        }
    }

    /// Whether it hits those who measure, too. `None`: it has nothing to do with packets.
    pub fn include_observers(&self) -> Option<bool> {
        match self {
            Self::Delay(it) => Some(it.include_observers),
            Self::Loss(it) => Some(it.include_observers),
            Self::Duplicate(it) => Some(it.include_observers),
            Self::Corrupt(it) => Some(it.include_observers),
            Self::Reorder(it) => Some(it.include_observers),
            Self::RateLimit(it) => Some(it.include_observers),
            Self::ConnectionDrop(it) => Some(it.include_observers),
            Self::ConnectionReset(it) => Some(it.include_observers),
            Self::Partition(_) => Some(false),
            Self::NetworkProfile(it) => Some(it.include_observers),
            _ => None,
        }
    }

    /// The number that says how hard it is. `None`: it is on or off.
    pub fn amount(&mut self) -> Option<Amount<'_>> {
        match self {
            Self::MemoryLimit(it) => Some(Amount::Size(&mut it.limit, Harder::Down)),
            Self::CpuLimit(it) => Some(Amount::Percent(&mut it.percent, Harder::Down)),
            Self::CpuStress(it) => Some(Amount::Percent(&mut it.percent, Harder::Up)),
            Self::PidExhaustion(it) => Some(Amount::Count(&mut it.reserve, Harder::Down)),
            Self::FdExhaustion(it) => Some(Amount::Count(&mut it.reserve, Harder::Down)),
            Self::MemoryStress(it) => load(&mut it.size, &mut it.percent),
            Self::DiskFill(it) => load(&mut it.size, &mut it.percent),
            Self::DiskIo(it) => Some(Amount::Count(&mut it.workers, Harder::Up)),
            Self::DiskThrottle(it) => {
                let rates = [&mut it.read_bps, &mut it.write_bps].into_iter().flatten();
                let counts = [&mut it.read_iops, &mut it.write_iops].into_iter().flatten();
                let mut all = rates
                    .map(|rate| Amount::Size(rate, Harder::Down))
                    .chain(counts.map(|count| Amount::Count(count, Harder::Down)));
                // Of several limits none is the one.
                all.next().filter(|_| all.next().is_none())
            }
            Self::Delay(it) => Some(Amount::Span(&mut it.mean, Harder::Up)),
            Self::Loss(it) => Some(Amount::Percent(&mut it.percent, Harder::Up)),
            Self::Duplicate(it) => Some(Amount::Percent(&mut it.percent, Harder::Up)),
            Self::Corrupt(it) => Some(Amount::Percent(&mut it.percent, Harder::Up)),
            Self::Reorder(it) => Some(Amount::Percent(&mut it.percent, Harder::Up)),
            Self::RateLimit(it) => Some(Amount::Rate(&mut it.rate, Harder::Down)),
            Self::ConnectionDrop(it) => Some(Amount::Percent(&mut it.probability, Harder::Up)),
            Self::Dns(it) => Some(Amount::Percent(&mut it.probability, Harder::Up)),
            Self::Partition(_)
            | Self::ConnectionReset(_)
            | Self::Http(_)
            | Self::Script(_)
            | Self::FileCorrupt(_)
            | Self::FileDelete(_)
            | Self::ProcessPause(_)
            | Self::ProcessKill(_)
            | Self::ClockSkew(_)
            | Self::ContainerPause(_)
            | Self::ContainerKill(_)
            | Self::ContainerStop(_)
            | Self::ContainerRestart(_)
            | Self::NetworkDisconnect(_)
            | Self::NetworkProfile(_) => None,
        }
    }
}

/// Lowers the memory limit of the target's control group; memory and swap together stay under it.
///
/// Undo: exact. The kernel's file is written, never the engine's configuration, so that `docker inspect` is the same throughout. A
/// limit below the present usage is refused in the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryLimit {
    /// The limit. At least 4MiB; rounded down to whole pages, as the kernel does.
    pub limit: Size,
}

/// Holds memory inside the target's control group, with a worker of Fracas: the target's image needs nothing.
///
/// Undo: exact; the worker ends, and its memory with it. It also ends when the target ends or the guardian dies. A tenth of the
/// machine's memory, at least 512MiB, is always left to everybody else: what would take more is refused in the plan. `memory_limit` is
/// the other way to make memory scarce; seed 0's `memory_stress` is that one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryStress {
    /// How much, at least 1MiB. Either this or `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// So much of the target's memory limit, up to 100%; a target without a limit is refused in the plan. Either this or `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// Whom the kernel's memory killer takes when the group has no more. Default `stress`.
    #[serde(default)]
    pub victim: Victim,
}

/// Takes the room of a file system, by a file without a name that the guardian holds open.
///
/// Undo: exact; the kernel frees the file when it is closed, also when the guardian is killed. Never on the device of Fracas' own state
/// directory. On the host's root device only if asked for, and there a tenth, at least 2GiB, is always left. What takes memory
/// (`tmpfs`) leaves a tenth of it, at least 512MiB, to everybody else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskFill {
    /// A directory on the file system: an absolute path, as the target has it. Links are followed and never lead out of the target.
    pub path: String,
    /// How much, at least 1MiB. Either this or `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// How full the file system is afterwards, as df(1) shows it, up to 100%. Either this or `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// Also on the device of the host's root directory, where most containers have their files. Default false.
    #[serde(default)]
    pub allow_root_device: bool,
}

/// Reads and writes a disk as fast as it gives, with a worker of Fracas in the target's control group.
///
/// Undo: exact; the worker ends, and the kernel frees its files, which have no names. It also ends when the target ends or the
/// guardian dies. `disk_throttle` makes a disk slow for the target alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskIo {
    /// A directory on the disk: an absolute path, as the target has it. Each worker has a file of 16MiB there.
    pub path: String,
    /// How many read and write at a time, from 1 to 64. Default 1.
    #[serde(default = "one")]
    pub workers: u32,
    /// What they do. Default `all`.
    #[serde(default)]
    pub operation: Operation,
    /// How much in one go, from 4KiB to 16MiB in steps of 4KiB. Default 1MiB.
    #[serde(default = "mebibyte")]
    pub block_size: Size,
}

/// Limits how fast the target's control group reads and writes a disk.
///
/// Undo: exact. With control groups of version 1 writes through the page cache are not limited, for they are the kernel's own; reads,
/// and writes that ask for the disk (`O_DIRECT`, `fsync`), are. `disk_io` makes the disk busy for everybody.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskThrottle {
    /// A directory on the disk: an absolute path, as the target has it.
    pub path: String,
    /// Bytes read in a second, at least 1KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bps: Option<Size>,
    /// Bytes written in a second, at least 1KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_bps: Option<Size>,
    /// Reads in a second, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_iops: Option<u32>,
    /// Writes in a second, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_iops: Option<u32>,
}

/// Limits the CPU time of the target's control group (CFS quota).
///
/// Undo: exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuLimit {
    /// Per cent of one CPU, from 1: `50%` is half a CPU, `150%` one and a half.
    pub percent: Percent,
}

/// Burns CPU time inside the target's control group, with a worker of Fracas: the target's image needs nothing.
///
/// Undo: exact; the worker ends. It also ends when the target ends or the guardian dies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuStress {
    /// Per cent of one CPU, in total, above 0: `37%`, `150%`.
    pub percent: Percent,
    /// Over how many threads the load is spread. Default: as few as can carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
}

/// Leaves the target's control group no room for new processes and threads: `pids.max` becomes those in use plus `reserve`.
///
/// Undo: exact. Nothing is forked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PidExhaustion {
    /// How many more it may start. Default 0.
    #[serde(default)]
    pub reserve: u32,
}

/// Leaves the target's process no free file descriptor: its soft limit becomes those in use plus `reserve`.
///
/// Undo: exact, by prlimit(2). Nothing is opened.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FdExhaustion {
    /// How many more it may open. Default 0.
    #[serde(default)]
    pub reserve: u32,
}

/// Stops the target's process with SIGSTOP and continues it with SIGCONT.
///
/// Undo: exact. A process that was stopped before is left stopped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessPause {
    /// Regular expression on the command line, anywhere in it: which processes of the target, all that match. Default: its first
    /// process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Also the descendants. Default false.
    #[serde(default)]
    pub children: bool,
}

/// Sends a signal to a process.
///
/// Undo: none; if no supervisor or restart policy brings it back, the certificate says so. Needs `allow_irreversible: true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessKill {
    /// The signal. Default KILL.
    #[serde(default)]
    pub signal: Signal,
    /// Regular expression on the command line, anywhere in it: which processes of the target, all that match. Default: its first
    /// process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Also the descendants, leaves first. Default false.
    #[serde(default)]
    pub children: bool,
    /// How often in all, from 1 to 1000; each time whatever matches then. Default 1.
    #[serde(default = "one")]
    pub count: u32,
    /// Time between two kills. Default 1s.
    #[serde(default = "second")]
    pub interval: Span,
}

impl Default for ProcessKill {
    fn default() -> Self {
        Self {
            signal: Signal::default(),
            pattern: None,
            children: false,
            count: one(),
            interval: second(),
        }
    }
}

/// Freezes all processes of a container through the engine (`docker pause`).
///
/// Undo: exact.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerPause {}

/// Sends a signal to the container's init, from the host, so that restart policies act.
///
/// Undo: restart. At the end of the fault a container that its policy did not restart is started, unless `restart: false`; with a
/// `restart_delay` already so long after the signal. A rollback does not wait for the delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerKill {
    /// The signal. Default KILL.
    #[serde(default)]
    pub signal: Signal,
    /// `host` signals the init, so that the restart policy acts; `engine` is `docker kill`, which suppresses it. Default `host`.
    #[serde(default)]
    pub via: Via,
    /// Whether Fracas starts it again if nobody else does. `false` is irreversible. Default true.
    #[serde(default = "yes")]
    pub restart: bool,
    /// How long the container stays down at least before Fracas starts it; its own restart policy may be faster. Default 0s.
    #[serde(default)]
    pub restart_delay: Span,
}

impl Default for ContainerKill {
    fn default() -> Self {
        Self {
            signal: Signal::default(),
            via: Via::default(),
            restart: true,
            restart_delay: Span::default(),
        }
    }
}

/// Stops a container (`docker stop`) and starts it at the end of the fault.
///
/// Undo: restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerStop {
    /// How long the container may take to end by itself before it is killed. At most 60s. Default 10s.
    #[serde(default = "ten_seconds")]
    pub grace: Span,
}

impl Default for ContainerStop {
    fn default() -> Self {
        Self { grace: ten_seconds() }
    }
}

/// Stops a container, waits, and starts it.
///
/// Undo: restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerRestart {
    /// How long the container may take to end by itself before it is killed. At most 60s. Default 10s.
    #[serde(default = "ten_seconds")]
    pub grace: Span,
    /// How long it stays down. Default 0s.
    #[serde(default)]
    pub delay: Span,
    /// Time between the restarts of two targets; 0s takes all at once. Default 0s.
    #[serde(default)]
    pub stagger: Span,
}

impl Default for ContainerRestart {
    fn default() -> Self {
        Self {
            grace: ten_seconds(),
            delay: Span::default(),
            stagger: Span::default(),
        }
    }
}

/// Whom the kernel's memory killer takes while a [`MemoryStress`] is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    /// The worker, before any process of the target. What would not fit beside the target's own memory is refused in the plan.
    #[default]
    Stress,
    /// The largest process of the target: what the worker holds counts for the group and for no process. The kernel takes another if
    /// the memory of the first is not free at once; when none is larger than the bare worker, some 10MiB, the worker goes, too.
    Target,
}

/// What the workers of a [`DiskIo`] do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// They read.
    Read,
    /// They write.
    Write,
    /// Both in turn.
    #[default]
    All,
}

/// Who sends the signal of a [`ContainerKill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The guardian, to the init of the container.
    #[default]
    Host,
    /// The engine (`docker kill`).
    Engine,
}

/// A signal by name, without `SIG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Signal {
    /// 9
    #[default]
    #[serde(rename = "KILL", alias = "SIGKILL")]
    Kill,
    /// 15
    #[serde(rename = "TERM", alias = "SIGTERM")]
    Term,
    /// 2
    #[serde(rename = "INT", alias = "SIGINT")]
    Int,
    /// 3
    #[serde(rename = "QUIT", alias = "SIGQUIT")]
    Quit,
    /// 1
    #[serde(rename = "HUP", alias = "SIGHUP")]
    Hup,
    /// 6
    #[serde(rename = "ABRT", alias = "SIGABRT")]
    Abrt,
    /// 10
    #[serde(rename = "USR1", alias = "SIGUSR1")]
    Usr1,
    /// 12
    #[serde(rename = "USR2", alias = "SIGUSR2")]
    Usr2,
}

impl Signal {
    /// The number on Linux, see signal(7); the same on every architecture that Fracas runs on for these.
    pub fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Quit => 3,
            Self::Abrt => 6,
            Self::Kill => 9,
            Self::Usr1 => 10,
            Self::Usr2 => 12,
            Self::Term => 15,
        }
    }

    /// The name with `SIG`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Abrt => "SIGABRT",
            Self::Kill => "SIGKILL",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Term => "SIGTERM",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn one() -> u32 {
    1
}
fn yes() -> bool {
    true
}
fn second() -> Span {
    Span::secs(1)
}
fn mebibyte() -> Size {
    Size::mib(1)
}
fn ten_seconds() -> Span {
    Span::secs(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NamePattern;

    #[test]
    fn the_name_of_a_fault_is_its_key() {
        let inject = Inject::MemoryLimit(MemoryLimit { limit: Size::mib(512) });
        assert_eq!(
            serde_json::to_string(&inject).unwrap(),
            r#"{"memory_limit":{"limit":"512MiB"}}"#
        );
        assert_eq!(inject.params().to_string(), r#"{"limit":"512MiB"}"#);
        let names: Vec<_> = Inject::NAMES.to_vec();
        assert!(names.contains(&inject.name()));
    }

    #[test]
    fn defaults_of_serde_and_of_rust_agree() {
        assert_eq!(
            serde_json::from_str::<ProcessKill>("{}").unwrap(),
            ProcessKill::default()
        );
        assert_eq!(
            serde_json::from_str::<ContainerKill>("{}").unwrap(),
            ContainerKill::default()
        );
        assert_eq!(
            serde_json::from_str::<ContainerStop>("{}").unwrap(),
            ContainerStop::default()
        );
        assert_eq!(
            serde_json::from_str::<ContainerRestart>("{}").unwrap(),
            ContainerRestart::default()
        );
        assert_eq!(
            serde_json::from_str::<Dns>(r#"{ "names": ["*"] }"#).unwrap(),
            Dns::new(vec![NamePattern::all()])
        );
        assert_eq!(
            serde_json::from_str::<FileCorrupt>(r#"{ "path": "/a" }"#).unwrap(),
            FileCorrupt::new("/a")
        );
        assert_eq!(
            serde_json::from_str::<Script>(r#"{ "apply": ["a"], "revert": ["b"] }"#).unwrap(),
            Script::new(vec!["a".to_owned()], vec!["b".to_owned()])
        );
    }
}
