//! Addresses of IP that the interfaces of a network namespace have (rtnetlink(7), include/uapi/linux/if_addr.h).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attribute::{Attribute, attributes};
use super::message::Message;
use super::socket::Netlink;
use crate::error::{Context, invalid};

/// `struct ifaddrmsg`.
const HEADER: usize = 8;
/// `IFA_FLAGS`, and of the flags those of an address that cannot be used: it may be somebody else's, or is.
const FLAGS: u16 = 8;
const TENTATIVE: u32 = 0x40;
const FAILED: u32 = 0x08;

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The number of the interface.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// How many of its bits name its network.
    pub bits: u8,
    /// Whether it can be used: nobody is being asked for it any more, and nobody else had it.
    pub usable: bool,
}

impl InterfaceAddress {
    /// Reads the body of an `RTM_NEWADDR` message. `None`: it is no address of IP.
    pub fn parse(body: &[u8]) -> io::Result<Option<Self>> {
        let Some((&[family, bits, flags, _, a, b, c, d], rest)) = body.split_first_chunk::<HEADER>() else {
            return Err(invalid(format!("an address of {} bytes", body.len())));
        };
        let (mut flags, mut own, mut other) = (u32::from(flags), None, None);
        if !is_ip(family) {
            return Ok(None);
        }
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                libc::IFA_LOCAL => own = Some(address(family, &attribute)?),
                // Of an interface to one other machine, that one's address.
                libc::IFA_ADDRESS => other = Some(address(family, &attribute)?),
                FLAGS => flags = attribute.u32()?,
                _ => {}
            }
        }
        let address = own.or(other).ok_or_else(|| invalid("an address without an address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if bits > longest {
            return Err(invalid(format!("{address}/{bits} is no network")));
        }
        Ok(Some(Self {
            link: u32::from_ne_bytes([a, b, c, d]),
            address,
            bits,
            usable: flags & (TENTATIVE | FAILED) == 0,
        }))
    }
}

pub(super) fn is_ip(family: u8) -> bool {
    matches!(i32::from(family), libc::AF_INET | libc::AF_INET6)
}

/// The value of an attribute as an address of this family.
pub(super) fn address(family: u8, attribute: &Attribute<'_>) -> io::Result<IpAddr> {
    address_of(i32::from(family), attribute.value)
}

pub(super) fn address_of(family: i32, bytes: &[u8]) -> io::Result<IpAddr> {
    let wrong = || invalid(format!("{} bytes as an address of family {family}", bytes.len()));
    match family {
        libc::AF_INET => <[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).map(IpAddr::from).ok(),
        libc::AF_INET6 => <[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).map(IpAddr::from).ok(),
        _ => None,
    }
    .ok_or_else(wrong)
}

impl Netlink {
    /// All addresses of the namespace.
    pub fn addresses(&mut self) -> io::Result<Vec<InterfaceAddress>> {
        let what = || "cannot list the addresses".to_owned();
        let all = [libc::AF_UNSPEC as u8, 0, 0, 0, 0, 0, 0, 0];
        let replies = self.list(&Message::new(libc::RTM_GETADDR, 0, &all)).context(what)?;
        let addresses = replies.iter().filter(|reply| reply.kind == libc::RTM_NEWADDR);
        addresses
            .filter_map(|reply| InterfaceAddress::parse(&reply.body).transpose())
            .collect::<io::Result<_>>()
            .context(what)
    }
}
