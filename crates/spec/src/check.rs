//! What both formats must satisfy besides their shape. The document's tree tells where; [`Paths`] where that is in each format.

mod connections;
mod faults;
mod http;
mod loads;
mod names;
mod packets;
mod patterns;
mod probes;
mod targets;

use std::collections::HashMap;

use fracas_core::experiment::{Experiment, Format};
use fracas_core::problem::codes;
use fracas_core::units::Span;

use crate::place::{Spot, quoted};
use crate::problems::Problems;
use crate::promql;
use crate::tree::Node;

/// So many wrong queries are searched for the place of the mistake.
const MOST_LOCATED: usize = 5;

/// Where the parts of an experiment stand in a format.
pub(crate) struct Paths {
    /// The list of targets.
    pub(crate) targets: &'static str,
    /// The list of faults.
    pub(crate) faults: &'static str,
    /// The key of a fault's name.
    pub(crate) fault_name: &'static str,
    /// The key of a fault's start.
    pub(crate) fault_start: &'static str,
    /// Below which a fault's parameters stand; `{}` is its type.
    pub(crate) params: &'static str,
    /// The list of probes.
    pub(crate) probes: &'static str,
    /// The time between two readings.
    pub(crate) interval: &'static str,
    /// The length.
    pub(crate) duration: &'static str,
    /// The list of metrics.
    pub(crate) metrics: &'static str,
}

/// Where each part of an experiment stood in its list in the document: what has a problem, or is not supported, was left out.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    pub(crate) targets: Vec<usize>,
    pub(crate) faults: Vec<usize>,
    pub(crate) probes: Vec<usize>,
}

/// Reads each item of a list; those that can be read, and their indices.
pub(crate) fn each<T, U>(items: Vec<T>, mut read: impl FnMut(usize, T) -> Option<U>) -> (Vec<U>, Vec<usize>) {
    items
        .into_iter()
        .enumerate()
        .filter_map(|(index, item)| Some((read(index, item)?, index)))
        .unzip()
}

/// As [`each`], where an item may become several.
pub(crate) fn several<T, U>(items: Vec<T>, mut read: impl FnMut(usize, T) -> Vec<U>) -> (Vec<U>, Vec<usize>) {
    items
        .into_iter()
        .enumerate()
        .flat_map(|(index, item)| read(index, item).into_iter().map(move |one| (one, index)))
        .unzip()
}

/// The native format.
pub(crate) const NATIVE: Paths = Paths {
    targets: "targets",
    faults: "faults",
    fault_name: "name",
    fault_start: "start",
    params: "inject.{}",
    probes: "hypothesis.probes",
    interval: "hypothesis.interval",
    duration: "duration",
    metrics: "metrics",
};

/// Seed 0's format.
pub(crate) const SCENARIO: Paths = Paths {
    targets: "spec.targets",
    faults: "spec.faults",
    fault_name: "phase",
    fault_start: "delay",
    params: "params",
    probes: "spec.success_criteria",
    interval: "spec.interval",
    duration: "spec.duration",
    metrics: "spec.metrics",
};

/// An experiment under examination.
struct Check<'a, 'p> {
    experiment: &'a Experiment,
    paths: &'a Paths,
    origins: &'a Origins,
    root: &'a Node,
    problems: &'a mut Problems<'p>,
}

impl Check<'_, '_> {
    fn spot(&self, path: &str) -> Spot {
        self.root.nearest(path).spot
    }

    fn wrong(&mut self, path: &str, why: &str) {
        let spot = self.spot(path);
        self.problems
            .error(&codes::WRONG_VALUE, spot, format!("`{path}` {why}"));
    }
}

/// Checks everything that is about more than one value.
pub(crate) fn experiment(
    experiment: &Experiment,
    paths: &Paths,
    origins: &Origins,
    root: &Node,
    problems: &mut Problems<'_>,
) {
    let mut check = Check {
        experiment,
        paths,
        origins,
        root,
        problems,
    };
    check.head();
    check.targets();
    check.faults();
    check.probes();
    for index in 0..experiment.metrics.len() {
        check.query(&format!("{}[{index}]", paths.metrics), &experiment.metrics[index]);
    }
}

impl Check<'_, '_> {
    fn head(&mut self) {
        let name = &self.experiment.name;
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let well_formed = !name.is_empty()
            && name.len() <= 128
            && name.chars().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !well_formed {
            let spot = self.spot("metadata.name");
            let what = format!("`metadata.name` cannot be {}", quoted(name));
            let next = "use small letters, digits and `-` between them, at most 128 characters";
            self.problems.error_next(&codes::WRONG_VALUE, spot, what, next);
        }
        if self.experiment.duration == Span::default() {
            self.wrong(self.paths.duration, "must be more than 0s");
        }
        if self.experiment.interval < Span::millis(100) {
            self.wrong(self.paths.interval, "must be at least 100ms");
        }
        if self.experiment.interval > self.experiment.duration && self.experiment.duration > Span::default() {
            let spot = self.spot(self.paths.interval);
            let what = format!(
                "`interval` {} is longer than `duration` {}",
                self.experiment.interval, self.experiment.duration
            );
            let next = "each probe is read once while the faults are on, or never; shorten the interval";
            self.problems.warn(&codes::CONTRADICTION, spot, what, next);
        }
        if self.experiment.max_duration < self.experiment.duration {
            let spot = self.spot("max_duration");
            let what = format!(
                "`max_duration` {} is less than `duration` {}",
                self.experiment.max_duration, self.experiment.duration
            );
            self.problems.error(&codes::CONTRADICTION, spot, what);
        }
    }

    /// Names that are there twice, also of items that were left out. Empty ones are wrong too.
    fn unique(&mut self, list: &str, key: &str) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let root = self.root;
        for item in root.nearest(list).items().unwrap_or_default() {
            let Some(node) = item.get(key) else { continue };
            let Some(name) = node.scalar().map(|scalar| scalar.text.as_str()) else {
                continue;
            };
            if name.is_empty() {
                self.problems.error(
                    &codes::WRONG_VALUE,
                    node.spot,
                    format!("a `{key}` in `{list}` is empty"),
                );
            } else if let Some(line) = seen.get(name) {
                let what = format!(
                    "{} is the `{key}` of two items of `{list}`; first in line {line}",
                    quoted(name)
                );
                self.problems.error(&codes::DUPLICATE_NAME, node.spot, what);
            } else {
                seen.insert(name, node.spot.line);
            }
        }
    }

    /// Whether the document is a native one.
    fn native(&self) -> bool {
        self.experiment.format == Format::Native
    }

    fn query(&mut self, path: &str, query: &str) {
        // A hostile document could hold thousands: the first few are enough to be exact about.
        let errors = self.problems.errors.iter();
        let locate = errors.filter(|problem| *problem.code == codes::BAD_QUERY).count() < MOST_LOCATED;
        if let Err(wrong) = promql::check(query, locate) {
            let node = self.root.nearest(path);
            let column = wrong.column;
            let mut spot = node.spot;
            // The column is shown in the document where the query stands there as it is: on one line and without escapes.
            let quote = usize::from(node.scalar().is_some_and(|scalar| !scalar.plain));
            let inside = Spot {
                column: spot.column + quote,
                ..spot
            };
            if self.problems.sources().rest_of_line(inside).starts_with(query) {
                spot = Spot {
                    column: inside.column + column - 1,
                    length: 1,
                    ..spot
                };
            }
            let what = format!("`{path}` is not PromQL: {}, at column {column} of the query", wrong.why);
            self.problems.error(&codes::BAD_QUERY, spot, what);
        }
    }
}
