//! The listeners of a proxy: where clients come to, and where their requests go from there. All else they have in common: what is done to
//! traffic, the API, orchestrations, and what is counted.

use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use fracas_core::chaos::{ChaosConfig, MAIN, MOST_LISTENERS, Orchestration, Route, is_listener};
use fracas_core::problem::{Problem, Result, codes};
use fracas_telemetry::proxy::{ListenerCounts, Traffic};
use schemars::JsonSchema;
use serde::Serialize;

use crate::destination::is_own;
use crate::forward::Forward;
use crate::service::Shared;
use crate::tls::passthrough;
use crate::{Order, Passthrough, Upstream};

/// So many names that there are not are told of: each with all that there are.
const TOLD: usize = 20;

/// Another listener of a proxy, besides that of [`Order::listen`].
#[derive(Debug, Clone)]
pub struct Listener {
    /// By what configurations call it: 1 to 32 of `a` to `z`, `0` to `9` and `-`. No two have the same name, and none is called `main`, which is
    /// the listener of the order itself.
    pub name: String,
    /// Where clients come to. Of port 0 the kernel chooses a free one.
    pub listen: SocketAddr,
    /// Where requests go. `None`: the proxy answers them itself.
    pub upstream: Option<Upstream>,
}

/// A listener that has its port.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) name: String,
    /// The how-manieth it is.
    pub(crate) index: usize,
    address: SocketAddr,
    upstream: Option<String>,
    /// `None`: the proxy answers itself.
    pub(crate) forward: Option<Forward>,
    /// Of the next connection: what is decided by that does not depend on who comes to other listeners.
    pub(crate) number: Arc<AtomicU64>,
    /// Stands before that in who a request is: the first connections of two listeners are two.
    pub(crate) before_number: String,
    /// Where there are several.
    counts: Option<Arc<ListenerCounts>>,
}

/// A listener, as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ShownListener")]
pub(crate) struct Shown {
    /// By this keys `listeners` call it. The first is `main`.
    name: String,
    #[schemars(with = "String")]
    address: SocketAddr,
    /// Nothing: the proxy answers itself.
    upstream: Option<String>,
}

impl Gate {
    pub(crate) fn new(
        (index, name): (usize, String),
        address: SocketAddr,
        (upstream, forward): (Option<String>, Option<Forward>),
        counts: Option<ListenerCounts>,
    ) -> Self {
        let before_number = match index {
            0 => String::new(),
            _ => format!("listener {name} "),
        };
        Self {
            before_number,
            name,
            index,
            address,
            upstream,
            forward,
            number: Arc::default(),
            counts: counts.map(Arc::new),
        }
    }

    /// What is counted of it, where there are several.
    pub(crate) fn counts(&self) -> Option<Arc<ListenerCounts>> {
        self.counts.clone()
    }

    pub(crate) fn shown(&self) -> Shown {
        Shown {
            name: self.name.clone(),
            address: self.address,
            upstream: self.upstream.clone(),
        }
    }
}

/// The names of all, that of the order first.
pub(crate) fn names(order: &Order) -> Vec<String> {
    let others = order.listeners.iter().map(|one| one.name.clone());
    iter::once(MAIN.to_owned()).chain(others).collect()
}

/// What is counted of one of so many.
pub(crate) fn counts(metrics: &Traffic, name: &str, count: usize) -> Option<ListenerCounts> {
    (count > 1).then(|| metrics.listener(name))
}

/// Refuses listeners that cannot be.
///
/// # Errors
/// R004; N011 where connections are passed through.
pub(crate) fn check(order: &Order) -> Result<()> {
    let names = names(order);
    if names.len() > 1 && order.tls.passthrough.is_some() {
        let what =
            "other listeners cannot act: connections that are passed through go by the names that their clients call";
        return Err(Problem::new(&codes::PASSED_THROUGH, what));
    }
    let usage = |what: String, next: &str| Err(Problem::new(&codes::USAGE, what).next(next));
    // Each is a label of what is counted.
    if names.len() > MOST_LISTENERS {
        return usage(
            format!("there are {} listeners", names.len()),
            "there may be 64 besides that of `--listen`",
        );
    }
    for (at, name) in names.iter().enumerate() {
        if !is_listener(name) {
            let next = "a name is 1 to 32 of a to z, 0 to 9 and -";
            return usage(format!("a listener cannot be called {name:?}"), next);
        }
        if names[..at].contains(name) {
            let next = "`main` is that of `--listen`, and each has a name of its own";
            return usage(format!("two listeners are called `{name}`"), next);
        }
    }
    for one in &order.listeners {
        if one.upstream.as_ref().is_some_and(|upstream| upstream.tcp().is_some()) {
            let what = format!(
                "the upstream of `{}` is one of tcp://, for connections that are not opened",
                one.name
            );
            return usage(what, "give one of http, h2c or https");
        }
    }
    Ok(())
}

