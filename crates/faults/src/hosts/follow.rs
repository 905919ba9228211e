//! The eye of a worker on hosts that may move.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fracas_core::problem::{Result, codes};
use fracas_core::target::ProcessIdentity;
use fracas_linux::netfilter::List;

use super::{Hosts, LOOKING, list_name, look};
use crate::beside::worker::Over;
use crate::say::OrSay;

/// Between two looks.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// So many addresses of one name in all: what moves about faster is not followed any more.
const MOST_KEPT: usize = 256;

/// Looks for the hosts again and again until it is over, and tells of addresses that are new. In a thread of its own, which nobody waits for:
/// a name server takes its time. `None`: there are no hosts to look for.
///
/// What is not found stays where it was: a name server that is down moves nobody.
pub(crate) fn follow(
    target: &ProcessIdentity,
    inside: u64,
    mut hosts: Hosts,
    over: Over,
) -> Result<Option<Receiver<List>>> {
    if hosts.is_empty() {
        return Ok(None);
    }
    let (tell, told) = channel();
    let target = target.clone();
    let names = hosts.keys().cloned().collect();
    let thread = std::thread::Builder::new().name("follow-hosts".to_owned());
    let started = thread.spawn(move || {
        loop {
            // They may have moved since the fault was planned.
            let looked = look(&target, inside, &names, LOOKING);
            for (name, found) in looked.ok().flatten().unwrap_or_default() {
                let (Ok(found), Some(kept)) = (found, hosts.get_mut(&name)) else {
                    continue;
                };
                let room = MOST_KEPT.saturating_sub(kept.len());
                let new: Vec<_> = found.into_iter().filter(|one| !kept.contains(one)).take(room).collect();
                if new.is_empty() {
                    continue;
                }
                kept.extend(&new);
                let list = List {
                    name: list_name(&name),
                    addresses: new,
                };
                if tell.send(list).is_err() {
                    return;
                }
            }
            if over.wait(AGAIN) {
                return;
            }
        }
    });
    started.or_say(&codes::FAULT_APPLY, || {
        "a thread of the worker cannot be started".to_owned()
    })?;
    Ok(Some(told))
}
