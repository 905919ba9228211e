//! The native format: `apiVersion: fracas.dev/v1`, `kind: Experiment`.

pub(crate) mod document;
mod profile;
mod series;

use fracas_core::experiment::{
    ContainerSelector, Experiment, FaultSpec, Format, Pattern, ProcessSelector, Selector, TargetSpec,
};
use fracas_core::probe::{Moment, Over, Probe, Source, When};
use fracas_core::problem::codes;
use fracas_core::units::Span;

use crate::problems::{Problems, listed};
use crate::shape::Shape;
use crate::tree::Node;
use crate::{check, later};
use document::Document;

const INTERVAL: Span = Span::secs(5);
const WARMUP: Span = Span::secs(30);
/// Between the end of an experiment and the moment at which it is ended whatever happens.
pub(crate) const SPARE: Span = Span::secs(300);

/// The shape of the format.
pub(crate) fn shape() -> Shape {
    Shape::of::<Document>(later::native)
}

/// Reads a document whose overrides and variables are in place. `None` if there is a problem.
pub(crate) fn load(shape: &Shape, root: &Node, problems: &mut Problems<'_>) -> Option<Experiment> {
    let json = shape.read(root, problems)?;
    let document: Document = match serde_json::from_value(json) {
        Ok(document) => document,
        // The shape has checked all that serde asks for, so this is a defect; it is still reported as a problem of the document.
        Err(error) => {
            problems.error(
                &codes::WRONG_VALUE,
                root.spot,
                format!("the document is not understood: {error}"),
            );
            return None;
        }
    };
    let duration = document.duration;
    let (probes, probe_origins) = check::each(document.hypothesis.probes, |index, source| {
        probe(index, source, root, problems)
    });
    let (targets, target_origins) =
        check::each(document.targets, |index, source| target(index, source, root, problems));
    let mut faults = Vec::new();
    let mut fault_origins = Vec::new();
    for (index, mut source) in document.faults.into_iter().enumerate() {
        let (pulse, ramp) = (source.pulse.take(), source.ramp.take());
        let path = format!("faults[{index}]");
        for part in profile::of(fault(source), ramp.as_ref(), document.execution, &path, root, problems) {
            let place = series::Place {
                path: path.clone(),
                execution: document.execution,
                end: duration,
                root,
                problems,
            };
            let series = series::of(part, pulse.as_ref(), ramp.as_ref(), place);
            fault_origins.resize(fault_origins.len() + series.len(), index);
            faults.extend(series);
        }
    }
    let origins = check::Origins {
        targets: target_origins,
        faults: fault_origins,
        probes: probe_origins,
    };
    let experiment = Experiment {
        format: Format::Native,
        name: document.metadata.name,
        description: document.metadata.description,
        owner: document.metadata.owner,
        version: document.metadata.version,
        tags: document.metadata.tags,
        seed: document.seed,
        interval: document.hypothesis.interval.unwrap_or(INTERVAL),
        warmup: document.hypothesis.warmup.unwrap_or(WARMUP),
        recovery: document.hypothesis.recovery,
        probes,
        targets,
        preconditions: Vec::new(),
        faults,
        execution: document.execution,
        on_target_failure: document.on_target_failure,
        duration,
        cooldown: Span::default(),
        max_duration: document
            .max_duration
            .unwrap_or(Span(duration.0.saturating_add(SPARE.0))),
        metrics: document.metrics,
    };
    check::experiment(&experiment, &check::NATIVE, &origins, root, problems);
    Some(experiment)
}

/// Exactly one of several alternatives. `None` is a problem, which is noted.
fn one<T>(
    found: Vec<(&'static str, T)>,
    all: &[&str],
    path: &str,
    root: &Node,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let node = root.nearest(path);
    let mut found = found.into_iter();
    let Some((_, first)) = found.next() else {
        let next = format!("add one of {}", listed(all.iter().copied()));
        problems.error_next(
            &codes::MISSING_KEY,
            node.spot,
            format!("`{path}` does not say what it is"),
            next,
        );
        return None;
    };
    if let Some((second, _)) = found.next() {
        let spot = node.entry(second).map_or(node.spot, |entry| entry.spot);
        let next = format!("keep one of {}", listed(all.iter().copied()));
        problems.error_next(
            &codes::CONTRADICTION,
            spot,
            format!("`{path}` is two things at once"),
            next,
        );
        return None;
    }
    Some(first)
}

fn probe(index: usize, probe: document::Probe, root: &Node, problems: &mut Problems<'_>) -> Option<Probe> {
    let sources: [Option<Source>; 6] = [
        probe.prometheus.map(Source::Prometheus),
        probe.http.map(Source::Http),
        probe.tcp.map(Source::Tcp),
        probe.command.map(Source::Command),
        probe.log.map(Source::Log),
        probe.process.map(Source::Process),
    ];
    let found = sources
        .into_iter()
        .flatten()
        .map(|source| (source.name(), source))
        .collect();
    let names = ["prometheus", "http", "tcp", "command", "log", "process"];
    let source = one(found, &names, &format!("hypothesis.probes[{index}]"), root, problems)?;
    let over = |moment| match moment {
        Moment::Before | Moment::During => Over::Whole,
        Moment::After => Over::Last,
    };
    let mut moments = probe.when;
    moments.sort_unstable();
    moments.dedup();
    Some(Probe {
        name: probe.name,
        description: probe.description,
        source,
        expect: probe.expect,
        abort: probe.abort,
        when: moments
            .into_iter()
            .map(|moment| When {
                moment,
                over: over(moment),
            })
            .collect(),
        critical: true,
    })
}

fn target(index: usize, target: document::Target, root: &Node, problems: &mut Problems<'_>) -> Option<TargetSpec> {
    let path = format!("targets[{index}]");
    let container = target.container.map(|container| {
        Selector::Container(ContainerSelector {
            name: container.name.map(Pattern::Whole),
            labels: container.labels,
            id: container.id,
            image: container.image,
            compose_service: container.compose_service,
        })
    });
    let process = target.process.map(Selector::Process);
    let found = [("container", container), ("process", process)];
    let found: Vec<_> = found
        .into_iter()
        .filter_map(|(name, selector)| Some((name, selector?)))
        .collect();
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    let selector = one(found, &["container", "process"], &path, root, problems)?;
    let node = root.nearest(&format!("{path}.{}", names[0]));
    let all = match &selector {
        Selector::Container(container) => *container == ContainerSelector::default(),
        Selector::Process(process) => *process == ProcessSelector::default(),
    };
    if all {
        let next = "say which, for example by `name`; a selector that matches everything is never meant";
        problems.error_next(
            &codes::WRONG_VALUE,
            node.spot,
            format!("`{path}.{}` selects everything", names[0]),
            next,
        );
        return None;
    }
    Some(TargetSpec {
        alias: target.alias,
        selector,
        blast_radius: target.blast_radius,
    })
}

fn fault(fault: document::Fault) -> FaultSpec {
    FaultSpec {
        name: fault.name,
        description: fault.description,
        target: fault.target,
        inject: fault.inject,
        written: None,
        start: fault.start,
        duration: fault.duration,
        follows: false,
        allow_irreversible: fault.allow_irreversible,
    }
}
