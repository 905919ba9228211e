//! TLS: what clients see of it, and how upstreams of it are reached.

mod clients;
mod faults;
mod parts;
mod passthrough;
mod upstream;
