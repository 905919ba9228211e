//! An end of a tunnel at which is looked besides, so that it is seen to be gone whatever the tunnel waits for.
//!
//! Of a stream of HTTP/2 a reader of hyper takes the usual reset (CANCEL, with which browsers go) for an end in order, behind which the other
//! direction may last; flushing says what it was. Of a socket that has ended its direction nobody reads any more, and so nobody hears that its
//! owner has gone altogether: that is a reset, at the latest when the kernel asks whether he is there (keep-alive in tcp(7)).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use fracas_linux::sockets::{is_broken, unacknowledged};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::stream::Stream;
use crate::wire::Wire;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// What a tunnel ends in.
pub(crate) trait End: AsyncRead + AsyncWrite + Unpin + Send {
    /// Its socket. `None`: it is a stream of HTTP/2, or none of somebody else's.
    fn socket(&self) -> Option<&TcpStream>;
}

impl End for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl End for Stream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.tcp())
    }
}

impl End for Wire {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.tcp())
    }
}

impl End for DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl<E: End + ?Sized> End for &mut E {
    fn socket(&self) -> Option<&TcpStream> {
        (**self).socket()
    }
}

/// An end as the tunnel has it.
#[derive(Debug)]
pub(crate) struct Watched<E>(Arc<Both<E>>);

/// Who looks. Both are in one task: each remembers whom it wakes.
#[derive(Debug)]
struct Watch<E>(Arc<Both<E>>);

#[derive(Debug)]
struct Both<E> {
    end: Mutex<E>,
    /// It was told that nothing more comes: all that the other end had to say was read, and is with the kernel at the latest.
    told: Notify,
}

impl<E> Both<E> {
    fn end(&self) -> MutexGuard<'_, E> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ends of a tunnel, and what waits until one of them has gone.
pub(crate) fn watched<A: End, B: End>(one: A, other: B) -> (Watched<A>, Watched<B>, impl Future<Output = ()> + Send) {
    let (one, of_one) = Watched::new(one);
    let (other, of_other) = Watched::new(other);
    let gone = async move {
        tokio::select! {
            () = of_one.gone(&of_other) => {}
            () = of_other.gone(&of_one) => {}
        }
    };
    (one, other, gone)
}

impl<E> Watched<E> {
    fn new(end: E) -> (Self, Watch<E>) {
        let both = Arc::new(Both {
            end: Mutex::new(end),
            told: Notify::new(),
        });
        (Self(Arc::clone(&both)), Watch(both))
    }
}

impl<E: End> Watch<E> {
    /// Waits until it has gone: a stream was reset, or lost its connection; or a socket, all of whose bytes have arrived at the `other` end,
    /// has broken.
    async fn gone<O: End>(&self, other: &Watch<O>) {
        let is_socket = self.0.end().socket().is_some();
        if is_socket {
            other.0.told.notified().await;
        }
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let is_gone = if is_socket {
                self.is_broken() && other.has_sent()
            } else {
                poll_fn(|context| Pin::new(&mut *self.0.end()).poll_flush(context))
                    .await
                    .is_err()
            };
            if is_gone {
                return;
            }
        }
    }

    /// Whether its socket has broken. What cannot be asked is gone, too.
    fn is_broken(&self) -> bool {
        let end = self.0.end();
        end.socket().is_some_and(|socket| is_broken(socket).unwrap_or(true))
    }

    /// Whether nothing is on its way any more to whoever is at its other side. The kernel does not wait for ever (`TCP_USER_TIMEOUT`).
    fn has_sent(&self) -> bool {
        let rests = self
            .0
            .end()
            .socket()
            .map_or(0, |socket| unacknowledged(socket).unwrap_or(0));
        rests == 0 || self.is_broken()
    }
}

impl<E: AsyncRead + Unpin> AsyncRead for Watched<E> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.end()).poll_read(context, into)
    }
}

impl<E: AsyncWrite + Unpin> AsyncWrite for Watched<E> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.end()).poll_write(context, from)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.end()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut *self.0.end()).poll_shutdown(context);
        if let Poll::Ready(Ok(())) = shut {
            self.0.told.notify_one();
        }
        shut
    }
}
