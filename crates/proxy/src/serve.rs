//! From the first connection to the last.

use std::future::Future;
use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fracas_core::chaos::{ChaosConfig, Orchestration, Plan, Predefined};
use fracas_core::problem::{Problem, Result, codes};
use fracas_telemetry::metrics::Page;
use fracas_telemetry::proxy::Traffic;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::accept::{self, Entrance};
use crate::connection::{Door, serve};
use crate::forward::Forward;
use crate::front::{self, Front, Pardon};
use crate::listeners::{self, Gate};
use crate::live::Live;
use crate::measures::Measures;
use crate::orchestra::{self, Orchestra, Reach};
use crate::profiles::Profiles;
use crate::scenarios::{self, Scenarios};
use crate::service::Shared;
use crate::timer::Timer;
use crate::tls::passthrough;
use crate::tunnel::Tunnels;
use crate::watch::Watch;
use crate::{Control, NAMES, Order, Upstream};

/// A proxy whose ports are taken, and that answers nobody yet.
#[derive(Debug)]
pub struct Proxy {
    /// At least one: where clients come to, in the order of the listeners, and the API last if it has an address of its own.
    entrances: Vec<(TcpListener, Door)>,
    shared: Arc<Shared>,
    /// With this one all tunnels are one more.
    alive: mpsc::Sender<()>,
    /// Begins with it.
    first: Option<(Orchestration, Plan)>,
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
    /// N003 if somebody else has a port, or an address is none of this machine's; S005 if there is no descriptor for the timer; N010 if nobody can vouch for an
    /// upstream of TLS; N011 if something of the configuration, of a scenario, or an orchestration cannot act on
    /// connections that are passed through; N012 if something of them is about a listener that there is not; R004 if
    /// listeners cannot be told apart, or an upstream is one of the proxy's own ports.
    pub fn bind(order: Order) -> Result<Self> {
        let known: Vec<_> = order.scenarios.iter().copied().map(acts).collect::<Result<_>>()?;
        if order.tls.passthrough.is_some() {
            let all = iter::once(&order.config).chain(known.iter().map(|(_, config)| config));
            if let Some(first) = all.flat_map(passthrough::refused).next() {
                return Err(first);
            }
            if order.orchestrations.first.is_some() {
                return Err(passthrough::no_orchestration());
            }
        }
        listeners::check(&order)?;
        let names = listeners::names(&order);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let of_first = order.orchestrations.first.as_ref();
        let of_first = of_first.map(|first| listeners::unknown_to_steps(first, &names));
        let unknown = listeners::unknown(&order.config, "", &names).into_iter();
        if let Some(first) = unknown.chain(of_first.unwrap_or_default()).next() {
            return Err(first);
        }
        let unheard = order.limits.silence;
        let traffic = listen(order.listen, unheard)?;
        let others = order.listeners.iter();
        let others: Vec<_> = others
            .map(|other| Ok((listen(other.listen, unheard)?, Door::Traffic)))
            .collect::<Result<_>>()?;
        let api = order.api_listen.map(|at| listen(at, unheard)).transpose()?;
        let first = if api.is_some() { Door::Traffic } else { Door::Both };
        let api = api.map(|api| (api, Door::Api));
        let entrances: Vec<_> = iter::once((traffic, first)).chain(others).chain(api).collect();
        listeners::check_upstreams(&order, &addresses_of(&entrances)?)?;
        Self::at(entrances, order, |_| None)
    }

