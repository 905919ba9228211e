//! The clocks of single processes, see [`fracas_linux::vdso`].
//!
//! What was done is found again by the injection's name, which the code in each process carries: children that were forked meanwhile
//! have it, too, and nobody has planned them. The way back asks all processes of the machine.

use std::io;

use fracas_core::params;
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::units::Offset;
use fracas_linux::process::Status;
use fracas_linux::vdso::{self, Clock, Foreign};
use serde::{Deserialize, Serialize};

use super::ClockSkew;
use crate::bounded::{bounded, deed};
use crate::members::{self, select, some};
use crate::say::{OrSay, gone, missed, processes, refuse};
use crate::{Context, Fault, Resource};

/// Whose clocks it shifts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Under which name the code is found in processes.
    name: String,
    /// Those that there were when it was planned, parents first.
    processes: Vec<ProcessIdentity>,
    /// Where to look for whoever else matches.
    target: Target,
}

/// How often apply looks for processes that were forked while it shifted the clocks of others.
const PASSES: usize = 5;

pub(super) fn plan(params: &params::ClockSkew, target: &Target, cx: &Context) -> Result<Undo> {
    let found = members_of(params, target)?;
    if found.is_empty() {
        return Err(refuse(ClockSkew::NAME, target, "no process matches")
            .next("see its command lines with `ps`; the pattern is a regular expression"));
    }
    for process in &found {
        let identity = &process.identity;
        if process.state == 't' {
            return Err(refuse(
                ClockSkew::NAME,
                target,
                format!("{identity} is held by a debugger"),
            ));
        }
        let clock = vdso::clock(identity.pid)
            .map_err(|error| refuse(ClockSkew::NAME, target, "its clock cannot be looked at").because(&error))?;
        if let Some(clock) = clock.filter(|clock| *clock != Clock::Original) {
            return Err(refuse(
                ClockSkew::NAME,
                target,
                format!("{identity} has {}", clock.describe()),
            ));
        }
    }
    Ok(Undo {
        name: cx.trace_name(),
        processes: found.into_iter().map(|process| process.identity).collect(),
        target: target.clone(),
    })
}

pub(super) fn change(params: &params::ClockSkew, undo: &Undo) -> String {
    format!(
        "the clock of {} by {}, then as the machine's",
        some(&undo.processes),
        params.offset
    )
}

pub(super) fn resources(undo: &Undo) -> Vec<Resource> {
    undo.processes
        .iter()
        .map(|process| Resource {
            key: format!("clock of pid {} of {}", process.pid, process.start),
            object: None,
        })
        .collect()
}

pub(super) async fn apply(params: &params::ClockSkew, undo: &Undo, cx: &Context) -> Result<()> {
    let what = || format!("cannot shift the clock of {}", some(&undo.processes));
    for pass in 0..PASSES {
        let found = members_of(params, &undo.target)?;
        let (name, offset) = (undo.name.clone(), params.offset);
        let shifted = deed(cx, what, move || shift(&found, &name, offset)).await?;
        if pass == 0 && shifted == 0 {
            return Err(gone(ClockSkew::NAME, &undo.target));
        }
        if shifted == 0 {
            break;
        }
    }
    Ok(())
}

pub(super) fn measure(params: &params::ClockSkew, undo: &Undo) -> Result<Dose> {
    let asked = format!("clocks {}", params.offset);
    let found = match members_of(params, &undo.target) {
        Err(problem) if problem.code == &codes::TARGET_GONE => return Ok(missed(asked, "the target is gone")),
        found => found?,
    };
    let (mut shifted, mut later, mut right) = (0, 0, Vec::new());
    for process in found {
        let clock = vdso::clock(process.identity.pid).or_say(&codes::FAULT_MEASURE, || {
            format!("the clock of {} cannot be looked at", process.identity)
        })?;
        match clock {
            None => {}
            Some(Clock::Skewed {
                name,
                offset,
                functions: vdso::FUNCTIONS,
            }) if name == undo.name && offset == params.offset.as_nanos() => shifted += 1,
            // Whoever came after the plan has a clock of its own only by starting a program of its own.
            Some(_) if !undo.processes.contains(&process.identity) => later += 1,
            Some(_) => right.push(process.identity),
        }
    }
    let landed = match (shifted, right.len()) {
        (_, 1..) => Landed::No(format!(
            "{} has another clock: it has started another program",
            some(&right)
        )),
        (0, 0) => Landed::No("no process has a shifted clock".to_owned()),
        _ => Landed::Yes,
    };
    let effect = (later > 0).then(|| format!("{later} that started a program of their own have the right time"));
    Ok(Dose {
        asked,
        delivered: format!("{} in {}", params.offset, processes(shifted)),
        landed,
        effect,
    })
}