/// Refuses an upstream that is the proxy itself: whoever comes to the one would be let in to the other as if of this machine, or requests would
/// go round until no descriptor is left. Names are not asked for, but `localhost`.
///
/// # Errors
/// R004.
pub(crate) fn check_upstreams(order: &Order, entrances: &[SocketAddr]) -> Result<()> {
    let first = (MAIN, order.upstream.as_ref());
    let others = order.listeners.iter();
    let others = others.map(|one| (one.name.as_str(), one.upstream.as_ref()));
    let all = iter::once(first).chain(others);
    let all = all.filter_map(|(name, upstream)| Some((name, upstream?.host(), upstream?.port())));
    let passed = order.tls.passthrough.iter().flat_map(Passthrough::places);
    let passed = passed.map(|(host, port)| (MAIN, host, port));
    for (name, host, port) in all.chain(passed) {
        if is_itself(host, port, &order.orchestrations.own, entrances) {
            let what = format!("the upstream of `{name}` is {host}, port {port}, and that is the proxy itself");
            return Err(Problem::new(&codes::USAGE, what).next("give the address of another program"));
        }
    }
    Ok(())
}

/// Whether one of these ports of this machine is there, or who listens at one of these addresses.
fn is_itself(host: &str, port: u16, ports: &[u16], entrances: &[SocketAddr]) -> bool {
    let is_ours = |ip: &IpAddr| {
        let at = SocketAddr::new(*ip, port);
        is_own(at, ports) || entrances.iter().any(|own| leads_to(at, *own))
    };
    addresses(host).iter().any(is_ours)
}

/// Of a host, as far as nobody has to be asked.
fn addresses(host: &str) -> Vec<IpAddr> {
    if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    host.parse().into_iter().collect()
}

/// Whether who connects to an address comes to one who listens there. At one that is none of all the kernel takes it for the loopback.
fn leads_to(at: SocketAddr, own: SocketAddr) -> bool {
    let (to, from) = (at.ip().to_canonical(), own.ip().to_canonical());
    let is_there = match (to.is_unspecified(), from.is_unspecified()) {
        (true, false) => from.is_loopback(),
        (_, true) => is_own(at, &[own.port()]),
        (false, false) => to == from,
    };
    at.port() == own.port() && is_there
}

/// What of a configuration is about a listener that is none of these, up to a number of such names. `at` stands before its keys.
pub(crate) fn unknown(config: &ChaosConfig, at: &str, names: &[&str]) -> Vec<Box<Problem>> {
    let said = config.listeners().into_iter();
    said.filter(|(_, name)| !names.contains(name))
        .take(TOLD)
        .map(|(path, name)| {
            let what = format!("`{at}{path}` is {name:?}, and the proxy has no such listener");
            Problem::new(&codes::NO_SUCH_LISTENER, what).next(format!("it has {}", names.join(", ")))
        })
        .collect()
}

/// The same of all steps.
pub(crate) fn unknown_to_steps(orchestration: &Orchestration, names: &[&str]) -> Vec<Box<Problem>> {
    let steps = orchestration.steps.iter().enumerate();
    // One of which it is not known what it does is refused for that.
    let configs = steps.filter_map(|(index, step)| Some((index, step.config().ok()?)));
    configs
        .flat_map(|(index, config)| unknown(&config, &format!("steps[{index}].scenario.config."), names))
        .take(TOLD)
        .collect()
}

/// What of a configuration cannot act, on a proxy as it is.
pub(crate) fn refused_by(shared: &Shared, config: &ChaosConfig) -> Vec<Box<Problem>> {
    let mut wrong = passthrough::refused_by(shared, config);
    wrong.extend(unknown(config, "", &of(shared)));
    wrong
}

/// The same of an orchestration.
pub(crate) fn steps_refused_by(shared: &Shared, orchestration: &Orchestration) -> Vec<Box<Problem>> {
    unknown_to_steps(orchestration, &of(shared))
}

/// The same of a route.
pub(crate) fn route_refused_by(shared: &Shared, route: &Route) -> Vec<Box<Problem>> {
    let alone = ChaosConfig {
        routes: vec![route.clone()],
        ..ChaosConfig::default()
    };
    refused_by(shared, &alone)
}

fn of(shared: &Shared) -> Vec<&str> {
    shared.listeners.iter().map(|gate| gate.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_the_proxy_itself_where_that_listens() {
        let entrances = ["127.0.0.2:3001", "0.0.0.0:3002", "127.0.0.1:3003", "[::]:3004"];
        let entrances = entrances.map(|own| own.parse().unwrap());
        for (host, port, is) in [
            ("127.0.0.2", 3001, true),
            ("::ffff:127.0.0.2", 3001, true),
            // Another program can have the same port at another address.
            ("127.0.0.1", 3001, false),
            ("localhost", 3001, false),
            ("127.0.0.2", 3000, false),
            ("127.0.0.1", 3002, true),
            ("127.9.9.9", 3002, true),
            ("0.0.0.0", 3002, true),
            ("LocalHost.", 3002, true),
            ("198.51.100.1", 3002, false),
            ("localhost", 3003, true),
            ("0.0.0.0", 3003, true),
            ("::1", 3003, false),
            ("::1", 3004, true),
            ("127.0.0.1", 3004, true),
            // Of which the port alone is known.
            ("127.0.0.1", 3005, true),
            ("198.51.100.1", 3005, false),
            // Who is called so has to be asked for.
            ("example.org", 3002, false),
        ] {
            assert_eq!(is_itself(host, port, &[3005], &entrances), is, "{host} {port}");
        }
    }
}
