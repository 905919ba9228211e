//! Packets by a queue of the kernel's: filters on the target's interfaces lead them to an interface of ours (`ifb`) whose netem impairs
//! them, and which sends them on as if nothing had been.
//!
//! What an interface of the target sends from is not touched: the filters are in `clsact`, beside it. None of this goes with a process, so
//! that the ledger has to be right: all names are planned, and each thing is known as ours by more than its name. The interface is made
//! first and removed last: as long as it is there, a `clsact` that was not there before is ours.
//!
//! Nothing that goes by itself could stand in for the interface: filters whose interface is gone drop what they match (`tcf_mirred_act` in
//! net/sched/act_mirred.c).

mod gauge;
mod netem;
mod place;
mod programs;

use std::io;
use std::time::Duration;

use fracas_core::observer::Spared;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Reverted, Seen};
use fracas_core::seed::Seed;
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::traffic::Direction;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process;
use fracas_linux::traffic_control::{Cookie, Side};
use serde::{Deserialize, Serialize};

use super::model::Model;
use super::rules::Owned;
use super::{CAPABILITIES, no_kernel_queue};
use crate::bounded::{bounded, deed};
use crate::packet_worker::{self, Fit, lacking};
use crate::say::{OrSay, gone};
use crate::{Context, Resource};

pub(super) use gauge::OfKernel;
use place::{Device, Left, Place};
use programs::Programs;

/// Where packets are led aside, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelQueue {
    /// The process by which the target's network namespace is found, of a boot that nothing of this outlives.
    process: ProcessIdentity,
    /// That namespace, by its number.
    pub(super) inside: u64,
    place: Place,
    /// Whose packets are left alone, unless the fault hits those who measure, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) spared: Vec<Spared>,
}

impl KernelQueue {
    /// Looks for a place for one. Reads only.
    ///
    /// # Errors
    /// F003 where a privilege is missing, T004 where the target is gone, F001 where its network is none for this.
    pub(super) async fn plan(
        fault: &str,
        target: &Target,
        traffic: &Owned,
        model: &Model,
        spared: Vec<Spared>,
        cx: &Context,
    ) -> Result<Self> {
        let side = match traffic.direction {
            Direction::Egress => Side::Egress,
            Direction::Ingress => Side::Ingress,
        };
        let (of, model) = (traffic.clone(), model.clone());
        let look = move |there: &NetNamespace| fit(there, &of, side, &model);
        let (inside, devices) = packet_worker::inside(fault, CAPABILITIES, target, look).await?;
        let name = cx.trace_name();
        Ok(Self {
            process: target.process().clone(),
            inside,
            place: Place {
                aside: aside(&name),
                cookie: cookie(&name),
                side,
                devices,
            },
            spared,
        })
    }

    /// What it changes, in words.
    pub(super) fn change(&self) -> String {
        format!(
            "by the kernel queue {} and filters on {} in network namespace {}, then both go",
            self.place.aside,
            self.place.names(),
            self.inside
        )
    }

