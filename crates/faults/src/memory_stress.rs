//! `memory_stress`: a worker of ours holds memory inside the target's control group.
//!
//! Whom the kernel's memory killer takes when the group has no more is decided by how the memory is held. It chooses by what a process
//! has mapped, plus its score adjustment (`oom_badness` in mm/oom_kill.c). For `victim: stress` the memory is the worker's own, and its
//! adjustment the highest. For `victim: target` the memory is that of a file that is mapped nowhere: it is charged to the group and
//! counts for no process, so that the worker is among the smallest, and no privilege is needed for it. What that cannot promise: when
//! nobody larger is left, the worker goes, too.

mod holding;
mod worker;

use std::time::{Duration, Instant};

use fracas_core::params::{self, Victim};
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_core::units::Size;
use fracas_linux::cgroup::Controller;
use fracas_linux::memory::Memory;
use serde::{Deserialize, Serialize};

pub use worker::memory_stress_worker_main;

use crate::beside::{Beside, FIRST_VICTIM, Job};
use crate::kernel_file::group_of;
use crate::say::{OrSay, mib, missed, refuse};
use crate::{Context, Fault, Needs, Resource};
use holding::Budget;
use worker::Order;

/// See [`params::MemoryStress`].
#[derive(Debug)]
pub struct MemoryStress;

/// Where the worker is, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    beside: Beside,
    /// How much, in bytes.
    bytes: u64,
    /// How many processes of the group the memory killer had taken before.
    kills: u64,
}

/// Less than this cannot be told from what the worker needs for itself.
const SMALLEST: u64 = 1 << 20;
/// What the worker needs beside what it holds.
const OVERHEAD: u64 = 8 << 20;
/// Less than this share of what was asked has not landed.
const SHARE: f64 = 0.95;
/// So long apply waits for the worker to have filled its memory; a larger one goes on filling.
const FILL: Duration = Duration::from_millis(800);
/// So long the meter waits for a worker that is still filling.
const GROWING: Duration = Duration::from_secs(4);
/// Within this a worker that is still filling has taken more.
const GROWTH: Duration = Duration::from_millis(300);

impl Fault for MemoryStress {
    const NAME: &'static str = "memory_stress";
    type Params = params::MemoryStress;
    type Undo = Undo;

