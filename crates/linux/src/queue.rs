//! Packet queues: the kernel gives packets to a program, which says what becomes of them (include/uapi/linux/netfilter/nfnetlink_queue.h,
//! net/netfilter/nfnetlink_queue.c).
//!
//! Which packets come to a queue is said by rules ([`Action::Queue`](crate::netfilter::Action)). Listen first, then make the rules, and
//! take the rules away first: so no packet comes to a queue that is half there. When the listener goes, what waits in its queue is
//! dropped, and what comes later goes on.
//!
//! Large packets that the kernel has not cut up yet are cut up before they come here, and their checksums are complete: what is read
//! here can be sent as it is (`nfqnl_enqueue_packet` does so for whoever does not ask for `NFQA_CFG_F_GSO`).

mod listeners;
mod packet;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recvfrom, sendto, socket_with};

use crate::error::{Context, invalid};
use crate::netlink::{HEADER, Message};
use crate::sockets::set_option;

pub use listeners::{Listener, free, listeners, taken};
pub use packet::Packet;
pub(crate) use packet::fuzz;
use packet::{Event, events};

/// `NFQNL_CFG_CMD_BIND`.
const BIND: u8 = libc::NFQNL_CFG_CMD_BIND as u8;
/// The sequence numbers of what is asked here; packets have the first.
const NOTHING: u32 = 0;
const SET_UP: u32 = 1;
const VERDICT: u32 = 2;
/// How long the kernel may take to set a queue up. It answers at once.
const LIMIT: Duration = Duration::from_secs(5);
/// A message with the longest packet (`NFQNL_MAX_COPY_RANGE`) and all that the kernel says about it.
const BUFFER: usize = 128 << 10;
/// So many bytes of verdicts go to the kernel at once: it takes no more than the socket's send buffer.
const BATCH: usize = 96 << 10;
/// The longest packet that a verdict can bring along: the length of an attribute has two bytes.
pub const LONGEST: usize = u16::MAX as usize - 4;

/// How a queue is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// So many packets may wait for a verdict.
    pub longest: u32,
    /// Whether a packet that comes when the queue or the socket is full goes on as if there was no rule, rather than being dropped.
    pub fail_open: bool,
    /// Bytes for packets that were not read yet; each takes about a kilobyte more than it has.
    pub room: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            longest: 1 << 16,
            // Who is too slow breaks less than was asked for, and not more.
            fail_open: true,
            room: 32 << 20,
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It is gone.
    Drop,
    /// It goes on, to rules of later priority.
    Accept,
    /// It goes on with this mark in place of its own.
    Mark(u32),
    /// It goes on with these bytes, at most [`LONGEST`], in place of its own. They begin with the header of IP.
    Replace(&'a [u8]),
}

/// What went wrong at a queue, as numbers that only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Troubles {
    /// Packets that had a place in the queue but found no room in the socket: gaps in their numbers. They were dropped, or went on where
    /// [`Options::fail_open`] says so. Those that found no place have no number: the rule's counter less what came and this.
    pub missed: u64,
    /// Verdicts that the kernel refused: about a packet that is gone, with its interface or by an earlier verdict.
    pub refused: u64,
    /// Times that an old kernel said that it lost something, without a number.
    pub overflows: u64,
}

/// A queue that this process listens to, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Queue {
    socket: OwnedFd,
    number: u16,
    buffer: Vec<u8>,
    /// What came while the queue was set up.
    early: Vec<Packet>,
    /// The number of the last packet that came.
    last: u32,
    troubles: Troubles,
}

