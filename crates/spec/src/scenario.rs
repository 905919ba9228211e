//! Seed 0's format: `kind: ChaosScenario`, and the bare `spec:` in which its own documentation writes it.

mod clock;
mod connection;
mod criteria;
mod disk;
mod dns;
pub(crate) mod document;
mod faults;
mod http;
mod network;
pub(crate) mod types;

use std::collections::BTreeSet;

use fracas_core::experiment::{
    BlastRadius, ContainerSelector, Experiment, Format, OnTargetFailure, Pattern, Precondition, Recovery, Selector,
    TargetSpec,
};
use fracas_core::problem::codes;
use fracas_core::units::Span;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use crate::place::{Spot, quoted};
use crate::problems::Problems;
use crate::shape::Shape;
use crate::tree::Node;
use crate::{Defaults, check, later, native};
use clock::ClockSkewParams;
use connection::ConnectionDropParams;
use disk::{DiskFillParams, DiskIoParams};
use dns::DnsParams;
use document::{
    CpuParams, Document, FileCorruptParams, FileDeleteParams, KillParams, MemoryParams, PauseParams, ProcessKillParams,
    RestartParams, SelectorKind,
};
use http::HttpFaultParams;
use network::NetworkParams;

/// Seed 0's setting `prometheus.refresh_interval`.
const REFRESH: Span = Span::secs(15);
/// Seed 0's warm-up and cooldown.
const TWO_MINUTES: Span = Span::secs(120);
const SHORTEST_INTERVAL: Span = Span::millis(100);
const ENCLAVE: &str = "com.kurtosistech.enclave-name";
const SERVICE: &str = "com.kurtosistech.id";

/// The shape of the format.
pub(crate) fn shape() -> Shape {
    let mut shape = Shape::of::<Document>(later::scenario);
    // Parameters hang on the type of the fault, not on a field, so they are defined beside it.
    shape.define("MemoryParams", schema::<MemoryParams>());
    shape.define("CpuParams", schema::<CpuParams>());
    shape.define("RestartParams", schema::<RestartParams>());
    shape.define("KillParams", schema::<KillParams>());
    shape.define("PauseParams", schema::<PauseParams>());
    shape.define("ProcessKillParams", schema::<ProcessKillParams>());
    shape.define("FileCorruptParams", schema::<FileCorruptParams>());
    shape.define("FileDeleteParams", schema::<FileDeleteParams>());
    shape.define("DiskFillParams", schema::<DiskFillParams>());
    shape.define("DiskIoParams", schema::<DiskIoParams>());
    shape.define("ClockSkewParams", schema::<ClockSkewParams>());
    shape.define("NetworkParams", schema::<NetworkParams>());
    shape.define("ConnectionDropParams", schema::<ConnectionDropParams>());
    shape.define("DnsParams", schema::<DnsParams>());
    shape.define("HttpFaultParams", schema::<HttpFaultParams>());
    shape
}

fn schema<T: JsonSchema>() -> Value {
    SchemaGenerator::new(SchemaSettings::draft2020_12())
        .into_root_schema_for::<T>()
        .to_value()
}

/// A pattern as seed 0 reads it; see the selector's `pattern`.
fn pattern(text: &str) -> Pattern {
    if text == "*" {
        Pattern::Contains(String::new())
    } else if text.is_empty() {
        // It would match everything, and nobody means that: the check refuses an empty expression.
        Pattern::Anywhere(String::new())
    } else if text.contains(|c| r"\[](){}^$+?.|".contains(c)) {
        Pattern::Anywhere(text.to_owned())
    } else {
        Pattern::Contains(text.to_owned())
    }
}

/// The same pattern as a regular expression that means the same whether it is matched anywhere or against the whole.
fn regex(text: &str) -> String {
    match pattern(text) {
        // Left as it is, for the check to refuse in the author's words: brackets around it could make it whole.
        Pattern::Anywhere(regex) if regex.is_empty() || regex::Regex::new(&regex).is_err() => regex,
        Pattern::Whole(regex) | Pattern::Anywhere(regex) => format!("(?s:.*)(?:{regex})(?s:.*)"),
        Pattern::Contains(text) => format!("(?s:.*){}(?s:.*)", regex::escape(&text)),
    }
}