    /// Its interfaces: what one filter leads aside no other one sees.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let of = |device: &Device| Resource {
            key: format!(
                "the kernel queue of interface {} in network namespace {}",
                device.index, self.inside
            ),
            object: None,
        };
        self.place.devices.iter().map(of).collect()
    }

    pub(super) async fn apply(&self, fault: &str, traffic: &Owned, model: &Model, cx: &Context) -> Result<()> {
        // What was seen of the same fault on a former life of the target says nothing of this one.
        cx.nursery.take_word(&cx.trace_name(), None);
        let failed = || "the kernel queue cannot be made".to_owned();
        let programs = Programs::of(&traffic.traffic()).or_say(&codes::FAULT_APPLY, failed)?;
        let netem = netem::netem(model).map_err(|why| Problem::new(&codes::FAULT_APPLY, failed()).since(why))?;
        let own = self.clone();
        let done = deed(cx, failed, move || {
            let Some(there) = own.there()? else { return Ok(None) };
            there
                .within(|| own.place.make(&mut Netlink::route()?, &netem, &programs))
                .map(Some)
        });
        done.await?.ok_or_else(|| gone(fault, &self.process))
    }

    /// The target's namespace. `None`: the target is gone, or lives in another one by now.
    pub(super) fn there(&self) -> io::Result<Option<NetNamespace>> {
        Ok(NetNamespace::of(&self.process)?.filter(|there| there.inode() == self.inside))
    }

    /// As [`Self::there`]; the target may be gone while others live on in its namespace, as the containers of a pod do.
    fn wherever(&self) -> io::Result<Option<NetNamespace>> {
        match self.there()? {
            None => NetNamespace::find(self.inside),
            there => Ok(there),
        }
    }

    pub(super) async fn revert(&self, cx: &Context) -> Result<Reverted> {
        // What an apply still does would be made behind our back.
        cx.nursery.idle(&cx.trace_name(), APPLY_ENDS).await;
        if boot(&codes::FAULT_REVERT)? != self.process.boot {
            return Ok(Reverted::AlreadyGone);
        }
        let failed = || format!("the kernel queue {} cannot be removed", self.place.aside);
        let own = self.clone();
        bounded(&codes::FAULT_REVERT, failed, move || {
            let Some(there) = own.wherever()? else {
                return Ok(Reverted::AlreadyGone);
            };
            there.within(|| own.place.clear(&mut Netlink::route()?))
        })
        .await
    }

    pub(super) async fn observe(&self) -> Result<Seen> {
        if boot(&codes::FAULT_OBSERVE)? != self.process.boot {
            return Ok(Seen::TargetGone);
        }
        let failed = || format!("the kernel queue {} cannot be looked for", self.place.aside);
        let own = self.clone();
        let left = bounded(&codes::FAULT_OBSERVE, failed, move || {
            let Some(there) = own.wherever()? else { return Ok(None) };
            there.within(|| own.place.left(&mut Netlink::route()?)).map(Some)
        });
        Ok(match left.await? {
            None => Seen::TargetGone,
            Some(Left { ours, .. }) if !ours.is_empty() => {
                Seen::Ours(format!("{} in network namespace {}", ours.join(", "), self.inside))
            }
            Some(Left { theirs, .. }) if !theirs.is_empty() => Seen::Foreign(theirs.join("; ")),
            Some(_) => Seen::Original,
        })
    }

    /// What a person types to take it away.
    pub(super) fn manual(&self) -> Vec<String> {
        self.place
            .manual(&format!("nsenter --net=/proc/{}/ns/net", self.process.pid))
    }
}

/// So long an apply may take that nobody waits for any more.
const APPLY_ENDS: Duration = Duration::from_secs(10);

fn boot(code: &'static fracas_core::problem::Code) -> Result<String> {
    process::boot_id().or_say(code, || "the machine's boot cannot be told".to_owned())
}

/// Numbers that no other injection has, of any run.
fn draw(name: &str, ordinal: u64) -> u64 {
    Seed(0).draw("kernel queue", name, ordinal).0
}

/// The name of an interface has room for so many digits.
fn aside(name: &str) -> String {
    format!("frc{:012x}", draw(name, 0) >> 16)
}

fn cookie(name: &str) -> Cookie {
    let mut bytes = [0; 16];
    for (half, ordinal) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(1..) {
        *half = draw(name, ordinal).to_be_bytes();
    }
    Cookie(bytes)
}

/// The interfaces of a network; or why it is none for this.
fn fit(there: &NetNamespace, traffic: &Owned, side: Side, model: &Model) -> io::Result<Fit<Vec<Device>>> {
    if let Err(unfit) = lacking(no_kernel_queue()?) {
        return Ok(Err(unfit));
    }
    if let Err(why) = netem::netem(model) {
        return Ok(Err((
            why.to_owned(),
            "leave it out, or write `mechanism: packet_queue`",
        )));
    }
    if let Err(error) = Programs::of(&traffic.traffic()) {
        let why = format!("it is more than a filter can look for: {error}");
        return Ok(Err((
            why,
            "name fewer in `to`, `except` and `ports`, or networks and ranges",
        )));
    }
    if let Err(unfit) = packet_worker::has_device(there, traffic.device.as_deref())? {
        return Ok(Err(unfit));
    }
    there.within(|| place::devices(&mut Netlink::route()?, traffic.device.as_deref(), side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_one_injection_and_short_enough() {
        let (one, other) = ("fracas-20261128-a-0", "fracas-20261128-a-1");
        assert_ne!(draw(one, 0), draw(other, 0));
        assert_ne!(cookie(one), cookie(other));
        assert_eq!(cookie(one), cookie(one));
        // `IFNAMSIZ` with its zero.
        assert!(aside(one).len() < 16 && aside(one) != aside(other));
    }

    #[tokio::test]
    async fn after_a_reboot_there_is_nothing_of_it() {
        let place = Place {
            aside: aside("x"),
            cookie: cookie("x"),
            side: Side::Egress,
            devices: Vec::new(),
        };
        let process = ProcessIdentity {
            boot: "another".to_owned(),
            ..process::identity(std::process::id()).unwrap().unwrap()
        };
        let inside = NetNamespace::ours().unwrap().inode();
        let queue = KernelQueue {
            process,
            inside,
            place,
            spared: Vec::new(),
        };
        assert_eq!(queue.observe().await.unwrap(), Seen::TargetGone);
    }
}
