//! The container engine: what Fracas asks of Docker's API, in types of our own.
//!
//! The only crate that knows bollard. Whatever an engine answers is treated as hostile: every call has a time limit, every answer a
//! size limit, every id from outside is checked before it becomes part of an address. States that are already what was asked for
//! are outcomes, not errors.

mod address;
mod answer;
mod attach;
mod container;
mod engine;
mod lifecycle;
mod logs;
mod made;
mod tls;
mod transport;

pub use attach::{Attached, Complaint};
pub use container::{Details, Health, Limits, Published, RestartPolicy, State, Status, Summary, fuzz_answer};
pub use engine::{Engine, Version};
pub use lifecycle::Outcome;
pub use made::{NewContainer, OnHost};

/// The label of a sidecar and of all that belongs to it; its value is the run.
pub const SIDECAR: &str = "fracas.sidecar";
