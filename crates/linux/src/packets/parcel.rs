//! What a packet of UDP or TCP carries, from whom to whom; and packets made in somebody's name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::probe::{checksum, ip_header};
use crate::error::invalid;

const UDP: u8 = libc::IPPROTO_UDP as u8;
const TCP: u8 = libc::IPPROTO_TCP as u8;
/// The headers of UDP and, without options, of TCP.
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
/// As many links as Linux gives its own packets.
const HOPS: u8 = 64;
/// What whoever sends takes in return: as much as can be said.
const WINDOW: [u8; 2] = [0xff; 2];

/// A packet of UDP or TCP without what its headers say besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Where it comes from.
    pub from: SocketAddr,
    /// Where it goes; of the same version of IP.
    pub to: SocketAddr,
    /// How it goes.
    pub carrier: Carrier,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// How a parcel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp {
        /// The number of its first byte.
        sequence: u32,
        /// The number of the next byte that its sender waits for.
        next: u32,
        /// See [`flags`].
        flags: u8,
    },
}

/// The flags of TCP (RFC 9293, 3.1).
pub mod flags {
    /// Nothing more comes.
    pub const FIN: u8 = 1;
    /// A connection begins.
    pub const SYN: u8 = 2;
    /// There is no such connection (any more).
    pub const RST: u8 = 4;
    /// It is not to be kept waiting.
    pub const PSH: u8 = 8;
    /// `next` means something.
    pub const ACK: u8 = 16;
}

impl Parcel {
    /// Reads a packet, from the header of IP on. `None`: it is of another protocol, a fragment, or not all there.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (from, to, protocol, content) = split(packet)?;
        let port = |at: usize| Some(u16::from_be_bytes(*content.get(at..)?.first_chunk()?));
        let (carrier, payload) = match protocol {
            UDP => {
                let length = usize::from(port(4)?);
                (Carrier::Udp, content.get(UDP_HEADER..length)?)
            }
            TCP => {
                let word = |at: usize| Some(u32::from_be_bytes(*content.get(at..)?.first_chunk()?));
                let header = usize::from(content.get(12)? >> 4) * 4;
                let carrier = Carrier::Tcp {
                    sequence: word(4)?,
                    next: word(8)?,
                    flags: *content.get(13)?,
                };
                (carrier, content.get(header.max(TCP_HEADER)..)?)
            }
            _ => return None,
        };
        Some(Self {
            from: SocketAddr::new(from, port(0)?),
            to: SocketAddr::new(to, port(2)?),
            carrier,
            payload: payload.to_vec(),
        })
    }

    /// The packet, from the header of IP on.
    ///
    /// # Errors
    /// Addresses of two versions; more than a packet can carry.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut content = [self.from.port(), self.to.port()].map(u16::to_be_bytes).concat();
        let (protocol, at) = match self.carrier {
            Carrier::Udp => {
                let length = (UDP_HEADER + self.payload.len()) as u16;
                content.extend([length, 0].map(u16::to_be_bytes).as_flattened());
                (UDP, 6)
            }
            Carrier::Tcp { sequence, next, flags } => {
                content.extend([sequence, next].map(u32::to_be_bytes).as_flattened());
                content.extend([(TCP_HEADER as u8 / 4) << 4, flags]);
                content.extend(WINDOW);
                content.extend([0; 4]);
                (TCP, 16)
            }
        };
        content.extend_from_slice(&self.payload);
        let length = content.len() + if self.from.is_ipv4() { 20 } else { 40 };
        let size = u16::try_from(length).map_err(|_| invalid(format!("a packet of {length} bytes")))?;
        // With no identification the kernel chooses one.
        let (addresses, mut packet) = ip_header(self.from.ip(), self.to.ip(), protocol, HOPS, 0, size)?;
        let checksum = checksum(&addresses, protocol, &content);
        content[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(content);
        Ok(packet)
    }
}

/// The addresses, the protocol, and what is behind the header of IP.
fn split(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let length = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
            let fragment = u16::from_be_bytes(*packet.get(6..)?.first_chunk()?);
            // More fragments, or not the first.
            if header < 20 || fragment & 0x3fff != 0 {
                return None;
            }
            let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?)));
            Some((address(12)?, address(16)?, packet[9], packet.get(header..length)?))
        }
        6 => {
            let length = usize::from(u16::from_be_bytes(*packet.get(4..)?.first_chunk()?));
            let address = |at: usize| Some(IpAddr::from(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?)));
            // What has another header in between is neither UDP nor TCP here.
            let content = packet.get(40..)?.get(..length)?;
            Some((address(8)?, address(24)?, packet[6], content))
        }
        _ => None,
    }
}

/// Reads whatever it is. For the fuzzer.
pub(super) fn fuzz(bytes: &[u8]) {
    let Some(parcel) = Parcel::parse(bytes) else { return };
    if let Ok(again) = parcel.bytes() {
        assert_eq!(Parcel::parse(&again).as_ref(), Some(&parcel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(from: &str, to: &str, carrier: Carrier) -> Parcel {
        Parcel {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            carrier,
            payload: b"hello".to_vec(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_has_the_right_sum() {
        let tcp = Carrier::Tcp {
            sequence: 7,
            next: 0xffff_fff0,
            flags: flags::PSH | flags::ACK,
        };
        for (from, to) in [("10.0.0.1:53", "10.0.0.2:4000"), ("[fd00::1]:53", "[fd00::2]:4000")] {
            for carrier in [Carrier::Udp, tcp] {
                let parcel = parcel(from, to, carrier);
                let bytes = parcel.bytes().unwrap();
                assert_eq!(Parcel::parse(&bytes), Some(parcel.clone()));
                // The sum over what has its own sum in it is none (RFC 1071).
                let (header, addresses) = if parcel.from.is_ipv4() {
                    (20, 12..20)
                } else {
                    (40, 8..40)
                };
                let protocol = if carrier == Carrier::Udp { UDP } else { TCP };
                let sum = checksum(&bytes[addresses], protocol, &bytes[header..]);
                assert!(sum == 0 || sum == !0, "{sum}");
                // Cut off anywhere it is none.
                for length in 0..bytes.len() {
                    assert_eq!(Parcel::parse(&bytes[..length]), None, "{length} of {}", bytes.len());
                }
            }
        }
        assert!(parcel("10.0.0.1:1", "[fd00::2]:2", Carrier::Udp).bytes().is_err());
    }

    #[test]
    fn a_fragment_is_none() {
        let mut bytes = parcel("10.0.0.1:53", "10.0.0.2:4000", Carrier::Udp).bytes().unwrap();
        bytes[6] |= 0x20;
        assert_eq!(Parcel::parse(&bytes), None);
    }
}
