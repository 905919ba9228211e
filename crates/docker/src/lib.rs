//! The container engine: what Fracas asks of Docker's API, in types of our own.
//!
//! The only crate that knows bollard. Whatever an engine answers is treated as hostile: every call has a time limit, every answer a
//! size limit, every id from outside is checked before it becomes part of an address. States that are already what was asked for
//! are outcomes, not errors.

mod address;
mod answer;
mod container;
mod engine;
mod lifecycle;
mod logs;
mod made;
mod transport;

pub use container::{Details, Health, Limits, Published, RestartPolicy, State, Status, Summary, fuzz_answer};
pub use engine::{Engine, Version};
pub use lifecycle::Outcome;
pub use made::NewContainer;
