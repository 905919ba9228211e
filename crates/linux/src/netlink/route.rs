//! Routes: which way a packet would go (rtnetlink(7), include/uapi/linux/rtnetlink.h).

use std::io;
use std::net::IpAddr;

use super::address::{address, address_of, is_ip};
use super::attribute::attributes;
use super::message::Message;
use super::socket::Netlink;
use crate::error::{Context, errno, invalid};

/// `struct rtmsg`.
const HEADER: usize = 12;
/// `RTA_VIA`, and of the metrics `RTAX_MTU`.
const VIA: u16 = 18;
const METRIC_MTU: u16 = 2;

/// What a route does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// They leave.
    Unicast,
    /// They are for this namespace itself.
    Local,
    /// They leave, for everybody on the link.
    Broadcast,
    /// They leave, for whoever wants them.
    Multicast,
    /// Anything else, by the kernel's number (`RTN_BLACKHOLE` …).
    Other(u8),
}

/// The way that a packet would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What is done with it.
    pub kind: RouteKind,
    /// The number of the interface by which it leaves.
    pub link: Option<u32>,
    /// Who takes it from there on; `None`: the destination itself.
    pub gateway: Option<IpAddr>,
    /// The address that it would be sent from.
    pub source: Option<IpAddr>,
    /// The longest packet, where the route itself says so.
    pub mtu: Option<u32>,
}

impl Route {
    /// Reads the body of an `RTM_NEWROUTE` message.
    pub fn parse(body: &[u8]) -> io::Result<Self> {
        let Some((&[family, _, _, _, _, _, _, kind, ..], rest)) = body.split_first_chunk::<HEADER>() else {
            return Err(invalid(format!("a route of {} bytes", body.len())));
        };
        if !is_ip(family) {
            return Err(invalid(format!("a route of family {family}")));
        }
        let mut route = Self {
            kind: match kind {
                libc::RTN_UNICAST => RouteKind::Unicast,
                libc::RTN_LOCAL => RouteKind::Local,
                libc::RTN_BROADCAST => RouteKind::Broadcast,
                libc::RTN_MULTICAST => RouteKind::Multicast,
                other => RouteKind::Other(other),
            },
            link: None,
            gateway: None,
            source: None,
            mtu: None,
        };
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                libc::RTA_OIF => route.link = Some(attribute.u32()?),
                libc::RTA_GATEWAY => route.gateway = Some(address(family, &attribute)?),
                libc::RTA_PREFSRC => route.source = Some(address(family, &attribute)?),
                // A gateway of the other version: its family, then its address.
                VIA => {
                    let Some((family, bytes)) = attribute.value.split_first_chunk() else {
                        return Err(invalid("a gateway without a family"));
                    };
                    route.gateway = Some(address_of(i32::from(u16::from_ne_bytes(*family)), bytes)?);
                }
                libc::RTA_METRICS => {
                    for metric in attribute.nested() {
                        let metric = metric?;
                        if metric.kind == METRIC_MTU {
                            route.mtu = Some(metric.u32()?).filter(|mtu| *mtu > 0);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(route)
    }
}

impl Netlink {
    /// The way that a packet with this mark would go from here, where it must leave by the interface `link` if that is given. `None`:
    /// there is no way.
    pub fn route_to(&mut self, to: IpAddr, mark: u32, link: Option<u32>) -> io::Result<Option<Route>> {
        let what = || format!("cannot find the route to {to}");
        let (family, octets) = match to {
            IpAddr::V4(to) => (libc::AF_INET, to.octets().to_vec()),
            IpAddr::V6(to) => (libc::AF_INET6, to.octets().to_vec()),
        };
        let mut fixed = [0; HEADER];
        fixed[0] = family as u8;
        fixed[1] = octets.len() as u8 * 8;
        let mut message = Message::new(libc::RTM_GETROUTE, 0, &fixed)
            .put(libc::RTA_DST, &octets)
            .put_u32(libc::RTA_MARK, mark);
        if let Some(link) = link {
            message = message.put_u32(libc::RTA_OIF, link);
        }
        let replies = match self.request(message) {
            // Without any route, with one that says so, with one that forbids it, with a black hole, and without this version of IP.
            Err(error)
                if matches!(
                    errno(&error),
                    Some(
                        libc::ENETUNREACH
                            | libc::EHOSTUNREACH
                            | libc::EACCES
                            | libc::EINVAL
                            | libc::EOPNOTSUPP
                            | libc::EAFNOSUPPORT
                    )
                ) =>
            {
                return Ok(None);
            }
            replies => replies.context(what)?,
        };
        let reply = replies.iter().find(|reply| reply.kind == libc::RTM_NEWROUTE);
        let reply = reply
            .ok_or_else(|| invalid("no route in the kernel's answer"))
            .context(what)?;
        Route::parse(&reply.body).context(what).map(Some)
    }
}

#[cfg(test)]
mod tests;