pub(super) async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
    let (name, planned) = (undo.name.clone(), undo.processes.clone());
    let what = || format!("the clock of {} cannot be put right", some(&undo.processes));
    bounded(&codes::FAULT_REVERT, what, move || {
        let mut restored = false;
        // Who was forked by one that was not yet put right has it, too.
        loop {
            let found = vdso::skewed(&name)?;
            let mut did = false;
            let mut failed = None;
            for process in &found {
                match vdso::unskew(process, &name) {
                    Ok(one) => did |= one,
                    // One that cannot be put right must not keep the others wrong.
                    Err(error) => failed = Some(error),
                }
            }
            restored |= did;
            if let Some(error) = failed {
                return Err(error);
            }
            if !did {
                break;
            }
        }
        Ok(match foreign(&planned)? {
            Some((process, foreign)) => Reverted::Foreign {
                before: format!("{} in {} of {process}'s vDSO", foreign.original, foreign.place),
                ours: format!("{} there", foreign.ours),
                now: format!("{} there", foreign.found),
            },
            None if restored => Reverted::Restored,
            None => Reverted::AlreadyGone,
        })
    })
    .await
}

pub(super) async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
    let (name, planned) = (undo.name.clone(), undo.processes.clone());
    let what = || format!("the clock of {} cannot be looked at", some(&undo.processes));
    bounded(&codes::FAULT_OBSERVE, what, move || {
        let shifted = vdso::skewed(&name)?;
        if !shifted.is_empty() {
            return Ok(Seen::Ours(format!("{} with a shifted clock", some(&shifted))));
        }
        if let Some((process, foreign)) = foreign(&planned)? {
            let Foreign { place, found, .. } = foreign;
            return Ok(Seen::Foreign(format!("{found} in {place} of {process}'s vDSO")));
        }
        let lives = |process: &ProcessIdentity| members::open(process).is_ok_and(|process| process.is_some());
        Ok(if planned.iter().any(lives) {
            Seen::Original
        } else {
            Seen::TargetGone
        })
    })
    .await
}

pub(super) fn manual(undo: &Undo) -> Vec<String> {
    // What starts again has the right time.
    undo.processes
        .iter()
        .map(|process| format!("kill {}", process.pid))
        .collect()
}

fn members_of(params: &params::ClockSkew, target: &Target) -> Result<Vec<Status>> {
    select(ClockSkew::NAME, target, params.pattern.as_deref(), params.children)
}

/// Shifts the clocks of those whose clock is the machine's; how many.
fn shift(found: &[Status], name: &str, offset: Offset) -> io::Result<usize> {
    let mut shifted = 0;
    for process in found {
        let identity = &process.identity;
        let done = match vdso::clock(identity.pid)? {
            Some(Clock::Skewed { name: there, .. }) if there == name => false,
            // Whatever else is there is refused there, or has ended.
            _ => vdso::skew(identity, name, offset.as_nanos())?,
        };
        shifted += usize::from(done);
    }
    Ok(shifted)
}

/// What a stranger has made of one of these clocks.
fn foreign(processes: &[ProcessIdentity]) -> io::Result<Option<(&ProcessIdentity, Foreign)>> {
    for process in processes {
        // Looked at after the reading: had the pid changed hands, what was read would be a stranger's.
        if let Some(foreign) = vdso::foreign(process.pid)?
            && fracas_linux::process::identity(process.pid)?.as_ref() == Some(process)
        {
            return Ok(Some((process, foreign)));
        }
    }
    Ok(None)
}
