//! `process_pause`: stops processes with SIGSTOP and continues them with SIGCONT.
//!
//! The state of a process does not say who stopped it. The plan therefore names the processes that run, and only those are ever
//! continued; apply refuses when one of them is stopped already. What remains is the time between a plan and the apply that follows
//! it at once: who stops one of these processes within that moment and then sees the apply fail, sees it continued.

use std::time::{Duration, Instant};

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::process::{self, Stop};
use serde::{Deserialize, Serialize};

use crate::members::{self, may_signal, select, some, state};
use crate::say::{OrSay, gone, missed, processes, refuse};
use crate::{Context, Fault, Needs, Resource};

/// See [`params::ProcessPause`].
#[derive(Debug)]
pub struct ProcessPause;

/// Whom the fault stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// Those that ran when it was planned, parents first: a stopped parent starts no more children.
    processes: Vec<ProcessIdentity>,
    /// Where to look for whoever else matches.
    target: Target,
}

const SIGSTOP: i32 = 19;
const SIGCONT: i32 = 18;
/// How long apply waits to see them stopped. A process in an uninterruptible sleep stops when it wakes up.
const SETTLE: Duration = Duration::from_millis(500);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);

impl Fault for ProcessPause {
    const NAME: &'static str = "process_pause";
    type Params = params::ProcessPause;
    type Undo = Undo;

    fn undo_class(_: &params::ProcessPause) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::ProcessPause) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::ProcessPause, target: &Target, _: &Context) -> Result<Undo> {
        let found = select(Self::NAME, target, params.pattern.as_deref(), params.children)?;
        may_signal(Self::NAME, target, &found)?;
        if found.is_empty() {
            return Err(refuse(Self::NAME, target, "no process matches")
                .next("see its command lines with `ps`; the pattern is a regular expression"));
        }
        if let Some(traced) = found.iter().find(|process| process.state == 't') {
            // ptrace(2): the tracer gets the signal in place of the process, and decides.
            return Err(refuse(
                Self::NAME,
                target,
                format!("{} is held by a debugger", traced.identity),
            ));
        }
        let mut processes = Vec::new();
        for process in found {
            if stops(&process.identity)?.is_some_and(|stop| stop != Stop::Yes) {
                processes.push(process.identity);
            }
        }
        if processes.is_empty() {
            return Err(refuse(Self::NAME, target, "it is stopped already"));
        }
        Ok(Undo {
            processes,
            target: target.clone(),
        })
    }

    fn change(_: &params::ProcessPause, undo: &Undo) -> String {
        format!("SIGSTOP to {}, then SIGCONT", some(&undo.processes))
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        undo.processes
            .iter()
            .map(|process| Resource {
                key: format!("stop of pid {} of {}", process.pid, process.start),
                object: Some(format!("/proc/{}", process.pid)),
            })
            .collect()
    }

    async fn apply(_: &params::ProcessPause, undo: &Undo, _: &Context) -> Result<()> {
        if members::open(undo.target.process())?.is_none() {
            return Err(gone(Self::NAME, &undo.target));
        }
        let mut held = Vec::new();
        for identity in &undo.processes {
            match stops(identity)? {
                None => {}
                Some(Stop::Yes) => {
                    return Err(Problem::new(
                        &codes::FAULT_APPLY,
                        format!("{identity} was stopped by somebody else since it was planned"),
                    ));
                }
                Some(_) => held.extend(members::open(identity)?),
            }
        }
        if held.is_empty() {
            return Err(gone(Self::NAME, &undo.target));
        }
        for process in &held {
            process
                .signal(SIGSTOP)
                .or_say(&codes::FAULT_APPLY, || format!("cannot stop {}", process.identity()))?;
        }
        let begun = Instant::now();
        while begun.elapsed() < SETTLE {
            let states: Result<Vec<_>> = undo.processes.iter().map(state).collect();
            if states?.iter().flatten().all(|state| *state == 'T') {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn measure(params: &params::ProcessPause, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("{} stopped", processes(undo.processes.len()));
        // Looked for anew: who matches and is not among those that were planned is not stopped.
        let found = match select(Self::NAME, &undo.target, params.pattern.as_deref(), params.children) {
            Err(problem) if problem.code == &codes::TARGET_GONE => return Ok(missed(asked, "the target is gone")),
            found => found?,
        };
        let (stopped, running): (Vec<_>, Vec<_>) = found.into_iter().partition(|process| process.state == 'T');
        let running: Vec<_> = running.into_iter().map(|process| process.identity).collect();
        let landed = match (stopped.len(), running.len()) {
            (0, 0) => Landed::No("no process is left to be stopped".to_owned()),
            (_, 0) => Landed::Yes,
            _ => Landed::No(format!("{} not stopped", some(&running))),
        };
        Ok(Dose {
            asked,
            delivered: format!("{} in state T", processes(stopped.len())),
            landed,
            effect: None,
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        let mut outcome = Reverted::AlreadyGone;
        let mut failed = None;
        // One that cannot be continued must not keep the others stopped.
        for identity in undo.processes.iter().rev() {
            match go_on(identity) {
                Ok(true) => outcome = Reverted::Restored,
                Ok(false) => {}
                Err(problem) => failed = Some(problem),
            }
        }
        failed.map_or(Ok(outcome), Err)
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        let mut stopped = Vec::new();
        let mut alive = false;
        for identity in &undo.processes {
            let stops = stops(identity)?;
            alive |= stops.is_some();
            if stops == Some(Stop::Yes) {
                stopped.push(identity);
            }
        }
        Ok(match (alive, stopped.is_empty()) {
            (false, _) => Seen::TargetGone,
            (true, true) => Seen::Original,
            (true, false) => Seen::Ours(format!("{} stopped, or about to stop", some(&stopped))),
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.processes
            .iter()
            .map(|process| format!("kill -CONT {}", process.pid))
            .collect()
    }
}

/// Whether exactly this process is stopped, or will be as soon as it goes on: what waits uninterruptibly, is frozen or gets no CPU
/// keeps our signal pending. `None` when it is gone, or a zombie.
fn stops(identity: &ProcessIdentity) -> Result<Option<Stop>> {
    let stops =
        process::stop(identity.pid).or_say(&codes::FAULT_OBSERVE, || format!("{identity} cannot be looked at"))?;
    // Looked at after the reading: had the pid changed hands, what was read would be a stranger's.
    Ok(state(identity)?.and(stops))
}

/// Continues a process if it is stopped, or takes back the signal that would stop it. SIGCONT removes a pending SIGSTOP and ends a
/// stop at once, also of what is frozen: that goes on when it is thawed (`prepare_signal` in kernel/signal.c). So it is sent, too,
/// where a stop may hide. Whether there was anything to do.
fn go_on(identity: &ProcessIdentity) -> Result<bool> {
    let stop = stops(identity)?.unwrap_or(Stop::No);
    if stop == Stop::No {
        return Ok(false);
    }
    let Some(process) = members::open(identity)? else {
        return Ok(false);
    };
    let sent = process
        .signal(SIGCONT)
        .or_say(&codes::FAULT_REVERT, || format!("cannot continue {identity}"))?;
    Ok(sent && stop == Stop::Yes)
}
