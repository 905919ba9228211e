//! The socket: one request or transaction at a time, and its whole answer.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recvfrom, sendto, socket_with,
};

use super::answer::{Answer, Reply};
use super::message::Message;
use super::transaction::Transaction;
use crate::error::{Context, invalid};
use crate::sockets::set_option;

/// How long an answer may take altogether. The kernel answers at once, unless somebody holds the lock of all links.
const LIMIT: Duration = Duration::from_secs(5);
/// The kernel sends at most 32 KiB in one go (`netlink_dump` in net/netlink/af_netlink.c).
const BUFFER: usize = 64 << 10;
/// So often a list is asked for again because it changed while it was made.
const AGAIN: u32 = 16;
/// Room for an error about each message of the longest transaction, each of which takes about a kilobyte of the kernel's.
const ROOM: usize = 4 << 20;

/// A connection to the kernel.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// A connection for links, addresses, routes, queues and filters, in the network namespace of this thread.
    pub fn route() -> io::Result<Self> {
        // NETLINK_ROUTE is protocol 0.
        Self::open(None)
    }

    /// A connection for packet rules and packet queues (`NETLINK_NETFILTER`), in the network namespace of this thread. Everything on it
    /// needs `CAP_NET_ADMIN`, reading too (`nfnetlink_rcv` in net/netfilter/nfnetlink.c).
    pub fn netfilter() -> io::Result<Self> {
        let netlink = Self::open(Some(netlink::NETFILTER))?;
        // Without the right to have it, the usual room is enough for transactions of some hundred messages.
        let _less = set_socket_recv_buffer_size_force(&netlink.socket, ROOM);
        Ok(netlink)
    }

    /// A connection for sockets (`NETLINK_SOCK_DIAG`, sock_diag(7)), in the network namespace of this thread.
    pub fn sockets() -> io::Result<Self> {
        Self::open(Some(netlink::SOCK_DIAG))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let what = || "cannot make a netlink socket".to_owned();
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol).context(what)?;
        for timeout in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, timeout, Some(LIMIT)).context(what)?;
        }
        // The kernel's own words about an error, and without the request: neither is needed, and old kernels have neither.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _without = set_option(&socket, libc::SOL_NETLINK, option, &1_i32);
        }
        Ok(Self {
            socket,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Has something done, and waits until the kernel says that it is. What the kernel tells besides is given.
    ///
    /// # Errors
    /// The kernel's number, with its words where it has some.
    pub fn request(&mut self, message: Message) -> io::Result<Vec<Reply>> {
        Ok(self.exchange(message, libc::NLM_F_ACK as u16)?.0)
    }

    /// Asks for a list, as often as it takes to get one that did not change meanwhile.
    pub fn list(&mut self, message: &Message) -> io::Result<Vec<Reply>> {
        for _ in 0..AGAIN {
            let (replies, interrupted) = self.exchange(message.clone(), libc::NLM_F_DUMP as u16)?;
            if !interrupted {
                return Ok(replies);
            }
        }
        Err(invalid(format!(
            "a list of the kernel's changed {AGAIN} times while it was made"
        )))
    }

    /// Has several things done at once, all or none, and waits until the kernel says which.
    ///
    /// # Errors
    /// The kernel's number and words for the first message that it refused, with that message's name.
    pub fn transact(&mut self, transaction: Transaction) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        let (bytes, mut outcome) = transaction.finish(first)?;
        self.sequence = outcome.last();
        self.send(&bytes)?;
        self.await_answer(|bytes| outcome.take(bytes))
    }

    fn exchange(&mut self, message: Message, flags: u16) -> io::Result<(Vec<Reply>, bool)> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(flags | libc::NLM_F_REQUEST as u16, self.sequence)?;
        self.send(&bytes)?;
        let mut answer = Answer::to(self.sequence);
        self.await_answer(|bytes| answer.take(bytes))?;
        Ok(answer.into_parts())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::io::retry_on_intr(|| sendto(&self.socket, bytes, SendFlags::empty(), &kernel))
            .context(|| "cannot send to the kernel by netlink".into())
            .map(drop)
    }

    /// Gives what the kernel sends to somebody, until that one says that it is all.
    fn await_answer(&mut self, mut take: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let received = recvfrom(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC);
            let (taken, length, from) = match received {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                received => received.context(|| "cannot read the kernel's answer".into())?,
            };
            // Whoever may send to other processes could answer in the kernel's place.
            let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            if from.is_none_or(|from| from.pid() != 0) {
                continue;
            }
            if length > taken {
                return Err(invalid(format!("a netlink answer of {length} bytes in one go")));
            }
            if take(&self.buffer[..taken])? {
                return Ok(());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the kernel did not answer by netlink within {LIMIT:?}"),
        ))
    }
}
