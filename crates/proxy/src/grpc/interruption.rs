//! Streams that end behind so many messages.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fracas_core::chaos::Grpc;
use hyper::Response;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::oneshot;

use super::messages::Messages;
use super::{is_grpc, put};
use crate::answer::Body;
use crate::faults::partial::{CutOff, Told};
use crate::front::Fate;
use crate::identity::Chance;
use crate::service::{FAULT, Shared};
use crate::upload::Broken;

const NAME: &str = "grpc_stream_interruption";

/// How a stream ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// With this status in its trailers.
    Status(u8),
    /// By a reset with this code.
    Reset(u32),
}

/// A stream that ends behind so many messages, unless it ends before.
#[derive(Debug)]
struct Interrupted {
    /// `None`: it was cut.
    body: Option<Body>,
    messages: Messages,
    after: u64,
    /// What has come behind them. It passes if the fault ends before the stream is cut.
    tail: Bytes,
    /// Whether it ends as it would without us.
    is_spared: bool,
    /// `None`: it has ended.
    end: Option<End>,
    /// Ends when the bytes that were handed over last are with the client.
    sent: Option<oneshot::Receiver<()>>,
    shared: Arc<Shared>,
    /// Of its request. `None`: it does not count.
    fate: Option<Fate>,
}

/// Whether the stream that answers this call is to be cut.
pub(crate) fn is_interrupted(block: &Grpc, chance: &Chance) -> bool {
    chance.happens("proxy grpc_stream_interruption", block.stream_interruption_probability)
}

/// The answer to a call, whose stream may be cut. It is named where it may be, and where it is counted it is where it is cut.
pub(crate) fn interrupt(
    block: &Grpc,
    chance: &Chance,
    shared: &Arc<Shared>,
    mut response: Response<Body>,
    fate: Option<Fate>,
) -> Response<Body> {
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(is_grpc) && !response.body().is_end_stream();
    if !is_stream || !is_interrupted(block, chance) {
        return response;
    }
    let status = End::Status(block.interrupt_status_code.unwrap_or(Grpc::UNAVAILABLE));
    let end = block.reset_code.map_or(status, End::Reset);
    response.headers_mut().append(FAULT, HeaderValue::from_static(NAME));
    // It may become shorter.
    response.headers_mut().remove(CONTENT_LENGTH);
    response.map(|body| {
        Body::changed(Interrupted {
            body: Some(body),
            messages: Messages::default(),
            after: u64::from(block.interrupt_after_messages),
            end: Some(end),
            tail: Bytes::new(),
            is_spared: false,
            sent: None,
            shared: Arc::clone(shared),
            fate,
        })
    })
}

impl Interrupted {
    /// Its end in the place of all that would come.
    fn cut(&mut self, end: End) -> Result<Frame<Bytes>, Broken> {
        self.end = None;
        // With the body the upstream is told.
        self.body = None;
        if let Some(fate) = &self.fate {
            self.shared.metrics.met(NAME);
            if let Some(front) = &self.shared.front {
                front.hit(fate);
                front.parts.grpc.hit();
            }
        }
        match end {
            End::Reset(code) => Err(CutOff::by(code).into()),
            End::Status(code) => {
                let mut trailers = HeaderMap::new();
                put(&mut trailers, code, "this stream was cut off by Fracas");
                Ok(Frame::trailers(trailers))
            }
        }
    }
}

impl hyper::body::Body for Interrupted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let Some(end) = this.end else {
            return Poll::Ready(None);
        };
        // In front of somebody else's port: what is not cut when the fault ends never is.
        this.is_spared |= this.shared.is_pardoned();
        if !this.is_spared && this.messages.whole() >= this.after {
            if this.sent.is_none() && matches!(end, End::Reset(_)) {
                // A reset takes away what waits to be sent, and that is the head. Behind a part without a byte it is on its way.
                let (told, sent) = Told::of(Bytes::new());
                this.sent = Some(sent);
                return Poll::Ready(Some(Ok(Frame::data(told))));
            }
            if let Some(sent) = &mut this.sent {
                // Trailers wait as well: the fault may be over before a slow client has what comes before them. Nothing is ever said: it is the end
                // that counts.
                let _told = ready!(Pin::new(sent).poll(cx));
            }
            return Poll::Ready(Some(this.cut(end)));
        }
        if !this.tail.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.tail)))));
        }
        let frame = match &mut this.body {
            Some(body) => ready!(Pin::new(body).poll_frame(cx)),
            None => None,
        };
        let mut bytes = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => bytes,
                // It ended before.
                Err(trailers) => {
                    this.end = None;
                    return Poll::Ready(Some(Ok(trailers)));
                }
            },
            other => {
                this.end = None;
                return Poll::Ready(other);
            }
        };
        if !this.is_spared {
            this.tail = bytes.split_off(this.messages.take(&bytes, this.after));
            let (told, sent) = Told::of(bytes);
            bytes = told;
            this.sent = Some(sent);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
