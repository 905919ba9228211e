//! What passes where no toxic acts, and how connections and proxies end.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::stand::{Stand, connect, echo, ping, rest, server, source};
use crate::stand::{LIMIT, soon};

#[tokio::test]
async fn bytes_pass_whole_both_ways_and_are_counted() {
    let stand = Stand::start();
    let at = stand.proxy("echo", echo().await, &[]).await;
    let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut from, mut to) = connect(at).await.into_split();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        from.read_to_end(&mut heard).await.map(|_| heard)
    });
    to.write_all(&sent).await.unwrap();
    // What the server still says after our end comes, too.
    to.shutdown().await.unwrap();
    assert!(heard.await.unwrap().unwrap() == sent);
    for way in ["received", "sent"] {
        for direction in ["upstream", "downstream"] {
            let labels = format!("toxiproxy_proxy_{way}_bytes_total{{direction=\"{direction}\",");
            let (_, text) = stand.say("GET", "/metrics", "", "").await;
            let line = text.lines().find(|line| line.starts_with(&labels)).unwrap();
            assert!(line.ends_with(" 4000000"), "{line}");
        }
    }
}

#[tokio::test]
async fn an_end_of_one_direction_leaves_the_other_open() {
    let stand = Stand::start();
    // It ends first, and hears on.
    let (said, mut heard) = tokio::sync::mpsc::channel(1);
    let upstream = server(move |mut stream| {
        let said = said.clone();
        async move {
            stream.write_all(b"bye").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await.unwrap();
            said.send(all).await.unwrap();
        }
    })
    .await;
    let at = stand.proxy("half", upstream, &[]).await;
    let mut stream = connect(at).await;
    assert_eq!(rest(&mut stream).await.unwrap(), 3);
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), b"late");
}

