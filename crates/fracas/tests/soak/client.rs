//! A client that knows what it must get for everything it asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fracas_core::seed::Seed;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::account::Account;
use crate::server::{Parts, Server, content};

/// Between two requests of one that asks: all together are a load, and leave processors for others.
const PACE: Duration = Duration::from_millis(10);
/// For one request: longer than all that the proxy may do to it.
const LATE: Duration = Duration::from_secs(20);

/// What a request may be answered with by the proxy itself, so that it reaches nobody.
const REFUSALS: &[(&str, &[u16])] = &[
    ("bulkhead", &[503]),
    ("circuit_breaker", &[503]),
    ("connection_error", &[503]),
    ("connection_limit", &[503]),
    ("http_error", &[500, 502, 503, 504]),
    ("packet_loss", &[408]),
    ("rate_limit", &[429]),
    ("timeout", &[504]),
];

type Body = Either<Full<Bytes>, Parts>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Asks in one connection, as long as that is there.
pub(crate) struct Client {
    to: SocketAddr,
    version: Version,
    seed: Seed,
    next: AtomicU64,
}

/// One who asks.
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// What is asked.
struct Question {
    id: u64,
    request: Request<Body>,
    /// What the server answers.
    wanted: Bytes,
}

impl Client {
    /// Its requests have numbers from this one on.
    pub(crate) fn new(to: SocketAddr, version: Version, seed: Seed, first: u64) -> Self {
        Self {
            to,
            version,
            seed,
            next: AtomicU64::new(first),
        }
    }

    /// Asks until told to stop, so many requests at a time.
    pub(crate) async fn work(
        self,
        at_a_time: u64,
        server: Server,
        account: Arc<Account>,
        stopping: watch::Receiver<bool>,
    ) {
        let kept = tokio::sync::Mutex::new(None);
        let one = || async {
            let mut pace = interval(PACE);
            while !*stopping.borrow() {
                pace.tick().await;
                self.ask(&kept, &server, &account).await;
            }
        };
        let all = (0..at_a_time).map(|_| one());
        futures_util::future::join_all(all).await;
    }

    /// Asks so often.
    pub(crate) async fn times(&self, times: usize, server: &Server, account: &Account) {
        let kept = tokio::sync::Mutex::new(None);
        for _ in 0..times {
            self.ask(&kept, server, account).await;
        }
    }

    async fn ask(&self, kept: &tokio::sync::Mutex<Option<Sender>>, server: &Server, account: &Account) {
        let question = self.question();
        let id = question.id;
        let asked = timeout(LATE, self.send(kept, question)).await;
        let Ok((answered, wanted)) = asked else {
            panic!("request {id} has no answer after {LATE:?}");
        };
        let Ok(response) = answered else {
            assert_eq!(self.version, Version::Http1, "request {id} broke off");
            account.is_broken();
            return;
        };
        let faults: Vec<String> = response
            .headers()
            .get_all("x-fracas-fault")
            .iter()
            .map(|fault| fault.to_str().unwrap().to_owned())
            .collect();
        let has = |name: &str| faults.iter().any(|fault| fault == name);
        let status = response.status().as_u16();
        let got = timeout(LATE, response.collect()).await;
        let Ok(got) = got else {
            panic!("the answer to request {id} does not end");
        };
        let reached = server.reached(id);
        if let Some((name, statuses)) = REFUSALS.iter().find(|(name, _)| has(name)) {
            assert!(statuses.contains(&status), "{name} of request {id} is {status}");
            assert_eq!(reached, 0, "request {id} was answered by {name}");
            account.is_refused();
            return;
        }
        assert_eq!((status, reached), (200, 1), "request {id} with {faults:?}");
        match got.map(http_body_util::Collected::to_bytes) {
            Ok(got) if has("payload_corruption") => {
                assert_ne!(got, wanted, "request {id} with {faults:?}");
                account.is_harmed();
            }
            Ok(got) => {
                assert!(!has("partial_response"), "request {id} was to break off");
                assert!(
                    got == wanted,
                    "the answer to request {id} is another's: {} bytes",
                    got.len()
                );
                account.is_whole();
            }
            Err(error) => {
                assert!(has("partial_response"), "the answer to request {id} broke off: {error}");
                account.is_harmed();
            }
        }
    }

    /// The next one: something small or large, there or back, with a length or without.
    fn question(&self) -> Question {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let draw = |purpose: &str| self.seed.draw(purpose, "soak", id).uniform();
        let length = match draw("size") {
            small if small < 0.7 => 2 + (draw("length") * 1000.0) as usize,
            middle if middle < 0.95 => 10_000 + (draw("length") * 20_000.0) as usize,
            _ => 300_000,
        };
        let wanted = content(id, length);
        let (kind, body) = match draw("kind") {
            way if way < 0.5 => ("bytes", Either::Left(Full::default())),
            way if way < 0.7 => ("parts", Either::Left(Full::default())),
            way if way < 0.9 => ("echo", Either::Left(Full::new(wanted.clone()))),
            _ => ("echo", Either::Right(Parts::of(&wanted))),
        };
        let (path, to) = (format!("/{kind}/{length}"), self.to);
        let uri = match self.version {
            Version::Http1 => path,
            Version::Http2 => format!("http://{to}{path}"),
        };
        let mut request = Request::builder()
            .method(if kind == "echo" { "POST" } else { "GET" })
            .uri(uri)
            .header("x-request-id", id);
        if self.version == Version::Http1 {
            request = request.header("host", to.to_string()).header("x-client", "http1");
        }
        Question {
            id,
            request: request.body(body).unwrap(),
            wanted,
        }
    }

    /// Sends it by the connection that is kept, or a new one where that has ended before.
    async fn send(
        &self,
        kept: &tokio::sync::Mutex<Option<Sender>>,
        question: Question,
    ) -> (hyper::Result<Response<Incoming>>, Bytes) {
        let Question { request, wanted, .. } = question;
        let answer = {
            let mut kept = kept.lock().await;
            let mut open = kept.take();
            if let Some(sender) = &mut open
                && !sender.is_ready().await
            {
                open = None;
            }
            let mut sender = match open {
                Some(sender) => sender,
                None => self.connect().await,
            };
            let answer = sender.send(request);
            *kept = Some(sender);
            answer
        };
        (answer.await, wanted)
    }

    async fn connect(&self) -> Sender {
        let stream = TcpStream::connect(self.to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = TokioIo::new(stream);
        match self.version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        }
    }
}

impl Sender {
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    fn send(
        &mut self,
        request: Request<Body>,
    ) -> futures_util::future::BoxFuture<'static, hyper::Result<Response<Incoming>>> {
        match self {
            Self::Http1(sender) => Box::pin(sender.send_request(request)),
            Self::Http2(sender) => Box::pin(sender.send_request(request)),
        }
    }
}
