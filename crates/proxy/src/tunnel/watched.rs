//! A stream of HTTP/2 at which is looked besides, so that a reset is seen whatever its tunnel waits for. A reader of hyper takes the usual one
//! (CANCEL, with which browsers go) for an end in order, behind which the other direction may last; flushing says what it was.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Watched<S>(Arc<Mutex<S>>);

/// Who looks. Both are in one task: each remembers whom it wakes.
#[derive(Debug)]
pub(super) struct Watch<S>(Arc<Mutex<S>>);

fn of<S>(stream: &Mutex<S>) -> MutexGuard<'_, S> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S) -> (Self, Watch<S>) {
        let stream = Arc::new(Mutex::new(stream));
        (Self(Arc::clone(&stream)), Watch(stream))
    }
}

impl<S: AsyncWrite + Unpin> Watch<S> {
    /// Waits until it was reset, or its connection has gone.
    pub(super) async fn broke_off(self) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if poll_fn(|context| Pin::new(&mut *of(&self.0)).poll_flush(context))
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *of(&self.0)).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *of(&self.0)).poll_write(context, from)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *of(&self.0)).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *of(&self.0)).poll_shutdown(context)
    }
}
