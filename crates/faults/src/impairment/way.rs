//! The one of two mechanisms that a fault on packets is made by.

use fracas_core::observer::Spared;
use fracas_core::params::Mechanism;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Reverted, Seen};
use fracas_core::target::Target;
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use serde::{Deserialize, Serialize};

use super::kernel_queue::{KernelQueue, OfKernel};
use super::meter::{self, Outcome, Plan};
use super::model::Model;
use super::packet_queue::{self, OfPackets};
use super::rules::Owned;
use super::worker::{self, Order};
use super::{CAPABILITIES, Kind};
use crate::beside::{FIRST_VICTIM, Job};
use crate::packet_worker::{LEFT_ALONE, PacketWorker};
use crate::say::refuse;
use crate::{Context, Resource, hosts};

/// How it is undone: each has names of its own, so that one is told from the other, also in ledgers that knew only the packet queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Way {
    Kernel(KernelQueue),
    Packets(PacketWorker),
}

impl Way {
    /// Looks for the one that was asked for. Reads only.
    pub(super) async fn plan(
        fault: &str,
        target: &Target,
        (mechanism, traffic, model): (Mechanism, Owned, Model),
        spared: Vec<Spared>,
        cx: &Context,
    ) -> Result<Self> {
        let kernel = async || {
            let found = KernelQueue::plan(fault, target, &traffic, &model, spared.clone(), cx).await;
            found.map(Self::Kernel)
        };
        let names = traffic.names();
        if mechanism == Mechanism::KernelQueue {
            if let Some(name) = names.first() {
                let why = format!("the kernel queue cannot follow a host such as `{name}`, whose addresses may change");
                let next = "write addresses or networks, or `mechanism: packet_queue`";
                return Err(refuse(fault, target, why).next(next));
            }
            return kernel().await;
        }
        let device = traffic.device.clone();
        let look = move |there: &NetNamespace| packet_queue::fit(there, device.as_deref());
        let refused = match PacketWorker::plan(fault, CAPABILITIES, target, cx, look).await {
            Ok(worker) => {
                let hosts = hosts::find(fault, target, worker.inside, names).await?;
                return Ok(Self::Packets(PacketWorker {
                    spared,
                    hosts,
                    ..worker
                }));
            }
            Err(problem) => problem,
        };
        // The other one does not know names.
        if mechanism == Mechanism::PacketQueue || !names.is_empty() || refused.code.id != codes::FAULT_PLAN.id {
            return Err(refused);
        }
        kernel().await.map_err(|also| joined(refused, &also))
    }

    /// Who measures the target.
    pub(super) fn spared(&self) -> &[Spared] {
        match self {
            Self::Kernel(queue) => &queue.spared,
            Self::Packets(worker) => &worker.spared,
        }
    }

    pub(super) fn change(&self) -> String {
        match self {
            Self::Kernel(queue) => queue.change(),
            Self::Packets(worker) => {
                let unseen = if worker.unseen.is_empty() {
                    String::new()
                } else {
                    let tables = worker.unseen.join(", ");
                    format!("; what the rules of the older iptables there say ({tables}) is not known")
                };
                format!(
                    "by the packet queue and the table {} in network namespace {}, then both go{unseen}{}",
                    worker.table,
                    worker.inside,
                    hosts::words(&worker.hosts)
                )
            }
        }
    }

    /// `changes`: what of packets is changed, which nobody else may change there meanwhile.
    pub(super) fn resources(&self, changes: &str) -> Vec<Resource> {
        let (inside, more) = match self {
            Self::Kernel(queue) => (queue.inside, queue.resources()),
            Self::Packets(worker) => (worker.inside, Vec::new()),
        };
        let all = Resource {
            key: format!("the {changes} of packets in network namespace {inside}"),
            object: None,
        };
        std::iter::once(all).chain(more).collect()
    }

    pub(super) async fn apply<K: Kind>(&self, traffic: Owned, model: Model, cx: &Context) -> Result<()> {
        let worker = match self {
            Self::Kernel(queue) => return queue.apply(K::NAME, &traffic, &model, cx).await,
            Self::Packets(worker) => worker,
        };
        let order = Order {
            inside: worker.inside,
            table: worker.table.clone(),
            model,
            seed: cx.seed.0,
            // What is stable between runs is the number of the injection, for a process is not.
            identity: format!("{} {}", K::NAME, cx.injection),
            traffic,
            hosts: worker.hosts.clone(),
            not_after: clock::boottime() + cx.at_most + LEFT_ALONE,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            // Without it packets pass: of all, it is the one that nobody misses.
            oom_score_adj: FIRST_VICTIM,
        };
        worker.start(K::NAME, job, cx).await
    }

    /// What has come of it, and what could not be seen of the hosts that it names. To be called in the network namespace of Fracas. `None`:
    /// the target is gone.
    pub(super) fn measure(&self, traffic: &Owned, plan: &Plan) -> std::io::Result<Option<(Outcome, String)>> {
        match self {
            Self::Kernel(queue) => {
                let Some(there) = queue.there()? else { return Ok(None) };
                let outcome = meter::measure(&there, &OfKernel(queue), traffic, plan)?;
                Ok(Some((outcome, String::new())))
            }
            Self::Packets(worker) => {
                let Some(there) = worker.there()? else { return Ok(None) };
                let located = match hosts::locate(&there, worker, &traffic.excepted())? {
                    Ok(located) => located,
                    Err(why) => return Ok(Some((Outcome::Missed(why), String::new()))),
                };
                let gauge = OfPackets {
                    table: &worker.table,
                    traffic,
                };
                let outcome = meter::measure(
                    &there,
                    &gauge,
                    &traffic.located(&located.hosts),
                    &plan.after(located.took),
                )?;
                Ok(Some((outcome, located.unsure)))
            }
        }
    }

    pub(super) async fn revert(&self, cx: &Context) -> Result<Reverted> {
        match self {
            Self::Kernel(queue) => queue.revert(cx).await,
            Self::Packets(worker) => worker.revert(cx).await,
        }
    }

    pub(super) async fn observe(&self) -> Result<Seen> {
        match self {
            Self::Kernel(queue) => queue.observe().await,
            Self::Packets(worker) => worker.observe().await,
        }
    }

    pub(super) fn manual(&self) -> Vec<String> {
        match self {
            Self::Kernel(queue) => queue.manual(),
            Self::Packets(worker) => worker.manual(),
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel(_) => "the kernel queue",
            Self::Packets(_) => "the packet queue",
        })
    }
}

/// Why neither can be had. What is wrong with both is said once.
fn joined(packets: Box<Problem>, kernel: &Problem) -> Box<Problem> {
    if packets.what == kernel.what {
        return packets;
    }
    let why = format!("nor by the kernel queue: {}", kernel.what);
    packets.since(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_that_knew_one_mechanism_are_read() {
        let old = r#"{"process":{"pid":7,"start":9,"boot":"b"},"inside":3,"table":"fracas-x-0",
            "beside":{"target":{"pid":7,"start":9,"boot":"b"},"parents":[],"name":"fracas-x-0"}}"#;
        let way: Way = serde_json::from_str(old).unwrap();
        assert!(matches!(&way, Way::Packets(worker) if worker.table == "fracas-x-0"));
    }
}
