//! TLS: what clients see of it, and how upstreams of it are reached.

mod asked;
mod clients;
mod faults;
pub(crate) mod parts;
mod passthrough;
mod upstream;
