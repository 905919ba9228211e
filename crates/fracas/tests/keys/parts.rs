//! A real Prometheus, and an address that never answers.

#![allow(dead_code, reason = "the tests of scenarios use the rest")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

#[path = "../scenario/support/prometheus.rs"]
mod prometheus;
#[path = "../scenario/support/raw.rs"]
mod raw;

pub(crate) use prometheus::Prometheus;

use crate::support::LIMIT;

/// A port of loopback on which connections are made and nothing is ever said.
#[derive(Debug)]
pub(crate) struct Mute {
    listener: TcpListener,
    /// What fills the queue of a [`Mute::deaf`].
    queued: Vec<TcpStream>,
}

impl Mute {
    /// Connections come about: the kernel accepts them. Nobody reads.
    pub(crate) fn new() -> Self {
        Self {
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            queued: Vec::new(),
        }
    }

    /// Not even connections come about: the queue of those that nobody accepts is full, and the kernel drops what comes then,
    /// see listen(2) and `tcp_conn_request` in net/ipv4/tcp_input.c.
    pub(crate) fn deaf() -> Self {
        let mut mute = Self::new();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mute.port()));
        // The queue holds at most net.core.somaxconn, of which a listener of Rust asks for 128.
        for _ in 0..10_000 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
                Ok(stream) => mute.queued.push(stream),
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return mute,
                Err(error) => panic!("the queue of {address} cannot be filled: {error}"),
            }
        }
        panic!("the queue of {address} is never full");
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }
}
