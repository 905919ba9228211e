//! `process_kill`: a signal to processes, once or again and again.
//!
//! The first kill happens in apply, on exactly the processes that were planned. Further ones are a task of the guardian: they end
//! with it, with the revert, or after their count. Each looks for the target anew: a container by its id, a process by its command
//! line, its control group and its parent, for that is what a supervisor keeps when it starts a successor.

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{Kind, ProcessIdentity, Target};
use fracas_linux::cgroup::{self, Controller};
use fracas_linux::process::{self, Status};
use serde::{Deserialize, Serialize};

use crate::members::{self, may_signal, select, some};
use crate::say::{OrSay, gone, refuse};
use crate::{Context, Fault, Needs, Note, Resource, signal};

/// See [`params::ProcessKill`].
#[derive(Debug)]
pub struct ProcessKill;

/// Who was killed first, and how successors are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// In the order in which they are signalled: leaves first.
    victims: Vec<ProcessIdentity>,
    target: Target,
    /// The parent of the target's first process.
    parent: Option<ProcessIdentity>,
    /// The control group of the target's first process.
    group: Option<String>,
}

/// How often at most.
const MOST: u32 = 1000;

impl Fault for ProcessKill {
    const NAME: &'static str = "process_kill";
    type Params = params::ProcessKill;
    type Undo = Undo;

    fn undo_class(_: &params::ProcessKill) -> UndoClass {
        UndoClass::None
    }

    fn needs(_: &params::ProcessKill) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::ProcessKill, target: &Target, _: &Context) -> Result<Undo> {
        if !(1..=MOST).contains(&params.count) {
            return Err(refuse(
                Self::NAME,
                target,
                format!("a count of {} is not between 1 and {MOST}", params.count),
            ));
        }
        let mut found = select(Self::NAME, target, params.pattern.as_deref(), params.children)?;
        found.reverse();
        may_signal(Self::NAME, target, &found)?;
        if found.is_empty() {
            return Err(refuse(Self::NAME, target, "no process matches")
                .next("see its command lines with `ps`; the pattern is a regular expression"));
        }
        let unreadable = || format!("{target} cannot be looked at");
        let first = process::status(target.process().pid).or_say(&codes::TARGET_READ, unreadable)?;
        let parent = match first {
            Some(first) => process::identity(first.parent).or_say(&codes::TARGET_READ, unreadable)?,
            None => None,
        };
        Ok(Undo {
            victims: found.into_iter().map(|process| process.identity).collect(),
            group: group(target.process().pid).or_say(&codes::TARGET_READ, unreadable)?,
            target: target.clone(),
            parent,
        })
    }

    fn change(params: &params::ProcessKill, undo: &Undo) -> String {
        let more = if params.count > 1 {
            format!(", {} times every {}", params.count, params.interval)
        } else {
            String::new()
        };
        format!(
            "{} to {}{more}; nothing brings them back",
            params.signal,
            some(&undo.victims)
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        undo.victims
            .iter()
            .map(|process| Resource {
                key: format!("life of pid {} of {}", process.pid, process.start),
                object: Some(format!("/proc/{}", process.pid)),
            })
            .collect()
    }

    async fn apply(params: &params::ProcessKill, undo: &Undo, cx: &Context) -> Result<()> {
        let alive = members::open(undo.target.process())?.is_some();
        if !alive || send(&undo.victims, params).await? == 0 {
            return Err(gone(Self::NAME, &undo.target));
        }
        if params.count > 1 {
            let (params, undo, own) = (params.clone(), undo.clone(), cx.clone());
            cx.nursery.later(cx.trace_name(), move |note| async move {
                repeat(&params, undo, &own, &note).await;
            });
        }
        Ok(())
    }

    async fn measure(params: &params::ProcessKill, undo: &Undo, cx: &Context) -> Result<Dose> {
        let (mut ended, mut landed) = (0, Landed::Yes);
        for victim in &undo.victims {
            if signal::ended(victim)? {
                ended += 1;
            } else if let no @ Landed::No(_) = signal::landed(victim, params.signal)? {
                landed = no;
            }
        }
        let (_, said) = cx.nursery.goes_on(&cx.trace_name());
        Ok(Dose {
            asked: format!("{} to {} processes", params.signal, undo.victims.len()),
            delivered: format!("{ended} of {} have ended", undo.victims.len()),
            landed,
            effect: Some(said).filter(|said| !said.is_empty()),
        })
    }

    async fn revert(_: &Undo, cx: &Context) -> Result<Reverted> {
        Ok(if cx.nursery.end(&cx.trace_name()).await {
            Reverted::Restored
        } else {
            Reverted::AlreadyGone
        })
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        if cx.nursery.goes_on(&cx.trace_name()).0 {
            return Ok(Seen::Ours(format!("further signals to {} are to come", undo.target)));
        }
        for victim in &undo.victims {
            if !signal::ended(victim)? {
                return Ok(Seen::Original);
            }
        }
        // Nothing is waited for: what does not come back by itself is gone, and the certificate says so.
        Ok(match successor(undo, cx).await {
            _ if !undo.victims.contains(undo.target.process()) => {
                Seen::Claimed(format!("{} ended; Fracas brings nothing back", some(&undo.victims)))
            }
            // The engine names a process that was killed until it has noticed.
            Ok(Some(now)) if !signal::ended(now.process())? => Seen::Original,
            Ok(_) => Seen::Claimed(format!(
                "{} did not come back: nothing has started it again",
                undo.target
            )),
            Err(problem) => Seen::Claimed(format!(
                "{} ended; whether it came back cannot be told: {}",
                undo.target,
                problem.line()
            )),
        })
    }

    fn manual(_: &Undo) -> Vec<String> {
        Vec::new()
    }
}

