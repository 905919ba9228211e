//! The proxies that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::tcp::relay::{Common, Relay};
use crate::tcp::toxic::{Asked, Toxic};

/// Proxies at a time.
pub(super) const PROXIES: usize = 1024;
/// Toxics at a time, of one proxy.
const TOXICS: usize = 64;
/// In bytes, of any name, and of the host and port of a server.
const NAME: usize = 256;

/// All proxies.
#[derive(Debug)]
pub(super) struct Collection {
    common: Arc<Common>,
    proxies: BTreeMap<String, Relay>,
}

/// A proxy, as somebody asks for it or changes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AskedProxy {
    name: String,
    listen: Option<String>,
    upstream: Option<String>,
    enabled: Option<bool>,
    /// Clients send `null`, too.
    toxics: Option<Vec<Asked>>,
}

/// A proxy, as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: String,
    listen: String,
    upstream: String,
    enabled: bool,
    toxics: Vec<Toxic>,
}

impl From<&Relay> for Shown {
    fn from(relay: &Relay) -> Self {
        Self {
            name: relay.name.clone(),
            listen: relay.listen.to_string(),
            upstream: relay.upstream.clone(),
            enabled: relay.is_on(),
            toxics: relay.toxics().to_vec(),
        }
    }
}

/// A proxy that is asked for, looked at.
#[derive(Debug)]
pub(super) struct Checked {
    name: String,
    listen: SocketAddr,
    upstream: String,
    enabled: bool,
    toxics: Vec<Toxic>,
}

/// What is to be different about a proxy, looked at.
#[derive(Debug)]
pub(super) struct Change {
    listen: Option<SocketAddr>,
    upstream: Option<String>,
    enabled: Option<bool>,
}

impl Checked {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A proxy that is not on, and whether it is to be.
    fn relay(self) -> (Relay, bool) {
        let relay = Relay::new(self.name, self.listen, self.upstream, self.toxics);
        (relay, self.enabled)
    }
}

impl AskedProxy {
    /// Looks at what is asked for, and asks for names of addresses where it must.
    pub(super) async fn check(self) -> Result<Checked, Error> {
        if self.name.is_empty() {
            return Err(Error::missing("name"));
        }
        is_short(&self.name)?;
        let toxics = self.toxics.unwrap_or_default().into_iter();
        let toxics = toxics.map(|asked| asked.make().map_err(wrong_toxic));
        let toxics = toxics.collect::<Result<Vec<_>, _>>()?;
        let names: BTreeSet<_> = toxics.iter().map(|toxic| &toxic.name).collect();
        if names.len() < toxics.len() {
            return Err(Error::toxic_exists());
        }
        fits(toxics.len(), TOXICS, "toxics of a proxy")?;
        toxics.iter().try_for_each(|toxic| is_short(&toxic.name))?;
        Ok(Checked {
            listen: address(self.listen.as_deref().unwrap_or_default()).await?,
            upstream: host_and_port(self.upstream.as_deref().unwrap_or_default())?,
            enabled: self.enabled.unwrap_or(true),
            name: self.name,
            toxics,
        })
    }

    /// Looks at what is to be different about the proxy of this name.
    pub(super) async fn change(self, name: &str) -> Result<Change, Error> {
        if !self.name.is_empty() && self.name != name {
            return Err(Error::body("a proxy keeps its name: make another"));
        }
        // What it says of toxics is what its client once saw of them: the original's own client sends all that it has of a proxy.
        let listen = match self.listen.as_deref().filter(|listen| !listen.is_empty()) {
            Some(listen) => Some(address(listen).await?),
            None => None,
        };
        let upstream = self.upstream.filter(|upstream| !upstream.is_empty());
        Ok(Change {
            listen,
            upstream: upstream.map(|upstream| host_and_port(&upstream)).transpose()?,
            enabled: self.enabled,
        })
    }
}

