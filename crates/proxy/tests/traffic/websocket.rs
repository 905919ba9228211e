//! Connections of WebSocket, both of whose ends are the test's; what clients make of them is seen with real ones (`real_clients`, of `fracas`).

mod shares;
mod streams;

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::api::put;
use crate::client::curl;
use crate::stand::{LIMIT, Stand, soon, wish};
use crate::tls::parts::{Behind, HTTP1};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;
/// Of what clients send.
const MASK: [u8; 4] = [0x12, 0xff, 0, 0x7e];

/// One end of a connection.
struct End<S = TcpStream> {
    stream: S,
    mask: Option<[u8; 4]>,
}

/// A proxy, a client behind it, and what the client came to.
struct Both {
    proxy: Stand,
    listener: TcpListener,
    client: End,
    upstream: End,
}

/// The next frame, without its mask.
async fn frame_from(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let (first, second) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = match second & 0x7f {
        127 => stream.read_u64().await?,
        126 => u64::from(stream.read_u16().await?),
        short => u64::from(short),
    };
    let mut key = [0; 4];
    if second >> 7 == 1 {
        stream.read_exact(&mut key).await?;
    }
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await?;
    for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    Ok((first, payload))
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    /// Asks for a connection, as a client.
    async fn ask(&mut self, id: &str) {
        let asks = format!(
            "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\nx-request-id: {id}\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        );
        self.stream.write_all(asks.as_bytes()).await.unwrap();
    }

    /// Grants what is asked, as a server, and gives what that was.
    async fn grant(&mut self) -> String {
        let asked = self.head().await;
        let answers = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        self.stream.write_all(answers.as_bytes()).await.unwrap();
        asked
    }

    /// Reads that it was granted.
    async fn is_granted(&mut self) {
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        let bit = if self.mask.is_some() { 0x80 } else { 0 };
        let mut all = vec![first];
        match payload.len() {
            short @ 0..=125 => all.push(bit | short as u8),
            long @ 126..=65535 => {
                all.push(bit | 0x7e);
                all.extend((long as u16).to_be_bytes());
            }
            long => {
                all.push(bit | 0x7f);
                all.extend((long as u64).to_be_bytes());
            }
        }
        let key = self.mask.unwrap_or_default();
        all.extend(self.mask.into_iter().flatten());
        all.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ key[n % 4]));
        all
    }

    async fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame(first, payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn frame_of_other(&mut self) -> (u8, Vec<u8>) {
        self.try_frame_of_other().await.unwrap()
    }

    /// The same, if there is one before the end.
    async fn try_frame_of_other(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        timeout(LIMIT, frame_from(&mut self.stream))
            .await
            .expect("a frame in time")
    }

    /// What comes until the end, which is one in order.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        timeout(LIMIT, self.stream.read_to_end(&mut rest))
            .await
            .unwrap()
            .unwrap();
        rest
    }
}

/// The close frame that the proxy sends with this code.
fn closed(code: u16) -> (u8, Vec<u8>) {
    (CLOSE, [&code.to_be_bytes()[..], b"closed by Fracas"].concat())
}

impl Both {
    async fn start(config: &str) -> Self {
        Self::as_of(config, "a").await
    }

    async fn as_of(config: &str, id: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = wish(config).to(&url).start();
        let (client, upstream) = open(&proxy, &listener, id).await;
        Self {
            proxy,
            listener,
            client,
            upstream,
        }
    }
}

async fn open(proxy: &Stand, listener: &TcpListener, id: &str) -> (End, End) {
    open_by(TcpStream::connect(proxy.address).await.unwrap(), listener, id).await
}

