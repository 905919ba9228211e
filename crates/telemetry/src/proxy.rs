//! The metrics of a proxy: what passed, what was done to it. Labels have values of ours, or of the configuration: a route is its
//! template, never the path of a request, and no label is the name of a client.

mod listeners;
mod routes;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{Described, Page};
use crate::orchestrations::{ALL as OF_ORCHESTRATIONS, Orchestrations};

pub use listeners::ListenerCounts;
use listeners::Listeners;
pub use routes::{RouteCounts, Routes};

/// Upper bounds in seconds, for delays from half a millisecond to an hour.
const BUCKETS: [f64; 14] = [
    0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 3600.0,
];

/// Of statuses; one above them all counts as the last.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Every family, in the order in which they are served.
pub const ALL: &[Described] = &[
    Described {
        name: "fracas_proxy_requests_total",
        kind: "counter",
        labels: "class",
        help: "Requests that were answered, by the class of the status, whoever gave it; those of the API are not counted",
    },
    Described {
        name: "fracas_proxy_faults_total",
        kind: "counter",
        labels: "fault",
        help: "Requests that met a fault, one may meet several; of connection_timeout, connections, and of websocket_*, messages",
    },
    Described {
        name: "fracas_proxy_latency_seconds",
        kind: "histogram",
        labels: "",
        help: "For how long requests were held, as it was decided",
    },
    Described {
        name: "fracas_proxy_connections",
        kind: "gauge",
        labels: "",
        help: "Connections of clients that are open, also as tunnels",
    },
    Described {
        name: "fracas_proxy_circuit_breaker_state",
        kind: "gauge",
        labels: "",
        help: "State of the circuit breaker: 0 closed, 1 open, 2 half-open; open until a request comes when its time is over",
    },
    Described {
        name: "fracas_proxy_bulkhead_concurrent_requests",
        kind: "gauge",
        labels: "",
        help: "Requests that have a place of the bulkhead",
    },
    Described {
        name: "fracas_proxy_bulkhead_queued_requests",
        kind: "gauge",
        labels: "",
        help: "Requests that wait for a place of the bulkhead",
    },
    Described {
        name: "fracas_proxy_config_reloads_total",
        kind: "counter",
        labels: "result",
        help: "Changes of the file of the configuration, applied or refused",
    },
    Described {
        name: "fracas_proxy_spans_lost_total",
        kind: "counter",
        labels: "",
        help: "Spans of requests that found no room on their way to the collector, or that it did not take",
    },
    Described {
        name: "fracas_proxy_route_requests_total",
        kind: "counter",
        labels: "route, class",
        help: "Requests by their route, as it is configured, while there are routes; other: of none, or of one behind the first 128 since the beginning",
    },
    Described {
        name: "fracas_proxy_route_faults_total",
        kind: "counter",
        labels: "route, fault",
        help: "Requests that met a fault, by their route, in the same way",
    },
    Described {
        name: "fracas_proxy_tls_handshakes_total",
        kind: "counter",
        labels: "end",
        help: "Handshakes of TLS with clients, by how they ended: done, failed, given_up when time was over, no_tls",
    },
    Described {
        name: "fracas_proxy_listener_requests_total",
        kind: "counter",
        labels: "listener, class",
        help: "Requests that were answered, by the listener to which they came, where there are several",
    },
    Described {
        name: "fracas_proxy_listener_faults_total",
        kind: "counter",
        labels: "listener, fault",
        help: "Requests that met a fault, by their listener, in the same way",
    },
    OF_ORCHESTRATIONS[0],
    OF_ORCHESTRATIONS[1],
    OF_ORCHESTRATIONS[2],
    OF_ORCHESTRATIONS[3],
    OF_ORCHESTRATIONS[4],
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfClass {
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFault {
    fault: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: &'static str,
}

/// Of a change of the file.
const RESULTS: [&str; 2] = ["applied", "refused"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    end: &'static str,
}

/// How a handshake of TLS ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The client is in.
    Done,
    /// The two found nothing in common, or one of them broke off.
    Failed,
    /// It took too long, or the proxy ended.
    GivenUp,
    /// What came was no TLS.
    NoTls,
}

impl Handshake {
    const ALL: [Self; 4] = [Self::Done, Self::Failed, Self::GivenUp, Self::NoTls];

    fn label(self) -> OfEnd {
        let end = match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::NoTls => "no_tls",
        };
        OfEnd { end }
    }
}

/// What a proxy counts. Whoever counts holds up nobody.
#[derive(Debug)]
pub struct Traffic {
    /// Of each of the [`CLASSES`]. Not looked for in their family: that would be once for each request.
    requests: [Counter; 5],
    faults: Family<OfFault, Counter>,
    latency: Histogram,
    connections: Gauge,
    circuit_breaker: Level,
    bulkhead: [Level; 2],
    reloads: Family<OfResult, Counter>,
    spans_lost: Counter,
    handshakes: Family<OfEnd, Counter>,
    orchestrations: Orchestrations,
    routes: Routes,
    listeners: Listeners,
    page: Page,
}

