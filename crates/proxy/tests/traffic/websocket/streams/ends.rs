//! The end of a proxy, or of the connections of its upstream, while streams open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::goaway::{HEADERS, Leaving, NO_ERROR};

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

#[tokio::test(flavor = "multi_thread")]
async fn one_that_an_upstream_has_not_begun_goes_by_another_connection() {
    let upstream = Leaving::after(2, HEADERS, NO_ERROR).await;
    let proxy = wish("{}").to(&upstream.url).start();
    let mut client = Client::to(proxy.address).await;
    let (mut end, _) = client.open("/chat", "a").await;
    assert_eq!(upstream.connections(), 3);
    end.stream.shutdown().await.unwrap();
    assert!(end.rest().await.is_empty());
    drop(client);
    assert_eq!(proxy.ended().await.cut, 0);
}

// It says so behind the first stream of each connection (GOAWAY), which goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_ends_its_connections_is_asked_by_new_ones() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counts.fetch_add(1, Ordering::Relaxed);
            let came = Arc::new(Notify::new());
            let first = Arc::clone(&came);
            let service = service_fn(move |mut request: Request<Incoming>| {
                came.notify_one();
                async move {
                    tokio::spawn(async move {
                        let stream = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
                        echo(Opened::Http2(End { stream, mask: None })).await;
                    });
                    Ok::<_, std::convert::Infallible>(Response::new(Empty::<Bytes>::new()))
                }
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new()).enable_connect_protocol();
            tokio::spawn(async move {
                let served = builder.serve_connection(TokioIo::new(stream), service);
                tokio::pin!(served);
                tokio::select! {
                    _end = &mut served => return,
                    () = first.notified() => served.as_mut().graceful_shutdown(),
                }
                // How it ends is seen by its streams.
                let _end = served.await;
            });
        }
    });
    let proxy = wish("{}").to(&url).start();
    let mut client = Client::to(proxy.address).await;
    let mut open = Vec::new();
    for number in 0..8u8 {
        let (end, _) = client.open("/chat", "a").await;
        open.push(end);
        // Those before live on.
        for end in &mut open {
            end.send(BINARY, &[number]).await;
            assert_eq!(end.frame_of_other().await, (BINARY, vec![number]));
        }
    }
    // Whoever comes before it is heard goes by the same.
    assert!(taken.load(Ordering::Relaxed) > 1);
    for mut end in open {
        end.stream.shutdown().await.unwrap();
        assert!(end.rest().await.is_empty());
    }
    drop(client);
    assert_eq!(proxy.ended().await.cut, 0);
}
