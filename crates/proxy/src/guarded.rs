//! The body of an answer, with what ends when it does.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use crate::faults::breaker::Passing;
use crate::faults::bulkhead::Place;
use crate::faults::circuit::Outcome;
use crate::faults::connections::Busy;
use crate::faults::partial::CutOff;
use crate::progress::Progress;
use crate::service::Answered;
use crate::upload::{ALL, Broken};

/// A body whose end is seen: whether it came whole, broke off, or was dropped because its client had gone.
pub(crate) struct Guarded<B> {
    body: B,
    /// How far the body of the request is.
    upload: Progress,
    passing: Option<Passing>,
    /// Whether the connection may not end before the request was read to its end.
    ends_after_upload: bool,
    /// For how long that is waited for at most.
    patience: Duration,
    /// When it was, while somebody waits for that.
    read: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Why the body breaks off, until then.
    cut_off: Option<Broken>,
    /// Whoever takes the body drops it at its end, or when the client has gone.
    _held: Held,
}

/// What a request has until the body of its answer has ended: a place in the bulkhead, that it is open in its connection, and that it is not
/// measured yet.
pub(crate) type Held = (Option<Arc<Place>>, Arc<Busy>, Option<Answered>);

impl<B: fmt::Debug> fmt::Debug for Guarded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.body).finish()
    }
}

impl<B: Body> Guarded<B> {
    /// The body of an answer, with how far that of its request is.
    pub(crate) fn new(body: B, upload: Progress, passing: Option<Passing>, held: Held) -> Self {
        let mut guarded = Self {
            body,
            upload,
            passing,
            ends_after_upload: false,
            patience: ALL,
            read: None,
            cut_off: None,
            _held: held,
        };
        guarded.look(false);
        guarded
    }

    /// The same of an answer that has its connection for itself. Cut off, it ends when all of the request was read, or as much as is read of
    /// one that nobody wants: what is not read makes the end a reset, and that may take from the client what was sent before.
    pub(crate) fn ends_after_upload(mut self) -> Self {
        self.ends_after_upload = true;
        self
    }

    /// Looks whether the body has come whole. Some who take it stop at its last part, and do not ask what follows: hyper's HTTP/1 has all
    /// when it has as many bytes as were said, although a stream of HTTP/2 has not ended by then.
    fn look(&mut self, was_last: bool) {
        let is_whole = self.body.is_end_stream() || self.body.size_hint().exact() == Some(0);
        if was_last || is_whole {
            self.ended(Outcome::Success);
        }
    }

    fn ended(&mut self, outcome: Outcome) {
        if let Some(passing) = self.passing.take() {
            passing.ended(outcome);
        }
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin> Body for Guarded<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let frame = match this.cut_off.take() {
            Some(error) => Some(Err(error)),
            None => ready!(Pin::new(&mut this.body).poll_frame(cx)),
        };
        if let Some(Err(error)) = &frame
            && this.ends_after_upload
            && error.is::<CutOff>()
        {
            // Whoever holds the request without reading it does not hold up the end for ever.
            let read = this.read.get_or_insert_with(|| {
                let over = timeout(this.patience, this.upload.clone().over());
                Box::pin(async move {
                    let _late = over.await;
                })
            });
            if read.as_mut().poll(cx).is_pending() {
                this.cut_off = frame.and_then(Result::err);
                return Poll::Pending;
            }
        }
        match &frame {
            // Nothing follows trailers.
            Some(Ok(frame)) => this.look(frame.is_trailers()),
            // Of what came there was nothing wrong; the rest we have not asked for.
            Some(Err(error)) if error.is::<CutOff>() => this.ended(Outcome::Success),
            // A client that went away, or sends nothing more, breaks off its answer by itself: that is nobody's failure.
            Some(Err(_)) if this.upload.is_broken() || this.upload.is_silent() => drop(this.passing.take()),
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::faults::connections::Use;

    struct Over;

    impl Body for Over {
        type Data = Bytes;
        type Error = Broken;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            Poll::Ready(Some(Err(CutOff::default().into())))
        }
    }

    /// How long it takes until an answer that was cut off ends, behind a request of which nothing is read.
    async fn waits(patience: Duration, progress: Progress) -> Duration {
        let held = (None, Arc::new(Use::new().begins(false)), None);
        let mut guarded = Guarded::new(Over, progress, None, held).ends_after_upload();
        assert_eq!(guarded.patience, Duration::from_secs(30));
        guarded.patience = patience;
        let begun = Instant::now();
        // An hour is not waited for.
        let frame = tokio::time::timeout(Duration::from_mins(1), guarded.frame()).await;
        assert!(frame.unwrap().unwrap().unwrap_err().is::<CutOff>());
        begun.elapsed()
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_off_waits_for_its_request_and_not_for_ever() {
        let patience = Duration::from_millis(50);
        let waited = waits(patience, Progress::new()).await;
        assert!(waited >= patience, "{waited:?}");
        let over = Progress::new();
        over.set_over();
        waits(Duration::from_hours(1), over).await;
    }
}
