//! The kernel's queues, and what decides which packets go into them: qdiscs, filters and their action (tc(8),
//! include/uapi/linux/pkt_sched.h, include/uapi/linux/pkt_cls.h).
//!
//! A [`Qdisc`] is what a link sends from; [`Netem`] is the one that delays, loses and spoils. `clsact` is none: it only holds filters,
//! beside whatever the link sends from, so that nobody's queue is touched. A [`Filter`] there looks at every packet by a [`Program`] of
//! classic BPF, and sends what it matches to another link, where a queue waits for it.
//!
//! None of this goes with a process. What carries our [`Cookie`], or has one of our handles on a link that we made, is ours.

mod filter;
mod netem;
mod possible;
mod program;
mod qdisc;

pub use filter::{Cookie, Filter, Side};
pub use netem::{Chance, Loss, Netem};
pub use possible::{Possible, possible};
pub use program::Program;
pub use qdisc::{CLSACT, Handle, Options, Qdisc, ROOT};

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(body: &[u8]) {
    let _refused = Qdisc::parse(body);
    let _refused = Filter::parse(body, Side::Egress);
}

/// `struct tcmsg`: family and padding, then the link, the handle, the parent, and what depends on the message.
const HEADER: usize = 20;

fn header(link: u32, handle: u32, parent: u32, info: u32) -> [u8; HEADER] {
    let mut fixed = [0; HEADER];
    for (at, number) in [(4, link), (8, handle), (12, parent), (16, info)] {
        fixed[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    fixed
}

/// The numbers of the header, and the attributes behind it.
fn split(body: &[u8]) -> std::io::Result<([u32; 4], &[u8])> {
    let (Some(header), Some(rest)) = (body.first_chunk::<HEADER>(), body.get(HEADER..)) else {
        return Err(crate::error::invalid(format!(
            "a message about queues of {} bytes",
            body.len()
        )));
    };
    let number = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Ok(([number(4), number(8), number(12), number(16)], rest))
}

#[cfg(test)]
mod tests;
