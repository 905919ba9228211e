//! The socket: one request at a time, and its whole answer.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, socket_with};

use super::answer::{Answer, Reply};
use super::message::Message;
use crate::error::{Context, invalid};

/// How long an answer may take altogether. The kernel answers at once, unless somebody holds the lock of all links.
const LIMIT: Duration = Duration::from_secs(5);
/// The kernel sends at most 32 KiB in one go (`netlink_dump` in net/netlink/af_netlink.c).
const BUFFER: usize = 64 << 10;
/// So often a list is asked for again because it changed while it was made.
const AGAIN: u32 = 16;

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
        let what = || "cannot make a netlink socket".to_owned();
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            // NETLINK_ROUTE is protocol 0.
            None,
        )
        .context(what)?;
        for timeout in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, timeout, Some(LIMIT)).context(what)?;
        }
        // The kernel's own words about an error, and without the request: neither is needed, and old kernels have neither.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            let _without = switch_on(&socket, option);
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

    fn exchange(&mut self, message: Message, flags: u16) -> io::Result<(Vec<Reply>, bool)> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = message.finish(flags | libc::NLM_F_REQUEST as u16, self.sequence)?;
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::io::retry_on_intr(|| sendto(&self.socket, &bytes, SendFlags::empty(), &kernel))
            .context(|| "cannot send to the kernel by netlink".into())?;
        let mut answer = Answer::to(self.sequence);
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
            if answer.take(&self.buffer[..taken])? {
                return Ok(answer.into_parts());
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the kernel did not answer by netlink within {LIMIT:?}"),
        ))
    }
}

fn switch_on(socket: &OwnedFd, option: i32) -> io::Result<()> {
    let on: i32 = 1;
    #[expect(unsafe_code, reason = "rustix has no options of netlink")]
    // SAFETY: the kernel reads the number during the call only.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
