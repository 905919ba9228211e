//! `FAULTS`: every way in which Fracas breaks something, each with its way back.
//!
//! A fault is a type without values ([`Fault`]); parameters, undo and context come in, nothing is kept. The guardian knows faults only
//! as [`Entry`]s over JSON, because an undo may have been written by another process, long ago. No fault exists outside [`FAULTS`], and
//! the contract test runs over all of it.

mod context;
mod contract;
mod entry;
pub mod kernel_file;
pub mod memory_limit;

pub use context::{Context, Engines, Nursery};
pub use contract::{Fault, Needs, Resource};
pub use entry::{BoxFuture, Entry, entry};

/// All faults, in the order of the documentation.
pub static FAULTS: &[Entry] = &[entry::<memory_limit::MemoryLimit>()];

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
        faults.sort_unstable();
        params.sort_unstable();
        assert_eq!(faults, params);
    }
}
