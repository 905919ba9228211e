//! A server that notes what it is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// In bytes, the body of `/large`.
pub(crate) const LARGE: usize = 3_000_000;

type Body = Either<Full<Bytes>, Either<Channel<Bytes, hyper::Error>, Incoming>>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// Of an address that is whole, as HTTP/2 has it.
    pub(crate) authority: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Behind its body.
    pub(crate) trailers: Option<HeaderMap>,
}

#[derive(Debug, Default)]
struct Notes {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// Bytes of `/endless` that somebody took.
    sent: AtomicUsize,
    go_on: Notify,
    hang_up: Notify,
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    notes: Arc<Notes>,
    http2: bool,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::of(false).await
    }

    pub(crate) async fn http2() -> Self {
        Self::of(true).await
    }

    async fn of(http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            notes: Arc::default(),
            http2,
        };
        let notes = Arc::clone(&upstream.notes);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                notes.connections.fetch_add(1, Ordering::SeqCst);
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    // How it ends is seen by the client.
                    tokio::select! {
                        () = serve(stream, Arc::clone(&notes), http2) => {}
                        () = notes.hang_up.notified() => {}
                    }
                });
            }
        });
        upstream
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.http2 { "h2c" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.notes.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.notes.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn sent(&self) -> usize {
        self.notes.sent.load(Ordering::SeqCst)
    }

    /// Forgets what it was asked so far.
    pub(crate) fn forget(&self) {
        self.notes.seen.lock().unwrap().clear();
    }

    /// Ends all connections.
    pub(crate) fn hang_up(&self) {
        self.notes.hang_up.notify_waiters();
    }

    /// Lets `/two` send its second part, and `/hold` answer.
    pub(crate) fn go_on(&self) {
        self.notes.go_on.notify_one();
    }
}

async fn serve(stream: TcpStream, notes: Arc<Notes>, http2: bool) {
    let service = service_fn(move |request| answer(Arc::clone(&notes), request));
    let io = TokioIo::new(stream);
    if http2 {
        let _end = http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await;
    } else {
        let served = http1::Builder::new().serve_connection(io, service);
        let _end = served.with_upgrades().await;
    }
}

async fn answer(notes: Arc<Notes>, mut request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let line = format!("{} {}", request.method(), request.uri().path_and_query().unwrap());
    let authority = request.uri().authority().map(ToString::to_string);
    let headers = request.headers().clone();
    let note = |body, trailers| {
        notes.seen.lock().unwrap().push(Seen {
            line,
            authority,
            headers,
            body,
            trailers,
        });
    };
    let path = request.uri().path().to_owned();
    if path == "/upgrade" {
        let upgrade = hyper::upgrade::on(&mut request);
        note(Bytes::new(), None);
        tokio::spawn(async move {
            let (mut from, mut to) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            let _end = tokio::io::copy(&mut from, &mut to).await;
        });
        let response = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "shout");
        return Ok(response.body(Either::Left(Full::default())).unwrap());
    }
    if path == "/refused" {
        note(Bytes::new(), None);
        // Read by the way, so that no reset of its own overtakes the answer.
        tokio::spawn(request.into_body().collect());
        let refused = Response::builder().status(StatusCode::PAYLOAD_TOO_LARGE);
        return Ok(refused
            .body(Either::Left(Full::new(Bytes::from_static(b"too large"))))
            .unwrap());
    }
    if path == "/hold" {
        // Nothing of its body is taken until somebody says so.
        notes.go_on.notified().await;
        drop(request);
        return Ok(Response::new(Either::Left(Full::default())));
    }
    if path == "/stream" {
        note(Bytes::new(), None);
        return Ok(Response::new(Either::Right(Either::Right(request.into_body()))));
    }
    let whole = request.into_body().collect().await?;
    let trailers = whole.trailers().cloned();
    let body = whole.to_bytes();
    note(body.clone(), trailers);
    let (mut sender, channel) = Channel::new(1);
    let later = || Either::Right(Either::Left(channel));
    Ok(match path.as_str() {
        "/echo" => Response::new(Either::Left(Full::new(body))),
        "/trailers" => {
            tokio::spawn(async move {
                let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]);
                sender.send_data(Bytes::from_static(b"seven")).await.unwrap();
                sender.send_trailers(trailers).await.unwrap();
            });
            Response::builder().header("trailer", "x-sum").body(later()).unwrap()
        }
        // As long as it says, and its end comes later.
        "/said" => {
            tokio::spawn(async move {
                sender.send_data(Bytes::from_static(b"said")).await.unwrap();
                notes.go_on.notified().await;
                drop(sender);
            });
            Response::builder().header("content-length", "4").body(later()).unwrap()
        }
        "/two" => {
            tokio::spawn(async move {
                sender.send_data(Bytes::from_static(b"first")).await.unwrap();
                notes.go_on.notified().await;
                // A client that is gone by then is gone.
                let _gone = sender.send_data(Bytes::from_static(b"second")).await;
            });
            Response::new(later())
        }
        "/large" => Response::new(Either::Left(Full::new(Bytes::from("x".repeat(LARGE))))),
        "/endless" => {
            tokio::spawn(async move {
                let part = Bytes::from("x".repeat(65536));
                while sender.send_data(part.clone()).await.is_ok() {
                    notes.sent.fetch_add(65536, Ordering::SeqCst);
                }
            });
            Response::new(later())
        }
        _ => Response::builder()
            .header("x-upstream", "yes")
            .header("connection", "x-own")
            .header("x-own", "of one connection")
            .header("keep-alive", "timeout=5")
            .body(Either::Left(Full::new(Bytes::from_static(b"hello\n"))))
            .unwrap(),
    })
}
