//! What comes out of a queue.

use std::io;

use crate::error::invalid;
use crate::netfilter::{Hook, Version};
use crate::netlink::{attributes, parts, refused};

/// `struct nfgenmsg`.
const HEADER: usize = 4;

/// A packet that waits for a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Its number in its queue: each has one more than the one before.
    pub id: u32,
    /// The queue.
    pub queue: u16,
    /// Its version of IP. `None`: it is none, but came from a bridge or so.
    pub version: Option<Version>,
    /// Where on its way it is.
    pub hook: Option<Hook>,
    /// Its mark.
    pub mark: u32,
    /// The number of the interface that it came in by; `None`: it was made here.
    pub input: Option<u32>,
    /// The number of the interface that it will leave by; `None`: it will not, or nobody knows yet.
    pub output: Option<u32>,
    /// Its bytes, from the header of IP on.
    pub payload: Vec<u8>,
    /// How many bytes it has.
    pub length: usize,
}

/// One message that came.
#[derive(Debug)]
pub(super) enum Event {
    Packet(Packet),
    /// To a request of ours: done, or the kernel's error.
    Answer {
        sequence: u32,
        result: io::Result<()>,
    },
}

/// What was received in one go. The first thing that cannot be is an error and the last.
pub(super) fn events(bytes: &[u8]) -> impl Iterator<Item = io::Result<Event>> {
    let mut over = false;
    parts(bytes).filter_map(move |part| {
        if over {
            return None;
        }
        let event = part.and_then(|part| {
            if i32::from(part.kind) == libc::NLMSG_ERROR {
                return Ok(Some(Event::Answer {
                    sequence: part.sequence,
                    result: refused(part.kind, part.flags, part.body),
                }));
            }
            if i32::from(part.kind) != libc::NFNL_SUBSYS_QUEUE << 8 | libc::NFQNL_MSG_PACKET {
                return Ok(None);
            }
            Packet::parse(part.body).map(|packet| Some(Event::Packet(packet)))
        });
        over = event.is_err();
        event.transpose()
    })
}

impl Packet {
    /// Whether all of its bytes are here: one of more than 65,531 bytes is cut off.
    pub fn is_whole(&self) -> bool {
        self.payload.len() == self.length
    }

    /// Reads the body of an `NFQNL_MSG_PACKET` message.
    fn parse(body: &[u8]) -> io::Result<Self> {
        let Some((&[family, _, high, low], rest)) = body.split_first_chunk::<HEADER>() else {
            return Err(invalid(format!("a message of {} bytes about a packet", body.len())));
        };
        let (mut head, mut mark, mut input, mut output) = (None, 0, None, None);
        let (mut payload, mut length) = (&[][..], None);
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match i32::from(attribute.kind) {
                libc::NFQA_PACKET_HDR => head = Some(attribute.value),
                libc::NFQA_MARK => mark = attribute.be32()?,
                libc::NFQA_IFINDEX_INDEV => input = Some(attribute.be32()?),
                libc::NFQA_IFINDEX_OUTDEV => output = Some(attribute.be32()?),
                libc::NFQA_PAYLOAD => payload = attribute.value,
                libc::NFQA_CAP_LEN => length = Some(attribute.be32()? as usize),
                _ => {}
            }
        }
        // `struct nfqnl_msg_packet_hdr`: number, protocol, hook.
        let Some(&[a, b, c, d, _, _, hook]) = head else {
            return Err(invalid("a packet without a number"));
        };
        let version = match i32::from(family) {
            libc::NFPROTO_IPV4 => Some(Version::V4),
            libc::NFPROTO_IPV6 => Some(Version::V6),
            _ => None,
        };
        Ok(Self {
            id: u32::from_be_bytes([a, b, c, d]),
            queue: u16::from_be_bytes([high, low]),
            version,
            hook: version.and_then(|_| Hook::from_number(hook)),
            mark,
            input,
            output,
            payload: payload.to_vec(),
            // The kernel says it only of one that is cut off.
            length: length.unwrap_or(payload.len()),
        })
    }
}

/// Reads whatever it is. For the fuzzer.
pub(crate) fn fuzz(body: &[u8]) {
    let whole = Packet::parse(body).is_ok_and(|packet| packet.is_whole());
    let count = events(body).count();
    debug_assert!(whole || count <= body.len());
    super::listeners::fuzz(body);
}
