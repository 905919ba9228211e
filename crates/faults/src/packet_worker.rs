//! A worker that takes packets out of the kernel in the target's network namespace, and how it is found and ended.
//!
//! Both its queue and its table of rules are the kernel's only as long as the worker's sockets are open: when it ends, however it ends,
//! packets pass as before. So there is no way back to take but the worker's end, and what the ledger holds is how to find it.

mod watch;

use std::io;
use std::time::{Duration, Instant};

use fracas_core::observer::Spared;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Reverted, Seen};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::cgroup::Controller;
use fracas_linux::namespace::{self, NetNamespace};
use fracas_linux::netlink::Netlink;
use fracas_linux::privileges::{self, Capability};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::beside::{Beside, Job};
use crate::bounded::bounded;
use crate::hosts::Hosts;
use crate::say::{OrSay, gone, refuse};
pub(crate) use watch::is_served;

/// Where such a worker is, and what it made: the undo of its fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PacketWorker {
    /// The process by which the target's network namespace is found.
    pub(crate) process: ProcessIdentity,
    /// That namespace, by its number.
    pub(crate) inside: u64,
    /// The table of rules in it.
    pub(crate) table: String,
    /// The tables of others there whose rules were not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unseen: Vec<String>,
    /// Whose packets are left alone, unless the fault hits those who measure, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) spared: Vec<Spared>,
    /// Where the hosts were that the fault names.
    #[serde(default, skip_serializing_if = "Hosts::is_empty")]
    pub(crate) hosts: Hosts,
    pub(crate) beside: Beside,
}

/// Why a network is none for a fault, and what to do.
pub(crate) type Unfit = (String, &'static str);
/// What a fault wants to know of a network, such as the tables of others that cannot be read; or why it is none for it.
pub(crate) type Fit<T = Vec<String>> = std::result::Result<T, Unfit>;

/// The worker is there to be found; neither its time nor its memory is the target's.
const CONTROLLERS: [Controller; 1] = [Controller::Blkio];
/// How long the worker may take to let go of what it holds, before it is killed.
const LET_GO: Duration = Duration::from_millis(500);
/// How long after it is hung up on it may still have its table, however long it may drain.
const HEARD: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);
/// How long after its longest duration a worker goes by itself that nobody has ended.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(5);

/// Where a target's network is.
enum Ground<T> {
    /// In a namespace of its own, with this number.
    Own(u64, T),
    Gone,
    /// Why it is none, and what to do.
    Unfit(String, &'static str),
}

impl PacketWorker {
    /// Looks for a place for one. `fit` says whether the target's namespace is one for the fault. Reads only.
    ///
    /// # Errors
    /// F003 where a privilege is missing, T004 where the target is gone, F001 where its network is none for this.
    pub(crate) async fn plan(
        fault: &str,
        capabilities: &[Capability],
        target: &Target,
        cx: &Context,
        fit: impl FnOnce(&NetNamespace) -> io::Result<Fit> + Send + 'static,
    ) -> Result<Self> {
        let (inside, unseen) = inside(fault, capabilities, target, fit).await?;
        Ok(Self {
            process: target.process().clone(),
            inside,
            table: cx.trace_name(),
            unseen,
            spared: Vec::new(),
            hosts: Hosts::new(),
            beside: Beside::find_in(&CONTROLLERS, fault, target, cx)?,
        })
    }

    /// The target's namespace. `None`: the target is gone, or lives in another one by now.
    pub(crate) fn there(&self) -> io::Result<Option<NetNamespace>> {
        Ok(NetNamespace::of(&self.process)?.filter(|there| there.inode() == self.inside))
    }

    /// Starts it, and watches whether it serves its queue.
    pub(crate) async fn start<O: Serialize>(&self, fault: &str, job: Job<'_, O>, cx: &Context) -> Result<()> {
        // What was seen of the same fault on a former life of the target says nothing of this one.
        cx.nursery.take_word(&cx.trace_name(), None);
        self.beside.start(fault, job, cx).await?;
        let watched = self.clone();
        cx.nursery
            .later(cx.trace_name(), move |note| watch::until_unserved(watched, note));
        Ok(())
    }

    /// Ends the worker.
    pub(crate) async fn revert(&self, cx: &Context) -> Result<Reverted> {
        self.revert_within(LET_GO, cx).await
    }

    /// As [`PacketWorker::revert`], for a worker that may take so long to let go of what it holds.
    pub(crate) async fn revert_within(&self, let_go: Duration, cx: &Context) -> Result<Reverted> {
        cx.nursery.end(&cx.trace_name()).await;
        // Whoever started the worker hangs up on it: then it sends on what it holds before it ends. To whom nobody can say so it is killed.
        let mut hears = false;
        for pid in self.beside.processes()?.unwrap_or_default() {
            hears |= cx.nursery.hang_up(pid);
        }
        let begun = Instant::now();
        let mut asked = false;
        while hears && begun.elapsed() < let_go && self.beside.processes()?.is_some() {
            // Who drains has given up its table long ago: one that has not does not hear.
            if !asked && begun.elapsed() >= HEARD {
                asked = true;
                if self.finds_table().await? == Some(true) {
                    break;
                }
            }
            cx.nursery.reap();
            tokio::time::sleep(PAUSE).await;
        }
        self.beside.revert(cx).await
    }

