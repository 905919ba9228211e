//! Traffic through a proxy, both of whose ends are here: what is said at one end of a connection, and what comes out at the other.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

pub const LIMIT: Duration = Duration::from_secs(20);

/// What stands behind proxies.
pub struct Server {
    pub address: String,
    accepted: Receiver<TcpStream>,
}

/// The direction in which bytes go, by the name that toxics have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Upstream,
    Downstream,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    Refused,
}

/// What came out.
#[derive(Debug)]
pub struct Got {
    pub bytes: usize,
    /// Whether they are the first ones of what was said.
    pub intact: bool,
    pub ended: End,
    /// From before the connection was made.
    pub took: Duration,
}

impl Stream {
    pub const BOTH: [Self; 2] = [Self::Upstream, Self::Downstream];

    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub fn other(self) -> Self {
        match self {
            Self::Upstream => Self::Downstream,
            Self::Downstream => Self::Upstream,
        }
    }
}

impl Got {
    pub fn is(&self, bytes: usize, ended: End) -> bool {
        self.intact && self.bytes == bytes && self.ended == ended
    }

    pub fn took_millis(&self, least: u64) -> bool {
        self.took >= Duration::from_millis(least)
    }
}

impl Server {
    /// One that ends with the program.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, accepted) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                sender.send(stream.unwrap()).unwrap();
            }
        });
        Self { address, accepted }
    }

    /// Both ends of a new connection, the client's first; none if it is refused.
    pub fn connect(&self, proxy: &str) -> Option<(TcpStream, TcpStream)> {
        let client = match TcpStream::connect(proxy) {
            Ok(client) => client,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return None,
            Err(error) => panic!("{proxy}: {error}"),
        };
        let server = self.accepted.recv_timeout(LIMIT).unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(LIMIT)).unwrap();
        }
        Some((client, server))
    }

    /// Says so many bytes at one end of a new connection, and then ends, unless it is to stay; and reads the other end until it ends.
    pub fn pass(&self, proxy: &str, stream: Stream, count: usize, stays: bool) -> Got {
        let begun = Instant::now();
        let Some((client, server)) = self.connect(proxy) else {
            return Got {
                bytes: 0,
                intact: true,
                ended: End::Refused,
                took: begun.elapsed(),
            };
        };
        let (mut from, to) = match stream {
            Stream::Upstream => (client, server),
            Stream::Downstream => (server, client),
        };
        let said: Vec<u8> = (0..count).map(|n| (n % 251) as u8).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                // The proxy may have closed the connection: what comes out tells.
                let written = from.write_all(&said);
                if written.is_ok() && !stays {
                    let _done = from.shutdown(Shutdown::Write);
                }
            });
            read(&to, &said, begun)
        })
    }

    pub fn is_well(&self, proxy: &str) -> bool {
        let passes = |stream| self.pass(proxy, stream, 1000, false).is(1000, End::Closed);
        Stream::BOTH.into_iter().all(passes)
    }

    pub fn is_refused(&self, proxy: &str) -> bool {
        self.connect(proxy).is_none()
    }
}

fn read(mut end: &TcpStream, said: &[u8], begun: Instant) -> Got {
    let mut came = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let ended = loop {
        match end.read(&mut buffer) {
            Ok(0) => break End::Closed,
            Ok(count) => came.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
            Err(error) => panic!("after {} bytes: {error}", came.len()),
        }
    };
    Got {
        bytes: came.len(),
        intact: said.starts_with(&came),
        ended,
        took: begun.elapsed(),
    }
}
