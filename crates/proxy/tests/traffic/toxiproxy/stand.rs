//! An API for one test, and servers behind its proxies.

use std::net::SocketAddr;
use std::time::Duration;

use fracas_core::seed::Seed;
use fracas_proxy::{Drained, Limits, Toxiproxy, ToxiproxyOrder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Raw;
use crate::stand::LIMIT;

/// An API that answers until it is stopped or dropped.
pub(crate) struct Stand {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
}

impl Stand {
    pub(crate) fn start() -> Self {
        Self::with(42, LIMIT)
    }

    /// Of this seed, and with so much patience at its end.
    pub(crate) fn with(seed: u64, patience: Duration) -> Self {
        let api = Toxiproxy::bind(&ToxiproxyOrder {
            listen: "127.0.0.1:0".parse().unwrap(),
            seed: Seed(seed),
            limits: Limits::default(),
        })
        .unwrap();
        let address = api.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // Dropped is stopped, too.
            let _said = stopped.await;
        };
        // tidy: sleep because it is a limit, and nobody waits for it
        let served = tokio::spawn(api.serve(stopped, async move { tokio::time::sleep(patience).await }));
        Self {
            address,
            stop: Some(stop),
            served,
        }
    }

    /// Calls the API: the status, and the body as text.
    pub(crate) async fn say(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut raw = Raw::to(self.address).await;
        let length = body.len();
        let host = self.address;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{headers}content-length: {length}\r\n");
        raw.send(format!("{head}connection: close\r\n\r\n{body}")).await;
        let said = raw.rest().await.unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Calls the API with a value, and reads one.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, text) = self.say(method, path, "", &body).await;
        let value = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap(),
        };
        (status, value)
    }

    /// Makes a proxy with toxics, and tells where it listens.
    pub(crate) async fn proxy(&self, name: &str, upstream: SocketAddr, toxics: &[Value]) -> SocketAddr {
        let asked = json!({ "name": name, "upstream": upstream.to_string(), "toxics": toxics });
        let (status, shown) = self.call("POST", "/proxies", &asked).await;
        assert_eq!(status, 201, "{shown}");
        shown["listen"].as_str().unwrap().parse().unwrap()
    }

    /// Takes a toxic away.
    pub(crate) async fn cure(&self, path: &str) {
        assert_eq!(self.call("DELETE", path, &Value::Null).await, (204, Value::Null));
    }

    /// A sample of its metrics.
    pub(crate) async fn metric(&self, sample: &str) -> u64 {
        let (status, text) = self.say("GET", "/metrics", "", "").await;
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(sample));
        let value = line.unwrap_or_else(|| panic!("no {sample}: {text}"));
        value.trim().parse().unwrap()
    }

    pub(crate) fn ask_to_stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn ended(mut self) -> Drained {
        self.ask_to_stop();
        timeout(LIMIT * 2, self.served).await.unwrap().unwrap()
    }
}

/// A server that does this with each connection.
pub(crate) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// One that says what it hears, and ends when the other side has.
pub(crate) async fn echo() -> SocketAddr {
    server(|mut stream| async move {
        stream.set_nodelay(true).unwrap();
        let (mut from, mut to) = stream.split();
        // How it ends is seen by the other side.
        let _ended = tokio::io::copy(&mut from, &mut to).await;
        let _ended = to.shutdown().await;
    })
    .await
}

/// One that says so many bytes, and ends.
pub(crate) async fn source(bytes: usize) -> SocketAddr {
    server(move |mut stream| async move {
        let _ended = stream.write_all(&vec![7; bytes]).await;
        let _ended = stream.shutdown().await;
        let _ended = stream.read_u8().await;
    })
    .await
}

/// A connection to a proxy.
pub(crate) async fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends a word, and waits until it is back.
pub(crate) async fn ping(stream: &mut TcpStream) {
    stream.write_all(b"ping").await.unwrap();
    hears(stream).await;
}

/// Waits for a word.
pub(crate) async fn hears(stream: &mut TcpStream) {
    let mut word = [0; 4];
    timeout(LIMIT, stream.read_exact(&mut word))
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(&word, b"ping");
}

/// How many bytes come until the end. An error is a reset.
pub(crate) async fn rest(stream: &mut TcpStream) -> std::io::Result<usize> {
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest)).await.expect("it ends")
}
