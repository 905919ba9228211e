//! What a proxy with several listeners counts by listener. Their names are those of its command line, and there are few.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{CLASSES, class};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfClass {
    listener: Arc<str>,
    class: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfFault {
    listener: Arc<str>,
    fault: &'static str,
}

/// What is counted by listener.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) requests: Family<OfClass, Counter>,
    pub(super) faults: Family<OfFault, Counter>,
}

/// What is counted of one listener.
#[derive(Debug)]
pub struct ListenerCounts {
    listener: Arc<str>,
    /// In the order of the classes.
    requests: Vec<Counter>,
    faults: Family<OfFault, Counter>,
}

impl Listeners {
    /// Of the listener of this name.
    pub(super) fn of(&self, name: &str) -> ListenerCounts {
        let listener: Arc<str> = name.into();
        let of = |class| {
            let listener = Arc::clone(&listener);
            self.requests.get_or_create(&OfClass { listener, class }).clone()
        };
        ListenerCounts {
            requests: CLASSES.map(of).to_vec(),
            faults: self.faults.clone(),
            listener,
        }
    }
}

impl ListenerCounts {
    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        if let Some(counter) = self.requests.get(class(status)) {
            counter.inc();
        }
    }

    /// A request met this fault.
    pub fn met(&self, fault: &'static str) {
        let listener = Arc::clone(&self.listener);
        self.faults.get_or_create(&OfFault { listener, fault }).inc();
    }
}