    fn undo_class(_: &params::MemoryStress) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::MemoryStress) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::MemoryStress, target: &Target, cx: &Context) -> Result<Undo> {
        let group = group_of(Self::NAME, target, Controller::Memory)?;
        let budget = Budget::of(&group).or_say(&codes::TARGET_READ, || {
            format!("{} on {target}: its memory cannot be read", Self::NAME)
        })?;
        let machine = Memory::now().or_say(&codes::SYSTEM, || "the machine's memory cannot be read".to_owned())?;
        let bytes = how_much(params, target, budget)?;
        fits(params, target, bytes, budget, machine)?;
        let kills = holding::kills(&group).or_say(&codes::TARGET_READ, || {
            format!("{} on {target}: its ended processes cannot be counted", Self::NAME)
        })?;
        Ok(Undo {
            beside: Beside::find(Self::NAME, target, cx)?,
            bytes,
            kills,
        })
    }

    fn change(params: &params::MemoryStress, undo: &Undo) -> String {
        let whom = match params.victim {
            Victim::Stress => "the worker",
            Victim::Target => "what is largest in the target",
        };
        format!(
            "worker holds {} of memory, then ends; if memory runs out, the kernel takes {whom} first",
            mib(undo.bytes)
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        undo.beside.resources("memory load", Controller::Memory)
    }

    async fn apply(params: &params::MemoryStress, undo: &Undo, cx: &Context) -> Result<()> {
        let order = Order {
            bytes: undo.bytes,
            victim: params.victim,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            oom_score_adj: match params.victim {
                Victim::Stress => FIRST_VICTIM,
                // The guardian's own is the lowest there is, and what is spared by everybody is no stress but a hostage.
                Victim::Target => 0,
            },
        };
        let mut begun = undo.beside.start(Self::NAME, job, cx).await?;
        // It goes on filling where that takes longer; how far it came is the meter's business.
        let _full = begun.says(worker::FULL, FILL).await.or_say(&codes::FAULT_APPLY, || {
            format!("the worker beside {} cannot be heard", undo.beside.target())
        })?;
        Ok(())
    }

    async fn measure(_: &params::MemoryStress, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("{} of memory", mib(undo.bytes));
        if !undo.beside.target_lives()? {
            return Ok(missed(asked, "the target is gone"));
        }
        let enough = (undo.bytes as f64 * SHARE) as u64;
        let begun = Instant::now();
        let (mut held, mut grown) = (0, Instant::now());
        let full = loop {
            let Some(group) = undo.beside.group(Controller::Memory)? else {
                return Ok(missed(asked, "the worker's group is gone"));
            };
            let now = holding::held(&group).or_say(&codes::FAULT_MEASURE, || {
                format!("the memory of {} cannot be read", group.path().display())
            })?;
            let Some(now) = now else {
                return Ok(Dose {
                    effect: effect(undo)?,
                    ..missed(asked, "the worker is gone: it was killed, or the target ended")
                });
            };
            if now > held {
                (held, grown) = (now, Instant::now());
            }
            if now >= enough || grown.elapsed() > GROWTH || begun.elapsed() > GROWING {
                held = now;
                break now >= enough;
            }
            tokio::time::sleep(GROWTH / 6).await;
        };
        let landed = if full {
            Landed::Yes
        } else {
            Landed::No(format!(
                "{} is less than {:.0}% of it: it is still being filled, swapped out, or the group or the machine has no more",
                mib(held),
                SHARE * 100.0
            ))
        };
        Ok(Dose {
            asked,
            delivered: format!("{} resident", mib(held)),
            landed,
            effect: effect(undo)?,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.beside.revert(cx).await
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.beside.observe()
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.beside.manual()
    }
}

/// Whom the memory killer took since the plan.
fn effect(undo: &Undo) -> Result<Option<String>> {
    let unreadable = || "the ended processes of the group cannot be counted".to_owned();
    let mut kills = 0;
    let groups = [
        undo.beside.parent(Controller::Memory)?,
        undo.beside.group(Controller::Memory)?,
    ];
    for group in groups.into_iter().flatten() {
        kills += holding::kills(&group).or_say(&codes::FAULT_MEASURE, unreadable)?;
    }
    Ok(Some(match kills.saturating_sub(undo.kills) {
        0 => "the memory killer took nobody".to_owned(),
        1 => "the memory killer took 1 process".to_owned(),
        more => format!("the memory killer took {more} processes"),
    }))
}

/// How many bytes are asked for.
fn how_much(params: &params::MemoryStress, target: &Target, budget: Budget) -> Result<u64> {
    let refuse = |why: String| refuse(MemoryStress::NAME, target, why);
    let bytes = match (params.size, params.percent) {
        (Some(size), None) => size.0,
        (None, Some(percent)) if percent.0 > 0.0 && percent.0 <= 100.0 => {
            let limit = budget.limit.ok_or_else(|| {
                let why = format!("its memory has no limit of which {percent} could be taken");
                refuse(why).next("ask for a `size`, or give the target a memory limit")
            })?;
            (limit as f64 * percent.fraction()) as u64
        }
        (None, Some(percent)) => return Err(refuse(format!("{percent} of its limit is not from 0% to 100%"))),
        _ => return Err(refuse("either a `size` or a `percent` must be given".to_owned())),
    };
    if bytes < SMALLEST {
        return Err(refuse(format!("{bytes} bytes are less than {}", Size(SMALLEST))));
    }
    Ok(bytes)
}

/// Refuses what the machine does not have, and what the worker could not live to hold.
fn fits(params: &params::MemoryStress, target: &Target, bytes: u64, budget: Budget, machine: Memory) -> Result<()> {
    let refuse = |why: String| refuse(MemoryStress::NAME, target, why);
    if bytes > machine.spare() {
        let why = format!(
            "{} is more than the machine can spare: {} are available, and {} of it are left to everybody else",
            mib(bytes),
            mib(machine.available),
            mib(machine.reserve())
        );
        return Err(refuse(why).next("ask for less"));
    }
    let Some(limit) = budget.limit else { return Ok(()) };
    let room = limit.saturating_sub(budget.in_use).saturating_sub(OVERHEAD);
    if params.victim == Victim::Stress && bytes > room {
        let why = format!(
            "{} do not fit: of its limit of {}, {} are in use, and the worker would be killed before it held that",
            mib(bytes),
            mib(limit),
            mib(budget.in_use)
        );
        let next = format!(
            "ask for at most {}, or write `victim: target` to drive the target itself into its limit",
            mib(room)
        );
        return Err(refuse(why).next(next));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
