//! Tunnels to other hosts, for clients that ask for one (CONNECT, RFC 9110, 9.3.6).
//!
//! A name is looked for once, and what is connected to is the very address that was found to be allowed: nobody can give another answer between
//! the two (DNS rebinding).

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fracas_core::traffic::Network;
use hyper::http::uri::Authority;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::answer::{self, Body};
use crate::destination::{is_own, refusal};
use crate::faults::bulkhead::Place;
use crate::faults::connections::Busy;
use crate::forward::NoAnswer;
use crate::link::{connect_to, share};
use crate::stream::Stream;
use crate::tunnel::Tunnels;
use crate::upload::Upload;

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
        Self {
            allowed: allowed.to_vec(),
            own,
        }
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
        !is_own(address, &self.own) && refusal(address.ip(), &self.allowed, self.allowed.is_empty()).is_none()
    }
}

fn no(status: StatusCode, why: String) -> NoAnswer {
    NoAnswer {
        status,
        why,
        broke_off: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_reached_if_nothing_else_is_said_and_never_a_port_of_ours() {
        let allows = |networks: &[&str], at: &str| {
            let networks: Vec<Network> = networks.iter().map(|one| one.parse().unwrap()).collect();
            Egress::new(&networks, vec![3000]).allows(at.parse().unwrap())
        };
        for at in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(allows(&[], at) && !allows(&["10.0.0.0/8"], at), "{at}");
        }
        assert!(!allows(&[], "10.0.0.1:80") && !allows(&[], "127.0.0.1:3000"));
        let all = &["0.0.0.0/0", "::/0"];
        assert!(allows(all, "192.0.2.1:80") && allows(all, "198.51.100.1:3000"));
        for at in [
            "169.254.169.254:80",
            "0.0.0.0:80",
            "127.0.0.1:3000",
            "[64:ff9b::7f00:1]:3000",
        ] {
            assert!(!allows(all, at), "{at}");
        }
    }
}