impl Collection {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            proxies: BTreeMap::new(),
        }
    }

    pub(super) fn all(&self) -> BTreeMap<&str, Shown> {
        let shown = self
            .proxies
            .iter()
            .map(|(name, relay)| (name.as_str(), Shown::from(relay)));
        shown.collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<&Relay, Error> {
        self.proxies.get(name).ok_or_else(Error::no_proxy)
    }

    /// Makes a proxy. Its toxics are there before its port.
    pub(super) fn add(&mut self, asked: Checked) -> Result<Shown, Error> {
        if self.proxies.contains_key(&asked.name) {
            return Err(Error::proxy_exists());
        }
        fits(self.proxies.len() + 1, PROXIES, "proxies")?;
        let (mut relay, enabled) = asked.relay();
        if enabled {
            start(&mut relay, &self.common)?;
        }
        let shown = Shown::from(&relay);
        self.proxies.insert(relay.name.clone(), relay);
        Ok(shown)
    }

    /// Makes these proxies, in place of those that have their names. One of the same port and server stays as it is, on or off, with its
    /// connections and toxics, whatever is said of these: whoever asks again may be another test than the one that has harmed it, and what
    /// it names may be toxics that it once read. Any free port is another than the one that was got.
    pub(super) async fn populate(&mut self, all: Vec<Checked>) -> Result<Vec<Shown>, (Error, Vec<Shown>)> {
        let mut done = Vec::new();
        for asked in all {
            match self.add_or_replace(asked).await {
                Ok(shown) => done.push(shown),
                Err(error) => return Err((error, done)),
            }
        }
        Ok(done)
    }

    async fn add_or_replace(&mut self, asked: Checked) -> Result<Shown, Error> {
        let same = |relay: &Relay| relay.listen == asked.listen && relay.upstream == asked.upstream;
        match self.proxies.get_mut(&asked.name) {
            Some(relay) if same(relay) => Ok(Shown::from(&*relay)),
            Some(relay) => {
                relay.stop().await;
                let (mut other, enabled) = asked.relay();
                // If it cannot have its port, the one before it is there, and off: asking again is asking for another.
                if enabled {
                    start(&mut other, &self.common)?;
                }
                *relay = other;
                Ok(Shown::from(&*relay))
            }
            None => self.add(asked),
        }
    }

    /// Changes a proxy. With another port or server its connections end.
    pub(super) async fn update(&mut self, name: &str, change: Change) -> Result<Shown, Error> {
        let relay = self.proxies.get_mut(name).ok_or_else(Error::no_proxy)?;
        let was_on = relay.is_on();
        let listen = change.listen.unwrap_or(relay.listen);
        let upstream = change.upstream.unwrap_or_else(|| relay.upstream.clone());
        if listen != relay.listen || upstream != relay.upstream {
            relay.stop().await;
            (relay.listen, relay.upstream) = (listen, upstream);
        }
        turn(relay, change.enabled.unwrap_or(was_on), &self.common).await?;
        Ok(Shown::from(&*relay))
    }

    pub(super) async fn remove(&mut self, name: &str) -> Result<(), Error> {
        let mut relay = self.proxies.remove(name).ok_or_else(Error::no_proxy)?;
        relay.stop().await;
        Ok(())
    }

    /// All proxies are on and have no toxics. One that cannot be is told, and the others are.
    pub(super) fn reset(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        for relay in self.proxies.values_mut() {
            relay.set_toxics(Vec::new());
            result = result.and(start(relay, &self.common));
        }
        result
    }

    pub(super) fn add_toxic(&self, proxy: &str, asked: Asked) -> Result<Toxic, Error> {
        let relay = self.get(proxy)?;
        let toxic = asked.make().map_err(wrong_toxic)?;
        is_short(&toxic.name)?;
        let mut toxics = relay.toxics().to_vec();
        if toxics.iter().any(|known| known.name == toxic.name) {
            return Err(Error::toxic_exists());
        }
        fits(toxics.len() + 1, TOXICS, "toxics of a proxy")?;
        toxics.push(toxic.clone());
        relay.set_toxics(toxics);
        Ok(toxic)
    }

    pub(super) fn toxic(&self, proxy: &str, name: &str) -> Result<Toxic, Error> {
        let toxics = self.get(proxy)?.toxics();
        let toxic = toxics.iter().find(|toxic| toxic.name == name);
        toxic.cloned().ok_or_else(Error::no_toxic)
    }

    pub(super) fn change_toxic(&self, proxy: &str, name: &str, asked: Asked) -> Result<Toxic, Error> {
        let relay = self.get(proxy)?;
        let mut toxics = relay.toxics().to_vec();
        let toxic = toxics.iter_mut().find(|toxic| toxic.name == name);
        let toxic = toxic.ok_or_else(Error::no_toxic)?;
        let changed = asked.change(toxic).map_err(wrong_toxic)?;
        *toxic = changed.clone();
        relay.set_toxics(toxics);
        Ok(changed)
    }

    pub(super) fn remove_toxic(&self, proxy: &str, name: &str) -> Result<(), Error> {
        let relay = self.get(proxy)?;
        let mut toxics = relay.toxics().to_vec();
        let index = toxics.iter().position(|toxic| toxic.name == name);
        drop(toxics.remove(index.ok_or_else(Error::no_toxic)?));
        relay.set_toxics(toxics);
        Ok(())
    }

    /// When the last connection of all has ended, after draining began. Cancel safe.
    pub(super) async fn drained(&mut self) {
        for relay in self.proxies.values_mut() {
            relay.drained().await;
        }
    }

    /// Ends what is left, and tells how many connections that were.
    pub(super) async fn cut(&mut self) -> usize {
        let mut cut = 0;
        for relay in self.proxies.values_mut() {
            cut += relay.connections();
            relay.stop().await;
        }
        cut
    }
}

