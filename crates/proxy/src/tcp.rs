//! Connections of TCP, carried byte by byte, and the toxics that act on them: what a [Toxiproxy] does, by its names.
//!
//! A connection is one task with a [`pipe`] for each direction. What toxics there are is read again whenever it changes, so they act on
//! connections that are open, too. Where none acts, bytes go from one socket to the other at once.
//!
//! [Toxiproxy]: https://github.com/Shopify/toxiproxy

pub(crate) mod effects;
mod hoses;
pub(crate) mod pipe;
pub(crate) mod relay;
pub(crate) mod toxic;
