//! Who measures the targets, for the faults that could blind him.
//!
//! A probe of ours asks from this machine: what it gets comes from the port that it asks, and goes to the address that this machine has
//! on the way there. Whoever else measures is known by his containers, which are protected, and Prometheus also by its own address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use fracas_core::experiment::Experiment;
use fracas_core::observer::{Asked, Observer};
use fracas_core::probe::{Prometheus, Source};
use fracas_core::target::Target;
use fracas_core::units::Span;
use fracas_docker::{Details, Engine, Published};
use fracas_probe::Prober;
use fracas_targets::Guarded;

use crate::recorder::Recorder;

/// How long a name may take.
const RESOLVE: Duration = Duration::from_secs(2);
/// So many addresses of one name are looked at.
const MOST_ADDRESSES: usize = 8;

/// The addresses of its containers, and the ports that it has published, are not this machine's.
const ELSEWHERE: &str = "who measures the targets of an engine on another machine is not known, and may be hit";

/// Who measures.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Observers {
    /// Those of whom all is known.
    known: Vec<Observer>,
    /// Probes that ask a port of this machine: it may be one of a target's, which the engine has published.
    here: Vec<(String, SocketAddr)>,
}

impl Observers {
    /// Looks for them where a fault of the experiment needs to know. What cannot be found out is noted: then it is not left alone.
    pub(crate) async fn find(
        experiment: &Experiment,
        prober: &Prober,
        engine: Option<&Engine>,
        recorder: &mut Recorder,
    ) -> Self {
        let mut found = Self::default();
        if !experiment
            .faults
            .iter()
            .any(|fault| fault.inject.include_observers().is_some())
        {
            return found;
        }
        let mut guarded = Vec::new();
        match engine {
            Some(engine) if engine.is_local() => match fracas_targets::protected(engine).await {
                Ok(all) => guarded = all,
                Err(problem) => recorder.note(format!(
                    "protected containers cannot be looked for, and may be hit: {}",
                    problem.line()
                )),
            },
            Some(_) => recorder.note(ELSEWHERE),
            None => {}
        }
        for container in &guarded {
            found.known.push(Observer {
                who: format!("container {}", container.name),
                addresses: container.addresses.clone(),
                asks: None,
            });
        }
        for (who, source) in sources(experiment) {
            let Some(server) = prober.asks(&source) else { continue };
            let addresses = match resolve(&server).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    recorder.note(format!("{who} may be hit: {server} cannot be resolved: {error}"));
                    continue;
                }
            };
            if matches!(source, Source::Prometheus(_)) {
                if let Some(note) = found.prometheus(&server, &addresses, &guarded) {
                    recorder.note(note);
                }
            } else {
                found.probe(&who, &addresses);
            }
        }
        found
    }

    /// A probe of ours.
    fn probe(&mut self, who: &str, servers: &[SocketAddr]) {
        for server in servers {
            // Where no way leads there it is not asked either.
            if is_here(server.ip()) {
                self.here.push((who.to_owned(), *server));
            } else if let Ok(from) = source_towards(*server) {
                self.known.push(Observer {
                    who: who.to_owned(),
                    addresses: vec![from],
                    asks: Some(Asked {
                        address: Some(server.ip()),
                        port: server.port(),
                    }),
                });
            }
        }
    }

    /// What scrapes the targets. From where, is not known of one that is on this machine and in no protected container: a note.
    fn prometheus(&mut self, server: &str, addresses: &[SocketAddr], guarded: &[Guarded]) -> Option<String> {
        let mut unknown = false;
        for address in addresses {
            let contained = guarded.iter().any(|container| {
                container.addresses.contains(&address.ip())
                    || container.published.iter().any(|published| leads(published, *address))
            });
            let here = is_here(address.ip());
            if !contained && !here {
                self.known.push(Observer {
                    who: format!("Prometheus at {server}"),
                    addresses: vec![address.ip()],
                    asks: None,
                });
            }
            unknown |= !contained && here;
        }
        unknown.then(|| {
            format!(
                "what Prometheus at {server} scrapes may be hit: from which address it asks the targets is not known"
            )
        })
    }

    /// Those who measure this target, or might.
    pub(crate) async fn of(&self, target: &Target, engine: Option<&Engine>) -> Vec<Observer> {
        let mut all = self.known.clone();
        // What an engine on another machine has published is no port of this one.
        let engine = engine.filter(|engine| engine.is_local());
        if let (false, Some(container), Some(engine)) = (self.here.is_empty(), target.container(), engine)
            && let Ok(Some(details)) = engine.inspect(&container.id).await
        {
            all.extend(self.published(&details));
        }
        all
    }

    /// Probes that ask a port of the container's by one of this machine's.
    fn published<'a>(&'a self, container: &'a Details) -> impl Iterator<Item = Observer> + 'a {
        self.here.iter().flat_map(|(who, server)| {
            let ports = container.published.iter().filter(|published| leads(published, *server));
            ports.map(|published| {
                let near = container.addresses.iter();
                let near = near.filter_map(|address| source_towards((*address, published.own).into()).ok());
                // The engine's proxy asks from nearby; where the kernel translates addresses, the asker's stays.
                let kept = source_towards(*server).ok().filter(|address| !address.is_loopback());
                Observer {
                    who: who.clone(),
                    addresses: near.chain(kept).collect(),
                    asks: Some(Asked {
                        address: None,
                        port: published.own,
                    }),
                }
            })
        })
    }
}

