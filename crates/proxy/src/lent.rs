//! A body that a connection has on loan: the request may go by another if nothing of it was taken.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::upload::{Broken, Upload};

/// Whoever may want it back.
#[derive(Debug)]
pub(crate) struct Lender(Shared);

/// What the connection has.
#[derive(Debug)]
pub(crate) struct Lent(Shared);

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Loan>>);

#[derive(Debug)]
struct Loan {
    body: Option<Upload>,
    /// Something of it was taken, or its end.
    is_begun: bool,
}

pub(crate) fn lend(body: Upload) -> (Lender, Lent) {
    let shared = Shared(Arc::new(Mutex::new(Loan {
        body: Some(body),
        is_begun: false,
    })));
    (Lender(shared.clone()), Lent(shared))
}

impl Shared {
    fn loan(&self) -> MutexGuard<'_, Loan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lender {
    /// The body, if nothing of it was taken. To whoever has it on loan it then has no more.
    pub(crate) fn back(self) -> Option<Upload> {
        let mut loan = self.0.loan();
        if loan.is_begun { None } else { loan.body.take() }
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut loan = self.0.loan();
        let Some(body) = &mut loan.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        loan.is_begun = true;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.loan().body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let loan = self.0.loan();
        loan.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    // What cannot come back is let go now, as it would be if it were nobody else's.
    fn drop(&mut self) {
        let mut loan = self.0.loan();
        let begun = if loan.is_begun { loan.body.take() } else { None };
        drop(loan);
        drop(begun);
    }
}
