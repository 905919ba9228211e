//! A proxy of TCP by its name: a port, a server behind it, and toxics.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fracas_core::seed::Seed;
use fracas_linux::sockets::{look_after, unacknowledged};
use fracas_telemetry::toxiproxy::{Proxied, Toxics};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::effects::{Early, Which};
use super::pipe::{All, Ended, Pipe};
use super::toxic::{Stream, Toxic};
use crate::accept::{self, SILENCE};
use crate::timer::Timer;

/// The kernel has no such addresses (errno(3)).
const EAFNOSUPPORT: i32 = 97;
/// For a connection to a server to be there.
const DIAL: Duration = Duration::from_secs(30);
/// After a connection could not be taken, mostly for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// For what is on its way to be acknowledged before a connection is reset, and between two looks.
const UNACKNOWLEDGED: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// What all relays share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) seed: Seed,
    pub(crate) timer: Timer,
    pub(crate) metrics: Toxics,
    /// Connections that may be open at a time, of all of them.
    pub(crate) room: Arc<Semaphore>,
    pub(crate) held: All,
    /// How long somebody may take nothing of what is there for them.
    pub(crate) unheard: Duration,
    /// True when nothing new is taken.
    pub(crate) draining: watch::Receiver<bool>,
}

/// A proxy of TCP.
pub(crate) struct Relay {
    pub(crate) name: String,
    /// The port it has, or had, or is to have.
    pub(crate) listen: SocketAddr,
    /// A host and a port.
    pub(crate) upstream: String,
    toxics: watch::Sender<Arc<[Toxic]>>,
    running: Option<Running>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}", self.name, self.listen, self.upstream)
    }
}

struct Running {
    /// Dropped, all ends.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    counts: Arc<Proxied>,
}

impl Relay {
    /// One that is not on.
    pub(crate) fn new(name: String, listen: SocketAddr, upstream: String, toxics: Vec<Toxic>) -> Self {
        Self {
            name,
            listen,
            upstream,
            toxics: watch::Sender::new(toxics.into()),
            running: None,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn toxics(&self) -> Arc<[Toxic]> {
        Arc::clone(&self.toxics.borrow())
    }

    /// Changes what acts, also on connections that are open.
    pub(crate) fn set_toxics(&self, toxics: Vec<Toxic>) {
        drop(self.toxics.send_replace(toxics.into()));
    }

    /// Takes the port. One that is on stays as it is.
    pub(crate) fn start(&mut self, common: &Arc<Common>) -> io::Result<()> {
        if self.is_on() {
            return Ok(());
        }
        let listener = listen(self.listen, common.unheard)?;
        self.listen = listener.local_addr()?;
        let counts = common.metrics.of(&self.name, &self.listen.to_string(), &self.upstream);
        let counts = Arc::new(counts);
        let calls = Calls {
            common: Arc::clone(common),
            name: self.name.clone(),
            upstream: self.upstream.clone(),
            toxics: self.toxics.subscribe(),
            counts: Arc::clone(&counts),
        };
        let (stop, stopped) = oneshot::channel();
        self.running = Some(Running {
            stop,
            task: tokio::spawn(calls.take_all(listener, stopped)),
            counts,
        });
        Ok(())
    }

    /// Closes the port and all connections, and comes back when they are closed.
    pub(crate) async fn stop(&mut self) {
        if let Some(Running { stop, task, counts }) = self.running.take() {
            drop(stop);
            let _ended = task.await;
            counts.forget();
        }
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.counts.open())
    }

    /// When its last connection has ended, after draining began. Cancel safe.
    pub(crate) async fn drained(&mut self) {
        if let Some(running) = &mut self.running {
            let _ended = (&mut running.task).await;
            self.running = None;
        }
    }
}

/// Those who call one relay.
struct Calls {
    common: Arc<Common>,
    name: String,
    upstream: String,
    toxics: watch::Receiver<Arc<[Toxic]>>,
    counts: Arc<Proxied>,
}

impl Calls {
    /// Takes connections until draining begins, and then waits for those that are open; once `stopped`, ends all.
    async fn take_all(self, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
        let mut draining = self.common.draining.clone();
        let mut number = 0;
        let all = Arc::new(self);
        let mut connections = JoinSet::new();
        let mut carry = |connections: &mut JoinSet<()>, client, place: OwnedSemaphorePermit| {
            let (all, this) = (Arc::clone(&all), number);
            number += 1;
            connections.spawn(async move {
                all.carry(client, this).await;
                drop(place);
            });
        };
        let is_stopped = loop {
            let taken = tokio::select! {
                // In this order: an end must not wait for who comes all the time.
                biased;
                _gone = &mut stopped => break true,
                // Gone with all proxies: the same.
                _ = draining.wait_for(|draining| *draining) => break false,
                // Those that are over are let go.
                Some(_over) = connections.join_next(), if !connections.is_empty() => continue,
                taken = all.take(&listener) => taken,
            };
            match taken {
                Ok((client, place)) => carry(&mut connections, client, place),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        if is_stopped {
            drop(listener);
            return connections.shutdown().await;
        }
        // Those in the queue hold their connections for open.
        if let Ok(listener) = listener.into_std() {
            // No more than can have been there: others go on coming.
            for _ in 0..accept::QUEUE {
                let Ok(place) = Arc::clone(&all.common.room).try_acquire_owned() else {
                    break;
                };
                let Some((client, _)) = accept::waiting(&listener) else {
                    break;
                };
                carry(&mut connections, client, place);
            }
        }
        tokio::select! {
            () = async { while connections.join_next().await.is_some() {} } => {}
            _gone = stopped => {}
        }
        connections.shutdown().await;
    }

    /// Cancel safe.
    async fn take(&self, listener: &TcpListener) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.common.room).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let (client, _) = listener.accept().await?;
        Ok((client, place))
    }

