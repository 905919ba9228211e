//! The body of an answer, with what ends when it does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::faults::breaker::Passing;
use crate::faults::bulkhead::Place;
use crate::faults::circuit::Outcome;

/// A body whose end is seen: whether it came whole, broke off, or was dropped because its client had gone.
#[derive(Debug)]
pub(crate) struct Guarded<B> {
    body: B,
    passing: Option<Passing>,
    /// In the bulkhead. Whoever takes the body drops it at its end, or when the client has gone.
    _place: Option<Arc<Place>>,
}

impl<B: Body> Guarded<B> {
    pub(crate) fn new(body: B, passing: Option<Passing>, place: Option<Arc<Place>>) -> Self {
        let mut guarded = Self {
            body,
            passing,
            _place: place,
        };
        guarded.look(false);
        guarded
    }

    /// Looks whether the body has come whole. Some who take it stop at its last part, and do not ask what follows.
    fn look(&mut self, was_last: bool) {
        if was_last || self.body.is_end_stream() {
            self.ended(Outcome::Success);
        }
    }

    fn ended(&mut self, outcome: Outcome) {
        if let Some(passing) = self.passing.take() {
            passing.ended(outcome);
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Guarded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            // Nothing follows trailers.
            Some(Ok(frame)) => this.look(frame.is_trailers()),
            Some(Err(_)) => this.ended(Outcome::Failure),
            None => this.look(true),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
