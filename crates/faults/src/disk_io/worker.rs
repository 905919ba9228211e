//! The worker: some threads, each with a file of its own, until it is over.

use std::sync::Mutex;
use std::sync::PoisonError;

use fracas_core::params::Operation;
use fracas_core::problem::{Problem, Result, codes};
use fracas_linux::churn::{Churn, Kind};
use fracas_linux::unnamed;
use serde::{Deserialize, Serialize};

use super::DiskIo;
use crate::Fault;
use crate::beside::worker::{self, Over, READY};
use crate::directory::Directory;
use crate::say::OrSay;

/// Its name: `fracas worker disk-io`.
pub(super) const NAME: &str = "disk-io";

/// What the worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) directory: Directory,
    /// One for each file.
    pub(super) names: Vec<String>,
    pub(super) size: u64,
    pub(super) block: u64,
    pub(super) operation: Operation,
}

/// The main of `fracas worker disk-io`.
///
/// # Errors
/// I001 when somebody else than the guardian started it; F002 when the disk refuses. The guardian reads why from the socket.
pub fn disk_io_worker_main() -> Result<()> {
    worker::main("fracas-disk", "the disk load", |order: Order, _, post| {
        let directory = order.directory.open_to_apply(DiskIo::NAME)?;
        let mut files = Vec::new();
        for name in &order.names {
            files.push(unnamed::create(&directory, name).or_say(&codes::FAULT_APPLY, failed)?);
        }
        // Whoever begins has a file; what it is filled with at first is a load already.
        post.say(READY)?;
        let over = post.over();
        let first = Mutex::new(None);
        std::thread::scope(|scope| {
            for (number, file) in files.into_iter().enumerate() {
                let (order, first) = (&order, &first);
                let thread = std::thread::Builder::new().name(format!("disk-{number}"));
                let started = thread.spawn_scoped(scope, move || {
                    if let Err(problem) = churn(file, order, over) {
                        // One that cannot go on must not leave the others to do a part of what was asked.
                        first
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(problem);
                        over.set();
                    }
                });
                if let Err(problem) = started.or_say(&codes::FAULT_APPLY, failed) {
                    first
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(problem);
                    over.set();
                }
            }
        });
        let first: Option<Box<Problem>> = first.into_inner().unwrap_or_else(PoisonError::into_inner);
        first.map_or(Ok(()), Err)
    })
}

fn churn(file: std::fs::File, order: &Order, over: &Over) -> Result<()> {
    let kind = match order.operation {
        Operation::Read => Kind::Read,
        Operation::Write => Kind::Write,
        Operation::All => Kind::Both,
    };
    let mut churn = Churn::new(file, order.size, order.block as usize).or_say(&codes::FAULT_APPLY, failed)?;
    while !over.is() {
        churn.step(kind).or_say(&codes::FAULT_APPLY, failed)?;
    }
    Ok(())
}

fn failed() -> String {
    "the disk load cannot be made".to_owned()
}
