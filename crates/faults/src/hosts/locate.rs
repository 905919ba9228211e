//! The eye of a meter on hosts that may have moved: a look of its own, compared with what the kernel's lists have.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fracas_core::names::HostName;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use super::follow::AGAIN;
use super::{Hosts, Why, joined, list_name, look};
use crate::packet_worker::PacketWorker;

/// How long the look may take: nobody waits for a meter for longer than five seconds in all (see [`Located::took`]).
const ONE_LOOK: Duration = Duration::from_millis(700);
/// How long the worker may take to see what the meter has seen.
const FOLLOWED: Duration = AGAIN.saturating_add(Duration::from_millis(300));
const PAUSE: Duration = Duration::from_millis(50);

/// Where hosts are, as far as the rules know.
#[derive(Debug, Default)]
pub(crate) struct Located {
    /// All addresses that the rules know, first those that are current.
    pub(crate) hosts: Hosts,
    /// What could not be seen, for people; nothing where all was.
    pub(crate) unsure: String,
    /// How long it took. Whoever measures then has so much less time to wait.
    pub(crate) took: Duration,
}

impl Located {
    fn add(&mut self, unsure: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.unsure.write_fmt(unsure);
    }
}

/// Looks for the hosts of a fault, of which these are excepted. Else why it does not meet one of them, or may hit one that is excepted.
pub(crate) fn locate(
    there: &NetNamespace,
    worker: &PacketWorker,
    excepted: &BTreeSet<HostName>,
) -> io::Result<Result<Located, String>> {
    let began = Instant::now();
    let mut located = Located::default();
    if worker.hosts.is_empty() {
        return Ok(Ok(located));
    }
    let names = worker.hosts.keys().cloned().collect();
    let looked = look(&worker.process, worker.inside, &names, ONE_LOOK)?.unwrap_or_default();
    for (name, found) in &looked {
        if let Err(lost) = found
            && lost.why == Why::Crowded
            && excepted.contains(name)
        {
            return Ok(Err(format!("{name} is excepted, and {}", lost.words)));
        }
    }
    let mut netlink = there.within(Netlink::netfilter)?;
    if !netlink.has_table(&worker.table)? {
        let table = &worker.table;
        let ended = if excepted.is_empty() {
            ""
        } else {
            ": its worker has ended, as it does when a host that is excepted has more addresses than it can keep"
        };
        return Ok(Err(format!("there is no table {table}{ended}")));
    }
    let until = Instant::now() + FOLLOWED;
    for (name, found) in looked {
        let list = list_name(&name);
        let mut listed = netlink.listed(&worker.table, &list)?;
        let found = found.unwrap_or_else(|lost| {
            located.add(format_args!("; whether {name} has moved is not known: {}", lost.words));
            lost.part
        });
        while !found.is_subset(&listed) && Instant::now() < until {
            std::thread::park_timeout(PAUSE);
            listed = netlink.listed(&worker.table, &list)?;
        }
        let (current, missing): (Vec<IpAddr>, Vec<IpAddr>) =
            found.iter().copied().partition(|one| listed.contains(one));
        if !missing.is_empty() {
            let where_to = joined(&missing);
            if current.is_empty() || excepted.contains(&name) {
                return Ok(Err(format!("{name} is at {where_to}, which its rules do not know")));
            }
            located.add(format_args!(
                "; {name} is at {where_to}, too, which its rules do not know"
            ));
        }
        let former = listed.into_iter().filter(|one| !found.contains(one));
        let all = current.into_iter().chain(former).collect();
        located.hosts.insert(name, all);
    }
    located.took = began.elapsed();
    Ok(Ok(located))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impairment::meter::{FOUND, Plan};

    #[test]
    fn a_meter_that_looks_for_hosts_takes_no_longer() {
        let longest = ONE_LOOK + FOLLOWED;
        assert!(
            longest < FOUND,
            "the whole of it is taken off what a meter may wait for neighbours"
        );
        let plan = Plan::spread(20, Duration::from_millis(200));
        assert_eq!(plan.after(longest).longest() + longest, plan.longest());
    }
}
