//! Tunnels to other hosts, for clients that ask for one (CONNECT, RFC 9110, 9.3.6).
//!
//! A name is looked for once, and what is connected to is the very address that was found to be allowed: nobody can give another answer between
//! the two (DNS rebinding).

use std::future::ready;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fracas_core::traffic::Network;
use hyper::http::uri::Authority;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::answer::{self, Body};
use crate::faults::bulkhead::Place;
use crate::faults::connections::Busy;
use crate::forward::NoAnswer;
use crate::link::{connect_to, share};
use crate::stream::Stream;
use crate::tunnel::Tunnels;
use crate::upload::Upload;

/// Where a cloud tells a machine its secrets, besides the link-local addresses: of Alibaba, Azure and Oracle, of Amazon and Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Whom tunnels may lead to.
#[derive(Debug, Clone)]
pub struct Egress {
    /// Empty: the loopback.
    allowed: Vec<Network>,
    /// Ports of this machine that are the proxy's own: whoever comes by a tunnel would be taken for one of this machine.
    own: Vec<u16>,
}

impl Egress {
    /// To addresses of these networks, without any to the loopback; never to these ports of this machine, nor to those of the proxy.
    pub fn new(allowed: &[Network], own: Vec<u16>) -> Self {
        let allowed = allowed.iter().map(Network::to_canonical).collect();
        Self { allowed, own }
    }

    pub(crate) fn keeps_out(&mut self, port: u16) {
        self.own.push(port);
    }

    /// Opens the tunnel that a request asks for.
    pub(crate) async fn tunnel(
        &self,
        tunnels: &Tunnels,
        limit: Duration,
        mut request: Request<Upload>,
    ) -> Result<Response<Body>, NoAnswer> {
        let of_request = request.extensions_mut();
        let held = (of_request.remove::<Arc<Place>>(), of_request.remove::<Arc<Busy>>());
        let server = match request.uri().authority() {
            Some(to) => timeout(limit, self.open(to, Instant::now() + limit))
                .await
                .unwrap_or_else(|_| {
                    let why = format!("{to} did not answer within {} s", limit.as_secs_f64());
                    Err(no(StatusCode::GATEWAY_TIMEOUT, why))
                })?,
            None => {
                return Err(no(
                    StatusCode::BAD_REQUEST,
                    "a tunnel leads to a host and a port".to_owned(),
                ));
            }
        };
        let client = hyper::upgrade::on(&mut request);
        tunnels.carry(client, ready(Ok(Stream::Plain(server))), held, None);
        Ok(answer::empty())
    }

    async fn open(&self, to: &Authority, until: Instant) -> Result<TcpStream, NoAnswer> {
        let host = to.host().trim_start_matches('[').trim_end_matches(']');
        let Some(port) = to.port_u16().filter(|port| *port > 0) else {
            return Err(no(StatusCode::BAD_REQUEST, format!("{to} has no port")));
        };
        let failed = |error: &io::Error| no(StatusCode::BAD_GATEWAY, format!("no connection to {to}: {error}"));
        let addresses = lookup_host((host, port)).await.map_err(|error| failed(&error))?;
        let addresses: Vec<_> = addresses.collect();
        let mut last = None;
        for (at, address) in addresses.iter().copied().enumerate() {
            if !self.allows(address) {
                last = last.or_else(|| {
                    let why = format!(
                        "no tunnel leads to {to}, which is at {}: see --allow-upstream",
                        address.ip()
                    );
                    Some(no(StatusCode::FORBIDDEN, why))
                });
                continue;
            }
            match connect_to(address, share(until, addresses.len() - at))
                .await
                .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(failed(&error)),
            }
        }
        Err(last.unwrap_or_else(|| no(StatusCode::BAD_GATEWAY, format!("{host} has no address"))))
    }

    fn allows(&self, address: SocketAddr) -> bool {
        let ip = plain(address.ip());
        if is_never(ip) || self.own.contains(&address.port()) && is_here(ip) {
            return false;
        }
        if self.allowed.is_empty() {
            ip.is_loopback()
        } else {
            self.allowed.iter().any(|network| network.contains(ip))
        }
    }
}

fn no(status: StatusCode, why: String) -> NoAnswer {
    NoAnswer {
        status,
        why,
        broke_off: None,
    }
}

/// The address of IPv4 that one of IPv6 leads to, if it does: mapped (RFC 4291, 2.5.5.2), or translated (RFC 6052, 2.1).
fn plain(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if ip.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            IpAddr::V4(Ipv4Addr::from_bits((ip.to_bits() & 0xffff_ffff) as u32))
        }
        ip => ip,
    }
}

/// Whether it is one of this machine: then the kernel lets it be taken (`inet_bind()` in net/ipv4/af_inet.c). Where it lets be taken what is none
/// (`ip_nonlocal_bind`), a port too many is kept out.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether it is one that no tunnel leads to, whatever is allowed.
fn is_never(ip: IpAddr) -> bool {
    let is_no_host = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_multicast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240,
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast() || ip.is_unspecified(),
    };
    is_no_host || METADATA.contains(&ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_is_reached_and_some_never() {
        let allows = |networks: &[&str], at: &str| {
            let networks: Vec<Network> = networks.iter().map(|one| one.parse().unwrap()).collect();
            Egress::new(&networks, vec![3000]).allows(at.parse().unwrap())
        };
        for at in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(allows(&[], at), "{at}");
        }
        for at in [
            "10.0.0.1:80",
            "[fd00::1]:80",
            "127.0.0.1:3000",
            "[::1]:3000",
            "[::ffff:127.0.0.1]:3000",
            "0.0.0.0:80",
        ] {
            assert!(!allows(&[], at), "{at}");
        }
        assert!(allows(&["198.51.100.0/24"], "198.51.100.1:3000") && !allows(&["10.0.0.0/8"], "127.0.0.1:80"));
        assert!(allows(&["::ffff:10.0.0.0/104"], "10.0.0.1:80"));
        let all = &["0.0.0.0/0", "::/0"];
        assert!(allows(all, "192.0.2.1:80") && allows(all, "[2001:db8::1]:80"));
        for at in [
            "169.254.169.254:80",
            "[fe80::1]:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fd00:ec2::254]:80",
            "100.100.100.200:80",
            "168.63.129.16:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "0.0.0.0:80",
            "[::]:80",
            "127.0.0.1:3000",
            "[64:ff9b::7f00:1]:3000",
        ] {
            assert!(!allows(all, at), "{at}");
        }
    }
}
