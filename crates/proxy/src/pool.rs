//! Connections of HTTP/1.1 to an upstream, kept for the requests that come.
//!
//! To hyper a connection is a future that somebody polls. Here that is mostly whoever waits for the answer: a task for each connection, as the
//! client of hyper-util has it, costs two changes of tasks and a search of its pool for each request. What an upstream says in a connection that
//! nobody needs, such as that it ends, is so read only when somebody wants it, or it was unused for too long.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;
use tower_service::Service;

use crate::answer::Body;
use crate::stream::Stream;
use crate::upload::{Broken, Upload};

/// So many that nobody needs are kept.
const MOST_IDLE: usize = 1024;
/// In bytes, for the head of an answer. There may be a hundred headers, as hyper has it: see [`crate::connection::LARGEST_HEAD`].
const LARGEST_HEAD: usize = 128 << 10;
/// Of answers that come as if there were no proxy: these may have more.
const UNSEEN_HEADERS: usize = 256;

/// The connections to one upstream.
#[derive(Debug)]
pub(crate) struct Pool<C> {
    /// Opens them, to this address; some know it by themselves.
    opens: C,
    to: Uri,
    builder: Builder,
    idle: Arc<Idle>,
}

/// Those that nobody needs.
#[derive(Debug)]
struct Idle {
    lines: Mutex<Lines>,
    /// For so long they meet a request; in twice that time they are closed.
    unused: Duration,
}

#[derive(Debug, Default)]
struct Lines {
    /// And since when; the youngest last.
    all: Vec<(Line, Instant)>,
    /// Whether there is a task that lets them go.
    sweeps: bool,
}

/// One connection.
struct Line {
    sender: SendRequest<Upload>,
    driver: Driver,
}

/// Who polls a connection.
enum Driver {
    /// Whoever has it.
    Here(Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>),
    /// A task of its own; or nobody any more, for it is over.
    Apart,
}

/// The body of an answer, which gives its connection back when it has ended.
#[derive(Debug)]
pub(crate) struct Driven {
    body: Incoming,
    line: Option<Line>,
    idle: Arc<Idle>,
}

impl<C, S> Pool<C>
where
    C: Service<Uri, Response = TokioIo<S>, Error: Into<Broken>> + Clone,
    S: Into<Stream>,
{
    /// With `keeps_case` names of headers are written as they were read, and there may be more of them. What is unused for so long is closed.
    pub(crate) fn new(opens: C, to: Uri, keeps_case: bool, unused: Duration) -> Self {
        let mut builder = Builder::new();
        builder.max_buf_size(LARGEST_HEAD).preserve_header_case(keeps_case);
        if keeps_case {
            builder.max_headers(UNSEEN_HEADERS);
        }
        Self {
            opens,
            to,
            builder,
            idle: Arc::new(Idle {
                lines: Mutex::default(),
                unused,
            }),
        }
    }

    /// Sends a request, and gives the answer as soon as its head is there. With `goes_over` the answer may begin another protocol.
    pub(crate) async fn send(
        &self,
        mut request: Box<Request<Upload>>,
        goes_over: bool,
    ) -> Result<Response<Body>, Broken> {
        // Who does not take the answer yet may send all the same.
        let apart = goes_over || !request.body().is_end_stream();
        loop {
            let (mut line, is_new) = match self.idle.take() {
                Some(line) => (line, false),
                None => (Box::pin(self.open()).await?, true),
            };
            if apart {
                line.goes_apart();
            }
            match line.ask(*request).await {
                Ok(response) => return Ok(response.map(|body| Body::Driven(Driven::new(body, line, &self.idle)))),
                Err(mut failed) => match failed.take_message() {
                    // The connection had ended already, and nothing of the request was sent.
                    Some(unsent) if !is_new => *request = unsent,
                    _ => return Err(failed.into_error().into()),
                },
            }
        }
    }

    async fn open(&self) -> Result<Line, Broken> {
        let mut opens = self.opens.clone();
        poll_fn(|cx| opens.poll_ready(cx)).await.map_err(Into::into)?;
        let stream: Stream = opens
            .call(self.to.clone())
            .await
            .map_err(Into::into)?
            .into_inner()
            .into();
        let (sender, connection) = self.builder.handshake(TokioIo::new(stream)).await?;
        let driver = Driver::Here(Box::pin(connection.with_upgrades()));
        Ok(Line { sender, driver })
    }
}

impl Idle {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Line> {
        loop {
            let (mut line, since) = self.lines().all.pop()?;
            if since.elapsed() < self.unused && line.is_free() {
                return Some(line);
            }
        }
    }

    fn keep(self: &Arc<Self>, line: Line) {
        let mut lines = self.lines();
        if lines.all.len() == MOST_IDLE {
            return;
        }
        lines.all.push((line, Instant::now()));
        if std::mem::replace(&mut lines.sweeps, true) {
            return;
        }
        let (idle, unused) = (Arc::downgrade(self), self.unused);
        tokio::spawn(async move {
            let mut goes_on = true;
            while goes_on {
                tokio::time::sleep(unused).await;
                goes_on = idle.upgrade().is_some_and(|idle| idle.lets_go());
            }
        });
    }

    /// Lets those go that were needed by nobody for too long. Whether there are others.
    fn lets_go(&self) -> bool {
        let mut lines = self.lines();
        let old = lines.all.iter().take_while(|(_, since)| since.elapsed() >= self.unused);
        let old = old.count();
        let gone: Vec<_> = lines.all.drain(..old).collect();
        lines.sweeps = !lines.all.is_empty();
        let goes_on = lines.sweeps;
        // Closed when nobody has to wait for it.
        drop(lines);
        drop(gone);
        goes_on
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Line").field(&self.sender).finish()
    }
}

