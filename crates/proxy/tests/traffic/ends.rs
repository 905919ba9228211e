//! How a proxy ends.

use std::net::TcpStream;
use std::time::Duration;

use crate::client::Raw;
use crate::stand::{soon, wish};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn open_requests_end_in_peace_and_nobody_new_is_taken() {
    let upstream = Upstream::start().await;
    let mut proxy = wish("{}").to(&upstream.url()).start().await;
    let mut silent = Raw::to(proxy.address).await;
    silent.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.until("first").await;
    proxy.ask_to_stop();
    // Who waits for nothing is let go at once, and that is when the port is gone.
    assert_eq!(silent.rest().await.unwrap(), "");
    let at = proxy.address;
    soon("nobody new is taken", || TcpStream::connect(at).is_err()).await;
    upstream.go_on();
    let rest = client.rest().await.unwrap();
    assert!(rest.contains("second") && rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(proxy.ended().await.cut, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_has_an_end() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}")
        .to(&upstream.url())
        .patience(Duration::from_millis(100))
        .start()
        .await;
    let mut endless = Raw::to(proxy.address).await;
    endless.send("GET /two HTTP/1.1\r\nhost: a\r\n\r\n").await;
    endless.until("first").await;
    let mut tunnel = Raw::to(proxy.address).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    tunnel.send("x").await;
    tunnel.until("x").await;
    assert_eq!(proxy.ended().await.cut, 2);
    assert!(!endless.said().await.contains("second"));
    assert_eq!(tunnel.said().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_while_they_are_open() {
    let proxy = wish("{}").api_elsewhere().start().await;
    let mut client = Raw::to(proxy.address).await;
    client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let count = || {
        let mut asks = std::net::TcpStream::connect(proxy.api).unwrap();
        let ask = "GET /api/chaos/metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        std::io::Write::write_all(&mut asks, ask.as_bytes()).unwrap();
        let text = std::io::read_to_string(asks).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("fracas_proxy_connections "));
        line.unwrap().parse::<u32>().unwrap()
    };
    // Ours, and that of who asks.
    soon("two are open", || count() == 2).await;
    drop(client);
    soon("one is open", || count() == 1).await;
}