/// Signals these, in their order. How many were there.
async fn send(victims: &[ProcessIdentity], params: &params::ProcessKill) -> Result<usize> {
    let mut reached = Vec::new();
    let mut failed = None;
    for victim in victims {
        let Some(process) = members::open(victim)? else {
            continue;
        };
        match process.signal(params.signal.number()) {
            Ok(true) => reached.push(process),
            Ok(false) => {}
            Err(error) => {
                let what = format!("cannot send {} to {victim}", params.signal);
                failed = Some(Problem::new(&codes::FAULT_APPLY, what).because(&error));
            }
        }
    }
    signal::settle(&reached).await?;
    failed.map_or(Ok(reached.len()), Err)
}

/// The kills after the first.
async fn repeat(params: &params::ProcessKill, mut undo: Undo, cx: &Context, note: &Note) {
    let (mut hits, mut misses) = (1_u32, 0_u32);
    note.say(format!("1 of {} signals sent", params.count));
    for _ in 1..params.count {
        tokio::time::sleep(params.interval.0).await;
        let trouble = match once_more(params, &mut undo, cx).await {
            Ok(0) => {
                misses += 1;
                String::new()
            }
            Ok(_) => {
                hits += 1;
                String::new()
            }
            Err(problem) => {
                misses += 1;
                format!("; the last failed: {}", problem.line())
            }
        };
        note.say(format!(
            "{hits} of {} signals sent, {misses} found nobody{trouble}",
            params.count
        ));
    }
}

/// One further kill. How many it reached.
async fn once_more(params: &params::ProcessKill, undo: &mut Undo, cx: &Context) -> Result<usize> {
    let Some(target) = successor(undo, cx).await? else {
        return Ok(0);
    };
    undo.target = target;
    let mut found = match select(
        ProcessKill::NAME,
        &undo.target,
        params.pattern.as_deref(),
        params.children,
    ) {
        // It ended since it was found.
        Err(problem) if problem.code == &codes::TARGET_GONE => return Ok(0),
        found => found?,
    };
    found.reverse();
    may_signal(ProcessKill::NAME, &undo.target, &found)?;
    let victims: Vec<_> = found.into_iter().map(|process| process.identity).collect();
    send(&victims, params).await
}

/// The target as it is now: the same process, or the one that took its place. `None`: nobody did yet.
async fn successor(undo: &Undo, cx: &Context) -> Result<Option<Target>> {
    let mut target = undo.target.clone();
    match &mut target.kind {
        Kind::Container(container) => {
            let engine = cx.engines.at(&container.engine).await?;
            let pid = engine.inspect(&container.id).await?.and_then(|found| found.state.pid);
            let Some(pid) = pid else { return Ok(None) };
            let now =
                process::identity(pid).or_say(&codes::TARGET_READ, || format!("pid {pid} cannot be looked at"))?;
            let Some(now) = now else { return Ok(None) };
            container.init = now;
        }
        Kind::Process(process) => {
            if !signal::ended(&process.process)? {
                return Ok(Some(target));
            }
            let unreadable = || "the processes of this machine cannot be looked at".to_owned();
            let all = process::all().or_say(&codes::TARGET_READ, unreadable)?;
            let mut heirs = Vec::new();
            for candidate in all {
                if candidate.command == process.command
                    && is_heir(&candidate, undo).or_say(&codes::TARGET_READ, unreadable)?
                {
                    heirs.push(candidate.identity);
                }
            }
            // Two that could be it are a guess, and a guess kills no process.
            let [heir] = heirs.as_slice() else { return Ok(None) };
            process.process = heir.clone();
        }
    }
    Ok(Some(target))
}

/// Whether this process was started by the same parent into the same control group.
fn is_heir(candidate: &Status, undo: &Undo) -> std::io::Result<bool> {
    if matches!(candidate.state, 'Z' | 'X') || undo.parent.is_none() {
        return Ok(false);
    }
    Ok(process::identity(candidate.parent)? == undo.parent && group(candidate.identity.pid)? == undo.group)
}

/// The path of a process's control group, in the first controller that the machine has.
fn group(pid: u32) -> std::io::Result<Option<String>> {
    for controller in [
        Controller::Pids,
        Controller::Memory,
        Controller::Cpu,
        Controller::CpuAcct,
    ] {
        if let Some(group) = cgroup::of(pid, controller)? {
            return Ok(Some(group.identity().path.clone()));
        }
    }
    Ok(None)
}
