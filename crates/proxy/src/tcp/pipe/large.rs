//! Large reads of streams on which no toxic acts: they pass inside the kernel, without a copy.

use std::io;
use std::time::Instant;

use fracas_linux::splice::Hose;
use tokio::io::Interest;

use super::{Ended, Pipe, READ};
use crate::tcp::hoses;

/// In bytes. Of less a copy costs less than two more calls of the kernel do.
pub(super) const LARGE: usize = 16 << 10;

impl Pipe<'_> {
    /// One for the next read, if that is likely to be large. Nothing is held then.
    pub(super) fn lend(&self) -> Option<Hose> {
        let is_free = self.is_large && self.effects.is_none() && self.queue.is_empty();
        is_free.then(hoses::lend).flatten()
    }

    /// Reads once, and passes it on as far as it goes.
    pub(super) fn read_large(&mut self, mut hose: Hose) -> Result<(), Ended> {
        let from = self.from;
        match from.try_io(Interest::READABLE, || hose.fill(from, READ)) {
            Ok(0) => self.ends(),
            Ok(count) => {
                self.is_large = count >= LARGE;
                self.passing.received(count as u64);
                self.reads += 1;
                return self.pour(hose).map_err(|_| Ended::Unheard);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // What it said before has been read by now, as in [`Pipe::read`].
            Err(_) => {
                self.ends();
                self.is_broken = true;
            }
        }
        hoses::give_back(hose);
        Ok(())
    }

    /// Sends what a hose holds, and keeps it if there is a rest.
    pub(super) fn pour(&mut self, mut hose: Hose) -> io::Result<()> {
        let to = self.to;
        while hose.held() > 0 {
            match to.try_io(Interest::WRITABLE, || hose.pour(to)) {
                Ok(sent) => self.went(sent, Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.queued.set(hose.held());
        if hose.held() > 0 {
            self.hose = Some(hose);
        } else {
            hoses::give_back(hose);
        }
        Ok(())
    }

    /// Holds what is in the hose, if there are toxics now: they act on what has come and waits.
    pub(super) fn take_out(&mut self) -> io::Result<()> {
        if self.effects.is_none() {
            return Ok(());
        }
        if let Some(mut hose) = self.hose.take() {
            let bytes = hose.empty()?;
            hoses::give_back(hose);
            self.queued.set(0);
            self.hold(&bytes, Instant::now());
            self.reads += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use fracas_core::seed::Seed;
    use fracas_telemetry::toxiproxy::Toxics;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::sync::watch;

    use super::*;
    use crate::tcp::effects::Which;
    use crate::tcp::pipe::{All, Next};
    use crate::tcp::toxic::{Asked, Stream, Toxic};
    use crate::timer::Timer;

    /// In bytes: less than one read is, so that a receiver does not take all of it.
    const NARROW: u32 = 4 << 10;

    /// Two ends. What the first sends and the other does not take is little.
    async fn pair() -> (TcpStream, TcpStream) {
        let [listener, socket] = [(), ()].map(|()| TcpSocket::new_v4().unwrap());
        listener.set_recv_buffer_size(NARROW).unwrap();
        listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listener.listen(1).unwrap();
        socket.set_send_buffer_size(NARROW).unwrap();
        let one = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        (one, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn toxics_that_come_find_what_waits_in_the_kernel() {
        let sent: Vec<u8> = (0..READ).map(|at| (at % 251) as u8).collect();
        let ((to, mut receiver), (mut sender, from)) = (pair().await, pair().await);
        let writes = tokio::spawn({
            let sent = sent.clone();
            async move { sender.write_all(&sent).await.map(|()| sender) }
        });
        let toxic: Toxic = serde_json::from_str::<Asked>(r#"{"type":"limit_data","attributes":{"bytes":1000}}"#)
            .unwrap()
            .make()
            .unwrap();
        let (toxics, now) = watch::channel(Arc::from([]));
        let which = Which {
            seed: Seed(1),
            proxy: "a".to_owned(),
            connection: 0,
            stream: Stream::Downstream,
        };
        let (timer, held, is_broken) = (Timer::start().unwrap(), All::new(1 << 20), AtomicBool::new(false));
        let counts = Toxics::new(&[]).of("a", "b", "c");
        let mut pipe = Pipe::new((&from, &to), &is_broken, which, now, (&timer, &held), &counts);
        to.writable().await.unwrap();
        // It never takes all. Reads are as large as they can be here.
        while pipe.hose.is_none() {
            pipe.is_large = true;
            from.readable().await.unwrap();
            let hose = pipe.lend().unwrap();
            pipe.read_large(hose).unwrap();
        }
        let (passed, waits) = (pipe.passed as usize, pipe.hose.as_ref().map_or(0, Hose::held));
        assert!(waits > 0 && !pipe.may_read() && held.held() == waits);
        assert_eq!(pipe.next(Instant::now()), Next::Send(waits));
        toxics.send_replace(Arc::from([toxic]));
        pipe.look_again().unwrap();
        assert!(pipe.hose.is_none() && held.held() >= waits);
        let bytes: Vec<u8> = pipe.queue.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        assert!(bytes == sent[passed..passed + waits]);
        assert_eq!(pipe.next(Instant::now()), Next::Send(waits.min(1000)));
        let mut came = vec![0; passed];
        receiver.read_exact(&mut came).await.unwrap();
        assert!(came == sent[..passed]);
        writes.abort();
    }
}
