//! Bodies that are held until they are whole, if they are not too large and not too slow.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use crate::answer::Body;
use crate::upload::Broken;

/// A body of which some was taken already, and comes once more.
#[derive(Debug)]
struct Taken {
    first: VecDeque<Result<Frame<Bytes>, Broken>>,
    body: Body,
}

/// All bytes of a body. An error is the body as it was, if there are more than so many, if it takes longer or until it is `over`, has trailers,
/// or breaks off.
pub(super) async fn gather(
    mut body: Body,
    most: usize,
    limit: Duration,
    over: impl Future<Output = ()>,
) -> Result<Bytes, Body> {
    if body.size_hint().lower() > most as u64 {
        return Err(body);
    }
    let until = Instant::now() + limit;
    tokio::pin!(over);
    let mut first: VecDeque<Result<Frame<Bytes>, Broken>> = VecDeque::new();
    let mut length = 0;
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
            return Ok(bytes.freeze());
        };
        let part = frame.as_ref().ok().and_then(Frame::data_ref).map(Bytes::len);
        first.push_back(frame);
        match part {
            Some(part) if length + part <= most => length += part,
            _ => break,
        }
    }
    Err(Body::changed(Taken { first, body }))
}

impl hyper::body::Body for Taken {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.first.pop_front() {
            Some(first) => Poll::Ready(Some(first)),
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
        assert_eq!(gather(body, 3, LONG, pending()).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_slow_goes_on_as_it_was() {
        for (most, limit) in [(2, LONG), (100, Duration::from_millis(20))] {
            let (mut sender, body) = sent(&["a", "bc"]).await;
            let body = gather(body, most, limit, pending()).await.unwrap_err();
            assert_eq!(body.size_hint().lower(), 3);
            sender.send_data(Bytes::from_static(b"d")).await.unwrap();
            drop(sender);
            assert_eq!(body.collect().await.unwrap().to_bytes(), "abcd");
        }
    }

    #[tokio::test]
    async fn what_is_over_before_it_is_whole_goes_on_as_it_was() {
        let (mut sender, body) = body();
        let body = gather(body, 100, LONG, ready(())).await.unwrap_err();
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
        let whole = gather(body, 100, LONG, pending())
            .await
            .unwrap_err()
            .collect()
            .await
            .unwrap();
        assert_eq!(whole.trailers(), Some(&trailers));
        assert_eq!(whole.to_bytes(), "a");
        let (sender, body) = sent(&["a"]).await;
        sender.abort("broken".into());
        let mut body = gather(body, 100, LONG, pending()).await.unwrap_err();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
        assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "broken");
    }
}
