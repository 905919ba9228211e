//! Netlink: how Linux is asked about and told to change links, addresses, routes and packet rules (netlink(7), rtnetlink(7)).
//!
//! [`Message`] writes, [`attributes`] reads, [`Netlink`] asks and awaits the whole answer, also to a [`Transaction`]. On them stand
//! [links](Link), [addresses](InterfaceAddress) and [routes](Route), the packet rules of [`netfilter`](crate::netfilter) and the queues of
//! [`traffic_control`](crate::traffic_control). A netlink socket belongs to the network namespace in which it was made, and stays there
//! whichever thread uses it (network_namespaces(7)): to ask another namespace, make it
//! [within](crate::namespace::NetNamespace::within) that one.
//!
//! What comes in is read as hostile: every length is compared with what is there, every answer has a bound in messages, in bytes and in
//! time, and only what the kernel itself sent is listened to.

mod address;
mod answer;
mod attribute;
mod link;
mod message;
mod route;
mod routing_rule;
mod socket;
mod transaction;

pub use address::InterfaceAddress;
pub use answer::{Answer, Reply};
pub(crate) use answer::{parts, refused};
pub use attribute::{Attribute, attributes};
pub use link::{Bridge, Link, PortState};
pub(crate) use message::HEADER;
pub use message::Message;
pub use route::{Route, RouteKind};
pub use socket::Netlink;
pub use transaction::Transaction;

/// What whoever sends messages may make of them: nothing panics and nothing grows without bound. For the fuzzer.
pub fn fuzz_answer(bytes: &[u8]) {
    transaction::fuzz(bytes);
    let mut answer = Answer::to(1);
    // An error is an answer like any other here.
    let _refused = answer.take(bytes);
    for reply in answer.replies() {
        let _refused = Link::parse(&reply.body);
        let _refused = InterfaceAddress::parse(&reply.body);
        let _refused = Route::parse(&reply.body);
        crate::netfilter::fuzz(&reply.body);
        crate::queue::fuzz(&reply.body);
        crate::connections::fuzz(&reply.body);
        crate::traffic_control::fuzz(&reply.body);
        crate::packets::fuzz(&reply.body);
        walk(&reply.body, 0);
    }
    walk(bytes, 0);
}

/// Reads everything as if it were nested attributes of any type.
fn walk(bytes: &[u8], depth: u32) {
    if depth > 8 {
        return;
    }
    for attribute in attributes(bytes).map_while(Result::ok) {
        let _wrong = (attribute.u8(), attribute.u16(), attribute.u32(), attribute.text());
        walk(attribute.value, depth + 1);
    }
}

/// Messages and attributes begin at multiples of this (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
const ALIGN: usize = 4;

fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGN)
}

#[cfg(test)]
mod tests;
