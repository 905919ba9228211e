//! The worker: it looks into what the target sends to name servers, until it is over.

use std::time::Duration;

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::seed::Seed;
use fracas_linux::clock;
use fracas_linux::intercept::Interceptor;
use fracas_linux::namespace::NetNamespace;
use serde::{Deserialize, Serialize};

use super::answering::Answering;
use super::rules;
use crate::beside::worker::{self, READY};
use crate::say::OrSay;

/// Its name: `fracas worker names`.
pub(super) const NAME: &str = "names";

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The target's network namespace.
    pub(super) inside: u64,
    pub(super) table: String,
    pub(super) params: params::Dns,
    pub(super) seed: u64,
    pub(super) identity: String,
    /// When it ends by itself, in CLOCK_BOOTTIME.
    pub(super) not_after: Duration,
}

/// The main of `fracas worker names`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the queue cannot be made. The guardian reads why from the socket.
pub fn names_worker_main() -> Result<()> {
    worker::main("fracas-names", "the queue", |order: Order, target, post| {
        let failed = || "the queue cannot be made".to_owned();
        let there = NetNamespace::of(target)
            .or_say(&codes::FAULT_APPLY, failed)?
            .filter(|there| there.inode() == order.inside)
            .ok_or_else(|| Problem::new(&codes::TARGET_GONE, format!("{target} is gone")))?;
        let servers: Vec<_> = order.params.servers.iter().map(|server| server.0).collect();
        let mut interceptor = there
            .within(|| Interceptor::open(&order.table, |place| rules::chains(&servers, place)))
            .or_say(&codes::FAULT_APPLY, failed)?;
        let mut answering = Answering::new(order.params, Seed(order.seed), order.identity);
        post.say(READY)?;
        let over = post.over().clone();
        interceptor
            // A guardian that hangs does not keep it on.
            .run(
                post.guardian(),
                || over.is() || clock::boottime() > order.not_after,
                |parcel| answering.fate(parcel),
            )
            .or_say(&codes::FAULT_APPLY, || "the queue cannot be served".to_owned())
    })
}
