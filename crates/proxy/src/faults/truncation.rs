//! Answers that are shorter than the upstream's, and say so: whole messages, unlike those that break off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::identity::Chance;
use crate::upload::Broken;

/// In bytes: what is left at most of a body without a length.
const MOST: u64 = 16 << 10;

/// How many bytes are left of a body of this length: from half to nine tenths, and always less than there were.
pub(crate) fn place(chance: &Chance, length: Option<u64>) -> u64 {
    let share = chance.uniform("proxy payload_corruption length");
    match length {
        Some(length) => (length as f64 * 0.4f64.mul_add(share, 0.5)) as u64,
        None => 1 + (share * MOST as f64) as u64,
    }
}

/// How long the last byte of a part is kept back, which may be that of the body. Behind it the other side may wait for that very byte.
const KEPT: Duration = Duration::from_secs(1);

/// A body that ends in order behind so many bytes, and without its trailers. One without a length ends before its last byte, if that comes
/// first, and where it pauses.
#[derive(Debug)]
pub(crate) struct Truncated<B> {
    /// `None`: all that passes was taken.
    body: Option<B>,
    /// In bytes, what still passes.
    left: u64,
    /// What may be the last byte, of a body without a length.
    held: Bytes,
    /// When it has been held for long enough.
    pause: Option<Pin<Box<Sleep>>>,
    is_known: bool,
}

impl<B: Body> Truncated<B> {
    pub(crate) fn new(body: B, place: u64) -> Self {
        Self {
            left: place,
            held: Bytes::new(),
            pause: None,
            is_known: body.size_hint().exact().is_some(),
            body: Some(body).filter(|_| place > 0),
        }
    }

    /// What passes of these bytes: all but the last, which may be that of the body, and behind the one that was held.
    fn hold(&mut self, mut bytes: Bytes) -> Bytes {
        if self.is_known || bytes.is_empty() {
            return bytes;
        }
        let last = bytes.split_off(bytes.len() - 1);
        let held = std::mem::replace(&mut self.held, last);
        if held.is_empty() {
            return bytes;
        }
        let mut both = BytesMut::from(held);
        both.extend_from_slice(&bytes);
        both.freeze()
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin> Body for Truncated<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        while let Some(body) = &mut this.body {
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => break,
                Poll::Pending if this.held.is_empty() => return Poll::Pending,
                Poll::Pending => {
                    let pause = this.pause.get_or_insert_with(|| Box::pin(sleep(KEPT)));
                    ready!(pause.as_mut().poll(cx));
                    break;
                }
            };
            this.pause = None;
            let Ok(bytes) = frame.into_data() else { break };
            let mut bytes = this.hold(bytes);
            if bytes.len() as u64 >= this.left {
                bytes.truncate(this.left as usize);
                this.body = None;
            }
            this.left -= bytes.len() as u64;
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
        this.body = None;
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(_) if !self.is_known => SizeHint::default(),
            Some(_) => SizeHint::with_exact(self.left),
            None => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The draws are fixed by the seed: what holds here, holds always.
    #[test]
    fn half_to_nine_tenths_are_left() {
        let places = |length| -> Vec<u64> {
            let of = |n| place(&Chance::named(4, &format!("request {n}")), length);
            (0..10_000).map(of).collect()
        };
        let known = places(Some(1000));
        assert!(known.iter().all(|left| (500..=900).contains(left)));
        assert!(known.iter().any(|left| *left < 510) && known.iter().any(|left| *left > 890));
        assert!(places(Some(1)).iter().all(|left| *left == 0));
        let unknown = places(None);
        assert!(unknown.iter().all(|left| (1..=MOST).contains(left)));
        assert!(unknown.iter().any(|left| *left < 100) && unknown.iter().any(|left| *left > MOST - 100));
    }
}
