//! Upstreams of HTTP/2 that end a connection before they have begun with the request that is in it (RFC 9113, 6.8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::{Raw, curl};
use crate::stand::{LIMIT, wish};

/// Kinds of frames (RFC 9113, 6).
const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// Flags of them.
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Codes of errors (RFC 9113, 7).
pub(crate) const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// A server that sends back what it is sent.
pub(crate) struct Leaving {
    pub(crate) url: String,
    connections: Arc<AtomicUsize>,
    /// One for the head of each request.
    heads: mpsc::UnboundedReceiver<()>,
}

impl Leaving {
    /// So many connections end with this code when such a frame has come, as if nobody had seen its stream.
    pub(crate) async fn after(first: usize, kind: u8, code: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("h2c://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let (came, heads) = mpsc::unbounded_channel();
        let counts = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let leaves = counts.fetch_add(1, Ordering::SeqCst) < first;
                let came = came.clone();
                tokio::spawn(async move {
                    // How it ends is seen by the proxy.
                    let _end = serve(stream, leaves.then_some((kind, code)), came).await;
                });
            }
        });
        Self {
            url,
            connections,
            heads,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn head(&mut self) {
        timeout(LIMIT, self.heads.recv()).await.unwrap().unwrap();
    }
}

/// A frame (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn serve(
    mut stream: TcpStream,
    leaves: Option<(u8, u32)>,
    came: mpsc::UnboundedSender<()>,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; PREFACE]).await?;
    // It takes an extended CONNECT (RFC 8441, 3).
    stream.write_all(&frame(SETTINGS, 0, 0, &[0, 8, 0, 0, 0, 1])).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [_, long, short, kind, flags, id @ ..] = head;
        let mut payload = vec![0; usize::from(long) << 8 | usize::from(short)];
        stream.read_exact(&mut payload).await?;
        let id = u32::from_be_bytes(id);
        if kind == HEADERS {
            // The test may have ended.
            let _ended = came.send(());
        }
        let answer = match (kind, leaves) {
            (SETTINGS, _) if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
            (_, Some((at, code))) if kind == at => {
                frame(GOAWAY, 0, 0, &[0_u32.to_be_bytes(), code.to_be_bytes()].concat())
            }
            // The status 200, by its number in the table of HPACK.
            (HEADERS, None) => frame(HEADERS, END_HEADERS | flags & END_STREAM, id, &[0x88]),
            (DATA, None) => frame(DATA, flags & END_STREAM, id, &payload),
            _ => continue,
        };
        stream.write_all(&answer).await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_begun_goes_by_another_connection() {
    for method in ["GET", "DELETE"] {
        // How often, until it is given up.
        for (first, status, connections) in [(1, 200, 2), (2, 200, 3), (3, 502, 3)] {
            let upstream = Leaving::after(first, HEADERS, NO_ERROR).await;
            let proxy = wish("{}").to(&upstream.url).start();
            let said = curl(&["-X", method, &proxy.url("/")]).await;
            assert_eq!(said.status(), status, "{method} {first}: {}", said.text());
            assert_eq!(upstream.connections(), connections, "{method} {first}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_not_begun_goes_along_whole() {
    for expects in ["", "expect: 100-continue\r\n"] {
        let mut upstream = Leaving::after(1, HEADERS, NO_ERROR).await;
        let proxy = wish("{}").to(&upstream.url).start();
        let mut client = Raw::to(proxy.address).await;
        let head = format!("PUT / HTTP/1.1\r\nhost: a\r\n{expects}content-length: 10\r\n\r\n");
        client.send(head).await;
        upstream.head().await;
        upstream.head().await;
        client.send("whole").await;
        let said = client.until("whole").await;
        assert!(said.contains("HTTP/1.1 200 OK\r\n"), "{said}");
        client.send(" body").await;
        client.until(" body").await;
        client.until("0\r\n\r\n").await;
        assert_eq!(upstream.connections(), 2);
        drop(client);
        assert_eq!(proxy.ended().await.cut, 0);
    }
}

// Of the rest nobody knows that it was not done, or it is there no more.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_begun_does_not_go_again() {
    let empty = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let begun = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nbegun";
    let held = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n";
    for (kind, code, asks) in [
        (HEADERS, INTERNAL_ERROR, "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        (HEADERS, NO_ERROR, empty),
        (HEADERS, NO_ERROR, held),
        (DATA, NO_ERROR, begun),
    ] {
        let upstream = Leaving::after(1, kind, code).await;
        let proxy = wish("{}").to(&upstream.url).start();
        let mut client = Raw::to(proxy.address).await;
        client.send(asks).await;
        let said = client.until("\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 502 "), "{asks}: {said}");
        assert_eq!(upstream.connections(), 1, "{asks}");
    }
}
