//! The end of a proxy while streams open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Answers each message with itself, until the other side ends.
async fn echo(mut upstream: Opened) {
    loop {
        let Ok((first, payload)) = with!(&mut upstream, end => end.try_frame_of_other().await) else {
            return;
        };
        upstream.send(first, &payload).await;
    }
}

/// Takes all who come.
async fn serve(server: Server) {
    match server {
        Server::Http1(listener) => loop {
            let stream = listener.accept().await.unwrap().0;
            tokio::spawn(async move {
                let mut end = End { stream, mask: None };
                let headers = headers_of(&end.head().await);
                goes_over(&mut end.stream, &accept(&headers)).await;
                echo(Opened::Http1(end)).await;
            });
        },
        Server::Http2(_, mut coming) => {
            while let Some((_, stream)) = coming.recv().await {
                tokio::spawn(echo(Opened::Http2(End { stream, mask: None })));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_under_way_goes_on_and_none_begins_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut proxy = wish("{}").to(&url).start();
    let at = proxy.address;
    let mut client = Client::to(at).await;
    let answers = async {
        let stream = listener.accept().await.unwrap().0;
        let mut end = End { stream, mask: None };
        let headers = headers_of(&end.head().await);
        proxy.ask_to_stop();
        soon("nobody new is taken", || std::net::TcpStream::connect(at).is_err()).await;
        goes_over(&mut end.stream, &accept(&headers)).await;
        end
    };
    let both = async { tokio::join!(client.open("/chat", "a"), answers) };
    let ((mut end, _), mut upstream) = timeout(LIMIT, both).await.expect("both sides in time");
    end.send(TEXT, b"hello").await;
    assert_eq!(upstream.frame_of_other().await, (TEXT, b"hello".to_vec()));
    let refused = client.ask(request("websocket", "/chat", "b")).await;
    assert!(refused.is_err(), "{refused:?}");
    // The one that is open lives on.
    upstream.send(TEXT, b"still").await;
    assert_eq!(end.frame_of_other().await, (TEXT, b"still".to_vec()));
    drop(upstream);
    assert!(end.rest().await.is_empty());
    drop(end);
    assert_eq!(proxy.ended().await.cut, 0);
}

// Clients open one after the other, so that each opens one at the very moment.
#[tokio::test(flavor = "multi_thread")]
async fn who_opens_one_at_the_moment_of_the_end_has_it_or_is_refused() {
    for server in both_kinds().await {
        let mut proxy = wish("{}").to(&server.url()).start();
        tokio::spawn(serve(server));
        let served = Arc::new(AtomicUsize::new(0));
        let mut clients = Vec::new();
        for number in 0..8u8 {
            let mut client = Client::to(proxy.address).await;
            let served = Arc::clone(&served);
            clients.push(tokio::spawn(async move {
                while let Ok(mut response) = client.ask(request("websocket", "/chat", "a")).await {
                    assert_eq!(response.status(), 200, "{:?}", response.headers());
                    let stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
                    let mut end = End {
                        stream,
                        mask: Some([0x12, 0xff, 0, 0x7e]),
                    };
                    end.send(BINARY, &[number]).await;
                    assert_eq!(end.frame_of_other().await, (BINARY, vec![number]));
                    end.stream.shutdown().await.unwrap();
                    assert!(end.rest().await.is_empty());
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        soon("many were served", || served.load(Ordering::Relaxed) >= 50).await;
        proxy.ask_to_stop();
        for client in clients {
            timeout(LIMIT, client).await.expect("nobody hangs").unwrap();
        }
        assert_eq!(proxy.ended().await.cut, 0);
    }
}
