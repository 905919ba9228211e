//! A client's socket, with what was read of it already, and with the way in which it ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::stream::Stream;

/// A socket that is reset when it is dropped, if its connection says so.
#[derive(Debug)]
pub(crate) struct Wire {
    /// What was read to find out the protocol, and is read once more.
    head: Bytes,
    stream: Stream,
    connection: Arc<Connection>,
}

impl Wire {
    pub(crate) fn new(head: Bytes, stream: Stream, connection: Arc<Connection>) -> Self {
        Self {
            head,
            stream,
            connection,
        }
    }

    /// The socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        self.stream.tcp()
    }

    /// Has this read once more.
    pub(crate) fn put_back(&mut self, head: Bytes) {
        self.head = head;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.is_reset() {
            // With a linger time of 0 close(2) sends a reset and drops what was not sent (tcp_close() in net/ipv4/tcp.c). If it cannot be
            // set, the socket is broken already.
            let _broken = self.stream.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.head.is_empty() {
            let count = self.head.len().min(into.remaining());
            into.put_slice(&self.head.split_to(count));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
