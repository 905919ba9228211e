//! The configuration of a proxy, whole or one block of it. Files and bodies of REST requests are read by the same lines.

mod gates;
mod mutations;
mod profile;
mod protocols;
mod routes;
mod scope;

use fracas_core::chaos::{ChaosConfig, CorruptionType, Distribution, FaultInjection, Latency, RateLimit};
use fracas_core::problem::{Code, Problem, codes};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::place::Sources;
use crate::problems::Problems;
use crate::shape::Shape;
use crate::tree::Node;
use crate::{LARGEST, Source, later, literal, place};

pub use mutations::mutations;
pub use profile::{ProfileForm, profile_text};

/// An hour, in milliseconds: nothing is held for longer.
const LONGEST: f64 = 3_600_000.0;

/// A configuration of a proxy, or a block of one.
pub trait Chaos: JsonSchema + DeserializeOwned {
    /// Which of its keys come with a later version.
    #[doc(hidden)]
    const LATER: fn(&str, &str) -> Option<&'static str> = later::chaos;

    /// Notes what is wrong beyond the type of each key. `at` is the path of this part, with a dot behind it, or empty.
    #[doc(hidden)]
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str);
}

/// Where a check notes what it finds.
#[doc(hidden)]
#[derive(Debug)]
pub struct Finds<'f, 's> {
    root: &'f Node,
    problems: &'f mut Problems<'s>,
}

/// Reads a configuration, or a block of one: YAML, of which JSON is a part. `${NAME}` acts as in every document, by `env`; what comes from
/// the network is read with an `env` that knows nothing.
///
/// # Errors
/// All problems, in the order of the text: D001 if it is too large, D002 to D005, D009, D010 for what is not available yet, and D012.
pub fn chaos<T: Chaos>(source: &Source, env: &dyn Fn(&str) -> Option<String>) -> Result<T, Vec<Box<Problem>>> {
    read(source, env, |_| {})
}

/// A configuration as JSON that can be read again: what would be read as a variable is no variable of it.
///
/// # Errors
/// A value has no JSON form.
pub fn chaos_text(config: &ChaosConfig) -> serde_json::Result<String> {
    literal::json(config)
}

/// Reads a document whose tree is made ready first.
pub(crate) fn read<T: Chaos>(
    source: &Source,
    env: &dyn Fn(&str) -> Option<String>,
    ready: impl FnOnce(&mut Node),
) -> Result<T, Vec<Box<Problem>>> {
    if source.text.len() as u64 > LARGEST {
        let name = place::printable(&source.name);
        let what = format!("{name} is larger than {} KiB", LARGEST / 1024);
        return Err(vec![Problem::new(&codes::DOCUMENT_READ, what)]);
    }
    let mut sources = Sources::default();
    sources.add(&source.name, &source.text);
    let mut root = crate::yaml::parse(&source.text, 0, &sources).map_err(|problem| vec![problem])?;
    let mut problems = Problems::new(&sources);
    crate::vars::expand(&mut root, env, &mut problems);
    ready(&mut root);
    let read = shape::<T>().read(&root, &mut problems);
    let config = read.and_then(|value| match serde_json::from_value::<T>(value) {
        Ok(config) => Some(config),
        // The shape has checked all that serde asks for, so this is a defect; it is still reported as a problem of the document.
        Err(error) => {
            let what = format!("the configuration is not understood: {error}");
            problems.error(&codes::WRONG_VALUE, root.spot, what);
            None
        }
    });
    if let Some(config) = &config {
        let mut finds = Finds {
            root: &root,
            problems: &mut problems,
        };
        config.check(&mut finds, "");
    }
    match config {
        Some(config) if problems.errors.is_empty() => Ok(config),
        _ => Err(crate::boxed(crate::sorted(problems))),
    }
}

/// The shape of a configuration or a block.
pub(crate) fn shape<T: Chaos>() -> Shape {
    Shape::of::<T>(T::LATER)
}

