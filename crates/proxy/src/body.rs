//! The body of an answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::time::{Instant, timeout_at};

use crate::pool::Driven;
use crate::upload::Broken;

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// The upstream's, as it comes, by a connection that others have, too.
    Passed(Incoming),
    /// The upstream's, as it comes, by a connection of its own.
    Driven(Driven),
    /// One of ours.
    Own(Full<Bytes>),
    /// One that a fault has changed.
    Changed(UnsyncBoxBody<Bytes, Broken>),
}

/// A body whose first part was taken to see that there is one.
#[derive(Debug)]
struct Begun {
    first: Option<Result<Frame<Bytes>, Broken>>,
    body: Body,
}

impl Body {
    /// A body that something was done to.
    pub(crate) fn changed(body: impl hyper::body::Body<Data = Bytes, Error = Broken> + Send + 'static) -> Self {
        Self::Changed(UnsyncBoxBody::new(body))
    }

    /// Whether there is any byte in it. Where no length says it, that is known when the first comes, and waited for so long in all.
    pub(crate) async fn has_bytes(self, limit: Duration) -> (Self, bool) {
        if let Some(length) = self.size_hint().exact() {
            return (self, length > 0);
        }
        let mut body = self;
        let until = Instant::now() + limit;
        loop {
            let Ok(first) = timeout_at(until, body.frame()).await else {
                return (body, false);
            };
            // One without a length had an end of its own to be seen, and keeps it.
            let length = match &first {
                Some(Ok(frame)) => frame.data_ref().map(Bytes::len),
                Some(Err(_)) | None => None,
            };
            if length != Some(0) {
                let has_bytes = length.is_some();
                return (Self::changed(Begun { first, body }), has_bytes);
            }
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Passed(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Broken::from))),
            Self::Driven(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Broken::from))),
            Self::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(Broken::from))),
            Self::Changed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Passed(body) => body.is_end_stream(),
            Self::Driven(body) => body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
            Self::Changed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Passed(body) => body.size_hint(),
            Self::Driven(body) => body.size_hint(),
            Self::Own(body) => body.size_hint(),
            Self::Changed(body) => body.size_hint(),
        }
    }
}

impl hyper::body::Body for Begun {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }
}