async fn turn(relay: &mut Relay, on: bool, common: &Arc<Common>) -> Result<(), Error> {
    if on {
        return start(relay, common);
    }
    relay.stop().await;
    Ok(())
}

fn start(relay: &mut Relay, common: &Arc<Common>) -> Result<(), Error> {
    relay.start(common).map_err(|error| {
        let what = format!("cannot listen on {} for {}: {error}", relay.listen, relay.name);
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, what)
    })
}

fn wrong_toxic(why: String) -> Error {
    Error::new(StatusCode::BAD_REQUEST, why)
}

fn is_short(name: &str) -> Result<(), Error> {
    fits(name.len(), NAME, "bytes in a name")
}

pub(super) fn fits(count: usize, most: usize, what: &str) -> Result<(), Error> {
    if count > most {
        return Err(Error::body(format_args!("more than {most} {what}")));
    }
    Ok(())
}

/// Where to listen. Without a port the kernel chooses one; without a host it is the loopback, and `:1234` is every address, as Go has it.
async fn address(text: &str) -> Result<SocketAddr, Error> {
    if text.is_empty() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    let wrong = || {
        Error::body(format_args!(
            "listen {text:?} is no address and port, like 127.0.0.1:26379"
        ))
    };
    if let Some(port) = text.strip_prefix(':') {
        return Ok(SocketAddr::from((
            Ipv6Addr::UNSPECIFIED,
            port.parse().map_err(|_| wrong())?,
        )));
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let mut found = tokio::net::lookup_host(text)
        .await
        .map_err(|_| wrong())?
        .collect::<Vec<_>>();
    // As most clients connect to `localhost`.
    found.sort_by_key(|address| !address.is_ipv4());
    found.into_iter().next().ok_or_else(wrong)
}

fn host_and_port(text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Err(Error::missing("upstream"));
    }
    is_short(text)?;
    let parts = text.rsplit_once(':');
    match parts.and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) {
        // As Go has it.
        Some(("", port)) if port > 0 => Ok(format!("localhost:{port}")),
        Some((_, port)) if port > 0 => Ok(text.to_owned()),
        _ => Err(Error::body(format_args!(
            "upstream {text:?} is no host and port, like localhost:6379"
        ))),
    }
}
