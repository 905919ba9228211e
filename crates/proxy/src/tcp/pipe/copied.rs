//! Reads that are copied, and then passed on or held.

use std::cell::RefCell;
use std::io;
use std::time::Instant;

use bytes::Bytes;
use fracas_linux::inq;
use tokio::io::Interest;

use super::large::LARGE;
use super::{Chunk, Ended, Pipe, READ};

thread_local! {
    /// For the moment of a read: connections that are silent take no memory for it.
    static ROOM_TO_READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into_boxed_slice());
}

impl Pipe<'_> {
    /// Reads once, and passes it on or holds it.
    pub(super) fn read(&mut self) -> Result<(), Ended> {
        if let Some(read) = self.read_large() {
            return read;
        }
        ROOM_TO_READ.with_borrow_mut(|room| {
            let mut taken = None;
            // Where the kernel says that nothing is behind it, tokio need not ask to know: of what comes from now on it is told anew. A reset
            // that has come already is not behind it for the kernel; but that reading is closed tokio does not forget.
            let read = self.from.try_io(Interest::READABLE, || {
                let (count, left) = inq::received(self.from, room)?;
                taken = Some(count);
                match left {
                    Some(0) if count > 0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            });
            match (taken, read) {
                (Some(0), _) => {
                    self.ends();
                    Ok(())
                }
                (Some(count), _) => {
                    self.is_large = count >= LARGE;
                    self.passing.received(count as u64);
                    self.take(&room[..count]).map_err(|_| Ended::Unheard)
                }
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    // What it said before has been read by now (tcp_recvmsg_locked() in net/ipv4/tcp.c gives the error last).
                    self.ends();
                    self.is_broken = true;
                    Ok(())
                }
                (None, _) => Ok(()),
            }
        })
    }

    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        self.effects.came(now);
        if self.effects.holds() {
            self.dropped = true;
            return Ok(());
        }
        if self.effects.is_none() && self.queue.is_empty() {
            match self.to.try_write(bytes) {
                Ok(sent) => {
                    self.went(sent, now);
                    bytes = &bytes[sent..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if !bytes.is_empty() {
            self.hold(Chunk {
                bytes: Bytes::copy_from_slice(bytes),
                came: now,
                ordinal: self.reads,
            });
        }
        self.reads += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpStream;
    use tokio::sync::watch;

    use super::*;
    use crate::tcp::pipe::testbed::{Bed, arrived, pair};

    /// Whether tokio would ask this socket.
    fn would_ask(from: &TcpStream) -> bool {
        from.try_io(Interest::READABLE, || Ok(())).is_ok()
    }

    #[tokio::test]
    async fn nothing_is_asked_for_behind_the_last_byte_but_the_end() {
        let ((to, _receiver), (mut sender, from)) = (pair(READ as u32).await, pair(READ as u32).await);
        let (_toxics, now) = watch::channel(Arc::from([]));
        let bed = Bed::new(READ);
        let mut pipe = bed.pipe((&from, &to), now);
        to.writable().await.unwrap();
        sender.write_all(b"a").await.unwrap();
        arrived(&sender);
        from.readable().await.unwrap();
        pipe.read().unwrap();
        assert!(pipe.passed == 1 && !would_ask(&from));
        sender.write_all(b"b").await.unwrap();
        sender.shutdown().await.unwrap();
        arrived(&sender);
        from.readable().await.unwrap();
        pipe.read().unwrap();
        assert!(pipe.passed == 2 && would_ask(&from) && pipe.over.is_none());
        pipe.read().unwrap();
        assert!(pipe.over.is_some() && !pipe.is_broken);
    }
}
