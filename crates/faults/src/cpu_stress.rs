//! `cpu_stress`: a worker of ours burns CPU time inside the target's control group.

mod worker;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fracas_core::params;
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_linux::cgroup::{self, Cgroup, Controller, Version};
use serde::{Deserialize, Serialize};

pub use worker::cpu_stress_worker_main;

use crate::beside::{Beside, FIRST_VICTIM, Job};
use crate::kernel_file::is_gone;
use crate::say::{OrSay, missed, refuse};
use crate::{Context, Fault, Needs, Resource};
use worker::Order;

/// See [`params::CpuStress`].
#[derive(Debug)]
pub struct CpuStress;

/// Where the worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    beside: Beside,
    /// Over how many threads the load is spread.
    threads: u32,
}

/// How far from what was asked the dose may be, in points; of a small load not more than half of it.
const TOLERANCE: f64 = 3.0;
/// The smallest load, in per cent of a CPU. What the worker uses to keep its own time is no more to be told from less than that.
const SMALLEST: f64 = 1.0;
/// The window of a measurement: a multiple of the worker's period, so that it does not matter where in a period it begins.
const WINDOW: Duration = Duration::from_secs(1);
/// More threads than this are no stress test of one target.
const MOST_THREADS: u32 = 1024;

impl Fault for CpuStress {
    const NAME: &'static str = "cpu_stress";
    type Params = params::CpuStress;
    type Undo = Undo;

