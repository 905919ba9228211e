//! The hand of Fracas: the only process that touches targets, and what it takes to be sure of it.
//!
//! The runner parses documents, queries and answers; it never opens a target for writing. The guardian plans, applies, measures and
//! reverts. It keeps a ledger that has every way back on disk before anything is done, a lease on the runner, and at the end it proves
//! from the system that nothing is left. When the runner dies or hangs, the guardian undoes everything by itself; when both die, the
//! ledger is enough for any later guardian.
//!
//! Invariants: no apply without a `planned` record on disk. No revert while the runner that might still act is alive and unheard.
//! Revert first, record if it can. An error is never "absent".

pub mod claims;
pub mod client;
pub mod hand;
pub mod lease;
pub mod ledger;
pub mod protocol;
pub mod serve;
pub mod sidecar;
pub mod state;
pub mod told;

pub use client::{Client, Place};
