//! Seed 0's criteria of success, as probes.

use fracas_core::probe::{Expect, Http, HttpMeasure, Log, Moment, Op, Over, Probe, Prometheus, Source, When};
use fracas_core::problem::codes;
use fracas_core::units::Span;

use super::document::{Criterion, CriterionKind};
use crate::place::quoted;
use crate::problems::Problems;
use crate::tree::Node;
use crate::{Defaults, SCRAPE_INTERVAL};

/// Which keys belong to which type; all others belong to every type.
const KEYS: [(&str, &[CriterionKind]); 8] = [
    ("query", &[CriterionKind::Prometheus]),
    ("threshold", &[CriterionKind::Prometheus, CriterionKind::Log]),
    ("pattern", &[CriterionKind::Log]),
    ("target_log", &[CriterionKind::Log]),
    ("container_pattern", &[CriterionKind::Log]),
    ("absence", &[CriterionKind::Log]),
    ("url", &[CriterionKind::HealthCheck]),
    ("expected_status", &[CriterionKind::HealthCheck]),
];

/// Reads one criterion; `None` if it is left out, with the reason noted.
pub(super) fn read(
    index: usize,
    criterion: Criterion,
    root: &Node,
    defaults: &Defaults,
    problems: &mut Problems<'_>,
) -> Option<Probe> {
    let path = format!("spec.success_criteria[{index}]");
    let node = root.nearest(&path);
    let kind = node.get("type").map_or(node.spot, |kind| kind.spot);
    let word = node
        .get("type")
        .and_then(Node::scalar)
        .map(|word| word.text.clone())
        .unwrap_or_default();
    if criterion.kind == CriterionKind::StateRootConsensus {
        problems.unsupported(
            kind,
            format!("{} judges the consensus of an Ethereum chain", quoted(&criterion.name)),
        );
        return None;
    }
    let before = problems.errors.len();
    for (key, kinds) in KEYS {
        if let Some(entry) = node.entry(key).filter(|_| !kinds.contains(&criterion.kind)) {
            let what = format!("`{key}` has no meaning in a criterion of the type {}", quoted(&word));
            problems.error_next(&codes::CONTRADICTION, entry.spot, what, "remove it, or change the type");
        }
    }
    let mut needs = |key: &str| {
        if node.get(key).is_none() {
            problems.error(
                &codes::MISSING_KEY,
                node.spot,
                format!("`{path}` is of the type {} and has no `{key}`", quoted(&word)),
            );
        }
    };
    let (source, expect) = match criterion.kind {
        CriterionKind::Prometheus => {
            needs("query");
            needs("threshold");
            let source = Prometheus {
                query: criterion.query.clone().unwrap_or_default(),
                url: None,
                scrape_interval: defaults.scrape_interval.unwrap_or(SCRAPE_INTERVAL),
                timeout: defaults.prometheus_timeout.unwrap_or(Span::secs(10)),
            };
            (Source::Prometheus(source), criterion.threshold)
        }
        CriterionKind::Log => {
            needs("pattern");
            if criterion.absence && criterion.threshold.is_some() {
                let spot = node.get("threshold").map_or(node.spot, |threshold| threshold.spot);
                let what = "`absence: true` says that no line may match, and `threshold` says how many may";
                problems.error_next(&codes::CONTRADICTION, spot, what, "keep one of the two");
            }
            let default = if criterion.absence {
                Expect {
                    op: Op::Equal,
                    number: 0.0,
                }
            } else {
                Expect {
                    op: Op::AtLeast,
                    number: 1.0,
                }
            };
            let source = Log {
                pattern: criterion.pattern.clone().unwrap_or_default(),
                target: criterion.target_log.clone(),
                container: criterion.container_pattern.as_deref().map(super::regex),
            };
            (Source::Log(source), criterion.threshold.or(Some(default)))
        }
        CriterionKind::HealthCheck => {
            needs("url");
            let source = Http {
                url: criterion.url.clone().unwrap_or_default(),
                status: criterion.expected_status,
                timeout: Span::secs(5),
                measure: HttpMeasure::Up,
            };
            (
                Source::Http(source),
                Some(Expect {
                    op: Op::Equal,
                    number: 1.0,
                }),
            )
        }
        CriterionKind::StateRootConsensus => return None,
    };
    if criterion.post_fault_only && criterion.during_fault {
        let spot = node.entry("during_fault").map_or(node.spot, |entry| entry.spot);
        let what = format!(
            "{} is to be judged only during the faults and only after them",
            quoted(&criterion.name)
        );
        problems.error(&codes::CONTRADICTION, spot, what);
    }
    if criterion.window == Some(Span::default()) {
        let spot = node.get("window").map_or(node.spot, |window| window.spot);
        problems.error(
            &codes::WRONG_VALUE,
            spot,
            format!("`{path}.window` must be more than 0s"),
        );
    }
    // What is missing or too much is noted; checking values that are not there would only add noise.
    if problems.errors.len() > before {
        return None;
    }
    Some(Probe {
        when: moments(&criterion),
        name: criterion.name,
        description: criterion.description,
        source,
        expect,
        abort: None,
        critical: criterion.critical,
    })
}

/// When a criterion is judged, and over what.
fn moments(criterion: &Criterion) -> Vec<When> {
    let window = criterion.window.map(Over::Window);
    if criterion.post_fault_only {
        return vec![When {
            moment: Moment::After,
            over: window.unwrap_or(Over::Last),
        }];
    }
    if criterion.during_fault {
        return vec![When {
            moment: Moment::During,
            over: window.unwrap_or(Over::Whole),
        }];
    }
    let during = When {
        moment: Moment::During,
        over: window.unwrap_or(Over::Last),
    };
    // What does not decide the verdict cannot keep the run from beginning either.
    if criterion.critical {
        vec![
            When {
                moment: Moment::Before,
                over: Over::Last,
            },
            during,
        ]
    } else {
        vec![during]
    }
}
