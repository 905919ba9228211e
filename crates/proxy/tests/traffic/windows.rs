//! In HTTP/2 who does not take what is there for him holds up nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::client::{Raw, curl};
use crate::http2::{Http2, read};
use crate::stand::{soon, wish};
use crate::upstream::Upstream;

/// Waits until a number rests for half a second, and gives it.
pub(crate) async fn held_up(mut number: impl FnMut() -> usize) -> usize {
    let (mut before, mut since) = (0, Instant::now());
    soon("it is held up", || {
        let now = number();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        now > 0 && since.elapsed() > Duration::from_millis(500)
    })
    .await;
    before
}

// Did all requests share a connection to an upstream of HTTP/2, the first client that stops reading might be the last that is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_holds_up_no_other() {
    let upstream = Upstream::http2().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut stalled = Vec::new();
    for _ in 0..3 {
        let mut client = Raw::to(proxy.address).await;
        client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
        client.until("xxxx").await;
        stalled.push(client);
    }
    held_up(|| upstream.sent()).await;
    let place = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&place, "y".repeat(1 << 20)).unwrap();
    let data = format!("@{}", place.path().display());
    let said = curl(&["--data-binary", &data, &proxy.url("/echo")]).await;
    assert_eq!(
        (said.code, said.status(), said.body.len()),
        (0, 200, 1 << 20),
        "{said:?}"
    );
    assert_eq!(upstream.connections(), 4);
    // The others are still there.
    for mut client in stalled {
        client.skip(1 << 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_takes_holds_up_no_other_of_its_connection() {
    nobody_takes(&Upstream::start().await, true).await;
}

// In one connection to an upstream of HTTP/2 it might: the window is the upstream's. So each client has one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_an_upstream_of_http2_does_not_take_holds_up_no_other_client() {
    nobody_takes(&Upstream::http2().await, false).await;
}

/// A body that nobody takes, and another, of the same connection or of another.
async fn nobody_takes(upstream: &Upstream, same: bool) {
    let proxy = wish("{}").to(&upstream.url()).start();
    let client = Http2::to(proxy.address).await;
    let (mut endless, held) = client.ask("POST", "/hold");
    let held = tokio::spawn(held);
    let sent = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let sent = Arc::clone(&sent);
        async move {
            let part = Bytes::from("x".repeat(65536));
            while endless.send_data(part.clone()).await.is_ok() {
                sent.fetch_add(65536, Ordering::SeqCst);
            }
        }
    });
    held_up(|| sent.load(Ordering::SeqCst)).await;
    let other = if same { client } else { Http2::to(proxy.address).await };
    let (mut body, answered) = other.ask("POST", "/echo");
    let part = Bytes::from("y".repeat(200_000));
    let sends = async {
        body.send_data(part.clone()).await.unwrap();
        drop(body);
    };
    let ((), answer) = tokio::join!(sends, answered);
    assert_eq!(read(answer).await, part);
    assert!(!held.is_finished());
}