    fn undo_class(_: &params::CpuStress) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::CpuStress) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::CpuStress, target: &Target, cx: &Context) -> Result<Undo> {
        let refuse = |why: String| refuse(Self::NAME, target, why);
        let beside = Beside::find(Self::NAME, target, cx)?;
        if !beside.has(Controller::CpuAcct) {
            return Err(refuse(
                "this machine does not count the CPU time of its control group".to_owned(),
            ));
        }
        let allowed = allowed(target.process().pid).or_say(&codes::TARGET_READ, || {
            format!("{} on {target}: its processors cannot be read", Self::NAME)
        })?;
        let threads = threads(params, allowed.unwrap_or_else(processors)).map_err(refuse)?;
        Ok(Undo { beside, threads })
    }

    fn change(params: &params::CpuStress, undo: &Undo) -> String {
        format!(
            "worker uses {} of a CPU in {} threads, then ends",
            params.percent, undo.threads
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        undo.beside.resources("load", Controller::CpuAcct)
    }

    async fn apply(params: &params::CpuStress, undo: &Undo, cx: &Context) -> Result<()> {
        let order = Order {
            percent: params.percent.0,
            threads: undo.threads,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            oom_score_adj: FIRST_VICTIM,
        };
        undo.beside.start(Self::NAME, job, cx).await.map(drop)
    }

    async fn measure(params: &params::CpuStress, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("{} of a CPU", params.percent);
        if !undo.beside.target_lives()? {
            return Ok(missed(asked, "the target is gone"));
        }
        let Some(group) = undo.beside.group(Controller::CpuAcct)? else {
            return Ok(missed(asked, "the worker's group is gone"));
        };
        let Some(before) = usage(&group)? else {
            return Ok(missed(asked, "the worker's group is gone"));
        };
        let begun = Instant::now();
        tokio::time::sleep(WINDOW).await;
        let Some(after) = usage(&group)? else {
            return Ok(missed(asked, "the worker's group is gone"));
        };
        let got = after.saturating_sub(before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
        // It may have ended within the window.
        if !undo.beside.target_lives()? {
            return Ok(missed(asked, "the target is gone"));
        }
        let landed = landed(got, params.percent.0);
        Ok(Dose {
            asked,
            delivered: format!("{got:.1}% of a CPU over {WINDOW:?}"),
            landed,
            effect: None,
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

/// Whether so much of a CPU is what was asked.
fn landed(got: f64, asked: f64) -> Landed {
    let tolerance = TOLERANCE.min(asked / 2.0);
    if got > 0.0 && (got - asked).abs() <= tolerance {
        Landed::Yes
    } else {
        Landed::No(format!(
            "{got:.1}% is more than {tolerance} points off: the group is throttled or frozen, or no CPU is free"
        ))
    }
}

fn usage(group: &Cgroup) -> Result<Option<Duration>> {
    match group.cpu_usage() {
        Err(error) if is_gone(&error) => Ok(None),
        usage => usage.map(Some).or_say(&codes::FAULT_MEASURE, || {
            format!("the usage of {} cannot be read", group.path().display())
        }),
    }
}

/// How many processors there are for everybody.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many processors the cpuset of a process has, from a list like `0-3,8`. `None` where the kernel does not say.
pub(crate) fn allowed(pid: u32) -> std::io::Result<Option<usize>> {
    let Some(group) = cgroup::of(pid, Controller::Cpuset)? else {
        return Ok(None);
    };
    let file = match group.version() {
        Version::V1 => "cpuset.effective_cpus",
        Version::V2 => "cpuset.cpus.effective",
    };
    if !group.has(file)? {
        return Ok(None);
    }
    Ok(Some(count(&group.read(file)?)).filter(|count| *count > 0))
}

fn count(list: &str) -> usize {
    let mut all = BTreeSet::new();
    for range in list.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        if let (Ok(from), Ok(to)) = (from.trim().parse::<u16>(), to.trim().parse::<u16>()) {
            all.extend(from..=to);
        }
    }
    all.len()
}

/// Over how many threads the load is spread, if it can be carried at all.
fn threads(params: &params::CpuStress, processors: usize) -> Result<u32, String> {
    let percent = params.percent.0;
    if !percent.is_finite() || percent <= 0.0 {
        return Err(format!("{percent}% of a CPU is no load"));
    }
    if percent < SMALLEST {
        return Err(format!(
            "{percent}% of a CPU is below {SMALLEST}%: so little cannot be told from what the worker needs itself"
        ));
    }
    if percent > processors as f64 * 100.0 {
        return Err(format!(
            "{percent}% of a CPU is more than the {processors} CPUs that the target may use"
        ));
    }
    let fewest = (percent / 100.0).ceil() as u32;
    let threads = params.cores.unwrap_or(fewest);
    if threads < fewest || threads > MOST_THREADS {
        return Err(format!(
            "{threads} threads cannot carry {percent}%: from {fewest} to {MOST_THREADS} can"
        ));
    }
    Ok(threads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fracas_core::units::Percent;

    #[test]
    fn as_few_threads_as_can_carry_it() {
        let of = |percent, cores, processors| {
            let params = params::CpuStress {
                percent: Percent(percent),
                cores,
            };
            threads(&params, processors)
        };
        assert_eq!(of(10.0, None, 2), Ok(1));
        assert_eq!(of(100.0, None, 2), Ok(1));
        assert_eq!(of(150.0, None, 2), Ok(2));
        assert_eq!(of(50.0, Some(4), 2), Ok(4));
        assert!(of(150.0, Some(1), 2).unwrap_err().contains("from 2"));
        assert!(of(250.0, None, 2).unwrap_err().contains("more than the 2 CPUs"));
        assert!(of(0.0, None, 2).is_err());
        assert!(of(0.000_000_1, None, 2).unwrap_err().contains("is below 1%"));
        assert_eq!(of(1.0, None, 2), Ok(1));
        assert!(of(f64::NAN, None, 2).is_err());
    }

    #[test]
    fn nothing_is_not_a_small_load() {
        for (got, asked, yes) in [
            (0.0, 2.0, false),
            (0.9, 2.0, false),
            (1.1, 2.0, true),
            (3.1, 2.0, false),
            (0.0, 3.0, false),
            (47.1, 50.0, true),
            (46.9, 50.0, false),
        ] {
            assert_eq!(landed(got, asked) == Landed::Yes, yes, "{got} of {asked}");
        }
    }

    #[test]
    fn lists_of_processors_are_counted() {
        for (list, expected) in [("0-1", 2), ("0", 1), ("0-3,8,10-11", 7), ("", 0), ("5-4", 0)] {
            assert_eq!(count(list), expected, "{list}");
        }
    }
}
