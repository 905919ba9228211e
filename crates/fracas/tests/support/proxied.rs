//! `fracas proxy`, and a client of it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::cli::{Cli, Going};
use crate::support::LIMIT;

/// The program as a proxy that answers by itself.
pub(crate) struct Proxied {
    pub(crate) going: Going,
    pub(crate) address: SocketAddr,
}

/// What a client gets.
#[derive(Debug)]
pub(crate) struct Got {
    /// The head of the answer; empty if the connection ended without one.
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) reset: bool,
    pub(crate) took: Duration,
}

impl Proxied {
    /// Starts `fracas proxy` with these words besides.
    pub(crate) fn start(cli: &Cli, words: &[&str]) -> Self {
        let going = cli.start(&[&["proxy", "--listen", "127.0.0.1:0"], words].concat());
        let mut found = None;
        going.until("it says where it listens", || {
            let err = going.err();
            let mut schemes = ["http", "https", "tls"].into_iter();
            found = schemes.find_map(|scheme| address(&err, &format!("proxy: {scheme}://")));
            found.is_some()
        });
        Self {
            going,
            address: found.unwrap(),
        }
    }

    pub(crate) fn get(&self, path: &str, id: &str) -> Got {
        get(self.address, Ipv4Addr::LOCALHOST, path, id)
    }

    pub(crate) fn post(&self, body: &str) -> Got {
        post(self.address, "/", body)
    }
}

impl Proxied {
    /// Sends this, and reads until the end.
    pub(crate) fn exchange(&self, request: &str) -> Got {
        exchange(TcpStream::connect(self.address).unwrap(), request, Instant::now())
    }
}

impl Got {
    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or("none")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map_or("none", |(_, value)| value)
    }
}

/// The address behind these words, once its line is whole.
pub(crate) fn address(text: &str, words: &str) -> Option<SocketAddr> {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let line = lines.find_map(|line| line.trim_end().strip_prefix(words))?;
    line.split('/').next()?.parse().ok()
}

/// One request in a connection of its own, from this address of ours.
pub(crate) fn get(to: SocketAddr, from: Ipv4Addr, path: &str, id: &str) -> Got {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n");
    exchange(stream, &request, begun)
}

/// The same of a POST.
pub(crate) fn post(to: SocketAddr, path: &str, body: &str) -> Got {
    let begun = Instant::now();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n");
    let request = format!("{head}connection: close\r\n\r\n{body}");
    exchange(TcpStream::connect(to).unwrap(), &request, begun)
}

fn exchange(mut stream: TcpStream, request: &str, begun: Instant) -> Got {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let reset = read.is_err_and(|error| {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        true
    });
    // What was corrupted may be no text any more.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    Got {
        head: head.to_owned(),
        body: body.to_owned(),
        reset,
        took: begun.elapsed(),
    }
}
