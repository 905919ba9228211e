//! Where a run is asked for its metrics: HTTP on an address of this machine, and only on the one that was given.
//!
//! Whoever can reach it may be hostile, and must not delay a rollback. So it has a thread of its own with a runtime of its own; at most
//! sixteen connections at a time, each with one request and five seconds for all of it; 64 headers in 16 KiB; and no body is
//! read. Whoever finds no room waits in the kernel's queue, not in our memory.

mod answer;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::metrics::Page;

/// So many connections at a time.
const CONNECTIONS: usize = 16;
/// For all of a connection.
const LIMIT: Duration = Duration::from_secs(5);
/// In bytes, for the line and the headers of a request.
const LARGEST: usize = 16 << 10;
const HEADERS: usize = 64;
/// After a connection could not be taken, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// An address and a port to listen on: `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`. A port alone is on loopback: whoever wants
/// others to reach it must say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(SocketAddr);

impl Listen {
    /// Whether the kernel chooses the port.
    pub fn is_any_port(self) -> bool {
        self.0.port() == 0
    }

    /// The address.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let port = text.strip_prefix("localhost:").unwrap_or(text);
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // `+80` is a number for Rust and for nobody else.
        let is_port = port.bytes().all(|c| c.is_ascii_digit());
        let found = match port.parse() {
            Ok(port) if is_port => Ok(loopback(port)),
            _ => text.parse(),
        };
        found.map(Self).map_err(|_| {
            "is no address of this machine with a port: write it like 127.0.0.1:9464, or 0.0.0.0:9464 for everybody who can reach it"
                .to_owned()
        })
    }
}

/// A port that is taken, and on which nobody is answered yet.
#[derive(Debug)]
pub struct Endpoint {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Endpoint {
    /// Takes the port. Of port 0 the kernel chooses a free one.
    ///
    /// # Errors
    /// N002 if somebody else has it, or the address is none of this machine's.
    pub fn bind(at: Listen) -> Result<Self> {
        let failed = |error: &std::io::Error| {
            Problem::new(&codes::NO_LISTENER, format!("cannot listen on {} for metrics", at.0)).because(error)
        };
        let listener = std::net::TcpListener::bind(at.0).map_err(|error| failed(&error))?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        // For the runtime that takes it over.
        listener.set_nonblocking(true).map_err(|error| failed(&error))?;
        Ok(Self { listener, address })
    }

    /// The address that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, until the value that is given is dropped.
    ///
    /// # Errors
    /// N002 if there is no thread for it.
    pub fn serve(self, page: Page) -> Result<Serving> {
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let begun = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let listener = {
                let _inside = runtime.enter();
                TcpListener::from_std(self.listener)?
            };
            // Connections that are open go with the runtime.
            let work = move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = take(listener, page) => {}
                    }
                });
            };
            std::thread::Builder::new().name("metrics".to_owned()).spawn(work)
        };
        let thread = begun().map_err(|error: std::io::Error| {
            Problem::new(&codes::NO_LISTENER, "cannot begin to answer for metrics").because(&error)
        })?;
        Ok(Serving {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// Answers, until it is dropped.
#[derive(Debug)]
pub struct Serving {
    /// Nothing is ever sent: that it is gone is the word.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It waits for nobody, so this takes no longer than an answer.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

async fn take(listener: TcpListener, page: Page) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Nobody closes it, so this never ends by itself.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let page = page.clone();
                tokio::spawn(async move {
                    connection(stream, page).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, page: Page) {
    let service = service_fn(move |request| {
        let answer = answer::answer(&request, &page);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_headers(HEADERS)
        .max_buf_size(LARGEST)
        .serve_connection(TokioIo::new(stream), service);
    // Whether it was served, broke off or was too slow: it is over, and nobody is told.
    let _over = tokio::time::timeout(LIMIT, served).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_loopback_and_nothing_is_guessed() {
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            ("0", "127.0.0.1:0"),
            ("localhost:9464", "127.0.0.1:9464"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(text.parse(), Ok(Listen(address.parse().unwrap())), "{text}");
        }
        for text in [
            "",
            ":9464",
            "+80",
            "127.0.0.1",
            "65536",
            "example.com:80",
            "http://127.0.0.1:80",
            "localhost:",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_that_somebody_has_is_said_with_a_code() {
        let first = Endpoint::bind("0".parse().unwrap()).unwrap();
        assert!(first.address().ip().is_loopback());
        let problem = Endpoint::bind(Listen(first.address())).unwrap_err();
        assert_eq!(problem.code.id, "N002");
        assert!(problem.to_string().contains(&first.address().to_string()), "{problem}");
    }
}
