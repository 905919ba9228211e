//! Packets of our own that measure what becomes of packets: [`Probe`] makes them, [`Watch`] sees them on their way.
//!
//! Each ends with a tag, by which the kernel tells it from all others before anybody else is asked; where it ends is known without
//! reading its headers. So a watch costs foreign packets a few steps and no copy, and works for all protocols alike.

mod inlet;
mod parcel;
mod probe;
mod watch;

pub use inlet::{Delivered, Delivery, Inlet};
pub use parcel::{Carrier, Parcel, flags};
pub use probe::{Content, Probe, Tag};
pub use watch::{Seen, Watch};

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(bytes: &[u8]) {
    parcel::fuzz(bytes);
}

/// What is behind the tag: the number of the packet, in network byte order.
const NUMBER: usize = 4;

#[cfg(test)]
mod tests;