impl Queue {
    /// Listens to the queue with this number, in the network namespace of this thread. Needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// `EPERM` also where somebody else listens there.
    pub fn open(number: u16, options: &Options) -> io::Result<Self> {
        let what = || format!("cannot listen to packet queue {number}");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::NETFILTER)).context(what)?;
        if set_socket_recv_buffer_size_force(&socket, options.room).is_err() {
            // In a user namespace of its own: as much as everybody may have (`net.core.rmem_max`).
            set_socket_recv_buffer_size(&socket, options.room).context(what)?;
        }
        // With it the kernel lets in what finds room, and the gaps in the numbers say how much did not. Without it, it says nothing but
        // that something was lost, and lets in nothing until all has been read (`netlink_overrun` in net/netlink/af_netlink.c).
        let _older = set_option(&socket, libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS, &1_i32);
        let mut queue = Self {
            socket,
            number,
            buffer: vec![0; BUFFER],
            early: Vec::new(),
            last: 0,
            troubles: Troubles::default(),
        };
        queue.set_up(options).context(what)?;
        Ok(queue)
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// What went wrong so far.
    pub fn troubles(&self) -> Troubles {
        self.troubles
    }

    /// Takes packets that are there, at most so many, and adds them to `packets`. How many: 0 where none is there. Waits for none; poll
    /// the queue for [`PollFlags::IN`] instead.
    pub fn receive(&mut self, most: usize, packets: &mut Vec<Packet>) -> io::Result<usize> {
        let before = packets.len();
        packets.append(&mut self.early);
        // The kernel sends each packet apart.
        for _ in packets.len() - before..most {
            if self.take(packets, NOTHING)?.is_none() {
                break;
            }
        }
        Ok(packets.len() - before)
    }

    /// Says what becomes of packets, in this order, by their numbers.
    ///
    /// # Errors
    /// The kernel could not be told. One that it refuses is counted in [`Troubles::refused`].
    pub fn decide(&mut self, verdicts: &[(u32, Verdict<'_>)]) -> io::Result<()> {
        let what = || format!("cannot give verdicts to packet queue {}", self.number);
        let mut batch = Vec::new();
        for &(id, verdict) in verdicts {
            let mut message = self
                .message(libc::NFQNL_MSG_VERDICT)
                .put(libc::NFQA_VERDICT_HDR as u16, &about(id, verdict));
            if let Verdict::Replace(bytes) = verdict {
                if bytes.len() > LONGEST {
                    return Err(invalid(format!("a packet of {} bytes for a verdict", bytes.len()))).context(what);
                }
                message = message.put(libc::NFQA_PAYLOAD as u16, bytes);
            }
            if let Verdict::Mark(mark) = verdict {
                message = message.put_be32(libc::NFQA_MARK as u16, mark);
            }
            batch.extend(message.finish(libc::NLM_F_REQUEST as u16, VERDICT).context(what)?);
            if batch.len() > BATCH {
                self.send(&batch).context(what)?;
                batch.clear();
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.send(&batch).context(what)
    }

    /// Says what becomes of all packets that wait, up to this one, which the kernel gave their numbers in the order in which they came.
    ///
    /// # Errors
    /// As [`Queue::decide`]; other bytes and marks cannot be given to several packets.
    pub fn decide_up_to(&mut self, id: u32, verdict: Verdict<'_>) -> io::Result<()> {
        let what = || format!("cannot give a verdict to packet queue {}", self.number);
        if !matches!(verdict, Verdict::Accept | Verdict::Drop) {
            return Err(invalid("the same bytes or mark for several packets")).context(what);
        }
        let message = self.message(libc::NFQNL_MSG_VERDICT_BATCH);
        let message = message.put(libc::NFQA_VERDICT_HDR as u16, &about(id, verdict));
        let bytes = message.finish(libc::NLM_F_REQUEST as u16, VERDICT).context(what)?;
        self.send(&bytes).context(what)
    }

    fn set_up(&mut self, options: &Options) -> io::Result<()> {
        let fail_open = libc::NFQA_CFG_F_FAIL_OPEN as u32;
        // `struct nfqnl_msg_config_params`: how much of a packet, and that it is copied at all.
        let copy = [&0xffff_u32.to_be_bytes()[..], &[libc::NFQNL_COPY_PACKET as u8]].concat();
        let message = self
            .message(libc::NFQNL_MSG_CONFIG)
            .put(libc::NFQA_CFG_CMD as u16, &[BIND, 0, 0, 0])
            .put(libc::NFQA_CFG_PARAMS as u16, &copy)
            .put_be32(libc::NFQA_CFG_QUEUE_MAXLEN as u16, options.longest)
            .put_be32(libc::NFQA_CFG_MASK as u16, fail_open)
            .put_be32(
                libc::NFQA_CFG_FLAGS as u16,
                if options.fail_open { fail_open } else { 0 },
            );
        self.send(&message.finish((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16, SET_UP)?)?;
        let until = Instant::now() + LIMIT;
        let mut early = Vec::new();
        loop {
            match self.take(&mut early, SET_UP)? {
                Some(true) => break,
                Some(false) => {}
                None => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(io::Error::new(
                            io::ErrorKind::TimedOut,
                            format!("no answer within {LIMIT:?}"),
                        ));
                    }
                    let left = Timespec::try_from(left).map_err(|_| invalid("a limit beyond all times"))?;
                    match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        self.early = early;
        Ok(())
    }

    /// Takes what the kernel sent in one go. `None`: nothing is there; otherwise whether the request with this number is done.
    fn take(&mut self, packets: &mut Vec<Packet>, request: u32) -> io::Result<Option<bool>> {
        let what = || format!("cannot read packet queue {}", self.number);
        let received = recvfrom(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC);
        let (taken, length, from) = match received {
            Err(Errno::INTR) => return Ok(Some(false)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::NOBUFS) => {
                self.troubles.overflows += 1;
                return Ok(Some(false));
            }
            received => received.context(what)?,
        };
        // Whoever may send to other processes could pretend to be the kernel.
        let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
        if from.is_none_or(|from| from.pid() != 0) {
            return Ok(Some(false));
        }
        if length > taken {
            return Err(invalid(format!("a message of {length} bytes"))).context(what);
        }
        let mut done = false;
        for event in events(&self.buffer[..taken]) {
            match event.context(what)? {
                Event::Packet(packet) => {
                    // One more than the last; a gap of half of all numbers is none.
                    let gap = packet.id.wrapping_sub(self.last).wrapping_sub(1);
                    if gap < 1 << 31 {
                        self.troubles.missed += u64::from(gap);
                        self.last = packet.id;
                    }
                    packets.push(packet);
                }
                Event::Answer { sequence, result } if sequence == request => {
                    result.context(what)?;
                    done = true;
                }
                Event::Answer { result: Err(_), .. } => self.troubles.refused += 1,
                Event::Answer { .. } => {}
            }
        }
        Ok(Some(done))
    }

    fn message(&self, kind: i32) -> Message {
        // `struct nfgenmsg`: family, version, and here the number of the queue in network byte order.
        let [high, low] = self.number.to_be_bytes();
        Message::new((libc::NFNL_SUBSYS_QUEUE << 8 | kind) as u16, 0, &[0, 0, high, low])
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(bytes.len() >= HEADER);
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::io::retry_on_intr(|| sendto(&self.socket, bytes, SendFlags::empty(), &kernel))?;
        Ok(())
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct nfqnl_msg_verdict_hdr`.
fn about(id: u32, verdict: Verdict<'_>) -> [u8; 8] {
    let code = if verdict == Verdict::Drop {
        libc::NF_DROP
    } else {
        libc::NF_ACCEPT
    };
    let mut about = [0; 8];
    about[..4].copy_from_slice(&(code as u32).to_be_bytes());
    about[4..].copy_from_slice(&id.to_be_bytes());
    about
}

#[cfg(test)]
mod tests;
