//! The guardian's eye on a worker: one that does not serve its queue is killed.
//!
//! Packets pass it by when its lease is over. But what came before waits in its queue, counts against its senders, and a connection of TCP
//! does not send again what it takes to be on its way (`skb_still_in_host_queue` in net/ipv4/tcp_output.c). Only with the queue does the
//! kernel let go of it.

use std::time::Duration;

use fracas_core::problem::Problem;
use fracas_linux::netlink::Netlink;

use super::PacketWorker;
use crate::context::Note;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// So often in a row the lease must be over: a worker that is late by a moment goes on.
const OVER: u32 = 2;

/// Whether a worker serves its queue, for a meter: it is judged as by who watches it. One look is not enough. A machine that has something
/// else to do lets a worker wait for a moment; and a renewal removes the lease and makes it again in one transaction, of which a listing
/// that began before may see the first half alone (`nf_tables_commit` in net/netfilter/nf_tables_api.c).
#[expect(
    clippy::disallowed_methods,
    reason = "it looks again within a limit, in a thread that may block"
)]
pub(crate) fn is_served(netlink: &mut Netlink, table: &str) -> std::io::Result<bool> {
    for _ in 1..OVER {
        if netlink.has_lease(table)? {
            return Ok(true);
        }
        std::thread::sleep(LOOK);
    }
    netlink.has_lease(table)
}

/// Returns when the worker is gone, or was killed.
pub(super) async fn until_unserved(undo: PacketWorker, note: Note) {
    if let Err(error) = watch(&undo, &note).await {
        note.say(format!("its worker cannot be watched: {error}"));
    }
}

async fn watch(undo: &PacketWorker, note: &Note) -> std::io::Result<()> {
    let Some(there) = undo.there()? else { return Ok(()) };
    let mut netlink = there.within(Netlink::netfilter)?;
    // A namespace that is held would not go with its target.
    drop(there);
    let mut over = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        if netlink.has_lease(&undo.table)? {
            over = 0;
            continue;
        }
        if !netlink.has_table(&undo.table)? {
            return Ok(());
        }
        over += 1;
        if over >= OVER {
            note.say("its worker did not serve the queue: it was stopped, or hung, and was killed".to_owned());
            return undo
                .beside
                .kill()
                .map_err(|problem: Box<Problem>| std::io::Error::other(problem.to_string()));
        }
    }
}