#[tokio::test]
async fn a_reset_of_one_side_is_a_reset_of_the_other() {
    let stand = Stand::start();
    let upstream = server(|mut stream| async move {
        let _begun = stream.read_u8().await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let at = stand.proxy("broken", upstream, &[]).await;
    let mut stream = connect(at).await;
    stream.write_all(b"x").await.unwrap();
    let error = rest(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

// What nobody acknowledged would be waited for before the other side is told, and of a side that is broken nobody ever acknowledges it.
#[tokio::test]
async fn a_side_that_is_broken_is_not_waited_for() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let stand = Stand::start();
    let upstream = server(move |mut stream| {
        let told = told.clone();
        async move {
            let part = vec![7; 64 << 10];
            let mut sent = 0;
            // Until the client takes no more, and then until it is gone.
            while stream.write_all(&part).await.is_ok() {
                sent += part.len();
                let _gone = told.send((sent, None));
            }
            let _gone = told.send((sent, Some(Instant::now())));
        }
    })
    .await;
    let at = stand.proxy("broken", upstream, &[]).await;
    let client = connect(at).await;
    let mut last = 0;
    // So long nothing more is taken.
    while let Ok(Some((sent, gone))) = timeout(Duration::from_millis(200), heard.recv()).await {
        assert!(gone.is_none());
        last = sent;
    }
    assert!(last > 0);
    client.set_zero_linger().unwrap();
    let begun = Instant::now();
    drop(client);
    let gone = loop {
        if let (_, Some(gone)) = timeout(LIMIT, heard.recv()).await.unwrap().unwrap() {
            break gone;
        }
    };
    let took = gone.duration_since(begun);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

// A server that has not read all when it closes resets the connection, right behind what it said (tcp_close() in net/ipv4/tcp.c).
#[tokio::test]
async fn what_a_server_said_before_it_reset_the_connection_arrives() {
    let stand = Stand::start();
    let upstream = server(|mut stream| async move {
        stream.readable().await.unwrap();
        stream.write_all(b"too large").await.unwrap();
    })
    .await;
    let late = json!({ "type": "latency", "attributes": { "latency": 50 } });
    for (name, toxics) in [("at once", vec![]), ("later", vec![late])] {
        let at = stand.proxy(name, upstream, &toxics).await;
        for _ in 0..50 {
            let mut stream = connect(at).await;
            stream.write_all(&[b'x'; 10_000]).await.unwrap();
            let mut said = Vec::new();
            // What comes behind it may be either end.
            let _reset = timeout(LIMIT, stream.read_to_end(&mut said)).await.unwrap();
            assert_eq!(said, b"too large", "{name}");
        }
    }
}

#[tokio::test]
async fn without_a_server_a_connection_is_closed() {
    let stand = Stand::start();
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let at = stand.proxy("gone", gone, &[]).await;
    assert_eq!(rest(&mut connect(at).await).await.unwrap(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_off_refuses_and_one_that_is_on_again_has_its_port() {
    let stand = Stand::start();
    let at = stand.proxy("switch", echo().await, &[]).await;
    let mut open = connect(at).await;
    ping(&mut open).await;
    let (status, shown) = stand
        .call("POST", "/proxies/switch", &json!({ "enabled": false }))
        .await;
    assert_eq!((status, &shown["enabled"]), (200, &json!(false)));
    assert_eq!(rest(&mut open).await.unwrap_or(0), 0);
    let refused = tokio::net::TcpStream::connect(at).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let (_, shown) = stand
        .call("PATCH", "/proxies/switch", &json!({ "enabled": true }))
        .await;
    assert_eq!(shown["listen"], json!(at.to_string()));
    ping(&mut connect(at).await).await;
}

#[tokio::test]
async fn a_proxy_that_is_changed_or_taken_away_ends_its_connections() {
    let stand = Stand::start();
    let at = stand.proxy("moved", echo().await, &[]).await;
    let mut open = connect(at).await;
    ping(&mut open).await;
    let other = source(9).await;
    let (status, shown) = stand
        .call("POST", "/proxies/moved", &json!({ "upstream": other.to_string() }))
        .await;
    assert_eq!((status, &shown["upstream"]), (200, &json!(other.to_string())));
    assert_eq!(rest(&mut open).await.unwrap_or(0), 0);
    assert_eq!(rest(&mut connect(at).await).await.unwrap(), 9);
    stand.cure("/proxies/moved").await;
    assert!(tokio::net::TcpStream::connect(at).await.is_err());
    let (_, text) = stand.say("GET", "/metrics", "", "").await;
    assert!(!text.contains("moved"), "{text}");
}

#[tokio::test]
async fn connections_may_end_by_themselves_when_the_proxy_is_asked_to_stop() {
    let mut stand = Stand::start();
    let at = stand.proxy("calm", echo().await, &[]).await;
    let mut open = connect(at).await;
    ping(&mut open).await;
    stand.ask_to_stop();
    let closed = || std::net::TcpStream::connect(at).is_err();
    soon("nothing new is taken", closed).await;
    ping(&mut open).await;
    drop(open);
    assert_eq!(stand.ended().await.cut, 0);
}

#[tokio::test]
async fn connections_that_do_not_end_are_cut_and_counted() {
    let stand = Stand::with(42, Duration::from_millis(50));
    let at = stand.proxy("stay", echo().await, &[]).await;
    let (mut one, mut other) = (connect(at).await, connect(at).await);
    ping(&mut one).await;
    ping(&mut other).await;
    assert_eq!(stand.metric("fracas_toxiproxy_connections{proxy=\"stay\"}").await, 2);
    assert_eq!(stand.ended().await.cut, 2);
    assert_eq!(rest(&mut one).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_client_that_is_gone_is_let_go_although_a_toxic_holds_it() {
    let stand = Stand::start();
    let held = json!({ "type": "timeout" });
    let at = stand.proxy("held", echo().await, &[held]).await;
    let mut stream = connect(at).await;
    stream.write_all(b"ping").await.unwrap();
    let open = "fracas_toxiproxy_connections{proxy=\"held\"}";
    assert_eq!(stand.metric(open).await, 1);
    // As most end that give up waiting: the server hears of it, and ends, too.
    drop(stream);
    let gone = async { while stand.metric(open).await > 0 {} };
    timeout(LIMIT, gone).await.unwrap();
}
