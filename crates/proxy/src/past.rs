//! Connections to somebody's own port, past what diverts others from it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use crate::link;

/// For one connection.
const LIMIT: Duration = Duration::from_secs(10);

/// Opens them, to this address: one of a link alone has its interface with it, which no URI has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past(pub(crate) SocketAddr);

impl Service<Uri> for Past {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let to = self.0;
        Box::pin(async move {
            let opened = timeout(LIMIT, link::connect_past(to));
            let stream = opened.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
