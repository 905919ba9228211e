//! What passes, no faster than it may.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::faults::bandwidth::{Bandwidth, Turns};

/// In bytes, what a tunnel holds until it may pass.
const ROOM: usize = 8 << 10;

/// A body whose bytes pass in turns.
#[derive(Debug)]
pub(crate) struct Shaped<B> {
    body: B,
    /// What waits for a turn.
    rest: Bytes,
    /// `None`: all passes.
    turns: Option<Turns>,
}

/// A connection from which is read in turns.
#[derive(Debug)]
pub(crate) struct Paced<T> {
    stream: T,
    room: Box<[u8]>,
    /// What of the room waits for a turn, and what has had it.
    held: Range<usize>,
    passes: usize,
    turns: Turns,
}

impl<B> Shaped<B> {
    pub(crate) fn new(body: B, bandwidth: Option<Arc<Bandwidth>>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            turns: bandwidth.map(Turns::new),
        }
    }

    /// Lets its bytes pass in turns from now on.
    pub(crate) fn shape(&mut self, bandwidth: Arc<Bandwidth>) {
        self.turns = Some(Turns::new(bandwidth));
    }

    /// Whether it waits for its turn, and not for who sends it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.turns.as_ref().is_some_and(Turns::is_waiting)
    }

    /// The body, without what waits for a turn.
    pub(crate) fn into_inner(self) -> B {
        self.body
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Shaped<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let Some(turns) = &mut this.turns else {
            return Pin::new(&mut this.body).poll_frame(cx);
        };
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(bytes) => this.rest = bytes,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let part = ready!(turns.poll(this.rest.len(), cx)).min(this.rest.len());
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

impl<T> Paced<T> {
    pub(crate) fn new(stream: T, bandwidth: Arc<Bandwidth>) -> Self {
        Self {
            stream,
            room: Box::default(),
            held: 0..0,
            passes: 0,
            turns: Turns::new(bandwidth),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.held.is_empty() {
            if this.turns.are_free() {
                return Pin::new(&mut this.stream).poll_read(cx, into);
            }
            // Where there is never a limit, there is never a need of it.
            if this.room.is_empty() {
                this.room = vec![0; ROOM].into_boxed_slice();
            }
            let mut room = ReadBuf::new(&mut this.room);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut room))?;
            let count = room.filled().len();
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            this.held = 0..count;
            this.passes = 0;
        }
        if this.passes == 0 {
            this.passes = ready!(this.turns.poll(this.held.len(), cx));
        }
        // Who reads may have less room than he may have bytes.
        let count = this.passes.min(this.held.len()).min(into.remaining());
        let end = this.held.start + count;
        into.put_slice(&this.room[this.held.start..end]);
        this.held.start = end;
        this.passes -= count;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
