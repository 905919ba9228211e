//! What a pipe needs, and looks at what is in its sockets.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use fracas_core::seed::Seed;
use fracas_linux::sockets::unacknowledged;
use fracas_telemetry::toxiproxy::{Proxied, Toxics};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use super::{All, Pipe};
use crate::tcp::effects::Which;
use crate::tcp::toxic::{Stream, Toxic};
use crate::timer::Timer;

pub(super) struct Bed {
    pub(super) held: All,
    timer: Timer,
    is_broken: AtomicBool,
    counts: Proxied,
}

impl Bed {
    /// For pipes that hold at most so many bytes together.
    pub(super) fn new(most: usize) -> Self {
        Self {
            held: All::new(most),
            timer: Timer::start().unwrap(),
            is_broken: AtomicBool::new(false),
            counts: Toxics::new(&[]).of("a", "b", "c"),
        }
    }

    /// From one to the other, through these toxics.
    pub(super) fn pipe<'c>(
        &'c self,
        ends: (&'c TcpStream, &'c TcpStream),
        toxics: watch::Receiver<Arc<[Toxic]>>,
    ) -> Pipe<'c> {
        let which = Which {
            seed: Seed(1),
            proxy: "a".to_owned(),
            connection: 0,
            stream: Stream::Downstream,
        };
        Pipe::new(
            ends,
            &self.is_broken,
            which,
            toxics,
            (&self.timer, &self.held),
            &self.counts,
        )
    }
}

/// Two ends, between which there is room for so many bytes or some more.
pub(super) async fn pair(room: u32) -> (TcpStream, TcpStream) {
    let [listener, socket] = [(), ()].map(|()| TcpSocket::new_v4().unwrap());
    listener.set_recv_buffer_size(room).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    socket.set_send_buffer_size(room).unwrap();
    let one = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    (one, listener.accept().await.unwrap().0)
}

/// Waits until all that was sent is with the receiver.
pub(super) fn arrived(sender: &TcpStream) {
    let begun = Instant::now();
    while unacknowledged(sender).unwrap() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
