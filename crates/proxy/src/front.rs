//! A proxy in front of somebody else's port: its clients called that, and its upstream is whom they called.
//!
//! There is no API, and no word of ours in a request. Whoever knows its secret asks by a header whether it is there and what it does: such
//! a request meets what is decided about it alone, is answered here, and is no request of anybody else's.

mod canary;
mod first;
mod parts;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fracas_core::chaos::ChaosConfig;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_linux::sockets::look_after;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode, Version};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::accept::SILENCE;
use crate::answer::{self, Body};
use crate::connection::Door;
use crate::forward::Forward;
use crate::link;
use crate::live::Active;
use crate::serve::Proxy;
use crate::service::Shared;
use crate::tunnel::{Tunnels, watched};
use crate::upstream::Upstream;
use crate::wire::Wire;
use crate::{Limits, Order};
pub(crate) use canary::answer as answer_canary;
pub(crate) use first::First;
pub(crate) use parts::{Parts, Whose};

/// The header that says the secret to be hit as others are, and the one that says it to be told what came of others.
pub const CANARY: &str = "x-fracas-canary";
/// What a canary is about, beside that header: `grpc`, `graphql`, `websocket`, `rule` and the name of one for JSON, or `route` and
/// its place among them. It meets that part alone.
/// Without it a canary is a request as any other, for its path.
pub const ABOUT: &str = "x-fracas-about";
/// See [`CANARY`].
pub const REPORT: &str = "x-fracas-report";
/// A namespace has fewer addresses, mostly; whoever calls another one has a way of its own.
const MOST_WAYS: usize = 256;
/// Nobody's patience but that of both sides: what stands in front of a port ends no connection that would go on without it.
const LONGEST: Duration = Duration::from_hours(1);

/// What nobody else may know: it is not shown.
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a proxy in front of a port is to do.
#[derive(Debug)]
pub struct FrontOrder {
    /// Where connections come to. Those that called another port than that are let go.
    pub listeners: Vec<TcpListener>,
    /// The port that its clients called.
    pub port: u16,
    /// What canaries say.
    pub secret: Secret,
    /// The root of every decision.
    pub seed: Seed,
    /// What is done to traffic.
    pub config: ChaosConfig,
}

/// A proxy in front of a port.
#[derive(Debug)]
pub(crate) struct Front {
    port: u16,
    secret: Secret,
    tunnels: Tunnels,
    ways: Mutex<HashMap<SocketAddr, Arc<Ways>>>,
    /// Whether the fault is over.
    pardoned: watch::Sender<bool>,
    cut: AtomicBool,
    asked: AtomicU64,
    hit: AtomicU64,
    pub(crate) parts: Parts,
}

/// Ends what a proxy in front of a port does before it takes no more connections.
#[derive(Debug)]
pub struct Pardon(pub(crate) Weak<Shared>);

impl Pardon {
    /// From now on no request meets anything, and those that are held go on.
    pub fn grant(&self) {
        if let Some(shared) = self.0.upgrade() {
            grant(&shared);
        }
    }
}

pub(crate) fn grant(shared: &Shared) {
    // In this order: who finds it over finds that nothing is configured.
    shared.live.change(|config| *config = ChaosConfig::default());
    if let Some(front) = &shared.front {
        front.pardoned.send_replace(true);
    }
}

/// To one address of the port's.
#[derive(Debug)]
struct Ways {
    called: SocketAddr,
    http1: Forward,
    http2: Forward,
}

/// The way of a connection.
#[derive(Debug)]
pub(crate) struct Way {
    front: Arc<Front>,
    ways: Arc<Ways>,
}

/// Whether a request of somebody else's, or what it became, has met a fault. Without a front nobody asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate(Option<Arc<AtomicBool>>);

/// What somebody asks who knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// To be hit.
    Canary,
    /// To be told.
    Report,
}

impl Proxy {
    /// A proxy in front of a port of this network namespace. Needs a runtime of tokio with its timers and sockets, all of whose threads
    /// are in that namespace. When it stops, what it has taken goes on and meets nothing more; what is left at the end of patience is reset.
    ///
    /// # Errors
    /// S005 if a listener cannot be used, or there is no descriptor for the timer.
    pub fn in_front(order: FrontOrder) -> Result<Self> {
        let ready = |listener: TcpListener| {
            listener.set_nonblocking(true)?;
            // Those of connections inherit it.
            look_after(&listener, SILENCE, LONGEST)?;
            Ok((tokio::net::TcpListener::from_std(listener)?, Door::Front))
        };
        let entrances = order.listeners.into_iter().map(ready).collect::<io::Result<Vec<_>>>();
        let entrances = entrances
            .map_err(|error| Problem::new(&codes::SYSTEM, "cannot listen in front of a port").because(&error))?;
        let (port, secret, parts) = (order.port, order.secret, Parts::new(&order.config));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let order = Order {
            config: order.config,
            limits: Limits {
                head: LONGEST,
                silence: LONGEST,
                answer: LONGEST,
                ..Limits::default()
            },
            ..Order::new(nowhere, order.seed)
        };
        Self::at(entrances, order, |tunnels| {
            Some(Arc::new(Front {
                port,
                secret,
                tunnels,
                ways: Mutex::default(),
                pardoned: watch::Sender::new(false),
                cut: AtomicBool::new(false),
                asked: AtomicU64::new(0),
                hit: AtomicU64::new(0),
                parts,
            }))
        })
    }
}

