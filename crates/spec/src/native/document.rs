//! What stands in a native document. The comments are its reference: they become the schema's descriptions.

use std::collections::BTreeMap;

use fracas_core::experiment::{BlastRadius, Execution, OnTargetFailure, ProcessSelector, Recovery};
use fracas_core::params::Inject;
use fracas_core::probe::{Command, Expect, Http, Log, Moment, ProcessCount, Prometheus, Tcp};
use fracas_core::seed::Seed;
use fracas_core::units::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// An experiment of Fracas: what is measured, what is broken, on what, and when everything stops.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// Always `fracas.dev/v1`.
    #[serde(rename = "apiVersion")]
    #[expect(dead_code, reason = "read to find out what the document is")]
    api_version: ApiVersion,
    /// Always `Experiment`.
    #[expect(dead_code, reason = "read to find out what the document is")]
    kind: Kind,
    /// What the experiment is called, and whose it is.
    pub(crate) metadata: Metadata,
    /// The root of every random choice. Default: drawn, and reported.
    pub(crate) seed: Option<Seed>,
    /// What must hold, and how it is measured.
    #[serde(default)]
    pub(crate) hypothesis: Hypothesis,
    /// What may be broken.
    #[schemars(length(min = 1))]
    pub(crate) targets: Vec<Target>,
    /// How it is broken.
    #[schemars(length(min = 1))]
    pub(crate) faults: Vec<Fault>,
    /// How the faults follow each other. Default parallel: each at its own `start`.
    #[serde(default)]
    pub(crate) execution: Execution,
    /// What a fault that fails on one target means for the rest. Default rollback.
    #[serde(default)]
    pub(crate) on_target_failure: OnTargetFailure,
    /// From the first injection to the rollback.
    pub(crate) duration: Span,
    /// After so long from the first injection everything is rolled back, whatever else. Default: `duration` and 5m.
    pub(crate) max_duration: Option<Span>,
    /// PromQL whose values are recorded at every interval, without a judgement.
    #[serde(default)]
    pub(crate) metrics: Vec<String>,
}

/// The version of the format.
#[derive(Debug, Deserialize, JsonSchema)]
enum ApiVersion {
    /// The only one.
    #[serde(rename = "fracas.dev/v1")]
    V1,
}

/// The kind of document.
#[derive(Debug, Deserialize, JsonSchema)]
enum Kind {
    /// An experiment.
    Experiment,
}

/// What the experiment is called, and whose it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    /// The name: small letters, digits and `-`.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Whose it is.
    pub(crate) owner: Option<String>,
    /// The document's own version.
    pub(crate) version: Option<String>,
    /// Words to find it by.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// What must hold, and how it is measured.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hypothesis {
    /// Time between two readings of each probe; at least 100ms. Default 5s.
    pub(crate) interval: Option<Span>,
    /// How long the baseline must hold before anything is injected. Default 30s.
    pub(crate) warmup: Option<Span>,
    /// When the system counts as recovered.
    #[serde(default)]
    pub(crate) recovery: Recovery,
    /// The measurements.
    #[serde(default)]
    pub(crate) probes: Vec<Probe>,
}

/// One measurement: exactly one of `prometheus`, `http`, `tcp`, `command`, `log`, `process`, and what is expected of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// Its name; unique within the experiment.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// An instant query to Prometheus. Its values: one per series.
    pub(crate) prometheus: Option<Prometheus>,
    /// An HTTP GET. Its value: 1 or 0, or what `measure` says.
    pub(crate) http: Option<Http>,
    /// A TCP connection. Its value: 1 or 0, or what `measure` says.
    pub(crate) tcp: Option<Tcp>,
    /// A program. Its value: its exit code, or the number it prints.
    pub(crate) command: Option<Command>,
    /// Lines in the logs of containers since the first injection. Its value: how many match.
    pub(crate) log: Option<Log>,
    /// Processes of this machine. Its value: how many match.
    pub(crate) process: Option<ProcessCount>,
    /// The hypothesis: what must hold.
    pub(crate) expect: Option<Expect>,
    /// Danger: when this holds, or cannot be measured, everything stops.
    pub(crate) abort: Option<Expect>,
    /// The moments at which it is judged. Default all: before and during the faults every reading counts, after them the last.
    #[serde(default = "always")]
    #[schemars(length(min = 1))]
    pub(crate) when: Vec<Moment>,
}

fn always() -> Vec<Moment> {
    vec![Moment::Before, Moment::During, Moment::After]
}

/// Targets under one alias: containers or processes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// The name that faults use; unique within the experiment.
    pub(crate) alias: String,
    /// Running containers. All that is given must match.
    pub(crate) container: Option<ContainerTarget>,
    /// Processes of this machine. All that is given must match.
    pub(crate) process: Option<ProcessSelector>,
    /// How many of the candidates may be broken. Default: all.
    #[serde(default)]
    pub(crate) blast_radius: BlastRadius,
}

/// Which running containers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainerTarget {
    /// Regular expression for the whole name.
    pub(crate) name: Option<String>,
    /// Labels that must be there with these values; an empty value asks only for the key.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// The id, or its beginning: at least 4 characters.
    pub(crate) id: Option<String>,
    /// The image as the container was made from; without a tag, any tag.
    pub(crate) image: Option<String>,
    /// The service of a compose project.
    pub(crate) compose_service: Option<String>,
}

/// A fault that comes and goes. Each time is an injection of its own: with its undo, its dose and its line in the certificate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pulse {
    /// How long it is on each time; at least 1s.
    pub(crate) on: Span,
    /// How long it is off in between; at least 1s.
    pub(crate) off: Span,
}

/// A fault that becomes harder in steps: from `from` to the number that its parameters have, and stays there. Each step is an
/// injection of its own; between two of them the target is as before for the moment of an undo and an apply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ramp {
    /// The number of the first step, in the unit of the fault's own: `10%`, `1GiB`, `100`.
    pub(crate) from: String,
    /// How long until the last step begins.
    pub(crate) over: Span,
    /// How many steps there are with the first and the last, from 2 to 100; none may be shorter than 1s. Default 10.
    #[serde(default = "ten")]
    pub(crate) steps: u32,
}

fn ten() -> u32 {
    10
}

/// One fault on the targets of one alias.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// Its name; unique within the experiment.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// The alias of its targets.
    pub(crate) target: String,
    /// The fault and its parameters: a map with one key, the fault's type.
    pub(crate) inject: Inject,
    /// When, counted from the first injection; with `execution: sequential` from the end of the fault before. Default 0s.
    #[serde(default)]
    pub(crate) start: Span,
    /// How long. Default: until the rollback.
    pub(crate) duration: Option<Span>,
    /// The fault comes and goes.
    pub(crate) pulse: Option<Pulse>,
    /// The fault becomes harder in steps, up to what its parameters say.
    pub(crate) ramp: Option<Ramp>,
    /// Agrees to a fault that has no way back. Default false.
    #[serde(default)]
    pub(crate) allow_irreversible: bool,
}
