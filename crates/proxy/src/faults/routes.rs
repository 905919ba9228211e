//! Which route a request is of.

use std::sync::Arc;

use fracas_core::chaos::{Route, Template};
use fracas_telemetry::proxy::{RouteCounts, Routes as Counts};
use hyper::Method;

/// The routes of a configuration, in their order.
#[derive(Debug)]
pub(crate) struct Routes {
    rules: Vec<Rule>,
    /// Of requests that are of none.
    other: Arc<RouteCounts>,
}

#[derive(Debug, Clone)]
struct Rule {
    route: Route,
    template: Template,
    counts: Arc<RouteCounts>,
}

impl Routes {
    /// `None`: there are none.
    pub(crate) fn new(routes: &[Route], counts: &Counts) -> Option<Self> {
        let rule = |route: &Route| {
            // It was checked when the configuration was read.
            let template = Template::read(&route.path).ok()?;
            Some(Rule {
                route: route.clone(),
                template,
                counts: counts.of(&route.key()),
            })
        };
        (!routes.is_empty()).then(|| Self {
            rules: routes.iter().filter_map(rule).collect(),
            other: counts.other(),
        })
    }

    /// Those that are about this listener.
    pub(crate) fn at(&self, listener: &str) -> Self {
        let rule = |rule: &Rule| {
            let route = rule.route.at_listener(listener)?;
            Some(Rule { route, ..rule.clone() })
        };
        Self {
            rules: self.rules.iter().filter_map(rule).collect(),
            other: Arc::clone(&self.other),
        }
    }

    /// The first that a request is of, with its place among them, and what counts its requests. The path comes without a query.
    pub(crate) fn find(&self, method: &Method, path: &str) -> (Option<(usize, &Route)>, &Arc<RouteCounts>) {
        let meets = |rule: &Rule| {
            let wanted = rule.route.method.as_deref();
            wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str())) && rule.template.matches(path)
        };
        match self
            .rules
            .iter()
            .position(meets)
            .and_then(|at| Some((at, self.rules.get(at)?)))
        {
            Some((at, rule)) => (Some((at, &rule.route)), &rule.counts),
            None => (None, &self.other),
        }
    }
}
