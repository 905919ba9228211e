//! One, ten and fifty percent of a hundred thousand messages: so many, and the same ones, whether one thread carries them or eight do. What stops
//! a connection is met once in each, so of that there are no more messages than some hundred connections carry until then; a hundred thousand
//! are asked about where it is decided, in `src/websocket/message.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{CLOSE, PING, TEXT};
use crate::shares::{by_threads, is_share_of, parts};
use crate::stand::{LIMIT, soon, wish};

const CONNECTIONS: usize = 25;
/// In each direction of each.
const EACH: usize = 2000;
const CONFIG: &str = "websocket:
  message_drop_probability: 0.1
  message_corruption_probability: 0.5
  message_delay_ms: 0.01
  message_delay_probability: 0.01
";

/// What every connection meets at some time.
const STOPS: &str = "websocket:
  close_codes: [1001, 1011]
  close_probability: 0.01
  message_delay_ms: 3600000
  message_delay_probability: 0.01
";
const STOPPED: usize = 320;
/// So many messages that it does, and so few that all behind one that is held is taken: else nobody sees that its client is gone.
const UNTIL: usize = 600;

/// In bytes, a message.
const LENGTH: usize = 6;
const MASK: [u8; 4] = [0x12, 0xff, 0, 0x7e];

/// What a message met, by what of it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nothing,
    Corrupted,
    Lost,
}

/// What a connection carried: so many messages, and the code that it was closed with. `None`: the next one was held.
type Stop = (usize, Option<u16>);

/// One end of a connection.
struct End {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    is_client: bool,
}

/// A text that says a number, and nothing of it by the four low bits of a byte: those are what corruption turns.
fn text(number: usize) -> [u8; LENGTH] {
    std::array::from_fn(|at| 0x40 | ((number >> (2 * at)) as u8 & 3) << 4)
}

fn number(text: [u8; LENGTH]) -> usize {
    let pairs = text.iter().enumerate();
    pairs.map(|(at, byte)| usize::from(byte >> 4 & 3) << (2 * at)).sum()
}

/// The first byte of a frame, and the first of its payload. `None`: none comes.
async fn next(from: &mut BufReader<OwnedReadHalf>) -> Option<(u8, [u8; LENGTH])> {
    let first = from.read_u8().await.ok()?;
    let (mut mask, mut text) = ([0; 4], [0; LENGTH]);
    if from.read_u8().await.unwrap() >> 7 == 1 {
        from.read_exact(&mut mask).await.unwrap();
    }
    from.read_exact(&mut text).await.unwrap();
    for (byte, mask) in text.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Some((first, text))
}

impl End {
    fn new(stream: TcpStream, is_client: bool) -> Self {
        stream.set_nodelay(true).unwrap();
        let (from, to) = stream.into_split();
        let from = BufReader::new(from);
        Self { from, to, is_client }
    }

    async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = timeout(LIMIT, self.from.read_line(&mut head)).await.unwrap();
            assert!(count.unwrap() > 0, "{head}");
        }
        head
    }

    /// A client's.
    async fn open(address: SocketAddr, id: usize) -> Self {
        let mut end = Self::new(TcpStream::connect(address).await.unwrap(), true);
        let asks = format!(
            "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-request-id: {id}\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        );
        end.to.write_all(asks.as_bytes()).await.unwrap();
        let head = end.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        end
    }

    /// A server's, and which of the client's connections it is of.
    async fn opened(stream: TcpStream) -> (usize, Self) {
        let mut end = Self::new(stream, false);
        let head = end.head().await;
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        let answers = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        end.to.write_all(answers.as_bytes()).await.unwrap();
        (id.unwrap().parse().unwrap(), end)
    }

    fn frame(&self, first: u8, mut text: [u8; LENGTH]) -> Vec<u8> {
        if !self.is_client {
            return [&[first, LENGTH as u8][..], &text].concat();
        }
        for (byte, mask) in text.iter_mut().zip(MASK.iter().cycle()) {
            *byte ^= mask;
        }
        [&[first, 0x80 | LENGTH as u8][..], &MASK, &text].concat()
    }

    /// So many messages, and a ping behind them.
    fn frames(&self, messages: usize) -> Vec<u8> {
        let all = (0..messages).flat_map(|number| self.frame(TEXT, text(number)));
        all.chain(self.frame(PING, text(0))).collect()
    }

    /// Says all messages, and hears what became of those of the other end.
    async fn talk(&mut self) -> Vec<Met> {
        let frames = self.frames(EACH);
        let Self { from, to, .. } = self;
        let hears = async {
            let mut all = vec![Met::Lost; EACH];
            loop {
                let (first, came) = next(from).await.expect("all frames");
                if first == PING {
                    break all;
                }
                let number = number(came);
                all[number] = if came == text(number) {
                    Met::Nothing
                } else {
                    Met::Corrupted
                };
            }
        };
        let both = async { tokio::join!(to.write_all(&frames), hears) };
        let (said, heard) = timeout(LIMIT, both).await.unwrap();
        said.unwrap();
        heard
    }

    /// Hears what comes until something stops it.
    async fn stop(&mut self) -> Stop {
        let hears = async {
            let mut passed = 0;
            while let Some((first, text)) = next(&mut self.from).await {
                if first == CLOSE {
                    return (passed, Some(u16::from_be_bytes([text[0], text[1]])));
                }
                assert_eq!((first, number(text)), (TEXT, passed));
                passed += 1;
            }
            (passed, None)
        };
        timeout(LIMIT, hears).await.unwrap()
    }
}