/// Reads a document whose overrides and variables are in place. `name` is for one that has none. `None` if there is a problem.
pub(crate) fn load(
    shape: &Shape,
    root: &Node,
    bare: bool,
    name: &str,
    defaults: &Defaults,
    problems: &mut Problems<'_>,
) -> Option<Experiment> {
    if !bare {
        head(root, problems);
    }
    let json = shape.read(root, problems)?;
    let document: Document = match serde_json::from_value(json) {
        Ok(document) => document,
        // As in the native format: the shape has checked all that serde asks for.
        Err(error) => {
            problems.error(
                &codes::WRONG_VALUE,
                root.spot,
                format!("the document is not understood: {error}"),
            );
            return None;
        }
    };
    let spec = document.spec;
    let metadata = document.metadata;
    let warmup = spec.warmup.or(defaults.warmup).unwrap_or(TWO_MINUTES);
    let cooldown = spec.cooldown.or(defaults.cooldown).unwrap_or(TWO_MINUTES);
    let quarter = Span(spec.duration.0 / 4);
    let (targets, target_origins) = check::each(spec.targets, |index, one| target(index, one, root, problems));
    let (mut faults, fault_origins) = check::several(spec.faults, |index, one| {
        faults::read(index, &one, root, problems).unwrap_or_default()
    });
    let (mut probes, probe_origins) = check::each(spec.success_criteria, |index, one| {
        criteria::read(index, one, root, defaults, problems)
    });
    let origins = check::Origins {
        targets: target_origins,
        faults: fault_origins,
        probes: probe_origins,
    };
    distinct(
        &mut faults,
        &origins.faults,
        |fault| &mut fault.name,
        ("spec.faults", "phase"),
        root,
        problems,
    );
    distinct(
        &mut probes,
        &origins.probes,
        |probe| &mut probe.name,
        ("spec.success_criteria", "name"),
        root,
        problems,
    );
    let experiment = Experiment {
        format: Format::ChaosScenario,
        name: metadata
            .as_ref()
            .map_or_else(|| name.to_owned(), |metadata| metadata.name.clone()),
        description: metadata.as_ref().and_then(|metadata| metadata.description.clone()),
        owner: metadata.as_ref().and_then(|metadata| metadata.author.clone()),
        version: metadata.as_ref().and_then(|metadata| metadata.version.clone()),
        tags: metadata.map(|metadata| metadata.tags).unwrap_or_default(),
        seed: None,
        interval: spec.interval.unwrap_or_else(|| {
            let refresh = defaults.refresh_interval.unwrap_or(REFRESH);
            refresh.min(quarter).max(SHORTEST_INTERVAL)
        }),
        warmup,
        // Seed 0 judges the criteria that come after the faults once, as soon as the faults are gone.
        recovery: Recovery {
            within: Span::secs(60),
            stable_for: Span::default(),
        },
        probes,
        targets,
        preconditions: spec
            .preconditions
            .map(|wanted| Precondition {
                pattern: pattern(&wanted.validator_pattern),
                at_least: wanted.min_validators,
            })
            .into_iter()
            .collect(),
        faults,
        execution: spec.execution_mode,
        on_target_failure: OnTargetFailure::Rollback,
        duration: spec.duration,
        cooldown,
        max_duration: Span(
            spec.duration
                .0
                .saturating_add(cooldown.0)
                .saturating_add(native::SPARE.0),
        ),
        metrics: spec.metrics,
    };
    check::experiment(&experiment, &check::SCENARIO, &origins, root, problems);
    Some(experiment)
}

/// Gives every item a name of its own: seed 0 takes a name for a label, so that two may share it. A warning says what it became.
fn distinct<T>(
    items: &mut [T],
    origins: &[usize],
    name_of: impl Fn(&mut T) -> &mut String,
    (list, key): (&str, &str),
    root: &Node,
    problems: &mut Problems<'_>,
) {
    let mut taken = BTreeSet::new();
    for (item, origin) in items.iter_mut().zip(origins) {
        let name = name_of(item);
        let spot = root.nearest(&format!("{list}[{origin}].{key}")).spot;
        if name.is_empty() {
            problems.error(&codes::WRONG_VALUE, spot, format!("a `{key}` in `{list}` is empty"));
        }
        // Of one candidate more than there are names, at least one is free.
        let free = (2..origins.len() + 3)
            .map(|n| format!("{name}-{n}"))
            .find(|free| !taken.contains(free));
        if let Some(free) = free.filter(|_| taken.contains(name)) {
            let what = format!("{} is the `{key}` of more than one item of `{list}`", quoted(name));
            problems.warn(
                &codes::DUPLICATE_NAME,
                spot,
                what,
                format!("this one is called {} in the report", quoted(&free)),
            );
            *name = free;
        }
        taken.insert(name.clone());
    }
}