/// The same by a connection that is there.
async fn open_by<S>(stream: S, listener: &TcpListener, id: &str) -> (End<S>, End)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = End {
        stream,
        mask: Some(MASK),
    };
    client.ask(id).await;
    let mut upstream = End {
        stream: timeout(LIMIT, listener.accept()).await.unwrap().unwrap().0,
        mask: None,
    };
    upstream.grant().await;
    client.is_granted().await;
    (client, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fault_every_byte_passes_in_both_directions() {
    for config in [
        "{}",
        "websocket: { enabled: true }",
        "websocket: { enabled: false, message_drop_probability: 1 }",
    ] {
        let Both {
            mut client,
            mut upstream,
            ..
        } = Both::start(config).await;
        let large = vec![b'x'; 200_000];
        let frames = [
            (TEXT, &b"hello"[..]),
            (0x01, b"one "),
            (PING, b"between"),
            (0x00, b""),
            (0x80, b"other"),
            (BINARY, &large),
            (0xc1, b"packed"),
            (TEXT, b""),
        ];
        for up in [true, false] {
            let (from, to) = if up {
                (&mut client, &mut upstream)
            } else {
                (&mut upstream, &mut client)
            };
            let mut sent: Vec<u8> = frames
                .iter()
                .flat_map(|(first, payload)| from.frame(*first, payload))
                .collect();
            // Half of a head at the end, behind which nothing comes for a while.
            sent.extend([0x82, 0xfe]);
            let parts = async {
                for part in sent[..400].chunks(3) {
                    from.stream.write_all(part).await.unwrap();
                }
                from.stream.write_all(&sent[400..]).await.unwrap();
            };
            let mut came = vec![0; sent.len()];
            let ((), read) = tokio::join!(parts, timeout(LIMIT, to.stream.read_exact(&mut came)));
            read.unwrap().unwrap();
            assert!(came == sent, "{config}");
        }
        // The end of one direction is not that of the other.
        client.stream.shutdown().await.unwrap();
        assert!(upstream.rest().await.is_empty());
        upstream.stream.write_all(b"behind").await.unwrap();
        drop(upstream);
        assert_eq!(client.rest().await, b"behind");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_passes_as_it_is() {
    let Both {
        mut client,
        mut upstream,
        ..
    } = Both::start("websocket: { message_drop_probability: 1 }").await;
    // A ping in two parts: there is no such thing.
    let wrong = b"\x09\x03abc and whatever follows";
    client.stream.write_all(wrong).await.unwrap();
    client.stream.shutdown().await.unwrap();
    assert_eq!(upstream.rest().await, wrong);
}

// Whatever it is that two sides speak who call it WebSocket: each may wait for a byte of the other's before it says more.
#[tokio::test(flavor = "multi_thread")]
async fn no_byte_is_kept_for_those_that_follow() {
    for config in ["{}", "websocket: { enabled: true }"] {
        let Both {
            mut client,
            mut upstream,
            ..
        } = Both::start(config).await;
        // Heads of 4, 14 and 2 bytes, as one could read them, with payloads of 1, 1 and 66.
        for byte in *b"a~\0\x01xa\xff\0\0\0\0\0\0\0\x01keyszaBc" {
            client.stream.write_all(&[byte]).await.unwrap();
            let up = timeout(LIMIT, upstream.stream.read_u8()).await;
            upstream.stream.write_all(&[byte]).await.unwrap();
            let down = timeout(LIMIT, client.stream.read_u8()).await;
            let came = [up, down].map(|one| one.expect("each byte in time").unwrap());
            assert_eq!(came, [byte, byte], "{config}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_is_not_read_as_frames() {
    let upstream = crate::upstream::Upstream::start().await;
    let proxy = wish("websocket: { message_drop_probability: 1 }")
        .to(&upstream.url())
        .start();
    let mut client = crate::client::Raw::to(proxy.address).await;
    client
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    client.until("\r\n\r\n").await;
    client.send("\x01\x03abc").await;
    client.until("\x01\x03abc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_dropped_whole_and_the_same_each_time() {
    let lost = async |id: &str| {
        let mut both = Both::as_of("websocket: { message_drop_probability: 0.5 }", id).await;
        let mut lost = Vec::new();
        for n in 0..40u8 {
            both.client.send(0x01, &[b'a', n]).await;
            both.client.send(PING, &[n]).await;
            both.client.send(0x80, b" and its end").await;
        }
        both.client.send(PING, b"last").await;
        let mut came = Vec::new();
        loop {
            let (first, payload) = both.upstream.frame_of_other().await;
            if payload == b"last" {
                break;
            }
            came.push((first, payload));
        }
        for n in 0..40u8 {
            // A ping is no message, also in the middle of one.
            assert!(came.contains(&(PING, vec![n])));
            if !came.contains(&(0x01, vec![b'a', n])) {
                lost.push(n);
            }
        }
        let ends = came.iter().filter(|(first, _)| *first == 0x80).count();
        assert_eq!(ends, 40 - lost.len());
        assert_eq!(both.proxy.faults("websocket_message_drop") as usize, lost.len());
        // The other direction decides by itself.
        for n in 0..40u8 {
            both.upstream.send(BINARY, &[n]).await;
        }
        both.upstream.send(PING, b"last").await;
        let mut back: Vec<u8> = (0..40).collect();
        loop {
            let (_, payload) = both.client.frame_of_other().await;
            if payload == b"last" {
                break;
            }
            back.retain(|n| *n != payload[0]);
        }
        (lost, back)
    };
    let (up, down) = lost("a").await;
    assert!(
        (8..32).contains(&up.len()) && (8..32).contains(&down.len()),
        "{up:?} {down:?}"
    );
    assert_ne!(up, down);
    assert_eq!(lost("a").await, (up.clone(), down));
    assert_ne!(lost("b").await.0, up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_one_of_both_sides() {
    let mut both = Both::start("websocket: { close_codes: [1011], close_probability: 1 }").await;
    // In the middle of what the other side sends, which comes to its end first.
    let large = vec![b'y'; 100_000];
    let frame = both.upstream.frame(PING, b"before");
    both.upstream.stream.write_all(&frame).await.unwrap();
    assert_eq!(both.client.frame_of_other().await, (PING, b"before".to_vec()));
    let frame = both.upstream.frame(0x80, &large);
    both.upstream.stream.write_all(&frame[..50_000]).await.unwrap();
    let mut begun = vec![0; 10_000];
    both.client.stream.read_exact(&mut begun).await.unwrap();
    both.client.send(TEXT, b"hello").await;
    assert_eq!(both.upstream.frame_of_other().await, closed(1011));
    both.upstream.stream.write_all(&frame[50_000..]).await.unwrap();
    let mut rest = vec![0; frame.len() - begun.len()];
    timeout(LIMIT, both.client.stream.read_exact(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!([begun, rest].concat() == frame);
    assert_eq!(both.client.frame_of_other().await, closed(1011));
    // Both answer, and that is the end, in order; what comes between is not passed on.
    let answered = Instant::now();
    both.client.send(TEXT, b"too late").await;
    both.client.send(CLOSE, &1011u16.to_be_bytes()).await;
    both.upstream.send(CLOSE, &1011u16.to_be_bytes()).await;
    assert!(both.client.rest().await.is_empty() && both.upstream.rest().await.is_empty());
    // Nobody was waited for in vain.
    assert!(answered.elapsed() < Duration::from_secs(4), "{:?}", answered.elapsed());
    assert_eq!(both.proxy.faults("websocket_close"), 1);
    // One who does not answer is not waited for without end.
    let (mut client, mut upstream) = open(&both.proxy, &both.listener, "b").await;
    let begun = Instant::now();
    upstream.send(BINARY, b"hello").await;
    assert_eq!(
        (client.frame_of_other().await, upstream.frame_of_other().await),
        (closed(1011), closed(1011))
    );
    assert!(client.rest().await.is_empty() && upstream.rest().await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(both.proxy.ended().await.cut, 0);
}

// The other side may answer in the same breath in which it ends its frame.
#[tokio::test(flavor = "multi_thread")]
async fn a_close_stands_behind_the_frame_that_passes_and_before_all_others() {
    let mut both = Both::start("websocket: { close_codes: [1011], close_probability: 1 }").await;
    let frame = both.upstream.frame(PING, b"whole");
    both.upstream.stream.write_all(&frame[..4]).await.unwrap();
    let mut came = [0; 7];
    both.client.stream.read_exact(&mut came[..4]).await.unwrap();
    both.client.send(TEXT, b"hello").await;
    assert_eq!(both.upstream.frame_of_other().await, closed(1011));
    let answers = both.upstream.frame(CLOSE, &1011u16.to_be_bytes());
    let begun = Instant::now();
    both.upstream
        .stream
        .write_all(&[&frame[4..], &answers].concat())
        .await
        .unwrap();
    both.client.stream.read_exact(&mut came[4..]).await.unwrap();
    assert_eq!(came[..], frame);
    assert_eq!(both.client.frame_of_other().await, closed(1011));
    both.client.send(CLOSE, &1011u16.to_be_bytes()).await;
    assert!(both.client.rest().await.is_empty() && both.upstream.rest().await.is_empty());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_already_is_left_to_it() {
    let mut both = Both::start("{}").await;
    both.client.send(CLOSE, &1000u16.to_be_bytes()).await;
    assert_eq!(
        both.upstream.frame_of_other().await,
        (CLOSE, 1000u16.to_be_bytes().to_vec())
    );
    put(
        &both.proxy,
        "/config/websocket",
        r#"{"close_codes": [1011], "close_probability": 1}"#,
    )
    .await;
    both.upstream.send(TEXT, b"goodbye").await;
    assert_eq!(both.client.frame_of_other().await, (TEXT, b"goodbye".to_vec()));
    both.upstream.send(CLOSE, &1000u16.to_be_bytes()).await;
    assert_eq!(
        both.client.frame_of_other().await,
        (CLOSE, 1000u16.to_be_bytes().to_vec())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupted_stays_a_message() {
    let mut both = Both::start("websocket: { message_corruption_probability: 1 }").await;
    let text = "a text, with \u{fc} and \u{1f980}, that is long enough. ".repeat(300);
    let bytes = vec![0; 1000];
    for up in [true, false] {
        let (from, to) = if up {
            (&mut both.client, &mut both.upstream)
        } else {
            (&mut both.upstream, &mut both.client)
        };
        from.send(TEXT, text.as_bytes()).await;
        let (first, came) = to.frame_of_other().await;
        let came = String::from_utf8(came).unwrap();
        assert_eq!((first, came.len()), (TEXT, text.len()));
        assert_ne!(came, text);
        from.send(0x02, &bytes[..501]).await;
        from.send(PING, b"ping").await;
        from.send(0x80, &bytes[501..]).await;
        let frames = [
            to.frame_of_other().await,
            to.frame_of_other().await,
            to.frame_of_other().await,
        ];
        assert_eq!(frames[1], (PING, b"ping".to_vec()));
        let all = [&frames[0].1[..], &frames[2].1].concat();
        // One of ten, over the end of a frame.
        assert_eq!(all.iter().filter(|byte| byte.is_power_of_two()).count(), 100);
        assert_eq!((all.len(), all.iter().filter(|byte| **byte != 0).count()), (1000, 100));
        from.send(TEXT, b"").await;
        assert_eq!(to.frame_of_other().await, (TEXT, Vec::new()));
    }
    // Nobody can harm what has no byte.
    assert_eq!(both.proxy.faults("websocket_message_corruption"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_held_and_what_comes_behind_it_waits() {
    let mut both = Both::start("websocket: { message_delay_ms: 200 }").await;
    let begun = Instant::now();
    both.client.send(TEXT, b"hello").await;
    both.client.send(PING, b"behind").await;
    // The other direction does not wait for it.
    both.upstream.send(PING, b"other").await;
    assert_eq!(both.client.frame_of_other().await, (PING, b"other".to_vec()));
    assert!(begun.elapsed() < Duration::from_millis(200));
    assert_eq!(both.upstream.frame_of_other().await, (TEXT, b"hello".to_vec()));
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert_eq!(both.upstream.frame_of_other().await, (PING, b"behind".to_vec()));
    assert_eq!(both.proxy.faults("websocket_message_delay"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_from_the_next_message_on_in_connections_that_are_open() {
    let mut both = Both::start("{}").await;
    let mut went = Vec::new();
    for (n, (path, body)) in [
        ("/config/websocket", r#"{"message_drop_probability": 1}"#),
        (
            "/config/websocket",
            r#"{"enabled": false, "message_drop_probability": 1}"#,
        ),
        ("/protocols/websocket/message-corruption", r#"{"probability": 0}"#),
        ("/protocols/websocket/message-drop", r#"{"probability": 0}"#),
        ("/disable", "{}"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = format!("before {n}");
        both.client.send(0x01, before.as_bytes()).await;
        // So the message has begun before the change, and ends behind it.
        both.client.send(PING, before.as_bytes()).await;
        while both.upstream.frame_of_other().await.0 != PING {}
        let method = if path.starts_with("/config") { "PUT" } else { "POST" };
        let url = both.proxy.url(&format!("/api/chaos{path}"));
        let said = curl(&["-X", method, "-H", "content-type: application/json", "-d", body, &url]).await;
        assert_eq!(said.status(), 200, "{}", said.text());
        both.client.send(0x80, b"end").await;
        both.client.send(TEXT, b"after").await;
        both.client.send(PING, b"last").await;
        let mut came = String::new();
        loop {
            let (_, payload) = both.upstream.frame_of_other().await;
            let payload = String::from_utf8(payload).unwrap();
            if payload == "last" {
                break;
            }
            came.push_str(&payload);
            came.push(' ');
        }
        went.push(came.trim().to_owned());
    }
    // The third switches on what was off, with all that it has.
    assert_eq!(went, ["end", "after", "end", "after", "end after"]);
    put(&both.proxy, "/config", "{}").await;
    let close = [
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"close_codes": [4000], "probability": 1}"#,
    ];
    let url = both.proxy.url("/api/chaos/protocols/websocket/close-codes");
    assert_eq!(
        curl(&[&close[..], &[&url]].concat()).await.text(),
        r#"{"message":"WebSocket close codes updated"}"#
    );
    both.client.send(TEXT, b"and close").await;
    assert_eq!(both.client.frame_of_other().await, closed(4000));
    assert_eq!(both.upstream.frame_of_other().await, closed(4000));
}

// Nobody would miss the client for an hour, and its place would be taken as long.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_while_a_message_is_held_holds_nothing() {
    let config =
        "websocket: { message_delay_ms: 3600000 }\nbulkhead: { max_concurrent_requests: 1, max_queue_size: 0 }";
    for is_client in [true, false] {
        for more in [0, 4000] {
            let Both {
                proxy,
                listener: _listener,
                mut client,
                mut upstream,
            } = Both::start(config).await;
            let (goes, stays) = if is_client {
                (&mut client, &mut upstream)
            } else {
                (&mut upstream, &mut client)
            };
            goes.send(TEXT, b"held").await;
            // What comes behind it is behind it still.
            goes.send(BINARY, &vec![1; more]).await;
            soon("it is held", || proxy.faults("websocket_message_delay") == 1).await;
            assert_eq!(proxy.counted("bulkhead_concurrent_requests"), 1);
            goes.stream.set_zero_linger().unwrap();
            // In the place of the one that is reset.
            goes.stream = TcpStream::connect(proxy.address).await.unwrap();
            // By a reset or in order.
            let _end = timeout(LIMIT, stays.stream.read_to_end(&mut Vec::new()))
                .await
                .expect("the other side is told");
            soon("its place is free", || {
                proxy.counted("bulkhead_concurrent_requests") == 0
            })
            .await;
        }
    }
}

// By TLS, too: it is the socket at which is looked.
#[tokio::test(flavor = "multi_thread")]
async fn who_ended_one_direction_and_is_gone_holds_nothing() {
    let Both {
        proxy,
        listener: _listener,
        client,
        mut upstream,
    } = Both::start("{}").await;
    let mut client = client.stream;
    client.shutdown().await.unwrap();
    assert!(upstream.rest().await.is_empty());
    client.set_zero_linger().unwrap();
    drop(client);
    soon("it is over", || proxy.connections() == 0).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = Behind::of(wish("{}").to(&format!("http://{}", listener.local_addr().unwrap())));
    let stream = behind.client(&[HTTP1]).await.into_inner();
    let (mut client, mut upstream) = open_by(stream, &listener, "a").await;
    client.stream.shutdown().await.unwrap();
    assert!(upstream.rest().await.is_empty());
    let (socket, _) = client.stream.into_inner();
    socket.set_zero_linger().unwrap();
    drop(socket);
    soon("it is over", || behind.proxy.connections() == 0).await;
}

// What came while a message was held passes behind it, and so does the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_a_message_is_held_passes_behind_it() {
    let mut both = Both::start("websocket: { message_delay_ms: 200 }").await;
    both.client.send(TEXT, b"hello").await;
    soon("it is held", || both.proxy.faults("websocket_message_delay") == 1).await;
    let mut expected = Vec::new();
    // More than is taken meanwhile, and frames that end where they may.
    for length in [0, 1, 100, 5000, 20_000] {
        let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        both.client.send(PING, &payload[..payload.len().min(125)]).await;
        expected.push((PING, payload[..payload.len().min(125)].to_vec()));
        both.client.send(0x02, &payload).await;
        both.client.send(0x80, &payload).await;
        expected.extend([(0x02, payload.clone()), (0x80, payload)]);
    }
    both.client.stream.shutdown().await.unwrap();
    assert_eq!(both.upstream.frame_of_other().await, (TEXT, b"hello".to_vec()));
    for frame in expected {
        assert_eq!(both.upstream.frame_of_other().await, frame);
    }
    assert!(both.upstream.rest().await.is_empty());
}

// Whoever closes TCP alone has not said the word of TLS for it (close_notify): of many programs that is the usual end.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_held_passes_before_an_end_without_the_word_of_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let behind = Behind::of(wish("websocket: { message_delay_ms: 300 }").to(&url));
    let stream = behind.client(&[HTTP1]).await.into_inner();
    let (mut client, mut upstream) = open_by(stream, &listener, "a").await;
    client.send(TEXT, b"hello").await;
    client.stream.flush().await.unwrap();
    soon("it is held", || behind.proxy.faults("websocket_message_delay") == 1).await;
    drop(client.stream.into_inner());
    assert_eq!(upstream.frame_of_other().await, (TEXT, b"hello".to_vec()));
    assert!(upstream.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_ends_does_not_wait_for_a_message_that_is_held() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut proxy = wish("websocket: { message_delay_ms: 3600000 }")
        .to(&url)
        .patience(Duration::from_millis(100))
        .start();
    let (mut client, mut upstream) = open(&proxy, &listener, "a").await;
    client.send(TEXT, b"held").await;
    // Nobody asks the API for it: curl is gone before its connection is, which would be cut off, too.
    soon("it is held", || proxy.faults("websocket_message_delay") == 1).await;
    proxy.ask_to_stop();
    assert_eq!(proxy.ended().await.cut, 1);
    assert!(upstream.rest().await.is_empty());
    // Not all of it was read.
    let _reset = timeout(LIMIT, client.stream.read_to_end(&mut Vec::new()))
        .await
        .unwrap();
}
