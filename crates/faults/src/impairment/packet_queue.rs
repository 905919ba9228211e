//! Packets by a worker that takes them out of the kernel by rules, and puts them back in its own time.
//!
//! Both the queue and the table of rules are the kernel's only as long as the worker's sockets are open: when it ends, however it ends,
//! packets pass as before. So there is no way back to take but the worker's end, and what the ledger holds is how to find it.
//!
//! Several of these compose: each has a queue and a mark of its own, and a packet goes through all of them, in any order.

use std::io;

use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter;
use fracas_linux::netlink::Netlink;
use fracas_linux::queue;
use fracas_linux::relay;

use super::meter::{Counted, Flow, Gauge, Probes};
use super::obstacle;
use super::rules::{self, Counts, Owned};
use crate::packet_worker::{Fit, has_device, is_served, lacking};

/// The marks that are given to packets.
const OURS: u32 = relay::MARKS | relay::PROBE;

/// The tables of others in a network that cannot be read, or why it is none for these faults.
pub(super) fn fit(there: &NetNamespace, device: Option<&str>) -> io::Result<Fit> {
    if let Err(unfit) = lacking(obstacle()?) {
        return Ok(Err(unfit));
    }
    // One thread for all that is asked there.
    let (marks, senders, older) = there.within(|| {
        let marks = Netlink::route()?.rule_marks()?;
        if marks & OURS != 0 {
            return Ok((marks, false, Vec::new()));
        }
        let senders = Netlink::netfilter()?.rules_ask_for_sender()?;
        Ok((marks, senders, netfilter::older_tables()?))
    })?;
    if marks & OURS != 0 {
        return Ok(Err((
            "its routes are chosen by marks, among them those that Fracas gives to packets (ip rule)".to_owned(),
            "look at bits below 0x100000 alone, with a mask",
        )));
    }
    if senders {
        return Ok(Err((
            "its packet rules ask for the user, group or control group of whoever sends, which packets lose that are sent again"
                .to_owned(),
            "choose another target, or rules that ask for something else",
        )));
    }
    if let Err(unfit) = has_device(there, device)? {
        return Ok(Err(unfit));
    }
    Ok(Ok(older))
}

/// What a meter asks of a packet queue.
pub(super) struct OfPackets<'a> {
    pub(super) table: &'a str,
    pub(super) traffic: &'a Owned,
}

impl OfPackets<'_> {
    fn number(&self) -> io::Result<Option<u16>> {
        Netlink::netfilter()?.queue_of_table(self.table)
    }
}

impl Gauge for OfPackets<'_> {
    fn name(&self) -> &str {
        self.table
    }

    fn probes(&self) -> io::Result<Result<Probes, String>> {
        let table = self.table;
        let Some(number) = self.number()? else {
            return Ok(Err(format!("there is no table {table} whose rules fill a queue")));
        };
        let (Some(mark), Some(order)) = (relay::mark_of(number), relay::order_of(number)) else {
            return Ok(Err(format!("queue {number} is none of Fracas")));
        };
        if !is_served(&mut Netlink::netfilter()?, table)? {
            let why = "its worker does not serve the queue, and packets pass it by: it was stopped, or it hangs";
            return Ok(Err(why.to_owned()));
        }
        Ok(Ok(Probes {
            mark: relay::PROBE | relay::MARKS & !mark,
            port: rules::own_port(order),
            with_headers: false,
        }))
    }

    fn count(&self) -> io::Result<Counted> {
        /// How many were given to the queue so far, each as it leaves, and how many of them wait there.
        fn queued(number: u16) -> io::Result<(u64, u64)> {
            let found = queue::listeners()?.into_iter().find(|one| one.number == number);
            Ok(found.map_or((0, 0), |one| (one.last.into(), one.waiting.into())))
        }
        let Some(number) = self.number()? else {
            return Ok(Counted::default());
        };
        let (before, waiting) = queued(number)?;
        let counters = Netlink::netfilter()?.rule_counters(self.table)?;
        let (after, _) = queued(number)?;
        let (mut own, mut probes, mut behind) = (0, 0, 0);
        for (rule, counts) in rules::counters(&self.traffic.traffic()) {
            let packets = counters.get(&rule).map_or(0, |counter| counter.packets);
            *match counts {
                Counts::Own => &mut own,
                Counts::Probes => &mut probes,
                Counts::Behind => &mut behind,
            } += packets;
        }
        let flow = Flow {
            came_before: before.saturating_sub(probes + waiting),
            went: behind,
            came_after: after.saturating_sub(probes),
        };
        Ok(Counted { own, flow, lost: 0 })
    }
}