/// A server that does this with its end of each connection.
async fn server<F>(serve: impl Fn(usize, End) -> F + Clone + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = serve.clone();
            tokio::spawn(async move {
                let (id, end) = End::opened(stream).await;
                serve(id, end).await;
            });
        }
    });
    url
}

/// What the messages met that each client sent, and those that each server did, where so many threads carry them; and how many were held.
fn met(threads: usize) -> (Vec<[Vec<Met>; 2]>, usize) {
    by_threads(threads, async {
        let (said, mut heard) = mpsc::unbounded_channel();
        let url = server(move |id, mut end| {
            let said = said.clone();
            async move { said.send((id, end.talk().await)).unwrap() }
        });
        let proxy = wish(CONFIG).to(&url.await).start();
        let address = proxy.address;
        let clients: Vec<_> = parts(threads, CONNECTIONS)
            .into_iter()
            .map(|part| {
                tokio::spawn(async move {
                    let mut all = Vec::new();
                    for id in part {
                        all.push((id, End::open(address, id).await.talk().await));
                    }
                    all
                })
            })
            .collect();
        let mut all = vec![[Vec::new(), Vec::new()]; CONNECTIONS];
        for client in clients {
            for (id, from_server) in client.await.unwrap() {
                all[id][1] = from_server;
            }
        }
        for _ in 0..CONNECTIONS {
            let (id, from_client) = timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
            all[id][0] = from_client;
        }
        (all, proxy.faults("websocket_message_delay") as usize)
    })
}

#[test]
fn a_share_of_a_hundred_thousand_messages_is_the_same_ones_at_one_and_at_eight_threads() {
    let by_one = met(1);
    assert!(by_one == met(8), "others at 8 threads");
    let (all, held) = by_one;
    let messages: Vec<Met> = all.into_iter().flatten().flatten().collect();
    let count = |what| messages.iter().filter(|met| **met == what).count();
    let lost = count(Met::Lost);
    is_share_of("websocket_message_drop", lost, 100_000, 0.1);
    let others = messages.len() - lost;
    is_share_of("websocket_message_corruption", count(Met::Corrupted), others, 0.5);
    is_share_of("websocket_message_delay", held, others, 0.01);
}

/// What stops each connection, where so many threads carry them.
fn stopped(threads: usize) -> Vec<Stop> {
    by_threads(threads, async {
        let (said, mut heard) = mpsc::unbounded_channel();
        let closed = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&closed);
        let url = server(move |id, mut end| {
            let (said, counts) = (said.clone(), Arc::clone(&counts));
            async move {
                let stop = end.stop().await;
                counts.fetch_add(usize::from(stop.1.is_some()), Ordering::Release);
                said.send((id, stop)).unwrap();
            }
        });
        let proxy = wish(STOPS).to(&url.await).start();
        let address = proxy.address;
        let clients: Vec<_> = parts(threads, STOPPED)
            .into_iter()
            .map(|part| {
                tokio::spawn(async move {
                    let mut all = Vec::new();
                    for id in part {
                        let mut end = End::open(address, id).await;
                        let frames = end.frames(UNTIL);
                        end.to.write_all(&frames).await.unwrap();
                        all.push(end);
                    }
                    all
                })
            })
            .collect();
        let mut ends = Vec::new();
        for client in clients {
            ends.extend(client.await.unwrap());
        }
        soon("each is stopped", || {
            closed.load(Ordering::Acquire) + proxy.faults("websocket_message_delay") as usize == STOPPED
        })
        .await;
        for End { from, to, .. } in ends {
            // By a reset: who ends in order may still be waiting for what is held, and that is an hour.
            from.get_ref().as_ref().set_zero_linger().unwrap();
            to.forget();
        }
        let mut all = vec![Stop::default(); STOPPED];
        for _ in 0..STOPPED {
            let (id, stop) = timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
            all[id] = stop;
        }
        all
    })
}

#[test]
fn a_connection_is_stopped_at_the_same_message_at_one_and_at_eight_threads() {
    let all = stopped(1);
    assert!(all == stopped(8), "others at 8 threads");
    let messages: usize = all.iter().map(|(passed, _)| passed + 1).sum();
    let closed = all.iter().filter(|(_, code)| code.is_some()).count();
    is_share_of("websocket_close", closed, messages, 0.01);
    is_share_of("websocket_message_delay", STOPPED - closed, messages - closed, 0.01);
    let code = |wanted| all.iter().filter(|(_, code)| *code == Some(wanted)).count();
    assert_eq!(code(1001) + code(1011), closed);
    is_share_of("its code", code(1001), closed, 0.5);
}
