//! Seed 0's types of fault: which there are, under which names, and what becomes of each.

use schemars::Schema;
use serde_json::json;

/// What becomes of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A memory limit.
    Memory,
    /// CPU stress or a CPU limit.
    Cpu,
    /// Stopped and started.
    Restart,
    /// A signal to the container's init.
    Kill,
    /// Frozen.
    Pause,
    /// A signal to processes in the container.
    ProcessKill,
    /// Bytes of a file become others.
    Corrupt,
    /// A file is taken away.
    Delete,
    /// A full disk.
    DiskFill,
    /// A busy disk.
    DiskIo,
    /// Another time.
    Clock,
    /// Impaired packets.
    Network,
    /// Packets that are not let in.
    ConnectionDrop,
    /// Names that are not found, or late.
    Dns,
    /// Requests that are late, or fail.
    Http,
    /// Comes with a later version.
    Later,
    /// Only has a meaning on an Ethereum chain.
    Ethereum,
    /// Seed 0 accepted the word and then knew no such fault.
    Never,
}

/// A type under one of its names.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) fate: Fate,
}

const fn known(name: &'static str, fate: Fate) -> Known {
    Known { name, fate }
}

/// All names.
pub(crate) const ALL: &[Known] = &[
    known("memory_pressure", Fate::Memory),
    known("memory_stress", Fate::Memory),
    known("memory", Fate::Memory),
    known("cpu_stress", Fate::Cpu),
    known("cpu", Fate::Cpu),
    known("container_restart", Fate::Restart),
    known("container_kill", Fate::Kill),
    known("container_pause", Fate::Pause),
    known("process_kill", Fate::ProcessKill),
    known("network", Fate::Network),
    known("connection_drop", Fate::ConnectionDrop),
    known("dns", Fate::Dns),
    known("file_delete", Fate::Delete),
    known("file_corrupt", Fate::Corrupt),
    known("disk_io", Fate::DiskIo),
    known("disk_io_stress", Fate::DiskIo),
    known("disk_fill", Fate::DiskFill),
    known("clock_skew", Fate::Clock),
    known("http_fault", Fate::Http),
    known("corruption_proxy", Fate::Later),
    known("p2p_attack", Fate::Ethereum),
    known("disk", Fate::Never),
    known("process", Fate::Never),
    known("custom", Fate::Never),
];

/// What becomes of a type by this name.
pub(crate) fn fate(name: &str) -> Option<Fate> {
    ALL.iter().find(|known| known.name == name).map(|known| known.fate)
}

/// The definition of the parameters of each type that this version does.
pub(crate) const PARAMS: &[(Fate, &str)] = &[
    (Fate::Memory, "MemoryParams"),
    (Fate::Cpu, "CpuParams"),
    (Fate::Restart, "RestartParams"),
    (Fate::Kill, "KillParams"),
    (Fate::Pause, "PauseParams"),
    (Fate::ProcessKill, "ProcessKillParams"),
    (Fate::Corrupt, "FileCorruptParams"),
    (Fate::Delete, "FileDeleteParams"),
    (Fate::DiskIo, "DiskIoParams"),
    (Fate::DiskFill, "DiskFillParams"),
    (Fate::Clock, "ClockSkewParams"),
    (Fate::Network, "NetworkParams"),
    (Fate::ConnectionDrop, "ConnectionDropParams"),
    (Fate::Dns, "DnsParams"),
    (Fate::Http, "HttpFaultParams"),
];

/// Adds to the schema of a fault what its parameters are for each type.
pub(crate) fn add_rules(schema: &mut Schema) {
    let rules: Vec<_> = PARAMS
        .iter()
        .map(|(fate, definition)| {
            let names: Vec<_> = ALL
                .iter()
                .filter(|known| known.fate == *fate)
                .map(|known| known.name)
                .collect();
            json!({
                "if": { "properties": { "type": { "enum": names } } },
                "then": { "properties": { "params": { "$ref": format!("#/$defs/{definition}") } } }
            })
        })
        .collect();
    schema.insert("allOf".to_owned(), rules.into());
}
