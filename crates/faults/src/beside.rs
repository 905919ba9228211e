//! A worker of ours beside the target: in child groups of its control groups, where what it uses counts as the target's.
//!
//! There is a child group in every hierarchy but version 1's freezer: a frozen task of version 1 does not even die of SIGKILL until
//! it is thawed (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst). The groups are named after the injection, so that a
//! stranger finds the worker by them.
//!
//! Version 2 forbids to *enable controllers* below a group that has processes ("no internal processes", cgroup-v2.rst). None is
//! enabled here: a child group without controllers is allowed, takes processes, is bound by its parent's limits, and its `cpu.stat`
//! still counts its CPU time. Only a threaded group takes no such child; that is refused.

pub(crate) mod worker;

use std::time::{Duration, Instant};

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Reverted, Seen};
use fracas_core::target::{CgroupIdentity, ProcessIdentity, Target};
use fracas_linux::cgroup::{self, Cgroup, Controller, Version};
use fracas_linux::child::{WorkerOptions, start_worker};
use fracas_linux::error::errno;
use fracas_linux::process::Process;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::kernel_file::is_gone;
use crate::say::{OrSay, gone, refuse};
use crate::{Context, Resource, members, signal};

/// Where a worker is, and under which name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// The target's process: the worker leaves with it.
    target: ProcessIdentity,
    /// The groups of the target below which ours are, one per hierarchy.
    parents: Vec<Parent>,
    /// The name of our groups.
    name: String,
}

/// A group of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Parent {
    cgroup: CgroupIdentity,
    /// What it has: those that share a hierarchy share the group.
    controllers: Vec<Controller>,
}

/// A worker that is to be started.
pub(crate) struct Job<'a, O> {
    /// Its name, `fracas worker NAME`.
    pub(crate) worker: &'static str,
    /// What it is to do.
    pub(crate) order: &'a O,
    /// How gladly the kernel's memory killer takes it, from 0 to 1000: `proc_pid_oom_score_adj(5)`.
    pub(crate) oom_score_adj: i32,
}

/// A worker that has begun, and what it said so far.
pub(crate) struct Begun {
    socket: UnixStream,
    said: Vec<u8>,
}

/// The memory killer takes the worker first, see `proc_pid_oom_score_adj(5)`.
pub(crate) const FIRST_VICTIM: i32 = 1000;

/// Where the worker counts as the target's.
const CONTROLLERS: [Controller; 6] = [
    Controller::CpuAcct,
    Controller::Cpu,
    Controller::Cpuset,
    Controller::Memory,
    Controller::Pids,
    Controller::Blkio,
];
/// How long the worker may take to begin; in a group with a small quota a start takes long.
const START: Duration = Duration::from_secs(5);
/// How long a killed worker may take to leave its group.
const END: Duration = Duration::from_secs(1);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(2);
const SIGKILL: i32 = 9;
const EBUSY: i32 = 16;

impl Beside {
    /// Looks for a place beside the target. Reads only.
    ///
    /// # Errors
    /// T003 when the groups cannot be read, T004 when the target is gone, F001 when there is a group that takes none of ours.
    pub(crate) fn find(fault: &str, target: &Target, cx: &Context) -> Result<Self> {
        Self::find_in(&CONTROLLERS, fault, target, cx)
    }

    /// As [`Beside::find`], in the groups with these controllers only: for a worker that is there to be found, and whose own use of the
    /// machine is none of the target's business. Where one group has all controllers, as in version 2, it counts as the target's all the
    /// same.
    ///
    /// # Errors
    /// As [`Beside::find`].
    pub(crate) fn find_in(controllers: &[Controller], fault: &str, target: &Target, cx: &Context) -> Result<Self> {
        let pid = target.process().pid;
        let unreadable = || format!("{fault} on {target}: the control groups cannot be read");
        let mut parents: Vec<Parent> = Vec::new();
        for &controller in controllers {
            let Some(group) = cgroup::of(pid, controller).or_say(&codes::TARGET_READ, unreadable)? else {
                continue;
            };
            if let Some(kind) = threaded(&group).or_say(&codes::TARGET_READ, unreadable)? {
                let path = group.path().display();
                let why = format!("its control group {path} is {kind}, and takes no group of ours");
                return Err(refuse(fault, target, why));
            }
            match parents.iter_mut().find(|parent| parent.cgroup == *group.identity()) {
                Some(parent) => parent.controllers.push(controller),
                None => parents.push(Parent {
                    cgroup: group.identity().clone(),
                    controllers: vec![controller],
                }),
            }
        }
        if members::open(target.process())?.is_none() {
            return Err(gone(fault, target));
        }
        if parents.is_empty() {
            // By its groups a stranger finds the worker.
            return Err(refuse(fault, target, "this machine has no control groups"));
        }
        Ok(Self {
            target: target.process().clone(),
            parents,
            name: cx.trace_name(),
        })
    }

