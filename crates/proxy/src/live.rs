//! What is done to traffic at the moment. Who changes it acts from the next request on; a request keeps to what was when it came.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use fracas_core::chaos::{ChaosConfig, Route};
use fracas_telemetry::proxy::{RouteCounts, Routes as Counts, Traffic};
use hyper::Method;
use tokio::sync::{Semaphore, watch};

use crate::faults::bandwidth::Bandwidth;
use crate::faults::breaker::Breaker;
use crate::faults::bulkhead::Places;
use crate::faults::connections::Connections;
use crate::faults::loss::Losses;
use crate::faults::mutation::{self, Counts as Mutated, Mutations};
use crate::faults::pattern::Pattern;
use crate::faults::rate_limit::Limiter;
use crate::faults::routes::Routes;

/// The configuration, with what it has counted so far.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) config: ChaosConfig,
    /// Of the block, also while that is off.
    limiter: Option<Arc<Limiter>>,
    /// The same.
    pattern: Option<Arc<Pattern>>,
    /// Those that act.
    routes: Option<Routes>,
    /// Of the block, also while it is off.
    mutations: Option<Arc<Mutations>>,
}

/// The configuration that acts.
#[derive(Debug)]
pub(crate) struct Live {
    state: RwLock<State>,
    /// Their names.
    listeners: Vec<String>,
    /// Held by who changes `state`, so that nobody who reads it waits until patterns are compiled.
    changes: Mutex<()>,
    /// It goes by the block of the configuration, and has in it what was let pass under another.
    breaker: Arc<Breaker>,
    /// The same.
    places: Arc<Places>,
    /// The same.
    bandwidth: Arc<Bandwidth>,
    /// The same.
    connections: Arc<Connections>,
    /// The same.
    losses: Losses,
    /// How long a connection may be without a request. `None`: there is no limit.
    idle: watch::Sender<Option<Duration>>,
    /// Of routes.
    counts: Counts,
    /// Of all rules for JSON.
    mutated: Arc<Mutated>,
    /// For bodies that are read whole.
    room: Arc<Semaphore>,
}

#[derive(Debug, Clone)]
struct State {
    /// What was configured.
    base: ChaosConfig,
    /// What is laid over that, in its order.
    over: Vec<Arc<ChaosConfig>>,
    /// What is done instead, for a while.
    cover: Option<ChaosConfig>,
    now: Arc<Active>,
    /// What of that is about each listener.
    at: Vec<Arc<Active>>,
}

impl Live {
    /// For listeners of these names.
    pub(crate) fn new(config: ChaosConfig, metrics: &Traffic, listeners: Vec<String>) -> Self {
        let counts = metrics.routes();
        let mutated = Arc::default();
        let now = Arc::new(Active::new(config.clone(), None, &counts, &mutated));
        Self {
            breaker: Breaker::new(config.circuit_breaker.as_ref(), metrics.circuit_breaker()),
            places: Places::new(config.bulkhead(), metrics.bulkhead()),
            bandwidth: Bandwidth::new(bandwidth(&config)),
            connections: Arc::default(),
            losses: Losses::default(),
            idle: watch::Sender::new(idle(&config)),
            changes: Mutex::default(),
            state: RwLock::new(State {
                base: config,
                over: Vec::new(),
                cover: None,
                at: Active::at_each(&now, &listeners),
                now,
            }),
            listeners,
            counts,
            mutated,
            room: mutation::room(),
        }
    }

    /// The circuit breaker, on or off.
    pub(crate) fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// The places of the bulkhead, on or off.
    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The limit on what passes, on or off.
    pub(crate) fn bandwidth(&self) -> &Arc<Bandwidth> {
        &self.bandwidth
    }

    /// The connections that count, whether there is a limit or not.
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Where losses in a row are, on or off.
    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// How long a connection may be without a request.
    pub(crate) fn idle(&self) -> watch::Receiver<Option<Duration>> {
        self.idle.subscribe()
    }

    /// What all rules for JSON have counted.
    pub(crate) fn mutated(&self) -> &Mutated {
        &self.mutated
    }

