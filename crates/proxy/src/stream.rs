//! A connection of TCP, with TLS in it or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::session::Session;

/// In bytes, what is sent in one piece: send(2) costs less than writev(2), by more than it takes to copy these.
const SMALL: usize = 2 << 10;

/// A connection to a client or to an upstream. Dropped, it ends without the word of TLS that says so (`close_notify`): as if its process had
/// died.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<Session>),
}

impl Stream {
    /// The socket.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.tcp(),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, from),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => {
                let mut room = [0; SMALL];
                match together(&mut room, from) {
                    Some(all) => Pin::new(stream).poll_write(cx, all),
                    None => Pin::new(stream).poll_write_vectored(cx, from),
                }
            }
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// These bytes in one piece. `None`: there are too many of them.
fn together<'a>(room: &'a mut [u8; SMALL], parts: &'a [io::IoSlice<'_>]) -> Option<&'a [u8]> {
    let mut filled = parts.iter().filter(|part| !part.is_empty());
    if let (Some(only), None) = (filled.next(), filled.next()) {
        return Some(only);
    }
    let mut count = 0;
    for part in parts {
        room.get_mut(count..count + part.len())?.copy_from_slice(part);
        count += part.len();
    }
    Some(&room[..count])
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    #[test]
    fn little_goes_in_one_piece() {
        let mut room = [0; SMALL];
        let large = [7; SMALL];
        assert_eq!(together(&mut room, &[]), Some(&b""[..]));
        assert_eq!(
            together(&mut room, &[IoSlice::new(b""), IoSlice::new(&large)]),
            Some(&large[..])
        );
        assert_eq!(
            together(&mut room, &[IoSlice::new(b"a"), IoSlice::new(b"bc")]),
            Some(&b"abc"[..])
        );
        let most = [IoSlice::new(&large[1..]), IoSlice::new(b"a")];
        assert_eq!(together(&mut room, &most).map(<[u8]>::len), Some(SMALL));
        assert_eq!(together(&mut room, &[IoSlice::new(&large), IoSlice::new(b"a")]), None);
    }
}
