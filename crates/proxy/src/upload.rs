//! The body of a request, on its way up. Whoever takes it may let it go before its end, as an upstream does that answers at once; but a body
//! that nobody holds ends the connection in HTTP/1, and in HTTP/2 the stream, in either case perhaps before the client has read the answer.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::EXPECT;
use hyper::{Request, Version};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};

use crate::ahead::Ahead;
use crate::faults::bandwidth::Bandwidth;
use crate::progress::Progress;
use crate::shaped::Shaped;

/// In bytes, what is read of a body that nobody wants.
const UNWANTED: usize = 1 << 20;
/// For how long a part of it is waited for, and for how long all of it is read.
const PART: Duration = Duration::from_secs(5);
pub(crate) const ALL: Duration = Duration::from_secs(30);

/// Why a message did not arrive.
pub(crate) type Broken = Box<dyn Error + Send + Sync>;

/// The client sent nothing for too long.
#[derive(Debug)]
struct Silent;

/// A body that is read for a while after it was dropped.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Option<Shaped<Incoming>>,
    /// The client sends it only when it is asked to.
    waits: bool,
    /// How long the client may send nothing of it.
    silence: Duration,
    /// The end of that, while nothing comes.
    silent: Option<Pin<Box<Sleep>>>,
    progress: Progress,
    /// What was read before anybody took it.
    ahead: Ahead,
    /// Whether that is all.
    is_all: bool,
}

impl Upload {
    /// The request with its body as one of these.
    pub(crate) fn of(request: Request<Incoming>, silence: Duration) -> Request<Self> {
        let waits = request.version() < Version::HTTP_2 && request.headers().contains_key(EXPECT);
        request.map(|body| Self {
            body: Some(Shaped::new(body, None)),
            waits,
            silence,
            silent: None,
            progress: Progress::new(),
            ahead: Ahead::default(),
            is_all: false,
        })
    }

    /// Of nobody's request.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            body: None,
            waits: false,
            silence: ALL,
            silent: None,
            progress: Progress::new(),
            ahead: Ahead::default(),
            is_all: false,
        }
    }

    /// Lets it pass no faster than it may.
    pub(crate) fn shape(&mut self, bandwidth: Arc<Bandwidth>) {
        if let Some(body) = &mut self.body {
            body.shape(bandwidth);
        }
    }

    /// Reads all of it, up to so many bytes, while there is room for them and until it is `over`. Whoever takes it then gets it as it came.
    /// `None`: it is larger, or broke off, or there was no room or no time.
    pub(crate) async fn read_ahead(
        &mut self,
        most: usize,
        room: &Arc<Semaphore>,
        over: impl Future<Output = ()>,
    ) -> Option<Bytes> {
        let is_too_large = self.size_hint().exact().is_some_and(|length| length > most as u64);
        if is_too_large || self.is_end_stream() {
            return None;
        }
        let (ahead, whole) = Ahead::read(self, most, room, over).await;
        self.ahead = ahead;
        self.is_all = whole.is_some();
        whole
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(frame) = this.ahead.next() {
            this.progress.moved();
            return Poll::Ready(Some(frame));
        }
        if this.is_all {
            return Poll::Ready(None);
        }
        // Asked for it, the client is sending.
        this.waits = false;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.silent = None;
                this.progress.moved();
                if let Some(Err(_)) = frame {
                    this.progress.set_broken();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Broken::from)))
            }
            // What we hold up is neither the client's silence nor the upstream's.
            Poll::Pending if body.is_waiting() => {
                this.silent = None;
                this.progress.awaits();
                Poll::Pending
            }
            Poll::Pending => {
                this.progress.awaits();
                let silence = this.silence;
                let silent = this.silent.get_or_insert_with(|| Box::pin(sleep(silence)));
                ready!(silent.as_mut().poll(cx));
                this.progress.set_silent();
                Poll::Ready(Some(Err(Silent.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && (self.is_all || self.body.as_ref().is_none_or(Body::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.length();
        let rest = match &self.body {
            Some(body) if !self.is_all => body.size_hint(),
            _ => SizeHint::with_exact(0),
        };
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(ahead + rest),
            None => rest,
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !self.waits && !body.is_end_stream());
        // Without a runtime all is over.
        if let (Some(rest), Ok(runtime)) = (rest, Handle::try_current()) {
            let progress = self.progress();
            runtime.spawn(async move {
                finish(rest.into_inner()).await;
                progress.set_over();
            });
        } else {
            self.progress.set_over();
        }
    }
}

/// Reads what a client still sends, and keeps nothing.
pub(crate) async fn finish(mut body: impl Body<Data = Bytes> + Unpin) {
    let reads = async {
        let mut read = 0;
        // What is not there by then is not waited for.
        while let Ok(Some(Ok(frame))) = timeout(PART, body.frame()).await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > UNWANTED {
                return;
            }
        }
    };
    let _done = timeout(ALL, reads).await;
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client sent nothing of its body for too long")
    }
}

impl Error for Silent {}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http_body_util::Empty;
    use hyper::service::service_fn;
    use hyper::{Response, server};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// What is read ahead of these bytes, what comes then to whoever takes the body, and the room that is left before that and behind it.
    async fn read(sent: &'static [u8], most: usize, count: usize) -> (Option<Bytes>, Bytes, [usize; 2]) {
        let (client, server) = duplex(1 << 20);
        let seen = Arc::new(Mutex::new(None));
        let service = service_fn(|request: Request<Incoming>| {
            let seen = Arc::clone(&seen);
            async move {
                let room = Arc::new(Semaphore::new(count));
                let mut body = Upload::of(request, ALL).into_body();
                let ahead = body.read_ahead(most, &room, std::future::pending()).await;
                let left = room.available_permits();
                let passed = body.collect().await.unwrap().to_bytes();
                *seen.lock().unwrap() = Some((ahead, passed, [left, room.available_permits()]));
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let served = server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        let asks = async {
            let (mut reads, mut writes) = tokio::io::split(client);
            let length = sent.len();
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            writes.write_all(&[head.as_bytes(), sent].concat()).await.unwrap();
            reads.read_to_end(&mut Vec::new()).await.unwrap();
        };
        let (served, ()) = tokio::join!(served, asks);
        served.unwrap();
        let seen = seen.lock().unwrap().take();
        seen.unwrap()
    }

    #[tokio::test]
    async fn what_finds_no_room_or_is_too_large_passes_as_it_came() {
        let all = Bytes::from_static(b"[1,2]");
        assert_eq!(read(b"[1,2]", 9, 4).await, (None, all.clone(), [4, 4]));
        assert_eq!(read(b"[1,2]", 4, 9).await, (None, all.clone(), [9, 9]));
        assert_eq!(read(b"[1,2]", 5, 5).await, (Some(all.clone()), all, [0, 5]));
    }
}