    /// A proxy with these entrances.
    pub(crate) fn at(
        entrances: Vec<(TcpListener, Door)>,
        order: Order,
        front: impl FnOnce(Tunnels) -> Option<Arc<Front>>,
    ) -> Result<Self> {
        let known: Vec<_> = order.scenarios.iter().copied().map(acts).collect::<Result<_>>()?;
        let names = listeners::names(&order);
        let first = order.orchestrations.first;
        let first = first
            .map(|first| Plan::new(&first).map(|plan| (first, plan)))
            .transpose();
        let first =
            first.map_err(|_| Problem::new(&codes::INSIDE, "it is not known what a step of the orchestration does"))?;
        let timer =
            Timer::start().map_err(|error| Problem::new(&codes::SYSTEM, "cannot start the timer").because(&error))?;
        let (alive, tunnels) = mpsc::channel(1);
        let (over, heard) = watch::channel(false);
        let limits = order.limits;
        let metrics = Traffic::new(NAMES);
        let live = Live::new(order.config, &metrics, names.clone());
        let carry = Tunnels {
            alive: alive.downgrade(),
            over: heard,
            bandwidth: Arc::clone(live.bandwidth()),
        };
        let (mut egress, mut reach) = (
            order.egress,
            Reach {
                allowed: order.orchestrations.allow_upstream,
                own: order.orchestrations.own,
                shared: Vec::new(),
            },
        );
        let own = addresses_of(&entrances)?;
        for (at, (_, door)) in own.iter().zip(&entrances) {
            if let Some(egress) = &mut egress {
                // Whoever did not know it would let others reach it.
                egress.keeps_out(at.port());
            }
            match door {
                Door::Api => reach.own.push(at.port()),
                Door::Both => reach.shared.push(at.port()),
                Door::Traffic | Door::Front => {}
            }
        }
        let (trust, identity) = (order.tls.trust, order.tls.identity);
        let trust = (&trust, identity.as_ref());
        let (count, upstreams) = (names.len(), order.listeners.into_iter().map(|other| other.upstream));
        let upstreams = iter::once(order.upstream).chain(upstreams);
        let gate = |(named, (address, upstream)): ((usize, String), (SocketAddr, Option<Upstream>))| -> Result<_> {
            let shown = upstream.as_ref().map(Upstream::to_string);
            let forward = upstream.map(|upstream| Forward::new(upstream, trust, limits, carry.clone()));
            let counts = listeners::counts(&metrics, &named.1, count);
            Ok(Arc::new(Gate::new(
                named,
                address,
                (shown, forward.transpose()?),
                counts,
            )))
        };
        let all = names.into_iter().enumerate().zip(own.into_iter().zip(upstreams));
        let listeners = all.map(gate).collect::<Result<Vec<_>>>()?;
        let shared = Shared {
            live,
            orchestra: Orchestra::new(order.orchestrations.allow_exec, reach),
            scenarios: Scenarios::default(),
            measures: Measures::default(),
            profiles: Profiles::default(),
            front: front(carry.clone()),
            listeners,
            egress,
            tunnels: carry,
            certificate: order.tls.certificate,
            passthrough: order.tls.passthrough,
            metrics,
            tracing: order.tracing,
            timer,
            seed: order.seed,
            limits,
        };
        let shared = Arc::new(shared);
        for (known, config) in known {
            // No orchestration runs yet, and nothing ends.
            let _begun = scenarios::start(&shared, known, config, None);
        }
        Ok(Self {
            entrances,
            shared,
            alive,
            first,
            tunnels,
            over,
        })
    }