impl<'f, 's> Finds<'f, 's> {
    /// For a configuration that is a part of a document.
    pub(crate) fn new(root: &'f Node, problems: &'f mut Problems<'s>) -> Self {
        Self { root, problems }
    }
}

impl Finds<'_, '_> {
    pub(crate) fn found_nothing(&self) -> bool {
        self.problems.errors.is_empty()
    }

    pub(crate) fn error(&mut self, code: &'static Code, path: &str, what: String, next: &str) {
        let spot = self.root.nearest(path).spot;
        self.problems.error_next(code, spot, what, next);
    }

    pub(crate) fn wrong(&mut self, path: &str, what: &str) {
        let spot = self.root.nearest(path).spot;
        self.problems
            .error(&codes::WRONG_VALUE, spot, format!("`{path}` {what}"));
    }

    fn contradiction(&mut self, path: &str, what: &str, next: &str) {
        let spot = self.root.nearest(path).spot;
        self.problems.error_next(&codes::CONTRADICTION, spot, what, next);
    }

    fn at_least_one(&mut self, path: &str, value: u32, why: &str) {
        if value == 0 {
            self.wrong(path, &format!("must be at least 1: {why}"));
        }
    }

    fn probability(&mut self, path: &str, value: f64) {
        if !(0.0..=1.0).contains(&value) {
            let next = "a probability is a number from 0 to 1: 0.1 is one in ten";
            let spot = self.root.nearest(path).spot;
            let what = format!("`{path}` must be from 0 to 1, not {value}");
            self.problems.error_next(&codes::WRONG_VALUE, spot, what, next);
        }
    }

    fn millis(&mut self, path: &str, value: f64) {
        if !(0.0..=LONGEST).contains(&value) {
            self.wrong(
                path,
                &format!("must be from 0 to {LONGEST} milliseconds, an hour, not {value}"),
            );
        }
    }
}

impl Chaos for ChaosConfig {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        if let Some(latency) = &self.latency {
            latency.check(finds, &format!("{at}latency."));
        }
        if let Some(faults) = &self.fault_injection {
            faults.check(finds, &format!("{at}fault_injection."));
        }
        if let Some(limit) = &self.rate_limit {
            limit.check(finds, &format!("{at}rate_limit."));
        }
        if let Some(shaping) = &self.traffic_shaping {
            shaping.check(finds, &format!("{at}traffic_shaping."));
        }
        if let Some(breaker) = &self.circuit_breaker {
            breaker.check(finds, &format!("{at}circuit_breaker."));
        }
        if let Some(bulkhead) = &self.bulkhead {
            bulkhead.check(finds, &format!("{at}bulkhead."));
        }
        if let Some(grpc) = &self.grpc {
            grpc.check(finds, &format!("{at}grpc."));
        }
        if let Some(websocket) = &self.websocket {
            websocket.check(finds, &format!("{at}websocket."));
        }
        if let Some(graphql) = &self.graphql {
            graphql.check(finds, &format!("{at}graphql."));
        }
        if let Some(mutations) = &self.mutations {
            mutations.check(finds, &format!("{at}mutations."));
        }
        routes::all(&self.routes, finds, &format!("{at}routes"));
    }
}

