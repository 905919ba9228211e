//! From the first connection to the last.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_telemetry::metrics::Page;
use fracas_telemetry::proxy::Traffic;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::connection::{Connection, Door, serve};
use crate::forward::Forward;
use crate::live::Live;
use crate::service::Shared;
use crate::timer::Timer;
use crate::tunnel::Tunnels;
use crate::{NAMES, Order};

/// So many connections at a time to each address; who finds no room waits in the kernel's queue.
const CONNECTIONS: usize = 16_384;
/// After a connection could not be taken, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A proxy whose ports are taken, and that answers nobody yet.
#[derive(Debug)]
pub struct Proxy {
    traffic: TcpListener,
    api: Option<TcpListener>,
    shared: Arc<Shared>,
    /// Ends when the last tunnel has.
    tunnels: mpsc::Receiver<()>,
    over: watch::Sender<bool>,
}

/// How a proxy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections and tunnels that were cut off because they had not ended by themselves in time.
    pub cut: usize,
}

impl Proxy {
    /// Takes the ports. Needs a runtime of tokio with its timers and sockets.
    ///
    /// # Errors
    /// N003 if somebody else has a port, or an address is none of this machine's; S005 if there is no thread for the timer.
    pub async fn bind(order: Order) -> Result<Self> {
        let traffic = listen(order.listen).await?;
        let api = match order.api_listen {
            Some(at) => Some(listen(at).await?),
            None => None,
        };
        let timer = Timer::start()
            .map_err(|error| Problem::new(&codes::SYSTEM, "cannot start the thread of the timer").because(&error))?;
        let (alive, tunnels) = mpsc::channel(1);
        let (over, heard) = watch::channel(false);
        let carry = Tunnels { alive, over: heard };
        let shared = Shared {
            live: Live::new(order.config),
            forward: order.upstream.map(|upstream| Forward::new(upstream, carry)),
            metrics: Traffic::new(NAMES),
            timer,
            seed: order.seed,
            limits: order.limits,
        };
        Ok(Self {
            traffic,
            api,
            shared: Arc::new(shared),
            tunnels,
            over,
        })
    }

    /// Where clients come to.
    ///
    /// # Errors
    /// If the kernel does not say it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.traffic.local_addr()
    }

    /// Where the API is.
    ///
    /// # Errors
    /// If the kernel does not say it.
    pub fn api_address(&self) -> std::io::Result<SocketAddr> {
        self.api.as_ref().unwrap_or(&self.traffic).local_addr()
    }

    /// What it counts.
    pub fn page(&self) -> Page {
        self.shared.metrics.page()
    }

    /// Answers until `stop`; then takes no more connections, and lets those that are open end with their last request, for as long as
    /// `patience`.
    pub async fn serve(self, stop: impl Future<Output = ()>, patience: Duration) -> Drained {
        let Self {
            traffic,
            api,
            shared,
            mut tunnels,
            over,
        } = self;
        let (drain, draining) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut doors = JoinSet::new();
        let (sender, mut opened) = mpsc::channel(64);
        let number = Arc::new(AtomicU64::new(0));
        let door = if api.is_some() { Door::Traffic } else { Door::Both };
        doors.spawn(accept(traffic, door, Arc::clone(&number), sender.clone()));
        if let Some(api) = api {
            doors.spawn(accept(api, Door::Api, number, sender));
        }
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some((stream, connection, place)) = opened.recv() => {
                    let served = serve(stream, connection, Arc::clone(&shared), draining.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                // Those that are over are let go.
                Some(_over) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        doors.shutdown().await;
        drop(opened);
        // There is always somebody who hears it: ourselves.
        let _heard = drain.send(true);
        drop(shared);
        let until = Instant::now() + patience;
        let quiet = async { while connections.join_next().await.is_some() {} };
        let all = timeout_at(until, quiet).await;
        let mut cut = if all.is_err() { connections.len() } else { 0 };
        connections.shutdown().await;
        if timeout_at(until, tunnels.recv()).await.is_err() {
            cut += tunnels.sender_strong_count();
            let _heard = over.send(true);
            let _ended = tunnels.recv().await;
        }
        Drained { cut }
    }
}

async fn listen(at: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(at)
        .await
        .map_err(|error| Problem::new(&codes::NO_PROXY, format!("cannot listen on {at} for the proxy")).because(&error))
}

type Opened = (
    tokio::net::TcpStream,
    Arc<Connection>,
    tokio::sync::OwnedSemaphorePermit,
);

async fn accept(listener: TcpListener, door: Door, number: Arc<AtomicU64>, opened: mpsc::Sender<Opened>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Nobody closes it, so this never ends by itself.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let connection = Connection::new(number, peer, door);
                if opened.send((stream, connection, place)).await.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
