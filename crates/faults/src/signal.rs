//! What became of a signal: the meter of the faults that send one.

use std::time::Duration;

use fracas_core::params::Signal;
use fracas_core::problem::{Result, codes};
use fracas_core::record::Landed;
use fracas_core::target::ProcessIdentity;
use fracas_linux::process::{self, Process, Reaction};

use crate::members;
use crate::say::OrSay;

/// How long a sender waits to see the end of whom it signalled, so that what is measured next is the effect.
const SETTLE: Duration = Duration::from_millis(500);

/// Waits a moment for the end of these.
pub(crate) async fn settle(processes: &[Process]) -> Result<()> {
    let all = async {
        for process in processes {
            process.ended().await?;
        }
        Ok(())
    };
    match tokio::time::timeout(SETTLE, all).await {
        Ok(ended) => ended.or_say(&codes::FAULT_APPLY, || "cannot wait for a signalled process".to_owned()),
        // It lives on: whether that is right, the meter says.
        Err(_) => Ok(()),
    }
}

/// Whether the signal did to this process what it does, as far as the process and its masks show.
pub(crate) fn landed(identity: &ProcessIdentity, signal: Signal) -> Result<Landed> {
    if ended(identity)? {
        return Ok(Landed::Yes);
    }
    Ok(match reaction(identity, signal)? {
        None | Some(Reaction::Handled) => Landed::Yes,
        Some(Reaction::Ignored) => Landed::No(format!("{identity} ignores {signal}")),
        Some(Reaction::Blocked) => Landed::No(format!("{identity} holds {signal} back")),
        Some(Reaction::Default) => Landed::No(format!("{identity} still runs")),
    })
}

/// Whether the process has ended, also as a zombie, or has got a signal that ends it and only has not come to it yet: on a busy
/// machine a container that was just killed still looks alive.
pub(crate) fn ended(identity: &ProcessIdentity) -> Result<bool> {
    if members::open(identity)?.is_none() {
        return Ok(true);
    }
    let dying = fracas_linux::process::is_dying(identity.pid)
        .or_say(&codes::FAULT_OBSERVE, || format!("{identity} cannot be looked at"))?;
    Ok(dying.unwrap_or(true))
}

/// What the process does with the signal; `None` when it is gone.
pub(crate) fn reaction(identity: &ProcessIdentity, signal: Signal) -> Result<Option<Reaction>> {
    process::reaction(identity.pid, signal.number()).or_say(&codes::TARGET_READ, || {
        format!("the signal masks of {identity} cannot be read")
    })
}
