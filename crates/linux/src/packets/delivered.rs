//! A socket that sees packets of ours where they are given to programs (raw(7)).
//!
//! It stands behind all packet rules for what comes in (`ip_local_deliver_finish` in net/ipv4/ip_input.c), and before checksums of TCP
//! and UDP are looked at: what [`Watch`](super::Watch) saw on its link and this does not see was stopped between the two.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use super::{NUMBER, Tag, tagged};
use crate::error::{Context, invalid};
use crate::netfilter::Way;

/// Bytes for packets that were not read yet.
const ROOM: usize = 4 << 20;
/// No packet is longer.
const LONGEST: usize = 1 << 16;

/// A socket that sees the packets with one tag, of one protocol, that are given to programs in the network namespace in which it was
/// opened.
#[derive(Debug)]
pub struct Delivered {
    socket: OwnedFd,
    tag: Tag,
    buffer: Vec<u8>,
}

impl Delivered {
    /// Sees packets of this protocol (`IPPROTO_UDP` …) and of the version of this address. In the network namespace of this thread.
    /// Needs `CAP_NET_RAW`.
    pub fn open(version: IpAddr, protocol: u8, tag: Tag) -> io::Result<Self> {
        let what = || "cannot open a raw socket".to_owned();
        let family = match version {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let protocol =
            std::num::NonZero::new(u32::from(protocol)).ok_or_else(|| invalid("a packet without a protocol"))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::RAW, flags, Some(Protocol::from_raw(protocol))).context(what)?;
        if set_socket_recv_buffer_size_force(&socket, ROOM).is_err() {
            set_socket_recv_buffer_size(&socket, ROOM).context(what)?;
        }
        // With a filter IPv6 looks at checksums (`rawv6_rcv_skb`), which ours do not have: there all packets are read.
        if version.is_ipv4() {
            tagged(&socket, Way::In, tag).context(what)?;
        }
        Ok(Self {
            socket,
            tag,
            buffer: vec![0; LONGEST],
        })
    }

    /// The number of the next packet that was given. `None`: none is there.
    pub fn receive(&mut self) -> io::Result<Option<u32>> {
        loop {
            let length = match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(None),
                received => received.context(|| "cannot see packets".into())?.1,
            };
            let bytes = self.buffer.get(..length).unwrap_or_default();
            let end = bytes.len().saturating_sub(NUMBER);
            if let Some(number) = bytes.last_chunk()
                && bytes[..end].ends_with(&self.tag.0)
            {
                return Ok(Some(u32::from_be_bytes(*number)));
            }
        }
    }
}
