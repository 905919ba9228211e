//! The worker: it holds the table until it is over.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use fracas_core::problem::{Problem, Result, codes};
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::Table;
use serde::{Deserialize, Serialize};

use super::{Cut, rules};
use crate::beside::worker::{self, READY};
use crate::hosts::{self, Alarm, Hosts};
use crate::say::OrSay;

/// Its name: `fracas worker packet-rules`.
pub(super) const NAME: &str = "packet-rules";
/// How often it looks at the time, and for hosts that have moved.
const LOOK: Duration = Duration::from_millis(250);

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The target's network namespace.
    pub(super) inside: u64,
    pub(super) table: String,
    pub(super) cut: Cut,
    /// Where the hosts were that it names.
    #[serde(default)]
    pub(super) hosts: Hosts,
    /// When it ends by itself, in CLOCK_BOOTTIME.
    pub(super) not_after: Duration,
}

/// The main of `fracas worker packet-rules`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the rules cannot be made. The guardian reads why from the socket.
pub fn packet_rules_worker_main() -> Result<()> {
    worker::main("fracas-rules", "the packet rules", |order: Order, target, post| {
        let failed = || "the packet rules cannot be made".to_owned();
        let there = NetNamespace::of(target)
            .or_say(&codes::FAULT_APPLY, failed)?
            .filter(|there| there.inode() == order.inside)
            .ok_or_else(|| Problem::new(&codes::TARGET_GONE, format!("{target} is gone")))?;
        let chains = rules::chains(&order.cut);
        let lists = hosts::lists(&order.hosts);
        let mut table = there
            .within(|| Table::make_with(&order.table, &chains, &lists))
            .or_say(&codes::FAULT_APPLY, failed)?;
        let alarm = Alarm::about(hosts::excepted(&order.cut.except));
        let news = hosts::follow(target, order.inside, order.hosts, alarm.clone(), post.over().clone())?;
        post.say(READY)?;
        // A guardian that hangs does not keep it on.
        while !post.over().wait(LOOK) && !alarm.rings() && clock::boottime() < order.not_after {
            for list in news.iter().flat_map(Receiver::try_iter) {
                table.add(&list).or_say(&codes::FAULT_APPLY, failed)?;
            }
        }
        // It goes with its socket.
        drop(table);
        alarm.check()
    })
}