    /// Room for bodies that are read whole.
    pub(crate) fn room(&self) -> &Arc<Semaphore> {
        &self.room
    }

    /// What acts now.
    pub(crate) fn now(&self) -> Arc<Active> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).now)
    }

    /// What acts now on requests that come to this listener.
    pub(crate) fn at(&self, listener: usize) -> Arc<Active> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(state.at.get(listener).unwrap_or(&state.now))
    }

    /// What was configured, whatever acts instead.
    pub(crate) fn base(&self) -> ChaosConfig {
        self.state.read().unwrap_or_else(PoisonError::into_inner).base.clone()
    }

    /// Changes what was configured, with nobody between the reading and the writing.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ChaosConfig)) {
        self.act(|state| change(&mut state.base));
    }

    /// Lays these over what was configured, in the place of those that were there.
    pub(crate) fn lay_over(&self, over: Vec<Arc<ChaosConfig>>) {
        self.act(|state| state.over = over);
    }

    /// Does this instead of what was configured; with `None` that again.
    pub(crate) fn cover(&self, cover: Option<ChaosConfig>) {
        self.act(|state| state.cover = cover);
    }

    fn act(&self, change: impl FnOnce(&mut State)) {
        let _one = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state.read().unwrap_or_else(PoisonError::into_inner).clone();
        let was_covered = state.cover.is_some();
        change(&mut state);
        let config = match &state.cover {
            Some(cover) => cover.clone(),
            None => state.base.beneath(state.over.iter().map(|one| &**one)),
        };
        // What was counted of the one is nothing to the other, also where both have the same block.
        let is_other = state.cover.is_some() != was_covered;
        if is_other {
            self.breaker.configure(None);
        }
        self.breaker.configure(config.circuit_breaker.as_ref());
        self.places.configure(config.bulkhead());
        self.bandwidth.configure(bandwidth(&config));
        self.idle.send_if_modified(|now| {
            let next = idle(&config);
            std::mem::replace(now, next) != next
        });
        let next = Active::new(
            config,
            Some(&*state.now).filter(|_| !is_other),
            &self.counts,
            &self.mutated,
        );
        state.now = Arc::new(next);
        state.at = Active::at_each(&state.now, &self.listeners);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// In bytes per second; 0: without a limit.
fn bandwidth(config: &ChaosConfig) -> u64 {
    config.traffic_shaping().map_or(0, |block| block.bandwidth_limit_bps)
}

fn idle(config: &ChaosConfig) -> Option<Duration> {
    let block = config
        .traffic_shaping()
        .filter(|block| block.connection_timeout_ms > 0)?;
    Some(Duration::from_millis(block.connection_timeout_ms))
}

impl Active {
    /// Buckets go on as they are if what fills them has not changed, and so does a pattern.
    fn new(config: ChaosConfig, before: Option<&Self>, counts: &Counts, mutated: &Arc<Mutated>) -> Self {
        let limiter = config.rate_limit.as_ref().map(|block| {
            let kept = before.and_then(|before| before.limiter.clone());
            kept.filter(|limiter| limiter.is_of(block))
                .unwrap_or_else(|| Arc::new(Limiter::new(block.clone(), Instant::now())))
        });
        let block = config.fault_injection.as_ref();
        let pattern = block.and_then(|block| block.error_pattern.as_ref()).map(|block| {
            let kept = before.and_then(|before| before.pattern.clone());
            kept.filter(|pattern| pattern.is_of(block))
                .unwrap_or_else(|| Arc::new(Pattern::new(block.clone())))
        });
        let mutations = config.mutations.as_ref().map(|block| {
            let before = before.and_then(|before| before.mutations.as_deref());
            Arc::new(Mutations::new(block, before, mutated))
        });
        Self {
            mutations,
            routes: Routes::new(config.routes(), counts),
            config,
            limiter,
            pattern,
        }
    }

    /// What of it is about each of these listeners. What has counted something is the same for all, and the whole is that for all of whom
    /// the same is said.
    fn at_each(whole: &Arc<Self>, listeners: &[String]) -> Vec<Arc<Self>> {
        let lists = whole.config.listener_lists();
        // With every name in it, it is about such a listener as it is.
        let mut made = vec![(vec![true; lists.len()], Arc::clone(whole))];
        let at = |name: &String| {
            let is_in: Vec<bool> = lists.iter().map(|(_, list)| list.contains(name)).collect();
            if let Some((_, known)) = made.iter().find(|(of, _)| *of == is_in) {
                return Arc::clone(known);
            }
            let own = Arc::new(Self {
                config: whole.config.at_listener(name),
                limiter: whole.limiter.clone(),
                pattern: whole.pattern.clone(),
                routes: whole.routes.as_ref().map(|routes| routes.at(name)),
                mutations: whole.mutations.clone(),
            });
            made.push((is_in, Arc::clone(&own)));
            own
        };
        listeners.iter().map(at).collect()
    }

    /// The buckets, if they act.
    pub(crate) fn limiter(&self) -> Option<&Limiter> {
        self.config.rate_limit().and(self.limiter.as_deref())
    }

    /// The route that a request is of, if it is of one, with its place among them, and what counts its requests, if there are routes.
    pub(crate) fn route(&self, method: &Method, path: &str) -> (Option<(usize, &Route)>, Option<&Arc<RouteCounts>>) {
        match &self.routes {
            Some(routes) => {
                let (route, counts) = routes.find(method, path);
                (route, Some(counts))
            }
            None => (None, None),
        }
    }

    /// The rules for JSON, if they act.
    pub(crate) fn mutations(&self) -> Option<&Arc<Mutations>> {
        self.config.mutations().and(self.mutations.as_ref())
    }

    /// The same, also while they are off.
    pub(crate) fn all_mutations(&self) -> Option<&Mutations> {
        self.mutations.as_deref()
    }

    /// The pattern of the block of faults, if that acts.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.config.fault_injection().and(self.pattern.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use fracas_core::chaos::{Latency, RateLimit};

    use super::*;

    // Else requests would wait until the patterns of 64 rules are compiled.
    #[test]
    fn who_reads_does_not_wait_for_who_changes() {
        let live = Arc::new(Live::new(ChaosConfig::default(), &Traffic::new(&[]), Vec::new()));
        let (told, heard) = mpsc::channel();
        let reader = Arc::clone(&live);
        live.change(move |config| {
            config.enabled = false;
            std::thread::spawn(move || told.send(reader.now().config.enabled));
            let limit = Duration::from_secs(30);
            assert_eq!(heard.recv_timeout(limit), Ok(true));
        });
        assert!(!live.now().config.enabled && !live.base().enabled);
    }

    // However many listeners there are, there are no more copies than it says different things.
    #[test]
    fn listeners_of_which_the_same_is_said_share_what_acts() {
        let names = ["main", "a", "b", "c", "d"].map(str::to_owned).to_vec();
        let live = Live::new(ChaosConfig::default(), &Traffic::new(&[]), names);
        let is_one = |one, other| Arc::ptr_eq(&live.at(one), &live.at(other));
        assert!((0..5).all(|at| Arc::ptr_eq(&live.at(at), &live.now())));
        let of = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        live.change(|config| {
            config.latency = of(&["a", "b"]).map(|listeners| Latency {
                listeners,
                ..Latency::default()
            });
            config.rate_limit = of(&["a", "b", "c"]).map(|listeners| RateLimit {
                listeners,
                ..RateLimit::default()
            });
        });
        assert!(is_one(0, 4) && is_one(1, 2) && Arc::ptr_eq(&live.at(1), &live.now()));
        assert!(!is_one(0, 1) && !is_one(0, 3) && !is_one(1, 3));
        let acts = [0, 1, 3].map(|at| {
            let config = &live.at(at).config;
            (config.latency.is_some(), config.rate_limit.is_some())
        });
        assert_eq!(acts, [(false, false), (true, true), (false, true)]);
    }
}
