//! Bodies that are read whole before anybody takes them: within a bound for each, and a share of the room for all of them. Whoever takes one then
//! gets it as it came.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::upload::Broken;

/// What has come of a body.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    frames: VecDeque<Result<Frame<Bytes>, Broken>>,
    /// For the bytes of `frames`.
    room: Option<OwnedSemaphorePermit>,
}

impl Ahead {
    /// Reads a body until it is `over`: what has come of it, and if that is all, its bytes. It is not all if it is larger than `most`, broke off, or
    /// did not end before, and if there was no room.
    pub(crate) async fn read(
        body: &mut (impl Body<Data = Bytes, Error = Broken> + Unpin),
        most: usize,
        room: &Arc<Semaphore>,
        over: impl Future<Output = ()>,
    ) -> (Self, Option<Bytes>) {
        let mut ahead = Self::default();
        let mut bytes = BytesMut::new();
        tokio::pin!(over);
        loop {
            let next = tokio::select! {
                next = body.frame() => next,
                () = &mut over => return (ahead, None),
            };
            let Some(frame) = next else {
                return (ahead, Some(bytes.freeze()));
            };
            let is_broken = frame.is_err();
            let length = length(&frame);
            if let Some(data) = frame.as_ref().ok().and_then(Frame::data_ref) {
                bytes.extend_from_slice(data);
            }
            ahead.frames.push_back(frame);
            if is_broken || bytes.len() > most || !ahead.takes(room, length) {
                return (ahead, None);
            }
        }
    }

    /// Takes room for so many bytes more, if there is.
    fn takes(&mut self, room: &Arc<Semaphore>, length: usize) -> bool {
        let more = u32::try_from(length).ok();
        let Some(Ok(more)) = more.map(|length| Arc::clone(room).try_acquire_many_owned(length)) else {
            return false;
        };
        match &mut self.room {
            Some(held) => held.merge(more),
            None => self.room = Some(more),
        }
        true
    }

    /// What comes next. Its room is given back; with the last part all of it.
    pub(crate) fn next(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        let frame = self.frames.pop_front()?;
        match &mut self.room {
            // What was put in the place of another may be longer than that.
            Some(held) if !self.frames.is_empty() => drop(held.split(length(&frame).min(held.num_permits()))),
            room => *room = None,
        }
        Some(frame)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many bytes are there.
    pub(crate) fn length(&self) -> u64 {
        self.frames.iter().map(|frame| length(frame) as u64).sum()
    }

    /// Has these bytes in the place of those that came. Trailers stay.
    pub(crate) fn put(&mut self, bytes: Bytes) {
        let is_trailers = |frame: &Result<Frame<Bytes>, Broken>| frame.as_ref().is_ok_and(Frame::is_trailers);
        self.frames.retain(is_trailers);
        self.frames.push_front(Ok(Frame::data(bytes)));
    }

    /// Whether there is more than one part.
    pub(crate) fn has_more(&self) -> bool {
        self.frames.len() > 1
    }
}

fn length(frame: &Result<Frame<Bytes>, Broken>) -> usize {
    frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::channel::Channel;

    use super::*;

    /// What is read of a body that says no length, and has not ended when it does not say so.
    async fn read(ends: bool, most: usize, count: usize, limit: Duration) -> (Option<Bytes>, u64, usize) {
        let room = Arc::new(Semaphore::new(count));
        let (mut sender, mut body) = Channel::<Bytes, Broken>::new(4);
        for part in ["[1,", "2]"] {
            sender.send_data(Bytes::from_static(part.as_bytes())).await.unwrap();
        }
        let sender = (!ends).then_some(sender);
        // tidy: sleep because it is the limit itself
        let limit = tokio::time::sleep(limit);
        let (mut ahead, whole) = Ahead::read(&mut body, most, &room, limit).await;
        let (come, left) = (ahead.length(), room.available_permits());
        drop(sender);
        while ahead.next().is_some() {}
        assert_eq!(room.available_permits(), count);
        (whole, come, left)
    }

    #[tokio::test]
    async fn it_is_read_whole_or_stays_as_it_came() {
        let (long, short) = (Duration::from_secs(30), Duration::from_millis(20));
        let all = Bytes::from_static(b"[1,2]");
        assert_eq!(read(true, 5, 5, long).await, (Some(all), 5, 0));
        // Too large, without room, and not in time.
        assert_eq!(read(true, 4, 9, long).await, (None, 5, 6));
        assert_eq!(read(true, 9, 4, long).await, (None, 5, 1));
        assert_eq!(read(false, 9, 9, short).await, (None, 5, 4));
    }
}