impl Fate {
    /// It has met nothing so far.
    fn open() -> Self {
        Self(Some(Arc::default()))
    }
}

impl Front {
    /// The way of a connection whose client called this address. `None`: it is not the port.
    pub(crate) fn way(front: &Arc<Self>, called: SocketAddr) -> Option<Way> {
        if called.port() != front.port {
            return None;
        }
        let mut ways = front.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ways.get(&called).cloned();
        let ways = match known {
            Some(known) => known,
            None => {
                let made = Arc::new(Ways::new(called, &front.tunnels)?);
                if ways.len() < MOST_WAYS {
                    ways.insert(called, Arc::clone(&made));
                }
                made
            }
        };
        Some(Way {
            front: Arc::clone(front),
            ways,
        })
    }

    /// What is asked by somebody who knows the secret. `None`: it is a request of somebody else's.
    pub(crate) fn asks(&self, headers: &HeaderMap) -> Option<Asks> {
        let says = |name: &str| {
            let said = headers.get(name).map(HeaderValue::as_bytes);
            said.is_some_and(|said| is_same(said, self.secret.0.as_bytes()))
        };
        [(CANARY, Asks::Canary), (REPORT, Asks::Report)]
            .into_iter()
            .find_map(|(name, asks)| says(name).then_some(asks))
    }

    /// Counts a request of somebody else's.
    pub(crate) fn came(&self) -> Fate {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Fate::open()
    }

    /// One of them meets a fault: it is counted at the first.
    pub(crate) fn hit(&self, fate: &Fate) {
        let was_hit = fate.0.as_ref().is_none_or(|hit| hit.swap(true, Ordering::Relaxed));
        self.hit.fetch_add(u64::from(!was_hit), Ordering::Relaxed);
    }

    /// How many requests of others came, and how many of them were hit; then the same of each part of what is done.
    pub(crate) fn report(&self, active: &Active) -> Response<Body> {
        let (asked, hit) = (self.asked.load(Ordering::Relaxed), self.hit.load(Ordering::Relaxed));
        let mut text = format!("{asked} {hit}\n");
        self.parts.tell(&mut text);
        if let Some(mutations) = active.mutations() {
            mutations.tell(&mut text);
        }
        answer::with(StatusCode::OK, "text/plain", text)
    }

    /// When the fault is over.
    pub(crate) async fn pardon(&self) {
        // The sender is here: it cannot be gone.
        drop(self.pardoned.subscribe().wait_for(|pardoned| *pardoned).await);
    }

    pub(crate) fn is_pardoned(&self) -> bool {
        *self.pardoned.borrow()
    }

    /// Whatever is open from now on ends by a reset.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }
}

impl Ways {
    fn new(called: SocketAddr, tunnels: &Tunnels) -> Option<Self> {
        // Without the interface of an address of a link, which no URI has.
        let named = SocketAddr::new(called.ip(), called.port());
        let upstream = |scheme: &str| format!("{scheme}://{named}").parse::<Upstream>().ok();
        let limits = Limits {
            answer: LONGEST,
            ..Limits::default()
        };
        Some(Self {
            called,
            http1: Forward::unseen(upstream("http")?, called, limits, tunnels.clone()),
            http2: Forward::unseen(upstream("h2c")?, called, limits, tunnels.clone()),
        })
    }
}

impl Way {
    /// For requests of this version.
    pub(crate) fn forward(&self, version: Version) -> &Forward {
        if version >= Version::HTTP_2 {
            &self.ways.http2
        } else {
            &self.ways.http1
        }
    }

    /// Whether what is open ends by a reset.
    pub(crate) fn is_cut(&self) -> bool {
        self.front.cut.load(Ordering::Acquire)
    }

    /// Opens a connection to whom the client called, past what diverts it.
    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = link::connect_past(self.ways.called).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Carries what is no request, byte by byte, until a side ends.
    pub(crate) async fn carry(&self, client: Wire, upstream: Option<TcpStream>) {
        let upstream = match upstream {
            Some(upstream) => Ok(upstream),
            None => self.connect().await,
        };
        // Where nobody listens its client finds the connection ended.
        let Ok(upstream) = upstream else { return };
        let (mut client, mut upstream, gone) = watched(client, upstream);
        // That it broke off is what both sides see.
        tokio::select! {
            biased;
            _broke_off = copy_bidirectional(&mut client, &mut upstream) => {}
            () = gone => {}
        }
    }
}

/// Compares without telling by the time it takes how much is the same.
fn is_same(said: &[u8], secret: &[u8]) -> bool {
    said.len() == secret.len() && said.iter().zip(secret).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret("abc".to_owned())), "Secret");
    }

    #[test]
    fn a_secret_is_the_same_or_not() {
        assert!(is_same(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!is_same(other, b"abc"));
        }
    }
}
