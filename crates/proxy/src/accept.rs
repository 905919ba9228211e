//! How connections come in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fracas_linux::sockets::look_after;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::connection::{Connection, Door};
use crate::front::Front;
use crate::listeners::Gate;
use crate::service::Shared;

/// So many connections at a time to each address; who finds no room waits in the kernel's queue.
const CONNECTIONS: usize = 16_384;
/// In that queue.
pub(crate) const QUEUE: u32 = 1024;
/// After so long without a byte the kernel asks whether the other machine is there.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);
/// After a connection could not be taken, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that was taken.
pub(crate) type Opened = (TcpStream, Arc<Connection>);

/// Takes the port. A client that takes nothing of what is there for it, or does not say that it came, is let go after `unheard`. Needs a runtime of tokio with its sockets.
pub(crate) fn listen(at: SocketAddr, unheard: Duration) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    // Those of connections inherit it (tcp_create_openreq_child() in net/ipv4/tcp_minisocks.c): so the kernel finds clients that are gone.
    look_after(&socket, SILENCE, unheard)?;
    socket.bind(at)?;
    socket.listen(QUEUE)
}

/// One that is in the queue of a port where nothing more is waited for.
pub(crate) fn waiting(listener: &std::net::TcpListener) -> Option<(TcpStream, SocketAddr)> {
    for _ in 0..QUEUE {
        let (stream, peer) = match listener.accept() {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            // One that broke off already, or for which there is no descriptor.
            Err(_) => continue,
        };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        // A socket that cannot be used is a connection that breaks off.
        if let Ok(stream) = stream {
            return Some((stream, peer));
        }
    }
    None
}

/// Where connections come in.
#[derive(Debug)]
pub(crate) struct Entrance {
    door: Door,
    gate: Arc<Gate>,
    room: Arc<Semaphore>,
    /// Of the next connection.
    number: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl Entrance {
    pub(crate) fn new(door: Door, (gate, number): (Arc<Gate>, Arc<AtomicU64>), shared: Arc<Shared>) -> Self {
        Self {
            door,
            gate,
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            number,
            shared,
        }
    }

    /// Takes connections until `draining`, and then those that are in the queue: their clients hold them for open.
    pub(crate) async fn take_all(
        self,
        listener: TcpListener,
        opened: mpsc::Sender<Opened>,
        mut draining: watch::Receiver<bool>,
    ) {
        loop {
            let taken = tokio::select! {
                taken = self.take(&listener) => taken,
                // Gone with the proxy: the same.
                _ = draining.wait_for(|draining| *draining) => break,
            };
            match taken {
                Ok((stream, peer, place)) => {
                    if opened.send(self.opened(stream, peer, place)).await.is_err() {
                        return;
                    }
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        self.take_rest(listener, &opened).await;
    }

    /// Cancel safe.
    async fn take(&self, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        // Nobody closes it, so there is room at some time.
        let place = Arc::clone(&self.room).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, place))
    }

    async fn take_rest(&self, listener: TcpListener, opened: &mpsc::Sender<Opened>) {
        // Asked of the kernel: what the runtime knows of the queue may be old.
        let Ok(listener) = listener.into_std() else { return };
        // No more than can have been there: others go on coming.
        for _ in 0..QUEUE {
            let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
                return;
            };
            let Some((stream, peer)) = waiting(&listener) else {
                return;
            };
            if opened.send(self.opened(stream, peer, place)).await.is_err() {
                return;
            }
        }
    }

    fn opened(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) -> Opened {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let open = self.shared.metrics.opened();
        // Without an address it is over.
        let called = stream.local_addr().ok();
        let front = self.shared.front.as_ref().zip(called);
        let way = front.and_then(|(front, called)| Front::way(front, called));
        let came = (self.door, Arc::clone(&self.gate));
        (stream, Connection::new(number, peer, came, way, open, place))
    }
}