/// Checks what stands above `spec`.
fn head(root: &Node, problems: &mut Problems<'_>) {
    for (key, known, next) in [
        (
            "apiVersion",
            ["chaos.polygon.io/v1", "chaos/v1"].as_slice(),
            "it is read as chaos.polygon.io/v1",
        ),
        ("kind", ["ChaosScenario"].as_slice(), "it is read as a ChaosScenario"),
    ] {
        match root.get(key) {
            None => problems.error(&codes::MISSING_KEY, root.spot, format!("the document has no `{key}`")),
            Some(node) => {
                if let Some(word) = node.scalar().filter(|word| !known.contains(&word.text.as_str())) {
                    problems.warn(
                        &codes::UNKNOWN_KIND,
                        node.spot,
                        format!("the {key} {} is not known", quoted(&word.text)),
                        next,
                    );
                }
            }
        }
    }
    if root.get("metadata").is_none() {
        problems.error(&codes::MISSING_KEY, root.spot, "the document has no `metadata`");
    }
    if let Some(entry) = root.get("metadata").and_then(|metadata| metadata.entry("references")) {
        problems.warn(
            &codes::UNKNOWN_KEY,
            entry.spot,
            "`metadata.references` does nothing",
            "it is not in the report; keep it as a comment",
        );
    }
}

fn target(index: usize, target: document::Target, root: &Node, problems: &mut Problems<'_>) -> Option<TargetSpec> {
    let selector = target.selector;
    let mut labels = selector.labels;
    if selector.kind == SelectorKind::KurtosisService {
        labels.entry(SERVICE.to_owned()).or_default();
    }
    for (label, key, value) in [
        (ENCLAVE, "enclave", selector.enclave),
        (SERVICE, "service_name", selector.service_name),
    ] {
        let Some(value) = value else { continue };
        let path = format!("spec.targets[{index}].selector.{key}");
        if labels
            .get(label)
            .is_some_and(|other| !other.is_empty() && *other != value)
        {
            let what = format!("`{key}` and the label `{label}` ask for two values");
            problems.error(&codes::CONTRADICTION, root.nearest(&path).spot, what);
            return None;
        }
        labels.insert(label.to_owned(), value);
    }
    let asked = ["enclave", "pattern", "labels", "container_id", "service_name"];
    let node = root.nearest(&format!("spec.targets[{index}].selector"));
    let said = |key: &&str| node.get(key).is_some_and(|value| value.entries() != Some(&[]));
    if !asked.iter().any(said) {
        let next = "add `pattern`, `labels`, `container_id` or `service_name`; the pattern `*` is all";
        problems.error_next(
            &codes::MISSING_KEY,
            node.spot,
            format!("`spec.targets[{index}].selector` does not say which"),
            next,
        );
        return None;
    }
    let spot: Spot = node.get("pattern").map_or(node.spot, |node| node.spot);
    let starred = |text: &String| text != "*" && text.contains('*') && matches!(pattern(text), Pattern::Contains(_));
    if selector.pattern.as_ref().is_some_and(starred) {
        let what = "`*` in this pattern stands for itself, and no name of a container has one";
        problems.warn(
            &codes::WRONG_VALUE,
            spot,
            what,
            "write `.*`, or leave it out: a pattern matches anywhere in the name",
        );
    }
    Some(TargetSpec {
        alias: target.alias,
        selector: Selector::Container(ContainerSelector {
            name: selector.pattern.as_deref().map(pattern),
            labels,
            id: selector.container_id,
            image: None,
            compose_service: None,
        }),
        blast_radius: BlastRadius {
            at_most: target.count,
            ..BlastRadius::default()
        },
    })
}
