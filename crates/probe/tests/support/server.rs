//! Servers on loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A well-behaved HTTP service. Stops when it is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<(u16, String)>>,
    task: JoinHandle<()>,
}

impl Service {
    /// Answers every request with this status and text.
    pub(crate) async fn start(status: u16, text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new((status, text.to_owned())));
        let shared = Arc::clone(&answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = service_fn(move |_: Request<Incoming>| {
                    let (status, text) = shared.lock().unwrap().clone();
                    async move {
                        let response = Response::builder()
                            .status(status)
                            .header("location", "/elsewhere")
                            .header("content-type", "text/plain; version=0.0.4")
                            .body(Full::new(Bytes::from(text)))
                            .unwrap();
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    // The peer closing early is its right.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, answer, task }
    }

    /// Answers so from now on.
    pub(crate) fn set(&self, status: u16, text: &str) {
        *self.answer.lock().unwrap() = (status, text.to_owned());
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a scripted server does after it has the head of a request.
#[derive(Clone)]
pub(crate) enum Step {
    /// Writes this.
    Say(String),
    /// Writes one byte every 20 ms, for ever.
    Drip,
    /// Writes zeros for ever, as fast as they are read.
    Flood,
    /// Says nothing more and keeps the connection.
    Hold,
}

/// A server that follows a script on every connection, then closes it. Gives its base address; ends with the test's runtime.
pub(crate) async fn scripted(steps: Vec<Step>) -> String {
    scripted_each(vec![steps]).await
}

/// The same with a script for each connection; the last is for all that follow.
pub(crate) async fn scripted_each(mut scripts: Vec<Vec<Step>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let steps = if scripts.len() > 1 {
                scripts.remove(0)
            } else {
                scripts[0].clone()
            };
            // The peer closing early is its right.
            tokio::spawn(async move { follow(stream, steps).await.ok() });
        }
    });
    format!("http://{address}")
}

async fn follow(mut stream: TcpStream, steps: Vec<Step>) -> std::io::Result<()> {
    let mut head = vec![0; 65536];
    let mut length = 0;
    while !head[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[length..]).await? {
            0 => return Ok(()),
            read => length += read,
        }
    }
    for step in steps {
        match step {
            Step::Say(text) => stream.write_all(text.as_bytes()).await?,
            Step::Drip => {
                let mut tick = tokio::time::interval(Duration::from_millis(20));
                loop {
                    tick.tick().await;
                    stream.write_all(b" ").await?;
                }
            }
            Step::Flood => loop {
                stream.write_all(&[b'0'; 4096]).await?;
            },
            Step::Hold => std::future::pending().await,
        }
    }
    stream.shutdown().await
}

/// A port of loopback on which nobody listens.
pub(crate) async fn dead_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
