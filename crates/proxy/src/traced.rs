//! Requests as spans, for whoever asked for them. Nobody waits for the collector: what finds no room is lost, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fracas_telemetry::otlp::Spans;
use fracas_telemetry::request::{Open, Parent};
use hyper::{HeaderMap, Request};

use crate::service::Shared;

/// Where spans go, and of what their ids are made.
#[derive(Debug, Clone)]
pub struct Tracing {
    spans: Spans,
    root: u64,
    number: Arc<AtomicU64>,
}

/// A request whose span is sent when this is dropped.
#[derive(Debug)]
pub(crate) struct Traced {
    shared: Arc<Shared>,
    /// `None` once it has ended.
    open: Option<Open>,
}

impl Tracing {
    /// To this collector. `root` is of no other process: no two may have the same ids.
    pub fn new(spans: Spans, root: u64) -> Self {
        Self {
            spans,
            root,
            number: Arc::default(),
        }
    }
}

impl Traced {
    /// A request has come. `None`: nobody wants to hear of it, or whoever asked said that it is not to be told.
    pub(crate) fn begin<B>(shared: &Arc<Shared>, request: &Request<B>) -> Option<Self> {
        let tracing = shared.tracing.as_ref()?;
        let parent = parent(request.headers());
        if parent.is_some_and(|parent| !parent.is_sampled()) {
            return None;
        }
        let number = tracing.number.fetch_add(1, Ordering::Relaxed);
        let (method, path) = (request.method().as_str(), request.uri().path());
        Some(Self {
            shared: Arc::clone(shared),
            open: Some(Open::begin(tracing.root, number, parent, method, path)),
        })
    }

    /// It met a fault.
    pub(crate) fn met(&mut self, fault: &'static str) {
        if let Some(open) = &mut self.open {
            open.met(fault);
        }
    }

    /// Its answer has begun. Faults held it for so long.
    pub(crate) fn answered(&mut self, status: u16, held: Duration) {
        if let Some(open) = &mut self.open {
            open.answered(status, held);
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if let (Some(open), Some(tracing)) = (self.open.take(), &self.shared.tracing)
            && !tracing.spans.send(open.end())
        {
            self.shared.metrics.spans_lost(1);
        }
    }
}

/// Who asked. Of two that say it differently nobody is known.
fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut all = headers.get_all("traceparent").iter();
    let (first, other) = (all.next()?, all.next());
    Parent::of(first.to_str().ok().filter(|_| other.is_none())?)
}
