//! Bodies that are held until they are whole, if they are not too large and not too slow.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::answer::Body;
use crate::upload::Broken;

/// A body of which some was taken already, and comes once more.
#[derive(Debug)]
struct Taken {
    first: VecDeque<Result<Frame<Bytes>, Broken>>,
    body: Body,
    /// For the bytes of `first`.
    room: Option<OwnedSemaphorePermit>,
}

/// All bytes of a body, and the room that they take.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    room: Option<OwnedSemaphorePermit>,
}

/// All bytes of a body. An error is the body as it was, if there are more than so many, if there is no room for them, if it takes longer or until
/// it is `over`, has trailers, or breaks off.
pub(super) async fn gather(
    mut body: Body,
    most: usize,
    room: &Arc<Semaphore>,
    limit: Duration,
    over: impl Future<Output = ()>,
) -> Result<Whole, Body> {
    if body.size_hint().lower() > most as u64 {
        return Err(body);
    }
    let until = Instant::now() + limit;
    tokio::pin!(over);
    let mut first: VecDeque<Result<Frame<Bytes>, Broken>> = VecDeque::new();
    let mut length = 0;
    let mut held: Option<OwnedSemaphorePermit> = None;
    loop {
        let next = tokio::select! {
            next = timeout_at(until, body.frame()) => next,
            () = &mut over => break,
        };
        let Ok(next) = next else { break };
        let Some(frame) = next else {
            let mut bytes = BytesMut::with_capacity(length);
            for frame in first.into_iter().flatten() {
                if let Ok(part) = frame.into_data() {
                    bytes.extend_from_slice(&part);
                }
            }
            let (bytes, room) = (bytes.freeze(), held);
            return Ok(Whole { bytes, room });
        };
        let part = frame.as_ref().ok().and_then(Frame::data_ref).map(Bytes::len);
        first.push_back(frame);
        let Some(part) = part.filter(|part| length + part <= most) else {
            break;
        };
        length += part;
        let more = u32::try_from(part).ok();
        match more.map(|part| Arc::clone(room).try_acquire_many_owned(part)) {
            Some(Ok(more)) => match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            },
            _ => break,
        }
    }
    let room = held;
    Err(Body::changed(Taken { first, body, room }))
}

impl Whole {
    /// These bytes as a body, in the room of those that came.
    pub(super) fn with(self, bytes: Bytes) -> Body {
        Body::changed(Taken {
            first: VecDeque::from([Ok(Frame::data(bytes))]),
            body: Body::Own(Full::default()),
            room: self.room,
        })
    }
}

impl hyper::body::Body for Taken {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.first.pop_front() {
            Some(first) => {
                if self.first.is_empty() {
                    self.room = None;
                }
                Poll::Ready(Some(first))
            }
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self
            .first
            .iter()
            .flatten()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum::<usize>() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use http_body_util::channel::{Channel, Sender};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn room() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(100))
    }

    #[tokio::test]
    async fn what_there_is_no_room_for_goes_on_as_it_was_and_room_is_given_back() {
        let room = Arc::new(Semaphore::new(4));
        let (sender, held) = sent(&["abc"]).await;
        drop(sender);
        let held = gather(held, 100, &room, LONG, pending()).await.unwrap();
        let (sender, body) = sent(&["d", "ef"]).await;
        drop(sender);
        let body = gather(body, 100, &room, LONG, pending()).await.unwrap_err();
        assert_eq!(room.available_permits(), 0);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "def");
        let body = held.with(Bytes::from_static(b"x"));
        assert_eq!((body.size_hint().exact(), room.available_permits()), (Some(1), 1));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "x");
        assert_eq!(room.available_permits(), 4);
    }

    fn body() -> (Sender<Bytes, Broken>, Body) {
        let (sender, channel) = Channel::new(8);
        (sender, Body::changed(channel))
    }

    async fn sent(parts: &[&'static str]) -> (Sender<Bytes, Broken>, Body) {
        let (mut sender, body) = body();
        for part in parts {
            sender.send_data(Bytes::from_static(part.as_bytes())).await.unwrap();
        }
        (sender, body)
    }

    #[tokio::test]
    async fn all_of_a_body_in_time_is_gathered() {
        let (sender, body) = sent(&["a", "", "bc"]).await;
        drop(sender);
        assert_eq!(gather(body, 3, &room(), LONG, pending()).await.unwrap().bytes, "abc");
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_slow_goes_on_as_it_was() {
        for (most, limit) in [(2, LONG), (100, Duration::from_millis(20))] {
            let (mut sender, body) = sent(&["a", "bc"]).await;
            let body = gather(body, most, &room(), limit, pending()).await.unwrap_err();
            assert_eq!(body.size_hint().lower(), 3);
            sender.send_data(Bytes::from_static(b"d")).await.unwrap();
            drop(sender);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "abcd");
        }
    }

    #[tokio::test]
    async fn what_is_over_before_it_is_whole_goes_on_as_it_was() {
        let (mut sender, body) = body();
        let body = gather(body, 100, &room(), LONG, ready(())).await.unwrap_err();
        sender.send_data(Bytes::from_static(b"a")).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "a");
    }

    #[tokio::test]
    async fn trailers_and_a_broken_end_stay() {
        let (mut sender, body) = sent(&["a"]).await;
        let trailers = hyper::HeaderMap::from_iter([(hyper::header::ETAG, "b".parse().unwrap())]);
        sender.send_trailers(trailers.clone()).await.unwrap();
        drop(sender);
        let whole = gather(body, 100, &room(), LONG, pending())
            .await
            .unwrap_err()
            .collect()
            .await
            .unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes(), "a");
        let (sender, body) = sent(&["a"]).await;
        sender.abort("broken".into());
        let mut body = gather(body, 100, &room(), LONG, pending()).await.unwrap_err();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "broken");
    }
}
