//! `cpu_stress`: a worker of ours burns CPU time inside the target's control group.
//!
//! The worker is in a child group of the target's group, in every hierarchy but version 1's freezer: a frozen task of version 1
//! does not even die of SIGKILL until it is thawed (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst). The child group is
//! named after the injection, so that a stranger finds the worker by it, and it is charged to the target like any process of it.
//!
//! Version 2 forbids to *enable controllers* below a group that has processes ("no internal processes", cgroup-v2.rst). None is
//! enabled here: a child group without controllers is allowed, takes processes, is bound by its parent's limits, and its `cpu.stat`
//! still counts its CPU time. Only a threaded group takes no such child; that is refused.

mod worker;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{CgroupIdentity, ProcessIdentity, Target};
use fracas_linux::cgroup::{self, Cgroup, Controller, Version};
use fracas_linux::child::{WorkerOptions, start_worker};
use fracas_linux::error::errno;
use fracas_linux::process::Process;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use worker::cpu_stress_worker_main;

use crate::kernel_file::is_gone;
use crate::say::{OrSay, gone, missed, refuse};
use crate::{Context, Fault, Needs, Resource, members, signal};
use worker::Order;

/// See [`params::CpuStress`].
#[derive(Debug)]
pub struct CpuStress;

/// Where the worker is, and under which name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The target's process: the worker leaves with it.
    target: ProcessIdentity,
    /// The groups of the target below which ours are, one per hierarchy.
    parents: Vec<Parent>,
    /// The name of our groups.
    name: String,
    /// Over how many threads the load is spread.
    threads: u32,
}

/// A group of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Parent {
    cgroup: CgroupIdentity,
    controller: Controller,
}

