//! A socket that sees packets of ours on their way (packet(7)).
//!
//! It sees what leaves when it is given to the driver, behind every queue (`dev_queue_xmit_nit` in net/core/dev.c), and what comes in
//! before anybody else does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::{NUMBER, Tag};
use crate::error::{Context, invalid};
use crate::netfilter::Way;
use crate::sockets::{self, numbers, set_option};

/// Bytes for packets that were not read yet; each takes about a kilobyte more than it has.
const ROOM: usize = 4 << 20;
/// No packet is longer.
const LONGEST: usize = 1 << 16;
/// A tag and a number.
const END: u32 = 12 + NUMBER as u32;

/// A packet of ours that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which one it is.
    pub number: u32,
    /// When, by the kernel's wall clock (`CLOCK_REALTIME`), since 1970. Where nobody else on the machine wanted times before, the kernel
    /// takes a moment to begin with it, and gives the first packets the time at which they are read (`net_enable_timestamp`).
    pub at: Duration,
    /// The number of the interface.
    pub link: u32,
    /// Its bytes, from the header of IP on.
    pub bytes: Vec<u8>,
}

/// A socket that sees the packets with one tag, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    tag: Tag,
    buffer: Vec<u8>,
    lost: u64,
}

impl Watch {
    /// Sees packets with this tag that come in by the interface with this number, or leave by it; `None`: by any. In the network namespace
    /// of this thread. Needs `CAP_NET_RAW`.
    pub fn open(link: Option<u32>, way: Way, tag: Tag) -> io::Result<Self> {
        let what = || match link {
            Some(link) => format!("cannot open a packet socket on link {link}"),
            None => "cannot open a packet socket".to_owned(),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Packets without the header of their link, so that the filter need not know what links there are. With protocol 0 nothing gets
        // in before the filter is there.
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None).context(what)?;
        sockets::filter(&socket, &mut program(way, tag)).context(what)?;
        if way == Way::In {
            // Older kernels have only the filter for it.
            let _filtered = set_option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32);
        }
        set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1_i32).context(what)?;
        if set_socket_recv_buffer_size_force(&socket, ROOM).is_err() {
            set_socket_recv_buffer_size(&socket, ROOM).context(what)?;
        }
        let mut address = sockets::link_address();
        // Only who wants all protocols is shown what leaves.
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = link.unwrap_or(0) as i32;
        sockets::bind(&socket, &address).context(what)?;
        Ok(Self {
            socket,
            tag,
            buffer: vec![0; LONGEST],
            lost: 0,
        })
    }

    /// The next packet that was seen. `None`: none is there; poll the watch for `POLLIN` to wait for one.
    ///
    /// # Errors
    /// `ENETDOWN`, once, where the link went down: nothing comes until it is up again, or for ever if it is gone.
    pub fn receive(&mut self) -> io::Result<Option<Seen>> {
        let what = || "cannot see packets".to_owned();
        let received = loop {
            match sockets::receive(&self.socket, &mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                received => break received.context(what)?,
            }
        };
        let bytes = self
            .buffer
            .get(..received.length)
            .ok_or_else(|| invalid("a packet beyond all lengths"));
        let bytes = bytes.context(what)?;
        let (Some(number), true) = (bytes.last_chunk(), self.ends_with_tag(bytes)) else {
            return Err(invalid("a packet that the filter lets in by mistake")).context(what);
        };
        let at = time(received.along.find(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)).context(what)?;
        Ok(Some(Seen {
            number: u32::from_be_bytes(*number),
            at,
            link: received.at.sll_ifindex as u32,
            bytes: bytes.to_vec(),
        }))
    }

    /// Waits until there is one, at most so long.
    pub fn wait(&self, limit: Duration) -> io::Result<()> {
        let limit = Timespec::try_from(limit).map_err(|_| invalid("a limit beyond all times"))?;
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context(|| "cannot wait for packets".into()),
        }
    }

    /// How many packets found no room so far.
    pub fn lost(&mut self) -> io::Result<u64> {
        // `struct tpacket_stats`: all that were let in, and those of them that found no room, since this was asked last.
        let [_, lost] = numbers(&self.socket, libc::SOL_PACKET, libc::PACKET_STATISTICS)
            .context(|| "cannot ask how many packets were lost".into())?;
        self.lost += u64::from(lost);
        Ok(self.lost)
    }

    fn ends_with_tag(&self, bytes: &[u8]) -> bool {
        let end = bytes.len().saturating_sub(NUMBER);
        bytes[..end].ends_with(&self.tag.0)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Seconds and nanoseconds (`struct timespec` of 64 bits).
fn time(value: Option<[u8; 16]>) -> io::Result<Duration> {
    let Some(halves) = value.as_ref().map(|value| value.as_chunks::<8>().0) else {
        return Err(invalid("a packet without a time"));
    };
    let numbers: Vec<i64> = halves.iter().map(|half| i64::from_ne_bytes(*half)).collect();
    match (u64::try_from(numbers[0]), u32::try_from(numbers[1])) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(invalid("a packet from before 1970")),
    }
}

/// Lets in what goes this way and ends with the tag and a number.
pub(super) fn program(way: Way, tag: Tag) -> Vec<libc::sock_filter> {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = |code, k| step(libc::BPF_LD | libc::BPF_W | code, 0, 0, k);
    let jump = |code, k, jt, jf| step(libc::BPF_JMP | code | libc::BPF_K, jt, jf, k);
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
    let outgoing = u32::from(libc::PACKET_OUTGOING);
    // How many steps from each to the last, which lets nothing in.
    let (leaves, comes) = if way == Way::Out { (0, 11) } else { (11, 0) };
    let mut program = vec![
        load(libc::BPF_ABS, kind),
        jump(libc::BPF_JEQ, outgoing, leaves, comes),
        load(libc::BPF_LEN, 0),
        jump(libc::BPF_JGE, END, 0, 9),
        step(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K, 0, 0, END),
        step(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
    ];
    for (number, word) in tag.0.as_chunks::<4>().0.iter().enumerate() {
        let left = 5 - 2 * number as u8;
        program.push(load(libc::BPF_IND, 4 * number as u32));
        program.push(jump(libc::BPF_JEQ, u32::from_be_bytes(*word), 0, left));
    }
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, LONGEST as u32));
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, 0));
    program
}