    /// Carries one connection to its end. Without a server it is closed.
    async fn carry(&self, client: TcpStream, connection: u64) {
        let _open = self.counts.opened();
        let Ok(Ok(server)) = timeout(DIAL, TcpStream::connect(&self.upstream)).await else {
            return;
        };
        for socket in [&client, &server] {
            // Small writes go as they come. Where it cannot be said, they go later.
            let _later = socket.set_nodelay(true);
        }
        // The client's was asked for with the port. A socket that cannot be looked after is broken, and will tell.
        let _broken = look_after(&server, SILENCE, self.common.unheard);
        let early = self.both(&client, &server, connection).await;
        if early == Some(Early::Reset) {
            for socket in [&client, &server] {
                // A reset takes away what the other side does not have yet, so that is waited for. One that is broken has no other side
                // any more, and never says that it was acknowledged.
                let begun = Instant::now();
                while begun.elapsed() < UNACKNOWLEDGED
                    && socket.peer_addr().is_ok()
                    && unacknowledged(socket).is_ok_and(|bytes| bytes > 0)
                {
                    tokio::time::sleep(LOOK).await;
                }
                // With a linger time of 0 close(2) sends a reset (tcp_close() in net/ipv4/tcp.c). One that is broken has no need of it.
                let _broken = socket.set_zero_linger();
            }
        }
    }

    /// Carries both directions. How they ended, if not by themselves.
    async fn both(&self, client: &TcpStream, server: &TcpStream, connection: u64) -> Option<Early> {
        // The sockets of the client and of the server.
        let (client_is_broken, server_is_broken) = (AtomicBool::new(false), AtomicBool::new(false));
        let pipe = |ends, broken, stream| {
            let which = Which {
                seed: self.common.seed,
                proxy: self.name.clone(),
                connection,
                stream,
            };
            let common = (&self.common.timer, &self.common.held);
            Pipe::new(ends, broken, which, self.toxics.clone(), common, &self.counts).run()
        };
        let up = pipe((client, server), &client_is_broken, Stream::Upstream);
        let down = pipe((server, client), &server_is_broken, Stream::Downstream);
        tokio::pin!(up, down);
        let (mut up_is_over, mut down_is_over) = (false, false);
        loop {
            let (client_broke, server_broke) = (
                client_is_broken.load(Ordering::Acquire),
                server_is_broken.load(Ordering::Acquire),
            );
            // What a socket said before it broke still passes, in the one direction that is left; nothing can be said to it any more.
            let (up_goes_on, down_goes_on) = (!up_is_over && !server_broke, !down_is_over && !client_broke);
            if !up_goes_on && !down_goes_on {
                return (client_broke || server_broke).then_some(Early::Reset);
            }
            tokio::select! {
                ended = &mut up, if up_goes_on => {
                    up_is_over = true;
                    match ended {
                        Ended::Whole => {}
                        Ended::Early(how) => return Some(how),
                        Ended::Broken => client_is_broken.store(true, Ordering::Release),
                        Ended::Unheard => server_is_broken.store(true, Ordering::Release),
                    }
                }
                ended = &mut down, if down_goes_on => {
                    down_is_over = true;
                    match ended {
                        Ended::Whole => {}
                        Ended::Early(how) => return Some(how),
                        Ended::Broken => server_is_broken.store(true, Ordering::Release),
                        Ended::Unheard => client_is_broken.store(true, Ordering::Release),
                    }
                }
                // Nobody may be reading from it at the moment.
                () = breaks(client), if !client_broke => client_is_broken.store(true, Ordering::Release),
                () = breaks(server), if !server_broke => server_is_broken.store(true, Ordering::Release),
            }
        }
    }
}

/// Takes a port. Where there is no IPv6, all addresses are those of IPv4.
fn listen(at: SocketAddr, unheard: Duration) -> io::Result<TcpListener> {
    match accept::listen(at, unheard) {
        Err(error) if at.ip() == Ipv6Addr::UNSPECIFIED && is_without_ipv6(&error) => {
            accept::listen((Ipv4Addr::UNSPECIFIED, at.port()).into(), unheard)
        }
        listened => listened,
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// When a socket has an error: mostly that the other side reset it.
async fn breaks(socket: &TcpStream) {
    // It says so also of an error that is gone by then; there is none that a connection survives.
    let _why = socket.ready(Interest::ERROR).await;
}

#[cfg(test)]
mod tests;
