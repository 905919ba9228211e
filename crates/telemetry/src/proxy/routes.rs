//! What a proxy counts by route. A route comes from a document, so there is a bound on how many are told apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{CLASSES, class};

/// So many a proxy tells apart from its beginning to its end; whatever comes later is counted as [`OTHER`].
const MOST: usize = 128;
/// The value of what is of no route.
const OTHER: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfClass {
    route: Arc<str>,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfFault {
    route: Arc<str>,
    fault: &'static str,
}

/// What is counted by route. Copies count the same.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    pub(super) requests: Family<OfClass, Counter>,
    pub(super) faults: Family<OfFault, Counter>,
    known: Arc<Mutex<BTreeMap<String, Arc<RouteCounts>>>>,
}

/// What is counted of one route.
#[derive(Debug)]
pub struct RouteCounts {
    route: Arc<str>,
    /// In the order of the classes.
    requests: Vec<Counter>,
    faults: Family<OfFault, Counter>,
}

impl Routes {
    /// Of the route of this name.
    pub fn of(&self, name: &str) -> Arc<RouteCounts> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.get(name) {
            return Arc::clone(counts);
        }
        if known.len() >= MOST {
            return self.other();
        }
        let counts = self.counts(name);
        known.insert(name.to_owned(), Arc::clone(&counts));
        counts
    }

    /// Of what is of no route, or of one that found no room.
    pub fn other(&self) -> Arc<RouteCounts> {
        self.counts(OTHER)
    }

    fn counts(&self, name: &str) -> Arc<RouteCounts> {
        let route: Arc<str> = name.into();
        let of = |class| {
            let route = Arc::clone(&route);
            self.requests.get_or_create(&OfClass { route, class }).clone()
        };
        Arc::new(RouteCounts {
            requests: CLASSES.map(of).to_vec(),
            faults: self.faults.clone(),
            route,
        })
    }
}

impl RouteCounts {
    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        if let Some(counter) = self.requests.get(class(status)) {
            counter.inc();
        }
    }

    /// A request met this fault.
    pub fn met(&self, fault: &'static str) {
        let route = Arc::clone(&self.route);
        self.faults.get_or_create(&OfFault { route, fault }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Traffic;
    use super::*;
    use crate::metrics::Form;

    #[test]
    fn so_many_routes_are_told_apart_and_the_rest_is_other() {
        let traffic = Traffic::new(&[]);
        let routes = traffic.routes();
        for number in 0..=MOST {
            routes.of(&format!("/{number}")).answered(200);
        }
        routes.of("/0").met("latency");
        routes.of("/one more").met("timeout");
        let text = traffic.page().text(Form::Text).unwrap();
        for sample in [
            "fracas_proxy_route_requests_total{route=\"/0\",class=\"2xx\"} 1\n",
            "fracas_proxy_route_requests_total{route=\"other\",class=\"2xx\"} 1\n",
            "fracas_proxy_route_faults_total{route=\"/0\",fault=\"latency\"} 1\n",
            "fracas_proxy_route_faults_total{route=\"other\",fault=\"timeout\"} 1\n",
        ] {
            assert!(text.contains(sample), "{sample}: {text}");
        }
        assert!(!text.contains("route=\"/128\"") && !text.contains("one more"), "{text}");
    }
}
