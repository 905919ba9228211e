//! Whole IP packets, sent as they are (raw(7), ipv6(7)).
//!
//! What was copied out of a queue goes on its way by these: through routing, the rules of `Output` and the rest, as if it had just been
//! made here, with a mark that keeps it from going round again. The kernel writes total length and checksum into a header of IPv4, and an
//! identification where that is 0 (`raw_send_hdrinc` in net/ipv4/raw.c); all else is sent as it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_broadcast, set_socket_send_buffer_size, set_socket_send_buffer_size_force};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use crate::error::{Context, errno, invalid};
use crate::sockets::{self, Along};

/// Bytes that may be on their way through the machine; each packet takes about a kilobyte more than it has.
const ROOM: usize = 32 << 20;
/// The headers of IP without options.
const HEADER_V4: usize = 20;
const HEADER_V6: usize = 40;

/// Sockets that send packets of both versions of IP, in the network namespace in which they were opened.
#[derive(Debug)]
pub struct Raw {
    v4: OwnedFd,
    /// `None`: this kernel has no IPv6.
    v6: Option<OwnedFd>,
}

impl Raw {
    /// Opens the sockets, in the network namespace of this thread. Needs `CAP_NET_RAW`, and for marks `CAP_NET_ADMIN` or that.
    pub fn open() -> io::Result<Self> {
        let what = || "cannot open a raw socket".to_owned();
        let open = |family| {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // With this protocol a packet brings its own header, in both families (`inet_create`, `inet6_create`).
            let socket = socket_with(family, SocketType::RAW, flags, Some(ipproto::RAW))?;
            if set_socket_send_buffer_size_force(&socket, ROOM).is_err() {
                set_socket_send_buffer_size(&socket, ROOM)?;
            }
            set_socket_broadcast(&socket, true)?;
            Ok::<_, Errno>(socket)
        };
        let v6 = match open(AddressFamily::INET6) {
            Err(Errno::AFNOSUPPORT) => None,
            v6 => Some(v6.context(what)?),
        };
        let v4 = open(AddressFamily::INET).context(what)?;
        Ok(Self { v4, v6 })
    }

    /// Sends a packet, which begins with its header, with this mark. With `via` it leaves by the interface with this number, also where
    /// the routes know another one or none; addresses that mean something on one link only need it where there are several.
    ///
    /// # Errors
    /// What the kernel says: `EMSGSIZE` where it is longer than the interface takes (see [`is_too_long`]): such a packet out of a queue is
    /// one that the kernel cuts up behind all rules, and can only be held there and accepted later. `EPERM` where a rule drops it,
    /// `EAGAIN` where too much of what was sent is still on its way, `ENETUNREACH` and its like where there is no route.
    pub fn send(&self, packet: &[u8], mark: u32, via: Option<u32>) -> io::Result<()> {
        let to = destination(packet)?;
        self.send_to(packet, to, mark, via)
            .context(|| format!("cannot send a packet of {} bytes to {to}", packet.len()))
    }

    fn send_to(&self, packet: &[u8], to: IpAddr, mark: u32, via: Option<u32>) -> io::Result<()> {
        let mut along = Along::default();
        along.push(libc::SOL_SOCKET, libc::SO_MARK, &mark.to_ne_bytes())?;
        match to {
            IpAddr::V4(to) => {
                if let Some(via) = via {
                    // `struct in_pktinfo`: the interface, the address that it is sent from, by which routes are chosen, too
                    // (`raw_sendmsg`), and one that is not said here.
                    let source = packet.get(12..16).unwrap_or(&[0; 4]);
                    let info = [&via.to_ne_bytes()[..], source, &[0; 4]].concat();
                    along.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)?;
                }
                let address = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: 0,
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes(to.octets()),
                    },
                    sin_zero: [0; 8],
                };
                again(|| sockets::send(&self.v4, packet, &address, &along))
            }
            IpAddr::V6(to) => {
                let Some(socket) = &self.v6 else {
                    return Err(Errno::AFNOSUPPORT.into());
                };
                let mut address = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as u16,
                    sin6_port: 0,
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr { s6_addr: to.octets() },
                    sin6_scope_id: 0,
                };
                if let Some(via) = via {
                    if needs_link(to) {
                        address.sin6_scope_id = via;
                    } else {
                        // `struct in6_pktinfo`: the address that it is sent from, and the interface.
                        let source = packet.get(8..24).unwrap_or(&[0; 16]);
                        let info = [source, &via.to_ne_bytes()].concat();
                        along.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)?;
                    }
                }
                again(|| sockets::send(socket, packet, &address, &along))
            }
        }
    }
}

/// Whether a packet could not be sent because it is longer than its interface takes.
pub fn is_too_long(error: &io::Error) -> bool {
    errno(error) == Some(libc::EMSGSIZE)
}

/// Whether a packet could not be sent now, because too many are on their way.
pub fn is_full(error: &io::Error) -> bool {
    matches!(errno(error), Some(libc::EAGAIN | libc::ENOBUFS))
}

/// Where a packet goes, by its header.
///
/// # Errors
/// It is no packet of IP, or has fewer bytes than its header.
pub fn destination(packet: &[u8]) -> io::Result<IpAddr> {
    let version = packet.first().map(|byte| byte >> 4);
    match version {
        Some(4) if packet.len() >= HEADER_V4 => {
            let octets: [u8; 4] = packet[16..HEADER_V4].try_into().unwrap_or_default();
            Ok(Ipv4Addr::from(octets).into())
        }
        Some(6) if packet.len() >= HEADER_V6 => {
            let octets: [u8; 16] = packet[24..HEADER_V6].try_into().unwrap_or_default();
            Ok(Ipv6Addr::from(octets).into())
        }
        _ => Err(invalid(format!("{} bytes that are no packet of IP", packet.len()))),
    }
}

/// Whether an address means something on one link only (`__ipv6_addr_needs_scope_id` in the kernel).
fn needs_link(address: Ipv6Addr) -> bool {
    let multicast_of_link = address.is_multicast() && matches!(address.octets()[1] & 0xf, 1 | 2);
    address.is_unicast_link_local() || multicast_of_link
}

fn again(mut send: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match send() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent,
        }
    }
}

#[cfg(test)]
mod tests;
