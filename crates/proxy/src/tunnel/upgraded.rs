//! What goes over to another protocol, as what it is: hyper tells of a connection neither whether it is one nor which.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::watched::End;
use crate::stream::Stream;
use crate::wire::Wire;

/// It reads once more what hyper had read of it already.
#[derive(Debug)]
pub(crate) struct Upgraded {
    head: Bytes,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Client(Wire),
    Upstream(Stream),
    /// A stream of HTTP/2.
    Other(TokioIo<hyper::upgrade::Upgraded>),
}

impl From<hyper::upgrade::Upgraded> for Upgraded {
    fn from(upgraded: hyper::upgrade::Upgraded) -> Self {
        let upgraded = match upgraded.downcast::<TokioIo<Wire>>() {
            Ok(parts) => {
                return Self {
                    head: parts.read_buf,
                    inner: Inner::Client(parts.io.into_inner()),
                };
            }
            Err(other) => other,
        };
        match upgraded.downcast::<TokioIo<Stream>>() {
            Ok(parts) => Self {
                head: parts.read_buf,
                inner: Inner::Upstream(parts.io.into_inner()),
            },
            Err(other) => Self {
                head: Bytes::new(),
                inner: Inner::Other(TokioIo::new(other)),
            },
        }
    }
}

/// Does this with what it is.
macro_rules! with {
    ($upgraded:expr, $inner:ident => $does:expr) => {
        match &mut $upgraded.get_mut().inner {
            Inner::Client($inner) => $does,
            Inner::Upstream($inner) => $does,
            Inner::Other($inner) => $does,
        }
    };
}

impl End for Upgraded {
    fn socket(&self) -> Option<&TcpStream> {
        match &self.inner {
            Inner::Client(wire) => wire.socket(),
            Inner::Upstream(stream) => stream.socket(),
            Inner::Other(_) => None,
        }
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.head.is_empty() {
            let count = self.head.len().min(into.remaining());
            into.put_slice(&self.head.split_to(count));
            return Poll::Ready(Ok(()));
        }
        with!(self, inner => Pin::new(inner).poll_read(cx, into))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        with!(self, inner => Pin::new(inner).poll_write(cx, from))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
