//! Frames of our own on one link: sent to see whether they arrive (packet(7)).
//!
//! They are of the type that IEEE 802 keeps for experiments on one's own network, so that no protocol of any machine takes them for its
//! own. The socket sees every frame of that type that comes in on its link, also one that a bridge takes away from there: it is asked
//! before the bridge is (`__netif_receive_skb_core` in net/core/dev.c).

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::error::{Context, invalid};
use crate::sockets;

/// `ETH_P_802_EX1`: local experimental EtherType 1.
const TYPE: u16 = 0x88b5;
/// Two addresses and a type.
const HEADER: usize = 14;
/// No frame is shorter, without its checksum (`ETH_ZLEN`).
const SHORTEST: usize = 60;
/// What a frame may carry.
const LONGEST: usize = 256;

/// A hardware address.
pub type Address = [u8; 6];

/// A socket on one link of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Tap(OwnedFd);

impl Tap {
    /// Opens a socket on the link with this number, in the network namespace of this thread. Needs `CAP_NET_RAW`.
    pub fn open(index: u32) -> io::Result<Self> {
        let what = || format!("cannot open a packet socket on link {index}");
        // With protocol 0 nothing is received until it is bound: nothing gets in before the filter.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).context(what)?;
        let tap = Self(socket);
        tap.filter().context(what)?;
        sockets::set_option(&tap.0, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_i32).context(what)?;
        tap.bind(index).context(what)?;
        Ok(tap)
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// What the kernel says; `ENETDOWN` where the link is down. A frame that is dropped later is no error.
    pub fn send(&self, from: Address, to: Address, content: &[u8]) -> io::Result<()> {
        if content.len() > LONGEST {
            return Err(invalid(format!("{} bytes for one frame", content.len())));
        }
        let mut frame = [&to[..], &from, &TYPE.to_be_bytes(), content].concat();
        frame.resize(frame.len().max(SHORTEST), 0);
        rustix::io::retry_on_intr(|| send(&self.0, &frame, SendFlags::empty()))
            .context(|| "cannot send a frame".into())
            .map(drop)
    }

    /// The contents of the next frame, with what it was filled up by. `None`: none came within the time.
    pub fn receive(&self, limit: Duration) -> io::Result<Option<Vec<u8>>> {
        let what = || "cannot receive a frame".to_owned();
        let until = Instant::now() + limit;
        let mut buffer = [0; HEADER + LONGEST];
        loop {
            match recv(&self.0, &mut buffer, RecvFlags::empty()) {
                Ok((taken, _)) => return Ok(Some(buffer[HEADER.min(taken)..taken].to_vec())),
                Err(Errno::INTR) => {}
                // The link is down: told once, and nothing comes until it is up.
                Err(Errno::AGAIN | Errno::NETDOWN) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    let left = Timespec::try_from(left).map_err(|_| invalid("a limit beyond all times"))?;
                    match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&left)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error).context(what),
                    }
                }
                Err(error) => return Err(error).context(what),
            }
        }
    }

    /// Lets in frames of our type only: others never take room in the socket.
    fn filter(&self) -> io::Result<()> {
        let step = |code: u32, jt, jf, k| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let mut program = [
            step(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 12),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from(TYPE)),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, (HEADER + LONGEST) as u32),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        ];
        sockets::filter(&self.0, &mut program)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        let mut address = sockets::link_address();
        // Asked before a bridge is: only sockets for all protocols are; the filter takes what is ours.
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as i32;
        sockets::bind(&self.0, &address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::NetNamespace;
    use crate::netlink::Netlink;
    use crate::privileges::{Capability, missing};

    #[test]
    fn a_frame_arrives_at_the_other_end_and_others_are_not_seen() {
        let needs = [Capability::SysAdmin, Capability::NetAdmin, Capability::NetRaw];
        if !missing(&needs).unwrap().is_empty() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "CI=true forbids to skip");
            eprintln!("skipped: no privileges for links");
            return;
        }
        let (here, there) = (NetNamespace::make().unwrap(), NetNamespace::make().unwrap());
        let (mut near, mut far) = (
            here.within(Netlink::route).unwrap(),
            there.within(Netlink::route).unwrap(),
        );
        let one = near.make_pair("one", "other", &there).unwrap();
        let other = far.link_by_name("other").unwrap().unwrap().index;
        let closed = here.within(|| Tap::open(one)).unwrap();
        assert!(closed.send([2; 6], [4; 6], b"down").is_err(), "the link is down");
        near.set_up(one, true).unwrap();
        far.set_up(other, true).unwrap();
        let (near, far) = (
            here.within(|| Tap::open(one)).unwrap(),
            there.within(|| Tap::open(other)).unwrap(),
        );
        // The kernel looks at carriers in its own time, and drops what is sent before.
        let begun = Instant::now();
        let got = loop {
            near.send([2; 6], [4; 6], b"hello").unwrap();
            if let Some(got) = far.receive(Duration::from_millis(20)).unwrap() {
                break got;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing arrives");
        };
        assert_eq!((&got[..5], got.len()), (&b"hello"[..], SHORTEST - HEADER));
        assert_eq!(
            near.receive(Duration::ZERO).unwrap(),
            None,
            "its own frame is not its answer"
        );
        // The kernel's own frames, such as its search for neighbours, are not let in.
        while let Some(more) = far.receive(Duration::ZERO).unwrap() {
            assert_eq!(more, got);
        }
        assert!(near.send([2; 6], [4; 6], &[0; LONGEST + 1]).is_err());
        assert!(here.within(|| Tap::open(9999)).is_err());
    }
}
