//! An upstream of TLS.

use fracas_proxy::Trust;

use super::*;
use crate::tls::parts::{Authority, Door, HTTP1, HTTP2};

// It prefers HTTP/2, and gets requests by that.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_tls_is_asked_in_http1_by_clients_of_both() {
    let (listener, requests) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Upstream::http2().await);
    let authority = Authority::new();
    let ports = (listener.local_addr().unwrap().port(), requests.port());
    let signed = authority.signs("localhost", (2000, 2100));
    let door = Door::to(ports, signed, &[HTTP2, HTTP1]).await;
    let proxy = wish("{}").to(&door.url()).trusts(Trust::File(authority.file())).start();
    let (mut by_http1, mut first) = super::super::open(&proxy, &listener, "a").await;
    let mut client = Client::to(proxy.address).await;
    let mut server = Server::Http1(listener);
    let (mut by_http2, _, mut second, _) = server.open(&mut client, "b").await;
    assert_eq!(curl(&[&proxy.url("/")]).await.status(), 200);
    let large: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    for payload in [&b"hello"[..], &large] {
        by_http1.send(BINARY, payload).await;
        assert!(first.frame_of_other().await == (BINARY, payload.to_vec()));
        first.send(BINARY, payload).await;
        assert!(by_http1.frame_of_other().await == (BINARY, payload.to_vec()));
        by_http2.send(BINARY, payload).await;
        assert!(second.frame_of_other().await == (BINARY, payload.to_vec()));
        second.send(BINARY, payload).await;
        assert!(by_http2.frame_of_other().await == (BINARY, payload.to_vec()));
    }
    put(&proxy, "/config/websocket", r#"{"message_drop_probability": 1}"#).await;
    by_http1.send(TEXT, b"lost").await;
    by_http1.send(PING, b"ping").await;
    assert_eq!(first.frame_of_other().await, (PING, b"ping".to_vec()));
    by_http2.send(TEXT, b"lost").await;
    by_http2.send(PING, b"ping").await;
    assert_eq!(second.frame_of_other().await, (PING, b"ping".to_vec()));
    assert_eq!(counted(&proxy, "websocket_message_drop"), 2);
    let protocols: Vec<_> = door.greeted().into_iter().map(|(_, protocol)| protocol).collect();
    assert_eq!(protocols, [HTTP1, HTTP1, HTTP2].map(|one| Some(one.to_vec())));
    // The end of one direction is not that of the other.
    by_http1.stream.shutdown().await.unwrap();
    assert!(first.rest().await.is_empty());
    first.send(TEXT, b"lost").await;
    first.send(PING, b"behind").await;
    assert_eq!(by_http1.frame_of_other().await, (PING, b"behind".to_vec()));
}
