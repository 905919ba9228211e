//! A fault that is a set of others becomes these, each with a name of its own.

use fracas_core::experiment::{Execution, FaultSpec, Written};
use fracas_core::problem::codes;

use super::document::Ramp;
use crate::place::quoted;
use crate::problems::Problems;
use crate::tree::Node;

/// The parts of a fault; the fault itself where it has none. Empty after a problem, which is noted.
pub(super) fn of(
    fault: FaultSpec,
    ramp: Option<&Ramp>,
    execution: Execution,
    path: &str,
    root: &Node,
    problems: &mut Problems<'_>,
) -> Vec<FaultSpec> {
    let Some(parts) = fault.inject.parts() else {
        return vec![fault];
    };
    let kind = fault.inject.name();
    let mut wrong = |key: &str, why: &str, next: &str| {
        let spot = root.nearest(&format!("{path}.{key}")).spot;
        let what = format!("{} is a {kind}, {why}", quoted(&fault.name));
        problems.error_next(&codes::CONTRADICTION, spot, what, next);
        Vec::new()
    };
    if ramp.is_some() {
        let why = "which has more than one number, and a ramp changes one";
        return wrong("ramp", why, "make a fault of each of its parts");
    }
    if execution == Execution::Sequential {
        let why = "whose parts are on together, and in a sequence they would follow each other";
        return wrong("inject", why, "leave `execution` out, and give the faults a `start`");
    }
    let written = Written {
        kind: kind.to_owned(),
        parameters: fault.inject.params(),
    };
    let part = |inject: fracas_core::params::Inject| FaultSpec {
        name: format!("{}-{}", fault.name, inject.name()),
        inject,
        written: Some(written.clone()),
        ..fault.clone()
    };
    parts.into_iter().map(part).collect()
}