/// A number that is shown. Copies are of the same.
#[derive(Debug, Clone, Default)]
pub struct Level(Gauge);

impl Level {
    /// Shows another.
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }
}

/// What was counted since the proxy began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that were answered.
    pub requests: u64,
    /// Those of them whose status was 500 or more.
    pub server_errors: u64,
    /// Faults that requests met.
    pub faults: u64,
}

/// What was counted since the proxy began, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered, by the class of the status.
    pub requests: Vec<(&'static str, u64)>,
    /// Faults that requests met.
    pub faults: Vec<(&'static str, u64)>,
    /// Connections that are open.
    pub connections: u64,
}

/// A connection that is open; it is counted until this is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    pub(crate) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Traffic {
    /// With nothing counted. These are the names of all faults, which are shown with zero from the beginning.
    pub fn new(faults: &[&'static str]) -> Self {
        let mut registry = Registry::with_prefix("fracas_proxy");
        let [
            requests,
            met,
            latency,
            connections,
            breaker,
            inside,
            queued,
            reloads,
            lost,
            of_route,
            met_on_route,
            handshakes,
            of_listener,
            met_at_listener,
        ] = std::array::from_fn(|index| ALL[index].help);
        let of_class = Family::<OfClass, Counter>::default();
        let all = Self {
            requests: CLASSES.map(|class| of_class.get_or_create(&OfClass { class }).clone()),
            faults: Family::default(),
            latency: Histogram::new(BUCKETS),
            connections: Gauge::default(),
            circuit_breaker: Level::default(),
            bulkhead: [Level::default(), Level::default()],
            reloads: Family::default(),
            spans_lost: Counter::default(),
            handshakes: Family::default(),
            orchestrations: Orchestrations::register(&mut registry),
            routes: Routes::default(),
            listeners: Listeners::default(),
            page: Page::default(),
        };
        registry.register("requests", requests, of_class);
        registry.register("faults", met, all.faults.clone());
        registry.register_with_unit("latency", latency, Unit::Seconds, all.latency.clone());
        registry.register("connections", connections, all.connections.clone());
        registry.register("circuit_breaker_state", breaker, all.circuit_breaker.0.clone());
        let [has_a_place, waits] = &all.bulkhead;
        registry.register("bulkhead_concurrent_requests", inside, has_a_place.0.clone());
        registry.register("bulkhead_queued_requests", queued, waits.0.clone());
        registry.register("config_reloads", reloads, all.reloads.clone());
        registry.register("spans_lost", lost, all.spans_lost.clone());
        registry.register("tls_handshakes", handshakes, all.handshakes.clone());
        for result in RESULTS {
            drop(all.reloads.get_or_create(&OfResult { result }));
        }
        registry.register("route_requests", of_route, all.routes.requests.clone());
        registry.register("route_faults", met_on_route, all.routes.faults.clone());
        registry.register("listener_requests", of_listener, all.listeners.requests.clone());
        registry.register("listener_faults", met_at_listener, all.listeners.faults.clone());
        for end in Handshake::ALL {
            drop(all.handshakes.get_or_create(&end.label()));
        }
        for fault in faults {
            drop(all.faults.get_or_create(&OfFault { fault }));
        }
        Self {
            page: Page::new(registry),
            ..all
        }
    }

    /// What is shown of them, now and from now on.
    pub fn page(&self) -> Page {
        self.page.clone()
    }

    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        self.requests[class(status)].inc();
    }

    /// A request met this fault.
    pub fn met(&self, fault: &'static str) {
        self.faults.get_or_create(&OfFault { fault }).inc();
    }

    /// A handshake of TLS with a client ended so.
    pub fn shook_hands(&self, end: Handshake) {
        self.handshakes.get_or_create(&end.label()).inc();
    }

    /// What was counted until now. These are the names of all faults.
    pub fn totals(&self, faults: &[&'static str]) -> Totals {
        let requests = self.requests.each_ref().map(Counter::get);
        Totals {
            requests: requests.iter().sum(),
            server_errors: requests[4],
            faults: faults
                .iter()
                .map(|fault| self.faults.get_or_create(&OfFault { fault }).get())
                .sum(),
        }
    }

    /// The same, one by one. These are the names of all faults.
    pub fn counts(&self, faults: &[&'static str]) -> Counts {
        let of_fault = |fault: &'static str| (fault, self.faults.get_or_create(&OfFault { fault }).get());
        Counts {
            requests: std::iter::zip(CLASSES, self.requests.iter().map(Counter::get)).collect(),
            faults: faults.iter().copied().map(of_fault).collect(),
            connections: u64::try_from(self.connections.get()).unwrap_or_default(),
        }
    }

    /// A request is held for so many seconds.
    pub fn held(&self, seconds: f64) {
        self.latency.observe(seconds);
    }

    /// The file of the configuration has changed, and that was applied or refused.
    pub fn reloaded(&self, is_applied: bool) {
        let result = RESULTS[usize::from(!is_applied)];
        self.reloads.get_or_create(&OfResult { result }).inc();
    }

    /// So many spans of requests found no room, or were not delivered.
    pub fn spans_lost(&self, count: u64) {
        self.spans_lost.inc_by(count);
    }

    /// The state of the circuit breaker: 0 closed, 1 open, 2 half-open.
    pub fn circuit_breaker(&self) -> Level {
        self.circuit_breaker.clone()
    }

    /// How many requests have a place of the bulkhead, and how many wait for one.
    pub fn bulkhead(&self) -> [Level; 2] {
        self.bulkhead.clone()
    }

    /// What is counted of orchestrations.
    pub fn orchestrations(&self) -> &Orchestrations {
        &self.orchestrations
    }

    /// What is counted by route.
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// What is counted of a listener, where there are several.
    pub fn listener(&self, name: &str) -> ListenerCounts {
        self.listeners.of(name)
    }

    /// A connection was opened.
    pub fn opened(&self) -> Open {
        Open::new(self.connections.clone())
    }
}

/// Which class a status is of.
fn class(status: u16) -> usize {
    usize::from(status / 100).clamp(1, 5) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Form;

    #[test]
    fn every_family_is_described_as_it_is_served() {
        let traffic = Traffic::new(&["latency"]);
        traffic.answered(204);
        traffic.held(0.002);
        let open = traffic.opened();
        traffic.met("latency");
        traffic.routes().of("GET /users/{id}").met("latency");
        traffic.listener("payments").met("latency");
        traffic.shook_hands(Handshake::NoTls);
        traffic.circuit_breaker().set(2);
        let [inside, queued] = traffic.bulkhead();
        inside.set(3);
        queued.set(1);
        traffic.reloaded(false);
        traffic.spans_lost(1);
        let orchestrations = traffic.orchestrations();
        orchestrations.ended("o", "failed");
        orchestrations.was_on("o", "a", std::time::Duration::from_millis(700));
        orchestrations.judged(2, 1);
        orchestrations.hooked("log", false);
        let runs = orchestrations.runs();
        let text = traffic.page().text(Form::Text).unwrap();
        for family in ALL {
            let (name, kind, help) = (family.name, family.kind, family.help);
            assert!(text.contains(&format!("# HELP {name} {help}.\n")), "{name}: {text}");
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}: {text}");
        }
        assert_eq!(text.matches("# TYPE ").count(), ALL.len());
        for sample in [
            "fracas_proxy_requests_total{class=\"2xx\"} 1\n",
            "fracas_proxy_faults_total{fault=\"latency\"} 1\n",
            "fracas_proxy_latency_seconds_bucket{le=\"0.005\"} 1\n",
            "fracas_proxy_connections 1\n",
            "fracas_proxy_circuit_breaker_state 2\n",
            "fracas_proxy_bulkhead_concurrent_requests 3\n",
            "fracas_proxy_bulkhead_queued_requests 1\n",
            "fracas_proxy_config_reloads_total{result=\"applied\"} 0\n",
            "fracas_proxy_config_reloads_total{result=\"refused\"} 1\n",
            "fracas_proxy_spans_lost_total 1\n",
            "fracas_proxy_orchestration_executions_total{orchestration=\"o\",status=\"failed\"} 1\n",
            "fracas_proxy_orchestration_step_duration_seconds_bucket{orchestration=\"o\",step=\"a\",le=\"1\"} 1\n",
            "fracas_proxy_active_orchestrations 1\n",
            "fracas_proxy_orchestration_assertion_results_total{result=\"held\"} 2\n",
            "fracas_proxy_orchestration_hook_executions_total{hook=\"log\",result=\"done\"} 1\n",
            "fracas_proxy_route_requests_total{route=\"GET /users/{id}\",class=\"2xx\"} 0\n",
            "fracas_proxy_route_faults_total{route=\"GET /users/{id}\",fault=\"latency\"} 1\n",
            "fracas_proxy_tls_handshakes_total{end=\"done\"} 0\n",
            "fracas_proxy_tls_handshakes_total{end=\"no_tls\"} 1\n",
        ] {
            assert!(text.contains(sample), "{sample}: {text}");
        }
        drop((open, runs));
        let text = traffic.page().text(Form::Text).unwrap();
        assert!(text.contains("fracas_proxy_connections 0\n"), "{text}");
    }

    #[test]
    fn totals_are_those_of_all_classes_and_faults() {
        let traffic = Traffic::new(&["latency", "timeout"]);
        for status in [200, 204, 404, 500, 504] {
            traffic.answered(status);
        }
        for fault in ["latency", "latency", "timeout"] {
            traffic.met(fault);
        }
        let totals = traffic.totals(&["latency", "timeout"]);
        assert_eq!((totals.requests, totals.server_errors, totals.faults), (5, 2, 3));
    }

    #[test]
    fn a_fault_that_was_not_met_is_shown_with_zero() {
        let text = Traffic::new(&["timeout"]).page().text(Form::Text).unwrap();
        assert!(
            text.contains("fracas_proxy_faults_total{fault=\"timeout\"} 0\n"),
            "{text}"
        );
    }
}