    /// Where clients come to.
    ///
    /// # Errors
    /// If the kernel does not say it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        address_of(self.entrances.first())
    }

    /// Where the API is.
    ///
    /// # Errors
    /// If the kernel does not say it.
    pub fn api_address(&self) -> std::io::Result<SocketAddr> {
        let own = self.entrances.iter().find(|(_, door)| *door == Door::Api);
        address_of(own.or(self.entrances.first()))
    }

    /// The names of all listeners, and where clients come to: that of the order first, then the others as it has them.
    ///
    /// # Errors
    /// If the kernel does not say it.
    pub fn listeners(&self) -> std::io::Result<Vec<(String, SocketAddr)>> {
        let gates = self.shared.listeners.iter().zip(&self.entrances);
        gates
            .map(|(gate, (entrance, _))| Ok((gate.name.clone(), entrance.local_addr()?)))
            .collect()
    }

    /// What it counts.
    pub fn page(&self) -> Page {
        self.shared.metrics.page()
    }

    /// A hand on it while it serves.
    pub fn control(&self) -> Control {
        Control::new(&self.shared)
    }

    /// For whoever shows what passes.
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.shared))
    }

    /// For a proxy in front of somebody else's port: ends what is done to requests.
    pub fn pardon(&self) -> Pardon {
        Pardon(Arc::downgrade(&self.shared))
    }

    /// Answers until `stop`; then takes no more connections, and lets those that are open end with their last request, until `patience`
    /// ends, which begins then.
    pub async fn serve(self, stop: impl Future<Output = ()>, patience: impl Future<Output = ()>) -> Drained {
        let Self {
            entrances: listeners,
            shared,
            alive,
            first,
            mut tunnels,
            over,
        } = self;
        if let Some((first, plan)) = first {
            // Nobody can have begun another, and nobody has asked it to end.
            let _begun = orchestra::start(&shared, first, plan, true);
        }
        let (drain, draining) = watch::channel(false);
        let (sender, mut opened) = mpsc::channel(64);
        let mut entrances = JoinSet::new();
        let front = shared.front.clone();
        for (index, (listener, door)) in listeners.into_iter().enumerate() {
            // In front of somebody else's port all are of one, and so is the API.
            let Some(gate) = shared.listeners.get(index).or(shared.listeners.first()) else {
                continue;
            };
            // What is decided by the number of a connection does not depend on who asks the API.
            let number = if door == Door::Api {
                Arc::default()
            } else {
                Arc::clone(&gate.number)
            };
            let entrance = Entrance::new(door, (Arc::clone(gate), number), Arc::clone(&shared));
            entrances.spawn(entrance.take_all(listener, sender.clone(), draining.clone()));
        }
        // The entrances have theirs, and nothing more comes when they have ended.
        drop(sender);
        // Until all has ended: what passes waits for its turns.
        let mut shaper = JoinSet::new();
        shaper.spawn(Arc::clone(shared.live.bandwidth()).work());
        let mut connections = JoinSet::new();
        let mut stopping = false;
        tokio::pin!(stop);
        tokio::pin!(patience);
        let mut in_time = true;
        loop {
            tokio::select! {
                () = &mut stop, if !stopping => {
                    stopping = true;
                    if front.is_some() {
                        front::grant(&shared);
                    }
                    Orchestra::close(&shared);
                    // There is always somebody who hears it: ourselves.
                    let _heard = drain.send(true);
                }
                taken = opened.recv() => match taken {
                    Some((stream, connection)) => {
                        connections.spawn(serve(stream, connection, Arc::clone(&shared), draining.clone()));
                    }
                    None => break,
                },
                () = &mut patience, if stopping => {
                    in_time = false;
                    break;
                }
                // Those that are over are let go.
                Some(_over) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        entrances.shutdown().await;
        drop((shared, opened));
        let mut alive = Some(alive);
        let quiet = async {
            while connections.join_next().await.is_some() {}
            drop(alive.take());
            let _none_is_left = tunnels.recv().await;
        };
        let all = tokio::select! {
            () = quiet, if in_time => true,
            () = &mut patience, if in_time => false,
            else => false,
        };
        if all {
            return Drained { cut: 0 };
        }
        while connections.try_join_next().is_some() {}
        let carried = tunnels.sender_strong_count() - usize::from(alive.is_some());
        let cut = connections.len() + carried;
        if let Some(front) = front {
            front.cut();
        }
        connections.shutdown().await;
        drop(alive);
        let _heard = over.send(true);
        let _none_is_left = tunnels.recv().await;
        Drained { cut }
    }
}

fn address_of(entrance: Option<&(TcpListener, Door)>) -> std::io::Result<SocketAddr> {
    let none = || std::io::Error::from(std::io::ErrorKind::NotFound);
    entrance.ok_or_else(none)?.0.local_addr()
}

fn addresses_of(entrances: &[(TcpListener, Door)]) -> Result<Vec<SocketAddr>> {
    let own = entrances.iter().map(|(own, _)| own.local_addr());
    own.collect::<std::io::Result<_>>()
        .map_err(|error| Problem::new(&codes::SYSTEM, "cannot tell where the proxy listens").because(&error))
}

fn listen(at: SocketAddr, unheard: Duration) -> Result<TcpListener> {
    accept::listen(at, unheard)
        .map_err(|error| Problem::new(&codes::NO_PROXY, format!("cannot listen on {at} for the proxy")).because(&error))
}

/// What a scenario that has a name does.
fn acts(known: &'static Predefined) -> Result<(&'static Predefined, ChaosConfig)> {
    let unread = |why| {
        Problem::new(
            &codes::INSIDE,
            format!("a scenario that has a name is not understood: {why:?}"),
        )
    };
    Ok((known, known.chaos_config().map_err(unread)?))
}
