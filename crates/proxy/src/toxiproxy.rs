//! The API of Toxiproxy 2.x, so that its clients work unchanged: proxies of TCP by their names, and toxics on them.
//!
//! What is different from the original is said in `docs/reference/toxiproxy.md`: a proxy may be made with its toxics, before anybody can connect; what
//! is not known is refused and not ignored; toxics act on connections that are open; the seed decides.
//!
//! Whoever reaches the API can open ports of this machine and connect to whatever this machine reaches. So it listens on the loopback unless
//! it is told otherwise, and answers no page that a browser shows.

mod collection;
mod error;
mod routes;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_telemetry::metrics::Page;
use fracas_telemetry::toxiproxy::Toxics;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;

use crate::tcp::pipe::All;
use crate::tcp::relay::Common;
use crate::tcp::toxic::Kind;
use crate::timer::Timer;
use crate::{Drained, Limits, accept};
use collection::Collection;

/// Connections to the API at a time.
const CALLERS: usize = 256;
/// Connections of clients at a time, of all proxies.
const CONNECTIONS: usize = 16_384;
/// In bytes, what all of them hold.
const HELD: usize = 512 << 20;
/// In bytes, for the line and the headers of a request.
const LARGEST_HEAD: usize = 64 << 10;
/// After a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// What the API is to be.
#[derive(Debug, Clone)]
pub struct ToxiproxyOrder {
    /// Where it is. Of port 0 the kernel chooses a free one.
    pub listen: SocketAddr,
    /// The root of every decision.
    pub seed: Seed,
    /// How long others may take.
    pub limits: Limits,
}

/// An API whose port is taken, and that answers nobody yet.
#[derive(Debug)]
pub struct Toxiproxy {
    listener: TcpListener,
    shared: Arc<Shared>,
    drain: watch::Sender<bool>,
    head: Duration,
}

/// What all callers share.
#[derive(Debug)]
struct Shared {
    /// One change after the other: each is whole before the next begins.
    proxies: Mutex<Collection>,
    metrics: Toxics,
    /// Whether the API has an address that only this machine reaches.
    is_local: bool,
}

impl Toxiproxy {
    /// Takes the port. Needs a runtime of tokio with its timers and sockets.
    ///
    /// # Errors
    /// N003 if somebody else has the port, or the address is none of this machine's; S005 if there is no descriptor for the timer.
    pub fn bind(order: &ToxiproxyOrder) -> Result<Self> {
        let listener = accept::listen(order.listen, order.limits.silence).map_err(|error| {
            let what = format!("cannot listen on {} for the API of Toxiproxy", order.listen);
            Problem::new(&codes::NO_PROXY, what).because(&error)
        })?;
        let timer =
            Timer::start().map_err(|error| Problem::new(&codes::SYSTEM, "cannot start the timer").because(&error))?;
        let (drain, draining) = watch::channel(false);
        let metrics = Toxics::new(&Kind::NAMES);
        let common = Common {
            seed: order.seed,
            timer,
            metrics: metrics.clone(),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            held: All::new(HELD),
            unheard: order.limits.silence,
            draining,
        };
        Ok(Self {
            listener,
            shared: Arc::new(Shared {
                proxies: Mutex::new(Collection::new(Arc::new(common))),
                metrics,
                is_local: order.listen.ip().to_canonical().is_loopback(),
            }),
            drain,
            head: order.limits.head,
        })
    }

    /// Where it is.
    ///
    /// # Errors
    /// If the kernel does not say it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What its proxies count.
    pub fn page(&self) -> Page {
        self.shared.metrics.page()
    }

    /// Answers until `stop`; then nothing new is taken, and connections that are open may end by themselves until `patience` ends, which
    /// begins then.
    pub async fn serve(self, stop: impl Future<Output = ()>, patience: impl Future<Output = ()>) -> Drained {
        let Self {
            listener,
            shared,
            drain,
            head,
        } = self;
        let mut callers = JoinSet::new();
        let room = Arc::new(Semaphore::new(CALLERS));
        tokio::pin!(stop);
        loop {
            let taken = tokio::select! {
                () = &mut stop => break,
                Some(_over) = callers.join_next(), if !callers.is_empty() => continue,
                taken = take(&listener, &room) => taken,
            };
            match taken {
                Ok((stream, place)) => {
                    let shared = Arc::clone(&shared);
                    callers.spawn(async move {
                        serve(stream, shared, head).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        drop(listener);
        // Those who are in the middle of a change go on with it, and are waited for.
        callers.shutdown().await;
        // The collection hears it, if nobody else.
        let _heard = drain.send(true);
        let mut proxies = shared.proxies.lock().await;
        tokio::select! {
            () = proxies.drained() => {}
            () = patience => {}
        }
        Drained {
            cut: proxies.cut().await,
        }
    }
}

/// Cancel safe.
async fn take(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(room).acquire_owned().await;
    let place = place.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, head: Duration) {
    let _held_back = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        // A task of its own: a caller that goes away in the middle of a change leaves it whole.
        async move { tokio::spawn(async move { routes::answer(&shared, request).await }).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // Whether it was served, broke off or was too slow: it is over, and there is nobody to be told.
    let _over = served.await;
}
