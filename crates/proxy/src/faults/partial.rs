//! Answers that end before their end.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fracas_core::chaos::FaultInjection;
use hyper::Version;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::identity::Chance;
use crate::upload::Broken;

/// In bytes: what is seen at most of a body without a length.
const MOST: u64 = 16 << 10;

/// Whether the answer to this request is to end early.
pub(crate) fn happens(block: &FaultInjection, chance: &Chance) -> bool {
    block.partial_responses && chance.happens("proxy partial_response", block.partial_response_probability)
}

/// Whether an early end is seen. Where the end of the connection is the end of the body, nobody could tell one.
pub(crate) fn is_seen(length: Option<u64>, version: Version) -> bool {
    length.is_some() || version >= Version::HTTP_11
}

/// Behind how many bytes an answer of this length ends. `None`: it cannot end early.
pub(crate) fn place(chance: &Chance, length: Option<u64>) -> Option<u64> {
    let places = length.map_or(MOST, |length| length.saturating_sub(1));
    let place = (chance.uniform("proxy partial_response length") * places as f64) as u64;
    (places > 0).then_some(place + 1)
}

/// The same, where so many percent are to be missing. Of an unknown length nobody knows so many.
pub(crate) fn place_without(percent: f64, chance: &Chance, length: Option<u64>) -> Option<u64> {
    let Some(length) = length else {
        return place(chance, None);
    };
    let most = length.checked_sub(1).filter(|most| *most > 0)?;
    // The missing ones are rounded, for 90 % of 1000 leave 99.99… in the arithmetic of doubles.
    let missing = (length as f64 * percent / 100.0).round() as u64;
    Some(length.saturating_sub(missing).clamp(1, most))
}

/// A body that breaks off behind so many bytes, or where it ends.
///
/// Who breaks off drops what has not been sent: hyper ends a connection of HTTP/1 at once, and h2 drops what of a stream waits for the
/// client. So it breaks off when nobody holds its last bytes any more, which is when they are in the socket or before the reset of their
/// stream.
#[derive(Debug)]
pub(crate) struct Cut<B> {
    /// `None`: all that passes was taken.
    body: Option<B>,
    /// In bytes, what still passes.
    left: u64,
    /// What was announced, for the client is to miss something.
    announced: SizeHint,
    /// Ends when the bytes that were handed over last are with the client.
    sent: Option<oneshot::Receiver<()>>,
}

/// Bytes, and who is told when nobody holds them any more: the end of the other half.
#[derive(Debug)]
pub(crate) struct Told {
    bytes: Bytes,
    _told: oneshot::Sender<()>,
}

/// Why a body broke off: nobody's failure.
#[derive(Debug, Default)]
pub(crate) struct CutOff {
    /// With which code a stream of HTTP/2 ends: hyper looks for it among the causes (`h2_reason()` in its `error.rs`).
    by: Option<h2::Error>,
}

impl Told {
    /// These bytes, and what ends when nobody holds them any more.
    pub(crate) fn of(bytes: Bytes) -> (Bytes, oneshot::Receiver<()>) {
        let (told, sent) = oneshot::channel();
        (Bytes::from_owner(Self { bytes, _told: told }), sent)
    }
}

impl CutOff {
    /// A stream of HTTP/2 ends by a reset with this code.
    pub(crate) fn by(code: u32) -> Self {
        Self {
            by: Some(h2::Reason::from(code).into()),
        }
    }
}

impl<B: Body> Cut<B> {
    pub(crate) fn new(body: B, place: u64) -> Self {
        Self {
            left: place,
            announced: body.size_hint(),
            body: Some(body),
            sent: None,
        }
    }
}

impl<B: Body<Data = Bytes, Error = Broken> + Unpin> Body for Cut<B> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        while let Some(body) = &mut this.body {
            let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.body = None;
                    break;
                }
            };
            // Trailers are the end.
            let Ok(mut bytes) = frame.into_data() else {
                this.body = None;
                break;
            };
            if bytes.len() as u64 >= this.left {
                bytes.truncate(this.left as usize);
                this.body = None;
            }
            if !bytes.is_empty() {
                this.left -= bytes.len() as u64;
                let (bytes, sent) = Told::of(bytes);
                this.sent = Some(sent);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
        if let Some(sent) = &mut this.sent {
            // Nothing is ever said: it is the end that counts.
            let _told = ready!(Pin::new(sent).poll(cx));
            this.sent = None;
        }
        Poll::Ready(Some(Err(CutOff::default().into())))
    }

    /// Never: its end is not one.
    fn is_end_stream(&self) -> bool {
        false
    }

    /// Asked before anything is taken.
    fn size_hint(&self) -> SizeHint {
        self.announced
    }
}

impl AsRef<[u8]> for Told {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this answer was cut off by Fracas")
    }
}

impl Error for CutOff {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let by = self.by.as_ref()?;
        Some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(length: Option<u64>) -> Vec<u64> {
        (0..10_000)
            .filter_map(|n| place(&Chance::named(9, &format!("request {n}")), length))
            .collect()
    }

    // The draws are fixed by the seed: what holds here, holds always.
    #[test]
    fn something_is_seen_and_something_is_missing() {
        let all = places(Some(4));
        for place in 1..=3 {
            let count = all.iter().filter(|one| **one == place).count();
            // Five standard deviations of a third of 10000.
            assert!((3097..3570).contains(&count), "{place}: {count}");
        }
        assert_eq!(all.len(), 10_000);
        let without = places(None);
        assert!(without.iter().all(|place| (1..=MOST).contains(place)));
        assert!(without.iter().any(|place| *place < 100) && without.iter().any(|place| *place > MOST - 100));
    }

    #[test]
    fn so_many_percent_are_missing_and_never_all_or_nothing() {
        let chance = Chance::named(9, "a");
        let left = |percent, length| place_without(percent, &chance, Some(length));
        assert_eq!(
            [
                left(25.0, 1000),
                left(90.0, 1000),
                left(100.0, 1000),
                left(0.001, 1000),
                left(50.0, 2)
            ],
            [Some(750), Some(100), Some(1), Some(999), Some(1)]
        );
        assert_eq!([left(50.0, 0), left(50.0, 1)], [None, None]);
        assert_eq!(place_without(50.0, &chance, None), place(&chance, None));
    }

    #[test]
    fn what_cannot_end_early_does_not() {
        assert!(places(Some(0)).is_empty() && places(Some(1)).is_empty());
        assert!(!is_seen(None, Version::HTTP_10));
        assert!(
            is_seen(Some(9), Version::HTTP_10) && is_seen(None, Version::HTTP_11) && is_seen(None, Version::HTTP_2)
        );
    }
}
