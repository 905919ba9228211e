//! The metrics of proxies that are made by Toxiproxy's API: bytes by the names that Toxiproxy gives them, and what toxics did by ours.
//!
//! The names of proxies and their addresses are labels, as they are there. Their number is bounded by how many proxies there may be.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metrics::{Described, Page};
use crate::proxy::Open;

/// Every family, in the order in which they are served.
pub const ALL: &[Described] = &[
    Described {
        name: "toxiproxy_proxy_received_bytes_total",
        kind: "counter",
        labels: "direction, listener, proxy, upstream",
        help: "Bytes that a proxy received, by the direction in which they go",
    },
    Described {
        name: "toxiproxy_proxy_sent_bytes_total",
        kind: "counter",
        labels: "direction, listener, proxy, upstream",
        help: "Bytes that a proxy sent on, by the direction in which they go",
    },
    Described {
        name: "fracas_toxiproxy_connections",
        kind: "gauge",
        labels: "proxy",
        help: "Connections of clients that are open",
    },
    Described {
        name: "fracas_toxiproxy_toxics_total",
        kind: "counter",
        labels: "proxy, toxic",
        help: "Toxics that began to act on a connection, by their type",
    },
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfBytes {
    direction: &'static str,
    listener: String,
    proxy: String,
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProxy {
    proxy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfToxic {
    proxy: String,
    toxic: &'static str,
}

const DIRECTIONS: [&str; 2] = ["upstream", "downstream"];

/// What all proxies count.
#[derive(Debug, Clone)]
pub struct Toxics {
    kinds: &'static [&'static str],
    received: Family<OfBytes, Counter>,
    sent: Family<OfBytes, Counter>,
    connections: Family<OfProxy, Gauge>,
    toxics: Family<OfToxic, Counter>,
    page: Page,
}

impl Toxics {
    /// With nothing counted. These are the types of toxics.
    pub fn new(kinds: &'static [&'static str]) -> Self {
        let mut registry = Registry::default();
        let [received, sent, connections, toxics] = [0, 1, 2, 3].map(|index| ALL[index].help);
        let all = Self {
            kinds,
            received: Family::default(),
            sent: Family::default(),
            connections: Family::default(),
            toxics: Family::default(),
            page: Page::default(),
        };
        registry.register("toxiproxy_proxy_received_bytes", received, all.received.clone());
        registry.register("toxiproxy_proxy_sent_bytes", sent, all.sent.clone());
        registry.register("fracas_toxiproxy_connections", connections, all.connections.clone());
        registry.register("fracas_toxiproxy_toxics", toxics, all.toxics.clone());
        Self {
            page: Page::new(registry),
            ..all
        }
    }

    /// What is shown of them, now and from now on.
    pub fn page(&self) -> Page {
        self.page.clone()
    }

    /// What one proxy counts, with zero from the beginning.
    pub fn of(&self, proxy: &str, listener: &str, upstream: &str) -> Proxied {
        let of_proxy = OfProxy {
            proxy: proxy.to_owned(),
        };
        let of_bytes = DIRECTIONS.map(|direction| OfBytes {
            direction,
            listener: listener.to_owned(),
            proxy: proxy.to_owned(),
            upstream: upstream.to_owned(),
        });
        let of_toxics = self.kinds.iter().map(|toxic| OfToxic {
            proxy: proxy.to_owned(),
            toxic,
        });
        let count = |labels: OfToxic| {
            let counter = self.toxics.get_or_create_owned(&labels);
            (labels, counter)
        };
        Proxied {
            passed: of_bytes.clone().map(|labels| Passed {
                received: self.received.get_or_create_owned(&labels),
                sent: self.sent.get_or_create_owned(&labels),
            }),
            connections: self.connections.get_or_create_owned(&of_proxy),
            toxics: of_toxics.map(count).collect(),
            of_bytes,
            of_proxy,
            all: self.clone(),
        }
    }
}

/// What one proxy counts.
#[derive(Debug)]
pub struct Proxied {
    all: Toxics,
    of_proxy: OfProxy,
    of_bytes: [OfBytes; 2],
    passed: [Passed; 2],
    connections: Gauge,
    toxics: Vec<(OfToxic, Counter)>,
}

/// Bytes of one direction.
#[derive(Debug, Clone)]
pub struct Passed {
    received: Counter,
    sent: Counter,
}

impl Proxied {
    /// Bytes from clients to the server.
    pub fn upstream(&self) -> Passed {
        self.passed[0].clone()
    }

    /// Bytes from the server to clients.
    pub fn downstream(&self) -> Passed {
        self.passed[1].clone()
    }

    /// A toxic of this type began to act on a connection.
    pub fn met(&self, toxic: &str) {
        let known = self.toxics.iter().find(|(labels, _)| labels.toxic == toxic);
        let _counted = known.map(|(_, counter)| counter.inc());
    }

    /// A connection was opened.
    pub fn opened(&self) -> Open {
        Open::new(self.connections.clone())
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        usize::try_from(self.connections.get()).unwrap_or(0)
    }

    /// The proxy is gone: nothing of it is shown any more, whatever its last connections still count.
    pub fn forget(&self) {
        for labels in &self.of_bytes {
            self.all.received.remove(labels);
            self.all.sent.remove(labels);
        }
        self.all.connections.remove(&self.of_proxy);
        for (labels, _) in &self.toxics {
            self.all.toxics.remove(labels);
        }
    }
}

impl Passed {
    /// So many bytes came.
    pub fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    /// So many bytes were sent on.
    pub fn sent(&self, bytes: u64) {
        self.sent.inc_by(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Form;

    #[test]
    fn a_proxy_is_shown_from_its_beginning_to_its_end() {
        let toxics = Toxics::new(&["latency", "timeout"]);
        let proxied = toxics.of("redis", "127.0.0.1:26379", "localhost:6379");
        let open = proxied.opened();
        proxied.met("latency");
        let passed = proxied.downstream();
        passed.received(7);
        passed.sent(5);
        let text = toxics.page().text(Form::Text).unwrap();
        for family in ALL {
            let (name, kind, help) = (family.name, family.kind, family.help);
            assert!(text.contains(&format!("# HELP {name} {help}.\n")), "{name}: {text}");
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
        }
        let labels =
            "direction=\"downstream\",listener=\"127.0.0.1:26379\",proxy=\"redis\",upstream=\"localhost:6379\"";
        for sample in [
            format!("toxiproxy_proxy_received_bytes_total{{{labels}}} 7\n"),
            format!("toxiproxy_proxy_sent_bytes_total{{{labels}}} 5\n"),
            "fracas_toxiproxy_connections{proxy=\"redis\"} 1\n".to_owned(),
            "fracas_toxiproxy_toxics_total{proxy=\"redis\",toxic=\"latency\"} 1\n".to_owned(),
            "fracas_toxiproxy_toxics_total{proxy=\"redis\",toxic=\"timeout\"} 0\n".to_owned(),
        ] {
            assert!(text.contains(&sample), "{sample}: {text}");
        }
        proxied.forget();
        drop(open);
        let text = toxics.page().text(Form::Text).unwrap();
        assert!(!text.contains("redis"), "{text}");
    }
}
