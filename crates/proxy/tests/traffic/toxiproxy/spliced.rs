//! Streams of many bytes pass inside the kernel, and meet toxics all the same.

use std::fs;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stand::{Stand, connect, echo, ping, rest, server, source};
use crate::stand::LIMIT;

/// The pipes of this process.
fn pipes() -> usize {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    // One of them is that of the look itself, and is gone.
    let names = all.filter_map(|one| fs::read_link(one.unwrap().path()).ok());
    names.filter(|name| name.to_string_lossy().starts_with("pipe:")).count()
}

/// The byte that is at this place of a stream.
fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

/// A server that says so many bytes, all of them different.
async fn says(bytes: usize) -> std::net::SocketAddr {
    server(move |mut stream| async move {
        let all: Vec<u8> = (0..bytes).map(byte).collect();
        let _ended = stream.write_all(&all).await;
        let _ended = stream.shutdown().await;
        let _ended = stream.read_u8().await;
    })
    .await
}

/// Reads so many bytes, which are those that come at this place.
async fn reads(stream: &mut TcpStream, at: usize, count: usize) {
    let mut read = vec![0; count];
    timeout(LIMIT, stream.read_exact(&mut read)).await.unwrap().unwrap();
    assert!((at..).map(byte).zip(read).all(|(wanted, came)| wanted == came));
}

#[tokio::test]
async fn many_bytes_pass_without_a_copy_and_few_without_a_pipe() {
    let stand = Stand::start();
    let before = pipes();
    let mut few = connect(stand.proxy("few", echo().await, &[]).await).await;
    for _ in 0..100 {
        ping(&mut few).await;
    }
    assert_eq!(pipes(), before);
    // With a toxic there is always something to be decided.
    let late = json!({ "type": "latency", "attributes": { "latency": 1 } });
    let toxic = stand.proxy("toxic", source(8 << 20).await, &[late]).await;
    assert_eq!(rest(&mut connect(toxic).await).await.unwrap(), 8 << 20);
    assert_eq!(pipes(), before);
    let many = stand.proxy("many", source(8 << 20).await, &[]).await;
    assert_eq!(rest(&mut connect(many).await).await.unwrap(), 8 << 20);
    // Lent again and again, it is one.
    assert_eq!(pipes(), before + 2);
}

#[tokio::test]
async fn toxics_that_come_and_go_meanwhile_lose_and_change_no_byte() {
    const ALL: usize = 24 << 20;
    let stand = Stand::start();
    let at = stand.proxy("many", says(ALL).await, &[]).await;
    let mut stream = connect(at).await;
    let before = pipes();
    let mut read = 0;
    let late = json!({ "type": "latency", "name": "late", "attributes": { "latency": 5 } });
    for turn in 0..20 {
        reads(&mut stream, read, 1 << 20).await;
        read += 1 << 20;
        if turn % 2 == 0 {
            assert_eq!(stand.call("POST", "/proxies/many/toxics", &late).await.0, 200);
        } else {
            stand.cure("/proxies/many/toxics/late").await;
        }
    }
    assert!(pipes() > before);
    reads(&mut stream, read, ALL - read).await;
    assert_eq!(rest(&mut stream).await.unwrap(), 0);
}

// The error of a socket is told once, and here the splice may have it.
#[tokio::test]
async fn a_reset_behind_many_bytes_is_a_reset_of_the_other_side() {
    const ALL: usize = 1 << 20;
    let stand = Stand::start();
    let upstream = server(|mut stream| async move {
        let all: Vec<u8> = (0..ALL).map(byte).collect();
        stream.write_all(&all).await.unwrap();
        let _heard = stream.read_u8().await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let at = stand.proxy("broken", upstream, &[]).await;
    for _ in 0..20 {
        let mut stream = connect(at).await;
        reads(&mut stream, 0, ALL).await;
        stream.write_all(b"x").await.unwrap();
        let error = rest(&mut stream).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
