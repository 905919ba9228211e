//! The worker: it burns until it is over.

use fracas_core::problem::{Result, codes};
use fracas_linux::burn::burn;
use serde::{Deserialize, Serialize};

use crate::beside::worker::{self, READY};
use crate::say::OrSay;

/// Its name: `fracas worker cpu-stress`.
pub(crate) const NAME: &str = "cpu-stress";

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Of one CPU, in total.
    pub(super) percent: f64,
    pub(super) threads: u32,
}

/// The main of `fracas worker cpu-stress`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the load cannot be made. The guardian reads why from the socket.
pub fn cpu_stress_worker_main() -> Result<()> {
    worker::main("fracas-stress", "the load", |order: Order, _, post| {
        post.say(READY)?;
        let over = post.over();
        burn(order.percent, order.threads, || !over.is())
            .or_say(&codes::FAULT_APPLY, || "the load cannot be made".to_owned())
            .map(drop)
    })
}