    /// Looks for the worker and its table.
    pub(crate) async fn observe(&self) -> Result<Seen> {
        let worker = self.beside.observe()?;
        if matches!(worker, Seen::Ours(_)) {
            return Ok(worker);
        }
        Ok(match self.finds_table().await? {
            None => Seen::TargetGone,
            Some(true) => Seen::Ours(format!(
                "there is a table {} in network namespace {}",
                self.table, self.inside
            )),
            Some(false) => worker,
        })
    }

    /// Whether its table is there. `None`: the target is not.
    async fn finds_table(&self) -> Result<Option<bool>> {
        let what = || format!("the table {} cannot be looked for", self.table);
        let own = self.clone();
        bounded(&codes::FAULT_OBSERVE, what, move || {
            let Some(there) = own.there()? else { return Ok(None) };
            there.within(|| Netlink::netfilter()?.has_table(&own.table)).map(Some)
        })
        .await
    }

    /// What a person types to end it.
    pub(crate) fn manual(&self) -> Vec<String> {
        self.beside.manual()
    }
}

/// The number of the target's network namespace, if it is one of its own and `fit` for the fault, and what `fit` says of it. Reads only.
///
/// # Errors
/// As [`PacketWorker::plan`].
pub(crate) async fn inside<T: Send + 'static>(
    fault: &str,
    capabilities: &[Capability],
    target: &Target,
    fit: impl FnOnce(&NetNamespace) -> io::Result<Fit<T>> + Send + 'static,
) -> Result<(u64, T)> {
    may(fault, capabilities, target)?;
    let what = || format!("the network of {target} cannot be looked at");
    let process = target.process().clone();
    let look = move || Ground::look(&process, fit);
    match bounded(&codes::TARGET_READ, what, look).await? {
        Ground::Own(inode, found) => Ok((inode, found)),
        Ground::Gone => Err(gone(fault, target)),
        Ground::Unfit(why, next) => Err(refuse(fault, target, why).next(next)),
    }
}

/// What the kernel lacks, as a reason.
pub(crate) fn lacking(obstacle: Option<String>) -> std::result::Result<(), Unfit> {
    obstacle.map_or(Ok(()), |why| Err((why, "see `fracas doctor` for what this kernel has")))
}

/// Whether a namespace has an address of a loopback device, which it has when that is up. For a connection made by [`Netlink::route`].
pub(crate) fn has_loopback(netlink: &mut Netlink) -> io::Result<bool> {
    let links = netlink.links()?;
    let is_loopback = |index: u32| links.iter().any(|link| link.loopback && link.index == index);
    let addresses = netlink.addresses()?;
    Ok(addresses
        .iter()
        .any(|one| is_loopback(one.link) && one.address.is_loopback()))
}

/// Whether the namespace has the interface that a fault names, if it names one.
pub(crate) fn has_device(there: &NetNamespace, device: Option<&str>) -> io::Result<std::result::Result<(), Unfit>> {
    let Some(name) = device else { return Ok(Ok(())) };
    let mut netlink = there.within(Netlink::route)?;
    if netlink.link_by_name(name)?.is_some() {
        return Ok(Ok(()));
    }
    let names: Vec<_> = netlink.links()?.into_iter().map(|link| link.name).collect();
    let why = format!("it has no interface {name:?}, but {}", names.join(", "));
    Ok(Err((why, "name one of those")))
}

impl<T> Ground<T> {
    fn look(process: &ProcessIdentity, fit: impl FnOnce(&NetNamespace) -> io::Result<Fit<T>>) -> io::Result<Self> {
        let Some(there) = NetNamespace::of(process)? else {
            return Ok(Self::Gone);
        };
        if namespace::is_around_us(&there)? {
            return Ok(Self::Unfit(
                "it shares the machine's network, and everybody else there would be hit with it".to_owned(),
                "choose a target with a network namespace of its own",
            ));
        }
        Ok(match fit(&there)? {
            Ok(found) => Self::Own(there.inode(), found),
            Err((why, next)) => Self::Unfit(why, next),
        })
    }
}

/// Refuses before anything is looked at what could not be done.
fn may(fault: &str, capabilities: &[Capability], target: &Target) -> Result<()> {
    let missing = privileges::missing(capabilities)
        .or_say(&codes::SYSTEM, || "the privileges of Fracas cannot be read".to_owned())?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|one| one.name()).collect();
    let names = names.join(", ");
    let what = format!("{fault} on {target} needs {names}");
    Err(Problem::new(&codes::FAULT_NEEDS, what).next(format!("run as root, or grant {names}")))
}