/// Whether who asks here asks this port of a container's.
fn leads(published: &Published, server: SocketAddr) -> bool {
    published.port == server.port() && published.address.is_none_or(|address| address == server.ip())
}

/// All that is measured by asking a server.
fn sources(experiment: &Experiment) -> Vec<(String, Source)> {
    let probes = experiment.probes.iter();
    let mut all: Vec<(String, Source)> = probes
        .map(|probe| (format!("probe `{}`", probe.name), probe.source.clone()))
        .collect();
    all.extend(experiment.metrics.first().map(|query| {
        let source = Source::Prometheus(Prometheus {
            query: query.clone(),
            url: None,
            scrape_interval: Span::secs(15),
            timeout: Span::secs(10),
        });
        ("the metrics".to_owned(), source)
    }));
    // One Prometheus is asked by many.
    let mut seen = Vec::new();
    all.retain(|(_, source)| match source {
        Source::Prometheus(one) if seen.contains(&one.url) => false,
        Source::Prometheus(one) => {
            seen.push(one.url.clone());
            true
        }
        _ => true,
    });
    all
}

async fn resolve(server: &str) -> io::Result<Vec<SocketAddr>> {
    let addresses = tokio::time::timeout(RESOLVE, tokio::net::lookup_host(server))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(addresses.take(MOST_ADDRESSES).map(specified).collect())
}

/// Whoever connects to no address in particular reaches this machine by its loopback device (ip(7)).
fn specified(mut server: SocketAddr) -> SocketAddr {
    if server.ip().is_unspecified() {
        server.set_ip(match server {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    server
}

/// Whether an address is this machine's. The way to it does not tell: to a secondary one it begins at the first. Nobody can be bound to
/// an address of others, and all of 127.0.0.0/8 is ours.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// The address that this machine has on the way to another. Nothing is sent: connect(2) on a socket of UDP only looks for the route.
fn source_towards(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(own: u16, port: u16, address: Option<&str>) -> Published {
        Published {
            own,
            port,
            address: address.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn a_port_of_this_machine_leads_to_whoever_published_it() {
        let server: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert!(leads(&published(80, 8080, None), server));
        assert!(leads(&published(80, 8080, Some("127.0.0.1")), server));
        assert!(!leads(&published(80, 8080, Some("192.0.2.1")), server));
        assert!(!leads(&published(8080, 80, None), server));
    }

    #[test]
    fn all_addresses_of_this_machine_are_here_and_no_others() {
        for own in ["127.0.0.1", "127.0.1.1", "0.0.0.0", "::1"] {
            assert!(is_here(own.parse().unwrap()), "{own}");
        }
        assert!(!is_here("192.0.2.1".parse().unwrap()));
        let specified = |text: &str| specified(text.parse().unwrap()).to_string();
        assert_eq!(specified("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(specified("[::]:80"), "[::1]:80");
        assert_eq!(specified("192.0.2.1:80"), "192.0.2.1:80");
        let mut found = Observers::default();
        let servers: Vec<SocketAddr> = ["127.0.1.1:80", "0.0.0.0:80"].map(|text| text.parse().unwrap()).into();
        found.probe("probe `up`", &servers);
        assert_eq!(found.here.len(), 2);
        assert!(found.known.is_empty());
    }

    #[test]
    fn a_probe_of_this_machine_is_here_and_a_prometheus_of_it_is_noted() {
        let server: SocketAddr = "127.0.0.1:9090".parse().unwrap();
        let mut found = Observers::default();
        found.probe("probe `up`", &[server]);
        assert_eq!(found.here, [("probe `up`".to_owned(), server)]);
        let note = found.prometheus("127.0.0.1:9090", &[server], &[]).unwrap();
        assert!(
            note.starts_with("what Prometheus at 127.0.0.1:9090 scrapes may be hit"),
            "{note}"
        );
        let guarded = Guarded {
            name: "prometheus".to_owned(),
            addresses: vec!["192.0.2.9".parse().unwrap()],
            published: vec![published(9090, 9090, None)],
        };
        assert_eq!(found.prometheus("127.0.0.1:9090", &[server], &[guarded]), None);
        assert!(found.known.is_empty());
    }
}