    /// The target's process.
    pub(crate) fn target(&self) -> &ProcessIdentity {
        &self.target
    }

    /// Whether the target still lives: its group may outlive it.
    pub(crate) fn target_lives(&self) -> Result<bool> {
        Ok(members::open(&self.target)?.is_some())
    }

    /// Whether the worker counts as the target's there.
    pub(crate) fn has(&self, controller: Controller) -> bool {
        self.parents
            .iter()
            .any(|parent| parent.controllers.contains(&controller))
    }

    /// What nobody else may hold meanwhile: two loads of a kind add up in the kernel, but each one's dose would depend on the other.
    pub(crate) fn resources(&self, what: &str, controller: Controller) -> Vec<Resource> {
        let of_controller = |parent: &&Parent| parent.controllers.contains(&controller);
        let parent = self.parents.iter().find(of_controller);
        parent.map(|parent| parent.resource(what)).into_iter().collect()
    }

    /// [`Beside::resources`] for what no controller counts.
    pub(crate) fn resources_anywhere(&self, what: &str) -> Vec<Resource> {
        let parent = self.parents.first();
        parent.map(|parent| parent.resource(what)).into_iter().collect()
    }

    /// Makes our groups and starts the worker in them. Ends when it has begun.
    ///
    /// # Errors
    /// T004 when the target is gone; F002 when the groups are there already, or the worker does not begin.
    pub(crate) async fn start<O: Serialize>(&self, fault: &str, job: Job<'_, O>, cx: &Context) -> Result<Begun> {
        if members::open(&self.target)?.is_none() {
            return Err(gone(fault, &self.target));
        }
        let failed = || format!("the worker cannot be put beside {}", self.target);
        let mut groups = Vec::new();
        for parent in &self.parents {
            let parent = parent.open()?.ok_or_else(|| gone(fault, &self.target))?;
            if parent
                .find_child(&self.name)
                .or_say(&codes::FAULT_APPLY, failed)?
                .is_some()
            {
                return Err(Problem::new(&codes::FAULT_APPLY, failed())
                    .since(format!("there is a group {} already", self.name)));
            }
            groups.push(parent.child(&self.name).or_say(&codes::FAULT_APPLY, failed)?);
        }
        let options = WorkerOptions {
            own_session: true,
            die_with_parent: true,
            cgroups: groups,
            oom_score_adj: Some(job.oom_score_adj),
            ..WorkerOptions::default()
        };
        let worker = start_worker(job.worker, options).or_say(&codes::FAULT_APPLY, failed)?;
        let socket = worker
            .socket
            .try_clone()
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .and_then(UnixStream::from_std);
        // From here on the nursery reaps it, whatever happens.
        cx.nursery.keep(worker);
        let mut begun = Begun {
            socket: socket.or_say(&codes::FAULT_APPLY, failed)?,
            said: Vec::new(),
        };
        let line = worker::line(&self.target, job.order)?;
        let written = begun.socket.write_all(&line).await;
        written.or_say(&codes::FAULT_APPLY, failed)?;
        if begun
            .says(worker::READY, START)
            .await
            .or_say(&codes::FAULT_APPLY, failed)?
        {
            return Ok(begun);
        }
        let why = String::from_utf8_lossy(&begun.said);
        let why = match why.trim() {
            "" => format!("it did not begin within {START:?}, or ended before"),
            said => said.to_owned(),
        };
        Err(Problem::new(&codes::FAULT_APPLY, failed()).since(why))
    }

    /// Our group with this controller, opened anew: a meter shares nothing with the worker's start. `None`: it is gone.
    pub(crate) fn group(&self, controller: Controller) -> Result<Option<Cgroup>> {
        let Some(parent) = self.parent(controller)? else {
            return Ok(None);
        };
        parent.find_child(&self.name).or_say(&codes::FAULT_MEASURE, || {
            format!("the group {} cannot be opened", self.name)
        })
    }

