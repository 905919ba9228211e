//! The worker: it takes its memory and keeps it until it is over.

use fracas_core::params::Victim;
use fracas_core::problem::{Result, codes};
use fracas_linux::hold::{Held, Owner};
use fracas_linux::memory::Memory;
use serde::{Deserialize, Serialize};

use crate::beside::worker::{self, READY};
use crate::say::OrSay;

/// Its name: `fracas worker memory-stress`.
pub(super) const NAME: &str = "memory-stress";
/// What it says when it holds everything.
pub(super) const FULL: &[u8] = b"full\n";

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) bytes: u64,
    pub(super) victim: Victim,
}

/// The main of `fracas worker memory-stress`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the memory cannot be taken. The guardian reads why from the socket.
pub fn memory_stress_worker_main() -> Result<()> {
    worker::main("fracas-memory", "the memory load", |order: Order, _, post| {
        let failed = || "the memory cannot be held".to_owned();
        let owner = match order.victim {
            Victim::Stress => Owner::Process,
            Victim::Target => Owner::Group,
        };
        let mut held = Held::new(owner).or_say(&codes::FAULT_APPLY, failed)?;
        post.say(READY)?;
        let over = post.over().clone();
        // Many workers that are planned at the same time must not take together what the machine could spare for each.
        let taken = held.take(order.bytes, || !over.is() && spares());
        match taken {
            Ok(true) => post.say(FULL)?,
            Ok(false) if over.is() => return Ok(()),
            Ok(false) => post.say(b"the machine has no memory to spare\n")?,
            // The group gives no more and nobody was taken for it: what there is is kept, and the meter says how much it is.
            Err(error) => post.say(format!("{error}\n").as_bytes())?,
        }
        held.keep(|pause| !over.wait(pause)).or_say(&codes::FAULT_APPLY, failed)
    })
}

/// Whether the machine can spare more now. What cannot be read is no reason to take it.
fn spares() -> bool {
    Memory::now().is_ok_and(|memory| memory.spare() > 0)
}
