//! What stands behind the proxy, and how often a request reached it.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// In bytes, a part of a body without a length.
const PART: usize = 8 << 10;

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    reached: Arc<Mutex<HashMap<u64, u64>>>,
}

/// A body that does not say how long it is.
pub(crate) struct Parts(VecDeque<Bytes>);

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            reached: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = accepting.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                // How it ends is seen by the client.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often this request came, which is then forgotten.
    pub(crate) fn reached(&self, id: u64) -> u64 {
        self.reached.lock().unwrap().remove(&id).unwrap_or(0)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Either<Full<Bytes>, Parts>> {
        let id = request.headers()["x-request-id"].to_str().unwrap().parse().unwrap();
        *self.reached.lock().unwrap().entry(id).or_default() += 1;
        let path = request.uri().path().to_owned();
        let (kind, length) = path[1..].split_once('/').unwrap();
        let length = length.parse().unwrap();
        let bytes = match kind {
            // One that breaks off has no answer.
            "echo" => request
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default(),
            _ => content(id, length),
        };
        Response::new(match kind {
            "parts" => Either::Right(Parts::of(&bytes)),
            _ => Either::Left(Full::new(bytes)),
        })
    }
}

/// What belongs to a request, and to no other.
pub(crate) fn content(id: u64, length: usize) -> Bytes {
    let first = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (0..length as u64)
        .map(|at| (first.wrapping_add(at * 7) >> (at % 3)) as u8)
        .collect()
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }
}

impl Parts {
    pub(crate) fn of(bytes: &Bytes) -> Self {
        Self(bytes.chunks(PART).map(Bytes::copy_from_slice).collect())
    }
}
