//! A client of HTTP/2 that sends bodies part by part.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stand::LIMIT;

/// A connection; copies are of the same.
#[derive(Debug, Clone)]
pub(crate) struct Http2 {
    address: SocketAddr,
    sender: SendRequest<Channel<Bytes>>,
}

impl Http2 {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move {
            // How it ends is seen by its requests.
            let _end = connection.await;
        });
        Self { address, sender }
    }

    /// Whether the connection takes no more requests.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Begins a request without a length, whose body is sent by what is given besides.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
    ) -> (Sender<Bytes>, impl Future<Output = Response<Incoming>> + use<>) {
        self.ask_as(method, path, "")
    }

    /// The same with a name; an empty one is none.
    pub(crate) fn ask_as(
        &self,
        method: &str,
        path: &str,
        id: &str,
    ) -> (Sender<Bytes>, impl Future<Output = Response<Incoming>> + use<>) {
        let (body, channel) = Channel::<Bytes, Infallible>::new(1);
        let request = Request::builder()
            .method(method)
            .header("x-request-id", id)
            .uri(format!("http://{}{path}", self.address))
            .body(channel)
            .unwrap();
        let mut sender = self.sender.clone();
        let answered = async move { timeout(LIMIT, sender.send_request(request)).await.unwrap().unwrap() };
        (body, answered)
    }
}

/// The body of an answer.
pub(crate) async fn read(answer: Response<Incoming>) -> Bytes {
    let whole = timeout(LIMIT, answer.into_body().collect()).await.unwrap();
    whole.unwrap().to_bytes()
}
