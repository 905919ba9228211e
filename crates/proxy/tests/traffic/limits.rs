//! Clients that are waited for, and for how long.

use std::time::Duration;

use crate::client::Raw;
use crate::kernel::{Socket, sockets};
use crate::stand::{soon, wish};
use crate::upstream::Upstream;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    let upstream = Upstream::start().await;
    for proxy in [
        wish("{}").silence(SHORT).start(),
        wish("{}").silence(SHORT).to(&upstream.url()).start(),
    ] {
        let mut client = Raw::to(proxy.address).await;
        client
            .send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhel")
            .await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_is_let_go() {
    let upstream = Upstream::start().await;
    let proxy = wish("{}").silence(SHORT).to(&upstream.url()).start();
    let mut client = Raw::to(proxy.address).await;
    client.send("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await;
    soon("its connection is gone", || {
        upstream.sent() > 0 && proxy.connections() == 0
    })
    .await;
    // By a reset: what the kernel holds would go on to the client, and hold the socket for as long.
    assert!(client.rest().await.is_err());
}

// A machine that is switched off says nothing: the kernel has to ask.
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_looks_after_connections_on_both_sides() {
    for upstream in [Upstream::start().await, Upstream::http2().await] {
        let proxy = wish("{}").to(&upstream.url()).start();
        let mut client = Raw::to(proxy.address).await;
        client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (here, there) = (proxy.address.port(), upstream.port());
        // While something is not acknowledged, another timer runs.
        soon("all ends of ours are looked after", || {
            let all = sockets();
            let kept = |of: &dyn Fn(&Socket) -> bool| all.iter().any(|socket| socket.is_kept_alive && of(socket));
            kept(&|socket| socket.port == here && socket.is_open()) && kept(&|socket| socket.peer == there)
        })
        .await;
    }
}