/// Where the worker counts as the target's. Accounting first: by it the dose is measured.
const CONTROLLERS: [Controller; 6] = [
    Controller::CpuAcct,
    Controller::Cpu,
    Controller::Cpuset,
    Controller::Memory,
    Controller::Pids,
    Controller::Blkio,
];
/// How far from what was asked the dose may be, in points.
const TOLERANCE: f64 = 3.0;
/// The window of a measurement: a multiple of the worker's period, so that it does not matter where in a period it begins.
const WINDOW: Duration = Duration::from_secs(1);
/// How long the worker may take to begin; in a group with a small quota a start takes long.
const START: Duration = Duration::from_secs(5);
/// How long a killed worker may take to leave its group.
const END: Duration = Duration::from_secs(1);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);
const SIGKILL: i32 = 9;
/// The memory killer takes the worker first, see `proc_pid_oom_score_adj(5)`.
const FIRST_VICTIM: i32 = 1000;
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
        let pid = target.process().pid;
        let unreadable = || format!("{} on {target}: the control groups cannot be read", Self::NAME);
        let mut parents: Vec<Parent> = Vec::new();
        let mut processors = processors();
        for controller in CONTROLLERS {
            let Some(group) = cgroup::of(pid, controller).or_say(&codes::TARGET_READ, unreadable)? else {
                continue;
            };
            if controller == Controller::Cpuset {
                processors = allowed(&group)
                    .or_say(&codes::TARGET_READ, unreadable)?
                    .unwrap_or(processors);
            }
            if let Some(kind) = threaded(&group).or_say(&codes::TARGET_READ, unreadable)? {
                return Err(refuse(format!(
                    "its control group {} is {kind}, and takes no group of ours",
                    group.path().display()
                )));
            }
            // Controllers that share a hierarchy share the group.
            if parents.iter().all(|parent| parent.cgroup != *group.identity()) {
                parents.push(Parent {
                    cgroup: group.identity().clone(),
                    controller,
                });
            }
        }
        if members::open(target.process())?.is_none() {
            return Err(gone(Self::NAME, target));
        }
        if !parents.iter().any(|parent| parent.controller == Controller::CpuAcct) {
            return Err(refuse(
                "this machine does not count the CPU time of its control group".to_owned(),
            ));
        }
        let threads = threads(params, processors).map_err(refuse)?;
        Ok(Undo {
            target: target.process().clone(),
            parents,
            name: cx.trace_name(),
            threads,
        })
    }

    fn change(params: &params::CpuStress, undo: &Undo) -> String {
        format!(
            "worker uses {} of a CPU in {} threads, then ends",
            params.percent, undo.threads
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        // Two loads add up in the kernel, but each one's dose would depend on the other.
        undo.parents
            .iter()
            .filter(|parent| parent.controller == Controller::CpuAcct)
            .map(|parent| Resource {
                key: format!("load in {}@{}", parent.cgroup.path, parent.cgroup.inode),
                object: Some(parent.cgroup.path.clone()),
            })
            .collect()
    }

    async fn apply(params: &params::CpuStress, undo: &Undo, cx: &Context) -> Result<()> {
        if members::open(&undo.target)?.is_none() {
            return Err(gone(Self::NAME, &undo.target));
        }
        let failed = || format!("the worker cannot be put beside {}", undo.target);
        let mut groups = Vec::new();
        for parent in &undo.parents {
            let parent = parent.open()?.ok_or_else(|| gone(Self::NAME, &undo.target))?;
            if parent
                .find_child(&undo.name)
                .or_say(&codes::FAULT_APPLY, failed)?
                .is_some()
            {
                return Err(Problem::new(&codes::FAULT_APPLY, failed())
                    .since(format!("there is a group {} already", undo.name)));
            }
            groups.push(parent.child(&undo.name).or_say(&codes::FAULT_APPLY, failed)?);
        }
        let options = WorkerOptions {
            own_session: true,
            die_with_parent: true,
            cgroups: groups,
            oom_score_adj: Some(FIRST_VICTIM),
            ..WorkerOptions::default()
        };
        let worker = start_worker(worker::NAME, options).or_say(&codes::FAULT_APPLY, failed)?;
        let socket = worker
            .socket
            .try_clone()
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .and_then(tokio::net::UnixStream::from_std);
        // From here on the nursery reaps it, whatever happens.
        cx.nursery.keep(worker);
        let order = Order {
            percent: params.percent.0,
            threads: undo.threads,
            target: undo.target.clone(),
        };
        let talk = async {
            let mut socket = socket.or_say(&codes::FAULT_APPLY, failed)?;
            let mut line = serde_json::to_vec(&order)
                .map_err(|error| Problem::new(&codes::INSIDE, "an order cannot be written").because(&error))?;
            line.push(b'\n');
            socket.write_all(&line).await.or_say(&codes::FAULT_APPLY, failed)?;
            let mut answer = Vec::new();
            let length = (&mut socket).take(worker::LONGEST).read_buf(&mut answer).await;
            length.or_say(&codes::FAULT_APPLY, failed)?;
            if answer.starts_with(worker::READY) {
                Ok(())
            } else {
                let why = String::from_utf8_lossy(&answer);
                let why = if why.is_empty() {
                    "it ended before it began"
                } else {
                    why.trim()
                };
                Err(Problem::new(&codes::FAULT_APPLY, failed()).since(why))
            }
        };
        tokio::time::timeout(START, talk).await.unwrap_or_else(|_| {
            Err(Problem::new(&codes::FAULT_APPLY, failed()).since(format!("it did not begin within {START:?}")))
        })
    }

    async fn measure(params: &params::CpuStress, undo: &Undo, _: &Context) -> Result<Dose> {
        let asked = format!("{} of a CPU", params.percent);
        let Some(group) = undo.accounting()? else {
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
        let landed = if (got - params.percent.0).abs() <= TOLERANCE {
            Landed::Yes
        } else {
            Landed::No(format!(
                "{got:.1}% is more than {TOLERANCE} points off: the group is throttled or frozen, or no CPU is free"
            ))
        };
        Ok(Dose {
            asked,
            delivered: format!("{got:.1}% of a CPU over {WINDOW:?}"),
            landed,
            effect: None,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        let mut did = Reverted::AlreadyGone;
        for parent in &undo.parents {
            let Some(parent) = parent.open()? else { continue };
            if remove(&parent, &undo.name, cx).await? {
                did = Reverted::Restored;
            }
        }
        cx.nursery.reap();
        Ok(did)
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        for parent in &undo.parents {
            let Some(parent) = parent.open()? else { continue };
            let found = parent.find_child(&undo.name);
            if let Some(group) = found.or_say(&codes::FAULT_OBSERVE, || format!("{} cannot be looked at", undo.name))? {
                return Ok(Seen::Ours(format!("there is a group {}", group.path().display())));
            }
        }
        Ok(if signal::ended(&undo.target)? {
            Seen::TargetGone
        } else {
            Seen::Original
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        let paths = undo
            .parents
            .iter()
            .map(|parent| format!("{}/{}", parent.cgroup.path, undo.name));
        paths
            .flat_map(|path| {
                [
                    format!("xargs -r kill -KILL < {path}/cgroup.procs"),
                    format!("rmdir {path}"),
                ]
            })
            .collect()
    }
}

impl Parent {
    fn open(&self) -> Result<Option<Cgroup>> {
        Cgroup::open(&self.cgroup, self.controller).or_say(&codes::FAULT_OBSERVE, || {
            format!("the control group {} cannot be opened", self.cgroup.path)
        })
    }
}

impl Undo {
    /// Our group in the hierarchy that counts CPU time, opened anew: the meter shares nothing with the worker's start.
    fn accounting(&self) -> Result<Option<Cgroup>> {
        let Some(parent) = self
            .parents
            .iter()
            .find(|parent| parent.controller == Controller::CpuAcct)
        else {
            return Err(Problem::new(&codes::INSIDE, "a CPU load without accounting"));
        };
        let Some(group) = parent.open()? else { return Ok(None) };
        group.find_child(&self.name).or_say(&codes::FAULT_MEASURE, || {
            format!("the group {} cannot be opened", self.name)
        })
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

/// Kills whoever is in our group and removes it. Whether there was one.
async fn remove(parent: &Cgroup, name: &str, cx: &Context) -> Result<bool> {
    let failed = || format!("the group {name} in {} cannot be removed", parent.path().display());
    let Some(group) = parent.find_child(name).or_say(&codes::FAULT_REVERT, failed)? else {
        return Ok(false);
    };
    let begun = Instant::now();
    loop {
        match kill_all(&group).and_then(|()| parent.remove_child(name)) {
            Ok(_) => return Ok(true),
            Err(error) if is_gone(&error) => return Ok(true),
            // EBUSY: the killed are not gone yet.
            Err(error) if errno(&error) == Some(EBUSY) && begun.elapsed() < END => {}
            Err(error) => return Err(error).or_say(&codes::FAULT_REVERT, failed),
        }
        cx.nursery.reap();
        tokio::time::sleep(PAUSE).await;
    }
}

const EBUSY: i32 = 16;

fn kill_all(group: &Cgroup) -> std::io::Result<()> {
    for pid in group.processes()? {
        let Some(process) = Process::find(pid)? else { continue };
        // Only if the one we hold is in the group: the pid may have passed to another since it was listed.
        if group.processes()?.contains(&pid) {
            process.signal(SIGKILL)?;
        }
    }
    Ok(())
}

/// How many processors there are for everybody.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many processors a cpuset has, from a list like `0-3,8`. `None` where the kernel does not say.
fn allowed(group: &Cgroup) -> std::io::Result<Option<usize>> {
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

/// The type of a group of version 2 that is not for whole processes.
fn threaded(group: &Cgroup) -> std::io::Result<Option<String>> {
    if group.version() == Version::V1 || group.is_root()? {
        return Ok(None);
    }
    let kind = group.read("cgroup.type")?;
    Ok(Some(kind).filter(|kind| kind != "domain"))
}

/// Over how many threads the load is spread, if it can be carried at all.
fn threads(params: &params::CpuStress, processors: usize) -> Result<u32, String> {
    let percent = params.percent.0;
    if !percent.is_finite() || percent <= 0.0 {
        return Err(format!("{percent}% of a CPU is no load"));
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
        assert!(of(f64::NAN, None, 2).is_err());
    }

    #[test]
    fn lists_of_processors_are_counted() {
        for (list, expected) in [("0-1", 2), ("0", 1), ("0-3,8,10-11", 7), ("", 0), ("5-4", 0)] {
            assert_eq!(count(list), expected, "{list}");
        }
    }
}
