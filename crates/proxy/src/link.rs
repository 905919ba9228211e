//! Connections to an upstream of HTTP/2: one for each of a client's.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter::successors;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fracas_linux::diversion::go_past;
use fracas_linux::sockets::look_after;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::accept::SILENCE;
use crate::lent::{Lent, lend};
use crate::stream::Stream;
use crate::tls::secure::Secure;
use crate::upload::{Broken, Upload};
use crate::upstream::Upstream;

/// In bytes, what an upstream may send of one answer before its client has taken it.
const STREAM_WINDOW: u32 = 256 << 10;
/// In bytes, the same of all answers of one client together: as many as it may ask for at once.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * 256;

/// For the settings of an upstream, and between two looks at them.
const SETTINGS: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);

/// How often a request goes by another connection because the upstream ended one before it had begun with the request.
const AGAIN: u32 = 2;

/// For what was sent and is not acknowledged: then the machine is gone.
pub(crate) const UNHEARD: Duration = Duration::from_secs(30);

/// The way to an upstream of HTTP/2.
#[derive(Debug)]
pub(crate) struct Link {
    host: String,
    port: u16,
    /// `None`: without TLS.
    secure: Option<Secure>,
    /// For a connection, with all who wait for it at the same time.
    connect: Duration,
    /// In bytes, for the head of an answer.
    largest_head: u32,
    /// The address, where it goes past all diversions.
    past: Option<SocketAddr>,
}

/// The connection to the upstream that a connection of a client has: opened by its first request, and anew when it has ended. It ends with
/// the client's. So what one client does not take, or sends and is not taken, holds up no other.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Option<Sender>>);

/// Asks whether the upstream takes an extended CONNECT.
type Asks = mpsc::Sender<oneshot::Sender<bool>>;

#[derive(Debug, Clone)]
struct Sender {
    /// The how-manieth of its client.
    number: u64,
    sender: SendRequest<Lent>,
    asks: Asks,
    /// Whether it was opened for the request that asks for it.
    is_new: bool,
}

/// The upstream chose another protocol than HTTP/2.
#[derive(Debug)]
struct Other;

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it speaks HTTP/2 no more")
    }
}

impl Error for Other {}

/// The upstream takes no extended CONNECT.
#[derive(Debug)]
pub(crate) struct NotTaken;

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it does not say that it takes WebSocket in a stream of HTTP/2 (RFC 8441)")
    }
}

impl Error for NotTaken {}

impl Sender {
    /// Whether the upstream says that it takes WebSocket in a stream (RFC 8441). `None`: the connection has ended.
    async fn takes_extended(&self) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        // What could not be asked is dropped, so that nobody waits for it.
        drop(self.asks.send(answer).await);
        answered.await.ok()
    }
}

impl Link {
    pub(crate) fn new(
        upstream: &Upstream,
        secure: Option<Secure>,
        connect: Duration,
        largest_head: u32,
        past: Option<SocketAddr>,
    ) -> Self {
        Self {
            host: upstream.host().to_owned(),
            port: upstream.port(),
            secure,
            connect,
            largest_head,
            past,
        }
    }

