//! The worker: it takes packets out of the kernel and puts them back as the model says, until it is over.

use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::relay::{Relay, Troubles};
use serde::{Deserialize, Serialize};

use super::model::{Model, Stream};
use super::rules::{self, Owned};
use crate::beside::worker::{self, READY};
use crate::hosts::{self, Alarm, Hosts};
use crate::say::OrSay;

/// Its name: `fracas worker packet-queue`.
pub(crate) const NAME: &str = "packet-queue";

/// Between two words about troubles.
const TELL: Duration = Duration::from_millis(500);

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The target's network namespace.
    pub(super) inside: u64,
    pub(super) table: String,
    pub(super) model: Model,
    pub(super) seed: u64,
    pub(super) identity: String,
    pub(super) traffic: Owned,
    /// Where the hosts were that it names.
    #[serde(default)]
    pub(super) hosts: Hosts,
    /// When it ends by itself, in CLOCK_BOOTTIME.
    pub(super) not_after: Duration,
}

/// The main of `fracas worker packet-queue`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the queue cannot be made. The guardian reads why from the socket.
pub fn packet_queue_worker_main() -> Result<()> {
    worker::main("fracas-packets", "the queue", |order: Order, target, post| {
        let failed = || "the queue cannot be made".to_owned();
        let there = NetNamespace::of(target)
            .or_say(&codes::FAULT_APPLY, failed)?
            .filter(|there| there.inode() == order.inside)
            .ok_or_else(|| Problem::new(&codes::TARGET_GONE, format!("{target} is gone")))?;
        let traffic = order.traffic.traffic();
        let lists = hosts::lists(&order.hosts);
        let mut relay = there
            .within(|| Relay::open_with(&order.table, &lists, |place| rules::chains(&traffic, place)))
            .or_say(&codes::FAULT_APPLY, failed)?;
        let alarm = Alarm::about(order.traffic.excepted());
        if let Some(news) = hosts::follow(target, order.inside, order.hosts, alarm.clone(), post.over().clone())? {
            relay = relay.hearing(news);
        }
        let mut stream = Stream::new(order.model, Seed(order.seed), order.identity);
        post.say(READY)?;
        let mut told = (Troubles::default(), clock::boottime());
        // A guardian that hangs does not keep it on.
        let over = |troubles: &Troubles| {
            if *troubles != told.0 && clock::boottime() > told.1 + TELL {
                told = (*troubles, clock::boottime());
                // A guardian that hangs does not hear it.
                let _unheard = post.tell(troubles);
            }
            post.over().is() || alarm.rings() || clock::boottime() > order.not_after
        };
        relay
            .run(post.guardian(), over, |packet| stream.next(packet))
            .or_say(&codes::FAULT_APPLY, || "the queue cannot be served".to_owned())?;
        alarm.check()
    })
}
