//! Drives a run from an experiment to its report. Decides nothing about faults (the guardian does) and nothing about verdicts (the
//! machine in `fracas-core` does): it connects the two with the world, and records all that happens.

mod drive;
mod logs;
mod observers;
mod order;
mod prepare;
mod recorder;
mod run;
mod sidecar;
mod stops;

pub use order::{Confirm, Dry, Ended, Order, Settings, Sidecar};
pub use prepare::{Prepared, ready_to_run};
pub use run::{random, run};
pub use sidecar::site;
