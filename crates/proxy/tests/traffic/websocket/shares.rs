//! One, ten and fifty percent of a hundred thousand messages: so many, and the same ones, whether one thread carries them or eight do. What stops
//! a connection is met once in each, so of that there are no more messages than some hundred connections carry until then; a hundred thousand
//! are asked about where it is decided, in `src/websocket/message.rs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::{CLOSE, MASK, PING, TEXT, frame_from};
use crate::shares::{by_threads, is_share_of, parts};
use crate::stand::{LIMIT, soon, wish};

/// Several for each client, also of eight threads.
const CONNECTIONS: usize = 100;
/// In each direction of each.
const EACH: usize = 500;
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
/// All are open at once, each with up to four descriptors of this process. It may be that it can have 1024 and no more.
const STOPPED: usize = 200;
/// So many messages that it does, and so few that all behind one that is held is taken: else nobody sees that who said it is gone.
const UNTIL: usize = 600;

/// In bytes, a message.
const LENGTH: usize = 6;

/// What a message met, by what of it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nothing,
    Corrupted,
    Lost,
}

/// What a connection carried: so many messages, and the code that it was closed with. `None`: the next one was held.
type Stop = (usize, Option<u16>);

/// Buffered, since there are many frames of few bytes.
type End = super::End<BufReader<TcpStream>>;

/// A text that says a number, and nothing of it by the four low bits of a byte: those are what corruption turns.
fn text(number: usize) -> [u8; LENGTH] {
    std::array::from_fn(|at| 0x40 | ((number >> (2 * at)) as u8 & 3) << 4)
}

fn number(text: &[u8]) -> usize {
    assert_eq!(text.len(), LENGTH);
    let pairs = text.iter().enumerate();
    pairs.map(|(at, byte)| usize::from(byte >> 4 & 3) << (2 * at)).sum()
}

fn end(stream: TcpStream, mask: Option<[u8; 4]>) -> End {
    stream.set_nodelay(true).unwrap();
    let stream = BufReader::new(stream);
    End { stream, mask }
}

/// A client's.
async fn open(address: SocketAddr, id: usize) -> End {
    let opens = async {
        let mut end = end(TcpStream::connect(address).await.unwrap(), Some(MASK));
        end.ask(&id.to_string()).await;
        end.is_granted().await;
        end
    };
    timeout(LIMIT, opens).await.unwrap()
}

/// A server's, and which of the client's connections it is of.
async fn opened(stream: TcpStream) -> (usize, End) {
    let mut end = end(stream, None);
    let head = timeout(LIMIT, end.grant()).await.unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    (id.unwrap().parse().unwrap(), end)
}

impl End {
    /// So many messages, and a ping behind them.
    fn frames(&self, messages: usize) -> Vec<u8> {
        let all = (0..messages).flat_map(|number| self.frame(TEXT, &text(number)));
        all.chain(self.frame(PING, &text(0))).collect()
    }

    /// Says all messages, and hears what became of those of the other end.
    async fn talk(&mut self) -> Vec<Met> {
        let frames = self.frames(EACH);
        let (mut from, mut to) = split(&mut self.stream);
        let hears = async {
            let mut all = Vec::with_capacity(EACH);
            loop {
                let (first, came) = frame_from(&mut from).await.unwrap();
                if first == PING {
                    all.resize(EACH, Met::Lost);
                    break all;
                }
                let number = number(&came);
                assert!((all.len()..EACH).contains(&number), "{number} after {}", all.len());
                all.resize(number, Met::Lost);
                all.push(if came == text(number) {
                    Met::Nothing
                } else {
                    Met::Corrupted
                });
            }
        };
        let both = async { tokio::join!(to.write_all(&frames), hears) };
        let (said, heard) = timeout(LIMIT, both).await.unwrap();
        said.unwrap();
        heard
    }

    /// Hears what comes until something stops it. It has no limit of its own: who waits for what was heard has one.
    async fn stop(&mut self) -> Stop {
        let mut passed = 0;
        while self.stream.fill_buf().await.is_ok_and(|bytes| !bytes.is_empty()) {
            let (first, text) = frame_from(&mut self.stream).await.unwrap();
            if first == CLOSE {
                return (passed, Some(u16::from_be_bytes([text[0], text[1]])));
            }
            assert_eq!((first, number(&text)), (TEXT, passed));
            passed += 1;
        }
        (passed, None)
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
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let serve = serve.clone();
            tokio::spawn(async move {
                let (id, end) = opened(stream).await;
                serve(id, end).await;
            });
        }
    });
    url
}

/// What the messages met that each client sent, and those that each server did, where so many threads carry them; and how many were held.
fn met(threads: usize) -> (Vec<[Vec<Met>; 2]>, usize) {
    by_threads(threads, async {
        let (said, mut heard) = unbounded_channel();
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
                        all.push((id, open(address, id).await.talk().await));
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
    is_share_of("websocket_message_drop", lost, messages.len(), 0.1);
    let others = messages.len() - lost;
    is_share_of("websocket_message_corruption", count(Met::Corrupted), others, 0.5);
    is_share_of("websocket_message_delay", held, others, 0.01);
}

/// Where both ends of connections say what they come to.
#[derive(Clone)]
struct Said {
    spoken: UnboundedSender<End>,
    heard: UnboundedSender<(usize, Stop)>,
    closed: Arc<AtomicUsize>,
}

impl Said {
    /// Says all messages, or hears them: of even connections the client says them, of odd ones the server.
    async fn act(self, id: usize, mut end: End) {
        if end.mask.is_some() == id.is_multiple_of(2) {
            let frames = end.frames(UNTIL);
            timeout(LIMIT, end.stream.write_all(&frames)).await.unwrap().unwrap();
            self.spoken.send(end).ok().unwrap();
        } else {
            let stop = end.stop().await;
            self.closed.fetch_add(usize::from(stop.1.is_some()), Ordering::Release);
            self.heard.send((id, stop)).unwrap();
        }
    }
}

/// What stops each connection, where so many threads carry them.
fn stopped(threads: usize) -> Vec<Stop> {
    by_threads(threads, async {
        let ((spoken, mut speakers), (heard, mut stops)) = (unbounded_channel(), unbounded_channel());
        let closed = Arc::new(AtomicUsize::new(0));
        let said = Said {
            spoken,
            heard,
            closed: Arc::clone(&closed),
        };
        let of_server = said.clone();
        let url = server(move |id, end| of_server.clone().act(id, end));
        let proxy = wish(STOPS).to(&url.await).start();
        let address = proxy.address;
        for part in parts(threads, STOPPED) {
            let said = said.clone();
            tokio::spawn(async move {
                for id in part {
                    let end = open(address, id).await;
                    tokio::spawn(said.clone().act(id, end));
                }
            });
        }
        soon("each is stopped", || {
            closed.load(Ordering::Acquire) + proxy.faults("websocket_message_delay") as usize == STOPPED
        })
        .await;
        for _ in 0..STOPPED {
            let end = timeout(LIMIT, speakers.recv()).await.unwrap().unwrap();
            // By a reset: who ends in order may still be waiting for what is held, and that is an hour.
            end.stream.get_ref().set_zero_linger().unwrap();
        }
        let mut all = vec![Stop::default(); STOPPED];
        for _ in 0..STOPPED {
            let (id, stop) = timeout(LIMIT, stops.recv()).await.unwrap().unwrap();
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
