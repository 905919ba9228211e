//! `FAULTS`: every way in which Fracas breaks something, each with its way back.
//!
//! A fault is a type without values ([`Fault`]); parameters, undo and context come in, nothing is kept. The guardian knows faults only
//! as [`Entry`]s over JSON, because an undo may have been written by another process, long ago. No fault exists outside [`FAULTS`], and
//! the contract test runs over all of it.

mod beside;
mod bounded;
pub mod clock_skew;
pub mod connection_reset;
pub mod container_kill;
pub mod container_pause;
pub mod container_restart;
pub mod container_stop;
mod context;
mod contract;
pub mod cpu_limit;
pub mod cpu_stress;
pub mod cut;
mod directory;
pub mod disk_fill;
pub mod disk_io;
pub mod disk_throttle;
pub mod dns;
mod entry;
pub mod fd_exhaustion;
pub mod file_corrupt;
pub mod file_delete;
mod hosts;
pub mod http;
pub mod impairment;
pub mod kernel_file;
mod life;
mod members;
pub mod memory_limit;
pub mod memory_stress;
pub mod network_disconnect;
mod observers;
mod packet_worker;
pub mod pid_exhaustion;
pub mod process_kill;
pub mod process_pause;
mod say;
pub mod script;
mod signal;
mod whereabouts;

use fracas_core::problem::Result;

pub use context::{Context, Deed, Engines, Note, Nursery};
pub use contract::{Fault, Needs, Resource};
pub use entry::{BoxFuture, Entry, entry};

/// All faults, in the order of the documentation.
pub static FAULTS: &[Entry] = &[
    entry::<memory_limit::MemoryLimit>(),
    entry::<memory_stress::MemoryStress>(),
    entry::<disk_fill::DiskFill>(),
    entry::<disk_io::DiskIo>(),
    entry::<disk_throttle::DiskThrottle>(),
    entry::<cpu_limit::CpuLimit>(),
    entry::<cpu_stress::CpuStress>(),
    entry::<pid_exhaustion::PidExhaustion>(),
    entry::<fd_exhaustion::FdExhaustion>(),
    entry::<process_pause::ProcessPause>(),
    entry::<process_kill::ProcessKill>(),
    entry::<clock_skew::ClockSkew>(),
    entry::<container_pause::ContainerPause>(),
    entry::<container_kill::ContainerKill>(),
    entry::<container_stop::ContainerStop>(),
    entry::<container_restart::ContainerRestart>(),
    entry::<network_disconnect::NetworkDisconnect>(),
    entry::<impairment::Delay>(),
    entry::<impairment::Loss>(),
    entry::<impairment::Duplicate>(),
    entry::<impairment::Corrupt>(),
    entry::<impairment::Reorder>(),
    entry::<impairment::Rate>(),
    entry::<cut::ConnectionDrop>(),
    entry::<cut::Partition>(),
    entry::<connection_reset::ConnectionReset>(),
    entry::<dns::Dns>(),
    entry::<http::Http>(),
    entry::<file_corrupt::FileCorrupt>(),
    entry::<file_delete::FileDelete>(),
    entry::<script::Script>(),
];

/// The main of a worker.
pub type WorkerMain = fn() -> Result<()>;

/// The workers of the faults: what `fracas worker NAME` runs.
pub static WORKERS: &[(&str, WorkerMain)] = &[
    ("cpu-stress", cpu_stress::cpu_stress_worker_main),
    ("memory-stress", memory_stress::memory_stress_worker_main),
    ("disk-io", disk_io::disk_io_worker_main),
    ("packet-queue", impairment::packet_queue_worker_main),
    ("packet-rules", cut::packet_rules_worker_main),
    ("names", dns::names_worker_main),
    ("http", http::http_worker_main),
];

/// The fault of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    FAULTS.iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_type_has_its_fault_and_every_fault_its_parameters() {
        let mut faults: Vec<_> = FAULTS.iter().map(|entry| entry.name).collect();
        let mut params = fracas_core::params::Inject::NAMES.to_vec();
        // A set of others, which are what the guardian gets.
        params.retain(|name| *name != "network_profile");
        faults.sort_unstable();
        params.sort_unstable();
        assert_eq!(faults, params);
    }
}