    /// The target's group with this controller. `None`: it is gone.
    pub(crate) fn parent(&self, controller: Controller) -> Result<Option<Cgroup>> {
        let found = self
            .parents
            .iter()
            .find(|parent| parent.controllers.contains(&controller));
        let found = found.ok_or_else(|| {
            let what = format!("a worker without a group of the controller {}", controller.name());
            Problem::new(&codes::INSIDE, what)
        })?;
        Cgroup::open(&found.cgroup, controller).or_say(&codes::FAULT_OBSERVE, || found.unopened())
    }

    /// The processes in our groups. `None`: the groups are gone, or empty.
    pub(crate) fn processes(&self) -> Result<Option<Vec<u32>>> {
        let unreadable = || format!("the group {} cannot be read", self.name);
        let Some(parent) = self.parents.first().map(Parent::open).transpose()?.flatten() else {
            return Ok(None);
        };
        let found = parent
            .find_child(&self.name)
            .and_then(|group| group.map(|group| group.processes()).transpose());
        match found {
            Err(error) if is_gone(&error) => Ok(None),
            found => Ok(found
                .or_say(&codes::FAULT_MEASURE, unreadable)?
                .filter(|processes| !processes.is_empty())),
        }
    }

    /// Kills whoever is in our groups and removes them.
    pub(crate) async fn revert(&self, cx: &Context) -> Result<Reverted> {
        let mut did = Reverted::AlreadyGone;
        for parent in &self.parents {
            let Some(parent) = parent.open()? else { continue };
            if remove(&parent, &self.name, cx).await? {
                did = Reverted::Restored;
            }
        }
        cx.nursery.reap();
        Ok(did)
    }

    /// Kills whoever is in our groups; these stay.
    pub(crate) fn kill(&self) -> Result<()> {
        let failed = || format!("the worker in {} cannot be killed", self.name);
        for parent in &self.parents {
            let Some(parent) = parent.open()? else { continue };
            let group = parent.find_child(&self.name).or_say(&codes::FAULT_REVERT, failed)?;
            match group.as_ref().map_or(Ok(()), kill_all) {
                Err(error) if is_gone(&error) => {}
                killed => killed.or_say(&codes::FAULT_REVERT, failed)?,
            }
        }
        Ok(())
    }

    /// Looks for our groups.
    pub(crate) fn observe(&self) -> Result<Seen> {
        for parent in &self.parents {
            let Some(parent) = parent.open()? else { continue };
            let found = parent.find_child(&self.name);
            if let Some(group) = found.or_say(&codes::FAULT_OBSERVE, || format!("{} cannot be looked at", self.name))? {
                return Ok(Seen::Ours(format!("there is a group {}", group.path().display())));
            }
        }
        Ok(if signal::ended(&self.target)? {
            Seen::TargetGone
        } else {
            Seen::Original
        })
    }

    /// What a person types to remove them.
    pub(crate) fn manual(&self) -> Vec<String> {
        let paths = self
            .parents
            .iter()
            .map(|parent| format!("{}/{}", parent.cgroup.path, self.name));
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
        let controller = self.controllers.first().copied();
        let controller =
            controller.ok_or_else(|| Problem::new(&codes::INSIDE, "a control group without a controller"))?;
        Cgroup::open(&self.cgroup, controller).or_say(&codes::FAULT_OBSERVE, || self.unopened())
    }

    fn resource(&self, what: &str) -> Resource {
        Resource {
            key: format!("{what} in {}@{}", self.cgroup.path, self.cgroup.inode),
            object: Some(self.cgroup.path.clone()),
        }
    }

    fn unopened(&self) -> String {
        format!("the control group {} cannot be opened", self.cgroup.path)
    }
}

impl Begun {
    /// Whether the worker says this word within the time. What it says otherwise is kept.
    pub(crate) async fn says(&mut self, word: &[u8], within: Duration) -> std::io::Result<bool> {
        let talk = async {
            while !self.said.windows(word.len()).any(|part| part == word) {
                let left = worker::LONGEST.saturating_sub(self.said.len() as u64);
                if left == 0 || (&mut self.socket).take(left).read_buf(&mut self.said).await? == 0 {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        tokio::time::timeout(within, talk).await.unwrap_or(Ok(false))
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

/// The type of a group of version 2 that is not for whole processes.
fn threaded(group: &Cgroup) -> std::io::Result<Option<String>> {
    if group.version() == Version::V1 || group.is_root()? {
        return Ok(None);
    }
    let kind = group.read("cgroup.type")?;
    Ok(Some(kind).filter(|kind| kind != "domain"))
}
