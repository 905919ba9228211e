//! A way in: packets that come in at the other end of a link (packet(7)), and sockets that see them when they are delivered (raw(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use super::watch::program;
use super::{NUMBER, Tag};
use crate::clock;
use crate::error::{Context, invalid};
use crate::frames::Address;
use crate::netfilter::Way;
use crate::sockets::{self, Along};

/// No packet is longer.
const LONGEST: usize = 1 << 16;

/// A link that carries packets to whoever is at its other end, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Inlet {
    socket: OwnedFd,
    link: u32,
    to: Address,
}

impl Inlet {
    /// By the link with this number, to this hardware address. In the network namespace of this thread. Needs `CAP_NET_RAW`.
    pub fn open(link: u32, to: Address) -> io::Result<Self> {
        // With protocol 0 nothing is received by it.
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
            .context(|| "cannot open a packet socket".into())?;
        Ok(Self { socket, link, to })
    }

    /// Sends a packet of IP to the other end, whatever its addresses are.
    ///
    /// # Errors
    /// What the kernel says; `ENETDOWN` where the link is down. A packet that is dropped later is no error.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        let kind = match packet.first().map(|byte| byte >> 4) {
            Some(6) => libc::ETH_P_IPV6,
            _ => libc::ETH_P_IP,
        };
        let mut address = sockets::link_address();
        address.sll_protocol = (kind as u16).to_be();
        address.sll_ifindex = self.link as i32;
        address.sll_halen = self.to.len() as u8;
        address.sll_addr[..self.to.len()].copy_from_slice(&self.to);
        sockets::send(&self.socket, packet, &address, &Along::default())
            .context(|| format!("cannot send a packet by link {}", self.link))
    }
}

/// Sockets that see the packets with one tag when they are delivered in the network namespace in which these were opened: behind all
/// rules about what comes in.
#[derive(Debug)]
pub struct Delivered {
    sockets: Vec<(OwnedFd, bool)>,
    tag: Tag,
    buffer: Vec<u8>,
}

/// A packet that was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which one it is.
    pub number: u32,
    /// When it was read, by the wall clock: the kernel's own time is that of its coming.
    pub at: Duration,
    /// What is behind its header of IP.
    pub content: Vec<u8>,
}

impl Delivered {
    /// Sees packets with this tag to an address such as each of these, of these protocols (`IPPROTO_UDP` …). In the network namespace of
    /// this thread. Needs `CAP_NET_RAW`.
    pub fn open(kinds: &[(IpAddr, u8)], tag: Tag) -> io::Result<Self> {
        let what = || "cannot open a raw socket".to_owned();
        let mut seen = std::collections::BTreeSet::new();
        let mut sockets = Vec::new();
        for (address, protocol) in kinds {
            if !seen.insert((address.is_ipv4(), *protocol)) {
                continue;
            }
            let family = if address.is_ipv4() {
                AddressFamily::INET
            } else {
                AddressFamily::INET6
            };
            let number = std::num::NonZeroU32::new(u32::from(*protocol)).map(Protocol::from_raw);
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(family, SocketType::RAW, flags, number).context(what)?;
            sockets::filter(&socket, &mut program(Way::In, tag)).context(what)?;
            sockets.push((socket, address.is_ipv4()));
        }
        Ok(Self {
            sockets,
            tag,
            buffer: vec![0; LONGEST],
        })
    }

    /// The next packet that was delivered. `None`: none is there.
    pub fn receive(&mut self) -> io::Result<Option<Delivery>> {
        for (socket, with_header) in &self.sockets {
            let taken = match rustix::io::retry_on_intr(|| recv(socket, self.buffer.as_mut_slice(), RecvFlags::empty()))
            {
                Ok((taken, _)) => taken,
                Err(Errno::AGAIN) => continue,
                Err(error) => return Err(error).context(|| "cannot see packets that are delivered".into()),
            };
            let at = clock::wall();
            let bytes = &self.buffer[..taken];
            // Of IPv4 the header comes along, of IPv6 not.
            let header = bytes.first().map_or(0, |first| usize::from(first & 0xf) * 4);
            let content = bytes.get(if *with_header { header } else { 0 }..).unwrap_or_default();
            // What came before the filter was there.
            let end = content.len().saturating_sub(NUMBER);
            let Some(number) = content.last_chunk().filter(|_| content[..end].ends_with(&self.tag.0)) else {
                continue;
            };
            return Ok(Some(Delivery {
                number: u32::from_be_bytes(*number),
                at,
                content: content.to_vec(),
            }));
        }
        Ok(None)
    }

    /// Waits until there is one, at most so long.
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        let limit = Timespec::try_from(limit).map_err(|_| invalid("a limit beyond all times"))?;
        let sources = self.sockets.iter();
        let mut sources: Vec<_> = sources
            .map(|(socket, _)| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN))
            .collect();
        match poll(&mut sources, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context(|| "cannot wait for packets".into()),
        }
    }
}
