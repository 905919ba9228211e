//! The body of a request, on its way up. Whoever takes it may let it go before its end, as an upstream does that answers at once; but a body
//! that nobody holds ends the connection in HTTP/1, and in HTTP/2 the stream, in either case perhaps before the client has read the answer.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use hyper::{Request, Version};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// In bytes, what is read of a body that nobody wants.
const UNWANTED: usize = 1 << 20;
/// For how long.
const READS: Duration = Duration::from_secs(1);

/// A body that is read for a while after it was dropped.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Option<Incoming>,
    /// The client sends it only when it is asked to.
    waits: bool,
}

impl Upload {
    /// The request with its body as one of these.
    pub(crate) fn of(request: Request<Incoming>) -> Request<Self> {
        let waits = request.version() < Version::HTTP_2 && request.headers().contains_key(EXPECT);
        request.map(|body| Self {
            body: Some(body),
            waits,
        })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        // Asked for it, the client is sending.
        self.waits = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !self.waits && !body.is_end_stream());
        // Without a runtime all is over.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            runtime.spawn(finish(rest));
        }
    }
}

/// Reads what a client still sends, and keeps nothing.
pub(crate) async fn finish(mut body: impl Body<Data = Bytes> + Unpin) {
    let reads = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > UNWANTED {
                return;
            }
        }
    };
    // What is not there by then is not waited for.
    let _done = timeout(READS, reads).await;
}
