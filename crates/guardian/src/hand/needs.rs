//! What must be there before a fault is planned: privileges, and nobody else on the target.

use fracas_core::ids::RunId;
use fracas_core::problem::{Problem, Result, codes};
use fracas_faults::Entry;
use fracas_linux::privileges::{self, Capability};

use crate::protocol::Wanted;
use crate::state::State;

/// Refuses what this process may not do, before anything is looked at.
///
/// # Errors
/// S003 with the capability that is missing.
pub(super) fn check(entry: &Entry, wanted: &Wanted) -> Result<()> {
    if !(entry.needs)(&wanted.params)?.root || privileges::is_root() {
        return Ok(());
    }
    let wanted_capability = Capability::DacOverride;
    let missing = privileges::missing(&[wanted_capability]).map_err(|error| {
        Problem::new(&codes::SYSTEM, "cannot read the capabilities of this process").because(&error)
    })?;
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!(
        "{} on {} needs root, or {wanted_capability}",
        wanted.fault, wanted.target
    );
    Err(Problem::new(&codes::NO_PRIVILEGE, what)
        .since(format!(
            "Fracas runs as uid {}{} and cannot {}",
            privileges::effective_uid(),
            if privileges::in_user_namespace() {
                " of a user namespace"
            } else {
                ""
            },
            wanted_capability.purpose()
        ))
        .next(format!("run as root, or grant {wanted_capability}")))
}

/// A plan that failed because another run has the same fault on the same target is told as that: what the plan saw was not the
/// target's own.
#[expect(clippy::unnecessary_box_returns, reason = "problems travel boxed")]
pub(super) fn held(problem: Box<Problem>, wanted: &Wanted, run: &RunId, state: &State) -> Box<Problem> {
    let runs = state.runs().unwrap_or_default();
    let holder = runs.iter().find(|kept| {
        let Some(Ok(contents)) = &kept.ledger else { return false };
        kept.kept
            && kept.run != *run
            && contents.open().any(|entry| {
                entry.planned.fault == wanted.fault && entry.planned.target.process() == wanted.target.process()
            })
    });
    match holder {
        Some(kept) => Problem::new(
            &codes::CLAIMED,
            format!("run {} has {} on {} already", kept.run, wanted.fault, wanted.target),
        )
        .since(problem.what.clone())
        .next(format!("wait for run {}, or `fracas stop {}`", kept.run, kept.run)),
        None => problem,
    }
}