impl Chaos for Latency {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        let kinds = [
            ("fixed_delay_ms", self.fixed_delay_ms.is_some()),
            ("random_delay_range_ms", self.random_delay_range_ms.is_some()),
            ("distribution", self.distribution.is_some()),
        ];
        let said: Vec<&str> = kinds.iter().filter(|(_, said)| *said).map(|(key, _)| *key).collect();
        if let [first, second, ..] = said[..] {
            let path = format!("{at}{second}");
            let what = format!("`{path}` and `{at}{first}` both say how long a delay is");
            finds.contradiction(&path, &what, "remove one of the two");
        }
        if said.is_empty() && self.enabled {
            let path = at.trim_end_matches('.');
            let spot = finds.root.nearest(path).spot;
            let next = "add `fixed_delay_ms`, `random_delay_range_ms` or `distribution`";
            let what = "the latency does not say how long it is";
            finds.problems.error_next(&codes::MISSING_KEY, spot, what, next);
        }
        if let Some(fixed) = self.fixed_delay_ms {
            finds.millis(&format!("{at}fixed_delay_ms"), fixed);
        }
        if let Some([least, most]) = self.random_delay_range_ms {
            let path = format!("{at}random_delay_range_ms");
            finds.millis(&path, least);
            finds.millis(&path, most);
            if least > most {
                finds.wrong(&path, &format!("begins with the least: {least} is more than {most}"));
            }
        }
        match self.distribution {
            Some(Distribution::Normal(normal)) => {
                finds.millis(&format!("{at}distribution.normal.mean_ms"), normal.mean_ms);
                finds.millis(&format!("{at}distribution.normal.std_dev_ms"), normal.std_dev_ms);
            }
            Some(Distribution::Exponential(exponential)) => {
                let lambda = exponential.lambda;
                if lambda < 1.0 / LONGEST {
                    let what =
                        format!("must be more than 0 in a millisecond, and at least one in an hour, not {lambda}");
                    finds.wrong(&format!("{at}distribution.exponential.lambda"), &what);
                }
            }
            Some(Distribution::Pareto(pareto)) => {
                finds.millis(&format!("{at}distribution.pareto.mean_ms"), pareto.mean_ms);
                finds.millis(&format!("{at}distribution.pareto.std_dev_ms"), pareto.std_dev_ms);
            }
            None => {}
        }
        if !(0.0..=100.0).contains(&self.jitter_percent) {
            let what = format!("must be from 0 to 100, not {}", self.jitter_percent);
            finds.wrong(&format!("{at}jitter_percent"), &what);
        }
        finds.probability(&format!("{at}probability"), self.probability);
        scope::listeners(&self.listeners, finds, at);
    }
}

impl Chaos for FaultInjection {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        for (index, status) in self.http_errors.iter().enumerate() {
            if !(400..=599).contains(status) {
                let what = format!("must be the status of an error, from 400 to 599, not {status}");
                finds.wrong(&format!("{at}http_errors[{index}]"), &what);
            }
        }
        for (key, probability) in [
            ("http_error_probability", self.http_error_probability),
            ("connection_error_probability", self.connection_error_probability),
            ("timeout_probability", self.timeout_probability),
            ("partial_response_probability", self.partial_response_probability),
            ("payload_corruption_probability", self.payload_corruption_probability),
        ] {
            finds.probability(&format!("{at}{key}"), probability);
        }
        finds.millis(&format!("{at}timeout_ms"), self.timeout_ms as f64);
        if self.payload_corruption && self.corruption_type == CorruptionType::None {
            let path = format!("{at}payload_corruption");
            let spot = finds.root.nearest(&path).spot;
            let what = format!("`{path}` does nothing while `{at}corruption_type` is `none`");
            let next = "add `corruption_type: random_bytes`, `truncate` or `bit_flip`";
            finds.problems.error_next(&codes::CONTRADICTION, spot, what, next);
        }
        if let Some(pattern) = &self.error_pattern {
            scope::pattern(pattern, &self.http_errors, finds, &format!("{at}error_pattern"));
        }
        if let Some(matcher) = &self.request_matcher {
            scope::matcher(matcher, finds, &format!("{at}request_matcher"));
        }
    }
}

impl Chaos for RateLimit {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        for (key, value) in [
            ("requests_per_second", self.requests_per_second),
            ("burst_size", self.burst_size),
        ] {
            finds.at_least_one(&format!("{at}{key}"), value, "nothing would ever pass");
        }
        scope::listeners(&self.listeners, finds, at);
    }
}

#[cfg(test)]
mod tests;
