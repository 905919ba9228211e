//! What all connections share has an end. The bounds are small here.

mod shares;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::tcp::toxic::{Asked, Kind};

const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// What relays share, for so many connections and bytes; and what has to live as long.
fn common(connections: usize, held: usize) -> (Arc<Common>, watch::Sender<bool>) {
    let (drain, draining) = watch::channel(false);
    let common = Common {
        seed: Seed(42),
        timer: Timer::start().unwrap(),
        metrics: Toxics::new(&Kind::NAMES),
        room: Arc::new(Semaphore::new(connections)),
        held: All::new(held),
        unheard: LIMIT,
        draining,
    };
    (Arc::new(common), drain)
}

fn relay(common: &Arc<Common>, name: &str, upstream: SocketAddr, toxics: Vec<Toxic>) -> Relay {
    let mut relay = Relay::new(
        name.to_owned(),
        "127.0.0.1:0".parse().unwrap(),
        upstream.to_string(),
        toxics,
    );
    relay.start(common).unwrap();
    relay
}

async fn ping(client: &mut TcpStream) {
    client.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    timeout(LIMIT, client.read_exact(&mut word)).await.unwrap().unwrap();
    assert_eq!(&word, b"ping");
}

#[tokio::test]
async fn no_more_connections_are_carried_than_may_be_of_all_relays() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = server.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = server.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                let _ended = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    let (common, _drain) = common(2, 1 << 20);
    let (one, other) = (
        relay(&common, "one", upstream, Vec::new()),
        relay(&common, "other", upstream, Vec::new()),
    );
    let mut first = TcpStream::connect(one.listen).await.unwrap();
    let mut second = TcpStream::connect(other.listen).await.unwrap();
    ping(&mut first).await;
    ping(&mut second).await;
    // The kernel has it, and we do not.
    let mut third = TcpStream::connect(one.listen).await.unwrap();
    third.write_all(b"ping").await.unwrap();
    for _ in 0..50 {
        ping(&mut first).await;
    }
    assert_eq!(one.connections() + other.connections(), 2);
    drop(second);
    let mut word = [0; 4];
    timeout(LIMIT, third.read_exact(&mut word)).await.unwrap().unwrap();
    assert_eq!(&word, b"ping");
    serving.abort();
}

/// Looks until what is held has been the same for a while, and gives that. Meanwhile it sends as much as anybody takes of this.
async fn settled(common: &Common, client: &TcpStream, part: &[u8]) -> usize {
    let (mut held, mut looks) = (common.held.held(), 0);
    while looks < 50 {
        // Whether it is taken is seen by what is held.
        let _full = client.try_write(part);
        // tidy: sleep because it is the pause between two looks
        tokio::time::sleep(PAUSE).await;
        let now = common.held.held();
        looks = if now == held { looks + 1 } else { 0 };
        held = now;
    }
    held
}

#[tokio::test]
async fn no_more_bytes_are_held_than_may_be_of_all_connections() {
    const MOST: usize = 1 << 20;
    const READ: usize = 64 << 10;
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (common, _drain) = common(64, MOST);
    let toxic: Asked = serde_json::from_value(json!({
        "type": "latency", "stream": "upstream", "attributes": { "latency": 3_600_000 }
    }))
    .unwrap();
    let toxics = vec![toxic.make().unwrap()];
    let relay = relay(&common, "a", server.local_addr().unwrap(), toxics);
    let part = vec![7; 4 * READ];
    let mut clients: Vec<TcpStream> = Vec::new();
    let mut held = 0;
    // One alone could have 4 MiB held, but not more than half of what all may have; and then each has a little.
    while held < MOST {
        assert!(clients.len() < 32, "{held} bytes");
        let client = TcpStream::connect(relay.listen).await.unwrap();
        held = settled(&common, &client, &part).await;
        clients.push(client);
        assert!(
            held <= MOST.min(MOST / 2 + clients.len() * 2 * READ) + READ,
            "{held} bytes of {}",
            clients.len()
        );
    }
    assert!(clients.len() > 3);
    // Who comes now is heard once, so that nobody waits for ever, and has no more taken before that is gone.
    let last = TcpStream::connect(relay.listen).await.unwrap();
    let word = [7; 2048];
    last.try_write(&word).unwrap();
    assert_eq!(settled(&common, &last, &[]).await, held + word.len());
    last.try_write(&word).unwrap();
    assert_eq!(settled(&common, &last, &[]).await, held + word.len());
    drop((clients, last, relay));
    let begun = Instant::now();
    while common.held.held() > 0 {
        assert!(begun.elapsed() < LIMIT);
        // tidy: sleep because it is the pause between two looks
        tokio::time::sleep(PAUSE).await;
    }
}
