//! One, ten and fifty percent of a hundred thousand connections, by what a pipe asks: so many, and the same ones, whether one thread asks or
//! eight do. TCP has no name for a connection, so it is the how-manieth of its proxy. Of real ones there are two hundred: each meets what
//! is decided about its number.

use std::time::Instant;

use tokio::runtime::Builder;

use super::*;
use crate::faults::shares::{Decides, REQUESTS, are_apart, holds};
use crate::tcp::effects::Effects;

const CONNECTIONS: u64 = 200;
const PROXY: &str = "redis";
/// What a server says to each, byte by byte.
const WORD: &[u8; 4] = b"word";
/// Behind so many bytes so many connections end, of a toxic each. What ends them first counts.
const LIMITS: [(&str, u64, f64); 3] = [("few", 1, 0.01), ("some", 2, 0.1), ("many", 3, 0.5)];

fn limit(name: &str, bytes: u64, toxicity: f64) -> Toxic {
    let asked = json!({ "type": "limit_data", "name": name, "toxicity": toxicity, "attributes": { "bytes": bytes } });
    serde_json::from_value::<Asked>(asked).unwrap().make().unwrap()
}

/// Behind how many bytes this connection ends. `None`: no toxic acts on it.
fn ends(connection: u64, toxics: &[Toxic]) -> Option<u64> {
    let mut effects = Effects::new(Which {
        seed: Seed(42),
        proxy: PROXY.to_owned(),
        connection,
        stream: Stream::Downstream,
    });
    drop(effects.update(toxics, Instant::now(), 0));
    effects.limit().map(|(bytes, _)| bytes)
}

#[test]
fn a_share_is_the_same_connections_by_one_thread_and_by_eight() {
    let connections: Vec<u64> = (0..REQUESTS as u64).collect();
    let tenths = ["one", "other"].map(|name| {
        let make = |share| -> Decides<u64> {
            let toxics = [limit(name, 1, share)];
            Box::new(move |connection| ends(*connection, &toxics).is_some())
        };
        (name, holds(name, &connections, make))
    });
    are_apart(&tenths);
}

/// Says the first byte, and the others when it hears something.
async fn say(mut stream: TcpStream) {
    let (first, others) = WORD.split_at(1);
    // Whoever is gone was cut off.
    let _gone = stream.write_all(first).await;
    if stream.read_u8().await.is_ok() {
        let _gone = stream.write_all(others).await;
    }
}

/// A connection that has its number: it has been to the server and back.
async fn open(relay: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(relay).await.unwrap();
    let first = timeout(LIMIT, client.read_u8()).await.unwrap();
    assert_eq!(first.unwrap(), WORD[0]);
    client
}

/// How many bytes come to each connection, where so many threads carry them. All are open at once; one thread opens them one after the
/// other, so that they are in the order of their numbers, and several open them all at once, in any.
fn heard(threads: usize) -> Vec<u64> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = server.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = server.accept().await.unwrap();
                tokio::spawn(say(stream));
            }
        });
        let (common, _drain) = common(CONNECTIONS as usize, 1 << 20);
        let toxics = LIMITS.map(|(name, bytes, share)| limit(name, bytes, share));
        let relay = relay(&common, PROXY, upstream, toxics.into());
        let mut clients = Vec::new();
        if threads == 1 {
            for _ in 0..CONNECTIONS {
                clients.push(open(relay.listen).await);
            }
        } else {
            let opened: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(open(relay.listen))).collect();
            for one in opened {
                clients.push(one.await.unwrap());
            }
        }
        let asks = |mut client: TcpStream| async move {
            // Of one that was cut off it may be an error, or come back as a reset.
            let _cut = client.write_all(b"?").await;
            let mut rest = Vec::new();
            let _cut = timeout(LIMIT, client.read_to_end(&mut rest)).await.unwrap();
            1 + rest.len() as u64
        };
        let asked: Vec<_> = clients
            .into_iter()
            .rev()
            .map(|client| tokio::spawn(asks(client)))
            .collect();
        let mut all = Vec::new();
        for one in asked.into_iter().rev() {
            all.push(one.await.unwrap());
        }
        all
    })
}

#[test]
fn each_connection_meets_what_is_decided_about_its_number() {
    let toxics = LIMITS.map(|(name, bytes, share)| limit(name, bytes, share));
    let mut decided: Vec<u64> = (0..CONNECTIONS)
        .map(|connection| ends(connection, &toxics).unwrap_or(WORD.len() as u64))
        .collect();
    // Of each kind there is one at least, so that it is seen that they differ.
    assert!((1..=4).all(|bytes| decided.contains(&bytes)), "{decided:?}");
    assert_eq!(heard(1), decided);
    // Which of those that come at once has which number is nobody's to say, so that of these it is seen how many meet what.
    let mut by_eight = heard(8);
    by_eight.sort_unstable();
    decided.sort_unstable();
    assert_eq!(by_eight, decided);
}