    /// Whether the upstream speaks HTTP/2 with this client. One of TLS is asked for it, by a connection that is kept if it does.
    pub(crate) async fn is_spoken(&self, kept: &Kept) -> Result<bool, Broken> {
        match &self.secure {
            None => Ok(true),
            Some(secure) if secure.prefers_http1() => Ok(false),
            Some(_) => match self.in_time(kept, None).await {
                Ok(_) => Ok(true),
                Err(error) if error.is::<Other>() => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// How often the upstream has said that it wants a certificate, where it had been taken for content with none.
    pub(crate) fn wants(&self) -> u64 {
        self.secure.as_ref().map_or(0, Secure::wants)
    }

    /// Sends a request by a client's connection to the upstream, and gives the answer as soon as its head is there. An extended CONNECT goes by a
    /// connection alone that says that it takes one. What the upstream has not begun with when it ends the connection goes by another.
    pub(crate) async fn send(
        &self,
        kept: &Kept,
        request: Request<Upload>,
        is_extended: bool,
    ) -> Result<Response<Incoming>, Broken> {
        let (head, mut body) = request.into_parts();
        let (mut ended, mut again) = (None, AGAIN);
        loop {
            let mut by = self.in_time(kept, ended).await?;
            let takes = if is_extended {
                by.takes_extended().await
            } else {
                Some(true)
            };
            match takes {
                Some(true) => {
                    let (lender, lent) = lend(body);
                    let sent = by
                        .sender
                        .try_send_request(Request::from_parts(head.clone(), lent))
                        .await;
                    let failed = match sent {
                        Ok(response) => return Ok(response),
                        Err(failed) => failed,
                    };
                    // The connection had ended already, and nothing of the request was sent.
                    let is_unsent = failed.message().is_some();
                    let error = failed.into_error();
                    let may_go = if is_unsent {
                        !by.is_new
                    } else {
                        again > 0 && is_farewell(&error)
                    };
                    body = match lender.back() {
                        Some(body) if may_go && (is_unsent || may_come_twice(&head.method)) => body,
                        _ => return Err(error.into()),
                    };
                    // Whoever waits for the answer waits for it anew, and not for the client.
                    body.progress().moved();
                    again -= u32::from(!is_unsent);
                }
                Some(false) => return Err(NotTaken.into()),
                None if by.is_new => return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
                None => {}
            }
            ended = Some(by.number);
        }
    }

    async fn in_time(&self, kept: &Kept, ended: Option<u64>) -> Result<Sender, Broken> {
        timeout(self.connect, self.sender(kept, ended))
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }

    /// The connection, which is not the one of this number.
    async fn sender(&self, kept: &Kept, ended: Option<u64>) -> Result<Sender, Broken> {
        let mut kept = kept.0.lock().await;
        let open = |kept: &&Sender| Some(kept.number) != ended && !kept.sender.is_closed();
        if let Some(sender) = kept.as_ref().filter(open) {
            return Ok(Sender {
                is_new: false,
                ..sender.clone()
            });
        }
        let number = kept.as_ref().map_or(0, |last| last.number + 1);
        let (sender, asks) = self.open().await?;
        let sender = Sender {
            number,
            sender,
            asks,
            is_new: true,
        };
        *kept = Some(sender.clone());
        Ok(sender)
    }

    // There are no pings: servers of gRPC end connections that ping more often than every five minutes, and keep-alive of TCP finds
    // machines that are gone.
    async fn open(&self) -> Result<(SendRequest<Lent>, Asks), Broken> {
        let stream = match &self.secure {
            // Those who waited for somebody who found it out need not ask again.
            Some(secure) if secure.prefers_http1() => return Err(Other.into()),
            Some(secure) => secure.http2().await?.ok_or(Other)?,
            None => {
                let stream = match self.past {
                    Some(to) => connect_past(to).await?,
                    None => connect(&self.host, self.port, self.connect).await?,
                };
                stream.set_nodelay(true)?;
                Stream::Plain(stream)
            }
        };
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(self.largest_head);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let (asks, asked) = mpsc::channel(1);
        tokio::spawn(drive(connection, asked));
        Ok((sender, asks))
    }
}

/// Whether the upstream ended the connection, as it does when that is old, before it came to the request (RFC 9113, 6.8).
fn is_farewell(error: &hyper::Error) -> bool {
    let mut causes = successors(error.source(), |&cause| cause.source());
    let of_http2 = causes.find_map(|cause| cause.downcast_ref::<h2::Error>());
    of_http2
        .is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

/// Whether a request may come to an upstream twice (RFC 9110, 9.2.2): hyper says of one that it sends just when a GOAWAY comes what it says of those
/// that the upstream will not take. Nothing is said in an extended CONNECT before its answer.
fn may_come_twice(method: &Method) -> bool {
    method.is_idempotent() || method == Method::CONNECT
}

/// Drives a connection to its end, and says meanwhile whether its upstream takes an extended CONNECT. That is in the settings with which it
/// begins; hyper does not tell when they have come.
async fn drive<C>(connection: Connection<C, Lent, TokioExecutor>, mut asked: mpsc::Receiver<oneshot::Sender<bool>>)
where
    C: Read + Write + Send + Unpin + 'static,
{
    let until = Instant::now() + SETTINGS;
    tokio::pin!(connection);
    loop {
        let answer = tokio::select! {
            // How it ends is seen by those whose requests are in it.
            _ended = &mut connection => return,
            Some(answer) = asked.recv() => answer,
        };
        while !connection.is_extended_connect_protocol_enabled() && Instant::now() < until {
            tokio::select! {
                _ended = &mut connection => return,
                () = sleep(LOOK) => {}
            }
        }
        // Who asked may have gone.
        let _gone = answer.send(connection.is_extended_connect_protocol_enabled());
    }
}

/// To the first address of a name that answers. All that is done for it has this limit.
pub(crate) async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + limit;
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    to_any(&addresses, until).await
}

async fn to_any(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut failed = None;
    for (at, address) in addresses.iter().enumerate() {
        match connect_to(*address, share(until, addresses.len() - at)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name of the upstream has no address")))
}

/// To this address, past all diversions.
pub(crate) async fn connect_past(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = open(to)?;
    go_past(&socket)?;
    socket.connect(to).await
}

/// For the next of so many addresses: one that answers nothing leaves time for the others.
pub(crate) fn share(until: Instant, addresses: usize) -> Duration {
    let left = until.saturating_duration_since(Instant::now());
    left / u32::try_from(addresses).unwrap_or(u32::MAX).max(1)
}

/// To this very address.
pub(crate) async fn connect_to(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    match timeout(limit, open(address)?.connect(address)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn open(to: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    look_after(&socket, SILENCE, UNHEARD)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::listen;

    #[tokio::test]
    async fn an_address_that_answers_nothing_leaves_time_for_the_next() {
        let any = || SocketAddr::from(([127, 0, 0, 1], 0));
        // Whose queue is full hears of nobody more (tcp_conn_request() in net/ipv4/tcp_input.c).
        let deaf = TcpSocket::new_v4().unwrap();
        deaf.bind(any()).unwrap();
        let deaf = deaf.listen(0).unwrap();
        let nowhere = deaf.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(one) = connect_to(nowhere, Duration::from_millis(100)).await {
            queue.push(one);
        }
        let answers = listen(any(), UNHEARD).unwrap();
        let there = answers.local_addr().unwrap();
        let until = Instant::now() + Duration::from_millis(400);
        let stream = to_any(&[nowhere, there], until).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        assert!(Instant::now() < until);
        let why = to_any(&[nowhere], Instant::now() + Duration::from_millis(50)).await;
        assert_eq!(why.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
