//! What a run tells while it goes on, for machines that watch it: spans by OTLP, metrics for Prometheus, a webhook.
//!
//! All of it is folded from the same [`Event`](fracas_core::event::Event)s as the report; there is no second bookkeeping. Whatever is
//! sent goes through a bounded queue with a time limit: a collector that hangs delays no rollback and fails no run. What could not be
//! sent is said in one warning. Whoever asks for metrics is answered by a thread that nothing else waits for. What a proxy counts is here,
//! too: it has no run, and no events.

pub mod ids;
pub mod listen;
pub mod metrics;
pub mod orchestrations;
pub mod otlp;
pub mod outlets;
pub mod proxy;
pub mod request;
pub mod span;
pub mod toxiproxy;
pub mod trace;
pub mod webhook;

mod peer;
#[cfg(test)]
mod story;

pub use listen::{Endpoint, Listen, Serving};
pub use metrics::Metrics;
pub use otlp::Exporter;
pub use outlets::{Hook, Otlp, Outlets};
pub use trace::Trace;
