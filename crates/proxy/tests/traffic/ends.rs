//! How a proxy ends.

use std::net::TcpStream;
use std::time::Duration;

use crate::client::Raw;
use crate::kernel::{Socket, sockets};
use crate::stand::{LIMIT, soon, wish};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn open_requests_end_in_peace_and_nobody_new_is_taken() {
    let upstream = Upstream::start().await;
    let mut proxy = wish("{}").to(&upstream.url()).start();
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

// What has come to the API by then is answered, and begins nothing that would never end.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_while_the_proxy_ends() {
    let orchestration = r#"{"name": "o", "steps": [{"name": "a", "duration_seconds": 3600}]}"#;
    for (path, body) in [("orchestration/start", orchestration), ("scenarios/slow_backend", "{}")] {
        let mut proxy = wish("{}").start();
        let mut client = Raw::to(proxy.address).await;
        let length = body.len();
        client
            .send(format!(
                "POST /api/chaos/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
            ))
            .await;
        // It is asked for its body, and so was let in.
        client.until("HTTP/1.1 100 Continue\r\n\r\n").await;
        proxy.ask_to_stop();
        let at = proxy.address;
        soon("nobody new is taken", || TcpStream::connect(at).is_err()).await;
        client.send(body).await;
        let said = client.rest().await.unwrap();
        assert!(
            said.starts_with("HTTP/1.1 503 ") && said.contains("the proxy ends"),
            "{path}: {said}"
        );
        assert_eq!(proxy.ended().await.cut, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_has_an_end() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}")
        .to(&upstream.url())
        .patience(Duration::from_millis(100))
        .start();
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

// Whose connection is in the kernel's queue has sent its request, and knows nothing of the end.
#[tokio::test(flavor = "multi_thread")]
async fn who_came_before_the_end_is_answered() {
    let proxy = wish("{}").bind();
    let address = proxy.address().unwrap();
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Raw::to(address).await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    soon("they wait", || {
        let here = |socket: &&Socket| socket.port == address.port() && socket.listens();
        sockets().iter().find(here).is_some_and(|socket| socket.waiting == 100)
    })
    .await;
    // It is asked to stop before it has begun.
    // tidy: sleep because it is a limit, and nobody waits for it
    let drained = proxy.serve(async {}, tokio::time::sleep(LIMIT)).await;
    assert_eq!(drained.cut, 0);
    for client in clients {
        let said = client.said().await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_while_they_are_open_also_as_tunnels() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(proxy.connections(), 1);
    let mut tunnel = Raw::to(proxy.address).await;
    tunnel
        .send("GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n")
        .await;
    tunnel.until("\r\n\r\n").await;
    for _ in 0..100 {
        tunnel.send("x").await;
        tunnel.until("x").await;
        assert_eq!(proxy.connections(), 2);
    }
    drop(client);
    soon("the tunnel is left", || proxy.connections() == 1).await;
    drop(tunnel);
    soon("none is left", || proxy.connections() == 0).await;
}