impl Line {
    /// Has a task of its own poll it.
    fn goes_apart(&mut self) {
        if let Driver::Here(driver) = std::mem::replace(&mut self.driver, Driver::Apart) {
            tokio::spawn(async move {
                // How it ends is seen by those whose request is in it.
                let _ended = driver.await;
            });
        }
    }

    /// Goes on with it, as far as it goes.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Driver::Here(driver) = &mut self.driver
            && driver.as_mut().poll(cx).is_ready()
        {
            self.driver = Driver::Apart;
        }
    }

    /// Whether it takes a request.
    fn is_free(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready()
    }

    async fn ask(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        // Its waker is none of ours, so it must not wait for another turn of the task: the answer is there, or it comes by the connection.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        poll_fn(|cx| {
            if let Driver::Here(driver) = &mut self.driver {
                if driver.as_mut().poll(cx).is_pending() {
                    // What comes was put there just now, so nobody has to be woken for it.
                    return answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                }
                self.driver = Driver::Apart;
            }
            answer.as_mut().poll(cx)
        })
        .await
    }
}

impl Driven {
    fn new(body: Incoming, line: Line, idle: &Arc<Idle>) -> Self {
        let mut this = Self {
            body,
            line: Some(line),
            idle: Arc::clone(idle),
        };
        this.gives_back(false);
        this
    }

    /// Gives the connection back if the answer `ended`, or is seen to have.
    fn gives_back(&mut self, ended: bool) {
        if !ended && !self.body.is_end_stream() {
            return;
        }
        let Some(mut line) = self.line.take() else { return };
        if line.is_free() {
            self.idle.keep(line);
        } else if let Driver::Apart = line.driver
            && !line.sender.is_closed()
        {
            // The request has not been sent whole.
            let idle = Arc::clone(&self.idle);
            tokio::spawn(async move {
                if line.sender.ready().await.is_ok() {
                    idle.keep(line);
                }
            });
        }
    }
}

impl hyper::body::Body for Driven {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending()
            && let Some(line) = &mut this.line
        {
            line.drive(cx);
            frame = Pin::new(&mut this.body).poll_frame(cx);
        }
        if let Poll::Ready(frame) = &frame {
            // Nothing follows trailers, and nobody asks for it.
            let ended = match frame {
                None => true,
                Some(frame) => frame.as_ref().is_ok_and(Frame::is_trailers),
            };
            this.gives_back(ended);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::runtime::Handle;

    use super::*;

    const UNUSED: Duration = Duration::from_mins(1);

    /// With the server, which takes no connection: the kernel does.
    async fn pool() -> (Pool<HttpConnector>, TcpListener) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = format!("http://{}/", server.local_addr().unwrap());
        let pool = Pool::new(HttpConnector::new(), to.parse().unwrap(), false, UNUSED);
        (pool, server)
    }

    #[tokio::test]
    async fn what_was_unused_for_too_long_meets_no_request() {
        let (pool, _server) = pool().await;
        pool.idle.keep(pool.open().await.unwrap());
        let line = pool.idle.take().unwrap();
        pool.idle.keep(line);
        for (_, since) in &mut pool.idle.lines().all {
            *since -= UNUSED;
        }
        assert!(pool.idle.take().is_none());
        pool.idle.keep(pool.open().await.unwrap());
        assert!(pool.idle.lets_go());
        for (_, since) in &mut pool.idle.lines().all {
            *since -= UNUSED;
        }
        assert!(!pool.idle.lets_go());
        assert!(pool.idle.take().is_none());
    }

    // In front of somebody else's port a request that no fault is about passes as if there were no proxy.
    #[tokio::test]
    async fn who_is_not_to_be_seen_lets_more_headers_pass() {
        for (keeps_case, count, passes) in [
            (false, 101, false),
            (true, 101, true),
            (true, 256, true),
            (true, 257, false),
        ] {
            let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let to = format!("http://{}/", server.local_addr().unwrap());
            let pool = Pool::new(HttpConnector::new(), to.parse().unwrap(), keeps_case, UNUSED);
            let answers = async {
                let (mut stream, _) = server.accept().await.unwrap();
                let more = "x: 1\r\n".repeat(count - 1);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{more}\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream
            };
            let (_stream, answered) = tokio::join!(answers, pool.send(Box::new(Request::new(Upload::none())), false));
            assert_eq!(answered.is_ok(), passes, "{count}");
        }
    }

    #[tokio::test]
    async fn one_task_lets_them_go_however_often_they_were_used() {
        let (pool, _server) = pool().await;
        let mut line = pool.open().await.unwrap();
        for _ in 0..100 {
            pool.idle.keep(line);
            line = pool.idle.take().unwrap();
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_kept() {
        let (pool, _server) = pool().await;
        for _ in 0..=MOST_IDLE {
            pool.idle.keep(apart().await);
        }
        assert_eq!(pool.idle.lines().all.len(), MOST_IDLE);
    }

    /// A connection without a socket.
    async fn apart() -> Line {
        let (here, there) = tokio::io::duplex(1);
        let (sender, connection) = Builder::new().handshake(TokioIo::new(here)).await.unwrap();
        drop((connection, there));
        Line {
            sender,
            driver: Driver::Apart,
        }
    }
}
