//! How a packet that measures is made. Pure: it is sent by [`Raw`](crate::raw::Raw).

use std::io;
use std::net::IpAddr;

use super::NUMBER;
use crate::error::invalid;

/// A shorter packet is filled up on its way by Ethernet, and does not end with its tag any more (`ETH_ZLEN` without its header).
const SHORTEST: usize = 46;
/// The flags of TCP: reset, and what opens a connection.
const RST: u8 = 4;
const SYN: u8 = 2;

/// Whose packets these are: twelve bytes that nobody else's end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub [u8; 12]);

/// What a packet pretends to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// UDP.
    Udp {
        /// The port that it comes from.
        from: u16,
        /// The port that it goes to.
        to: u16,
    },
    /// TCP: a reset of a connection that nobody has, to which nobody answers (RFC 9293, 3.5.2).
    Tcp {
        /// The port that it comes from.
        from: u16,
        /// The port that it goes to.
        to: u16,
    },
    /// TCP: what opens a connection. Only for packets that are not `sound`, which nobody takes for one.
    Syn {
        /// The port that it comes from.
        from: u16,
        /// The port that it goes to.
        to: u16,
    },
    /// A ping.
    Echo {
        /// Its identifier.
        identifier: u16,
    },
}

/// A packet that measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Where it comes from.
    pub from: IpAddr,
    /// Where it goes; of the same version of IP.
    pub to: IpAddr,
    /// What it pretends to be.
    pub content: Content,
    /// How many links it may take: with 1 the next router drops it.
    pub hops: u8,
    /// Whose it is.
    pub tag: Tag,
    /// Which one it is.
    pub number: u32,
    /// How many bytes it has, with all headers; more if it needs more.
    pub length: usize,
    /// Whether its checksum is right. Who gets one with a wrong checksum drops it without asking anybody (UDP, TCP and ICMP alike).
    pub sound: bool,
}

impl Probe {
    /// The packet, from the header of IP on.
    ///
    /// # Errors
    /// Addresses of two versions; a length that no packet has.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let (header, head) = (if self.from.is_ipv4() { 20 } else { 40 }, self.head());
        let least = (header + head.len() + self.tag.0.len() + NUMBER).max(SHORTEST);
        let length = self.length.max(least);
        let Ok(size) = u16::try_from(length) else {
            return Err(invalid(format!("a packet of {length} bytes")));
        };
        let mut content = head;
        content.resize(length - header - self.tag.0.len() - NUMBER, 0);
        content.extend_from_slice(&self.tag.0);
        content.extend_from_slice(&self.number.to_be_bytes());
        if let Content::Udp { .. } = self.content {
            let length = content.len() as u16;
            content[4..6].copy_from_slice(&length.to_be_bytes());
        }
        let (protocol, at) = self.protocol();
        // The kernel would choose another identification in place of 0.
        let identification = (self.number as u16).max(1);
        let (addresses, mut packet) = ip_header(self.from, self.to, protocol, self.hops, identification, size)?;
        let mut checksum = checksum(&addresses, protocol, &content);
        if !self.sound {
            // Never none, never the same, and not the other way to write the same.
            checksum ^= if checksum == 0x0101 { 0x0202 } else { 0x0101 };
        }
        content[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(content);
        Ok(packet)
    }

    /// The number of the protocol, and where in its header the checksum is.
    fn protocol(&self) -> (u8, usize) {
        match self.content {
            Content::Udp { .. } => (libc::IPPROTO_UDP as u8, 6),
            Content::Tcp { .. } | Content::Syn { .. } => (libc::IPPROTO_TCP as u8, 16),
            Content::Echo { .. } if self.from.is_ipv4() => (libc::IPPROTO_ICMP as u8, 2),
            Content::Echo { .. } => (libc::IPPROTO_ICMPV6 as u8, 2),
        }
    }

    /// The header behind that of IP, without checksum.
    fn head(&self) -> Vec<u8> {
        match self.content {
            Content::Udp { from, to } => [from, to, 0, 0].map(u16::to_be_bytes).concat(),
            Content::Tcp { from, to } | Content::Syn { from, to } => {
                let flags = if matches!(self.content, Content::Syn { .. }) {
                    SYN
                } else {
                    RST
                };
                let mut head = [from, to].map(u16::to_be_bytes).concat();
                // Where in the connection; then five words of header, flags, no window, checksum, nothing urgent.
                head.extend([0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, flags, 0, 0, 0, 0, 0, 0]);
                head
            }
            Content::Echo { identifier } => {
                let kind = if self.from.is_ipv4() { 8 } else { 128 };
                let number = self.number as u16;
                [[kind, 0], [0, 0], identifier.to_be_bytes(), number.to_be_bytes()].concat()
            }
        }
    }
}

/// The addresses and the header of IP of a packet of this size, which is not to be cut up.
pub(super) fn ip_header(
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    hops: u8,
    identification: u16,
    size: u16,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let mut header = vec![0x45, 0];
            header.extend([size, identification, 0x4000].map(u16::to_be_bytes).as_flattened());
            header.extend([hops, protocol, 0, 0]);
            header.extend_from_slice(&addresses);
            let checksum = !sum(&[&header]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            Ok((addresses, header))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((size - 40).to_be_bytes());
            header.extend([protocol, hops]);
            header.extend_from_slice(&addresses);
            Ok((addresses, header))
        }
        (from, to) => Err(invalid(format!("a packet from {from} to {to}"))),
    }
}

/// The checksum of what is behind the header of IP, between these addresses.
pub(super) fn checksum(addresses: &[u8], protocol: u8, content: &[u8]) -> u16 {
    let pseudo = [
        addresses,
        &(content.len() as u32).to_be_bytes(),
        &u32::from(protocol).to_be_bytes(),
    ];
    // A ping of IPv4 has no part in the header of IP (RFC 792).
    let pseudo = if protocol == libc::IPPROTO_ICMP as u8 {
        Vec::new()
    } else {
        pseudo.concat()
    };
    match !sum(&[&pseudo, content]) {
        // None means that there is no checksum (RFC 768).
        0 if protocol == libc::IPPROTO_UDP as u8 => !0,
        checksum => checksum,
    }
}

/// The sum that checksums are made of (RFC 1071): of words in network byte order, with what is carried over. Each part but the last has
/// an even number of bytes.
fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 = words
        .map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
