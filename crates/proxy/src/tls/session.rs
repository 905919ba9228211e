//! A connection of TLS, in which is heard that an upstream wants a certificate of its clients. In TLS 1.3 that is said behind a client's handshake
//! (RFC 8446, 4.4.2.4), so that whoever uses the connection finds it ended, be it before a request has begun, or when one is written; and of why
//! hyper tells nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use fracas_linux::sockets::received;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// In bytes, what is read at once of what was left unread; and how often.
const ROOM: usize = 4 << 10;
const READS: usize = 4;

/// How often an upstream has said behind a handshake that it wants a certificate; copies are of the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants(Arc<AtomicU64>);

impl Wants {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A connection of TLS.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
    /// `None`: it is a client's.
    wants: Option<Wants>,
}

impl Session {
    pub(crate) fn of_client(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, wants: None }
    }

    pub(crate) fn of_upstream(stream: TlsStream<TcpStream>, wants: Wants) -> Self {
        Self {
            stream,
            wants: Some(wants),
        }
    }

    /// The socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.stream.get_ref().0
    }

    fn hears(&self, error: Option<&rustls::Error>) {
        if let (Some(wants), Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired))) =
            (&self.wants, error)
        {
            wants.0.fetch_add(1, Ordering::Release);
        }
    }

    /// Takes in what was received and nobody has read. The kernel is asked: what the runtime knows of the socket may be old. The connection is
    /// broken by now, so what finds no room, behind an answer that nobody has read, would be read by nobody.
    #[cold]
    #[inline(never)]
    fn hears_rest(&mut self) {
        let TlsStream::Client(stream) = &mut self.stream else {
            return;
        };
        let (socket, session) = stream.get_mut();
        let mut room = [0; ROOM];
        for _ in 0..READS {
            let Ok(count @ 1..) = received(&*socket, &mut room) else {
                return;
            };
            let mut rest = &room[..count];
            while !rest.is_empty() {
                // It takes no more than it has room for.
                if !session.read_tls(&mut rest).is_ok_and(|count| count > 0) {
                    return;
                }
                if let Err(error) = session.process_new_packets() {
                    return self.hears(Some(&error));
                }
            }
        }
    }

    /// Writes to it. Whoever cannot may have been told why.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TlsStream<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.stream), cx);
        if let Poll::Ready(Err(_)) = written {
            self.hears_rest();
        }
        written
    }
}

impl AsyncRead for Session {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, into);
        if let Poll::Ready(Err(error)) = &read {
            this.hears(error.get_ref().and_then(|inner| inner.downcast_ref()));
        }
        read
    }
}

impl AsyncWrite for Session {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(cx, |stream, cx| stream.poll_write(cx, from))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .write(cx, |stream, cx| stream.poll_write_vectored(cx, from))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().write(cx, AsyncWrite::poll_shutdown)
    }
}
