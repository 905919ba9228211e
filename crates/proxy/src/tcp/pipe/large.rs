//! Large reads of streams on which no toxic acts: they pass inside the kernel, without a copy.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::Interest;

use super::{Chunk, Ended, Pipe, READ};
use crate::tcp::hoses::{self, Lent};

/// In bytes. Of less a copy costs less than two more calls of the kernel do.
pub(super) const LARGE: usize = 16 << 10;

/// What was taken from a sender, and was not all taken by the receiver.
pub(super) struct Rest {
    lent: Lent,
    /// As of a [`Chunk`].
    came: Instant,
    ordinal: u64,
}

impl Rest {
    /// In bytes.
    pub(super) fn length(&self) -> usize {
        self.lent.hose.held()
    }
}

impl Pipe<'_> {
    /// Reads once without a copy, and passes it on as far as it goes, if that is likely to be a large read and nothing is held. `None`: there was
    /// nothing that can be had so, or all pipes hold as much as they may, and a copy is to be asked.
    pub(super) fn read_large(&mut self) -> Option<Result<(), Ended>> {
        let all = self.queued.all;
        if !self.is_large || !self.effects.is_none() || !self.queue.is_empty() || all.held() + hoses::ROOM > all.most {
            return None;
        }
        let mut lent = hoses::lend()?;
        let came = Instant::now();
        // Without tokio: whether there is nothing is seen by the copy.
        match lent.hose.fill(self.from, hoses::ROOM) {
            Ok(Some(count)) => {
                self.is_large = count.get() >= LARGE;
                self.passing.received(count.get() as u64);
                let ordinal = self.reads;
                self.reads += 1;
                let rest = Rest { lent, came, ordinal };
                return Some(self.pour(rest).map_err(|_| Ended::Unheard));
            }
            Ok(None) => {}
            // Told once. What the copy finds behind it is the end.
            Err(_) => self.is_broken = true,
        }
        hoses::give_back(lent);
        None
    }

    /// Sends what is left of a large read, and keeps what the receiver does not take.
    pub(super) fn pour(&mut self, mut rest: Rest) -> io::Result<()> {
        let to = self.to;
        while rest.length() > 0 {
            match to.try_io(Interest::WRITABLE, || rest.lent.hose.pour(to)) {
                Ok(sent) => self.went(sent, Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // However little it is, it may be in as many pages as a hose has room for.
                    self.queued.set(hoses::ROOM);
                    self.rest = Some(rest);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.queued.set(0);
        hoses::give_back(rest.lent);
        Ok(())
    }

    /// Holds what is left of a large read, if there are toxics now: they act on what has come and waits.
    pub(super) fn take_out(&mut self) -> io::Result<()> {
        if self.effects.is_none() {
            return Ok(());
        }
        if let Some(mut rest) = self.rest.take() {
            let bytes = rest.lent.hose.empty()?;
            hoses::give_back(rest.lent);
            self.queued.set(0);
            // In parts, each with memory of its own: what has passed is held no longer.
            for part in bytes.chunks(READ) {
                self.hold(Chunk {
                    bytes: Bytes::copy_from_slice(part),
                    came: rest.came,
                    ordinal: rest.ordinal,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::watch;

    use super::*;
    use crate::tcp::pipe::testbed::{Bed, arrived, pair};
    use crate::tcp::pipe::{Held, LEAST, Next};
    use crate::tcp::toxic::{Asked, Toxic};

    /// In bytes: of several parts of what is taken out.
    const MANY: usize = READ * 5 / 2;

    #[tokio::test]
    async fn toxics_that_come_find_what_waits_in_the_kernel() {
        let sent: Vec<u8> = (0..MANY).map(|at| (at % 251) as u8).collect();
        let ((to, mut receiver), (mut sender, from)) = (pair(4 << 10).await, pair(1 << 20).await);
        let toxic: Toxic = serde_json::from_str::<Asked>(r#"{"type":"limit_data","attributes":{"bytes":1000}}"#)
            .unwrap()
            .make()
            .unwrap();
        let (toxics, now) = watch::channel(Arc::from([]));
        let bed = Bed::new(hoses::ROOM);
        let held = &bed.held;
        let mut pipe = bed.pipe((&from, &to), now);
        to.writable().await.unwrap();
        pipe.reads = 7;
        sender.write_all(&sent).await.unwrap();
        arrived(&sender);
        // While others hold so much that there is no room for as much as it may come to, there are copies.
        let mut others = Held { here: 0, all: held };
        others.set(1);
        pipe.is_large = true;
        assert!(pipe.read_large().is_none());
        others.set(0);
        // The receiver takes little of it.
        pipe.read_large().unwrap().unwrap();
        let (passed, waits) = (pipe.passed as usize, pipe.rest.as_ref().map_or(0, Rest::length));
        let came = pipe.rest.as_ref().unwrap().came;
        let ordinal = pipe.reads - 1;
        assert!(waits > 0 && !pipe.may_read() && held.held() == hoses::ROOM);
        assert_eq!(pipe.next(Instant::now()), Next::Send(waits));
        toxics.send_replace(Arc::from([toxic]));
        pipe.look_again().unwrap();
        let parts: Vec<_> = pipe.queue.iter().map(|chunk| chunk.bytes.len()).collect();
        assert!(
            pipe.rest.is_none() && parts.iter().all(|part| *part <= READ),
            "{parts:?}"
        );
        assert_eq!(held.held(), parts.iter().map(|part| *part.max(&LEAST)).sum::<usize>());
        assert!(
            pipe.queue
                .iter()
                .all(|chunk| (chunk.came, chunk.ordinal) == (came, ordinal))
        );
        assert!(
            pipe.queue
                .iter()
                .flat_map(|chunk| &chunk.bytes)
                .eq(&sent[passed..passed + waits])
        );
        assert_eq!(pipe.reads, ordinal + 1);
        assert_eq!(pipe.next(Instant::now()), Next::Send(waits.min(1000)));
        let mut came = vec![0; passed];
        receiver.read_exact(&mut came).await.unwrap();
        assert!(came == sent[..passed]);
    }
}
