//! The eye of a worker on hosts that may move.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fracas_core::names::HostName;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::target::ProcessIdentity;
use fracas_linux::netfilter::List;

use super::{Hosts, LOOKING, Why, list_name, look};
use crate::beside::worker::Over;
use crate::say::OrSay;

/// Between two looks.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// So many addresses of one name in all: what moves about faster is not followed any more.
const MOST_KEPT: usize = 256;

/// Whether somebody may be hit who is excepted. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarm {
    /// The hosts that are excepted.
    excepted: Arc<BTreeSet<HostName>>,
    why: Arc<OnceLock<String>>,
}

impl Alarm {
    /// One about these hosts.
    pub(crate) fn about(excepted: BTreeSet<HostName>) -> Self {
        Self {
            excepted: Arc::new(excepted),
            why: Arc::default(),
        }
    }

    /// Not all addresses of a host can be meant. Whether that is a reason to end.
    fn ring(&self, name: &HostName, words: &str) -> bool {
        let rings = self.excepted.contains(name);
        if rings {
            // The first reason is enough.
            let _known = self.why.set(format!("{name} is excepted, and {words}"));
        }
        rings
    }

    /// Whether it is time to end.
    pub(crate) fn rings(&self) -> bool {
        self.why.get().is_some()
    }

    /// # Errors
    /// F002 where somebody may be hit who is excepted.
    pub(crate) fn check(&self) -> Result<()> {
        self.why
            .get()
            .map_or(Ok(()), |why| Err(Problem::new(&codes::FAULT_APPLY, why.clone())))
    }
}

/// Looks for the hosts again and again until it is over, and tells of addresses that are new. In a thread of its own, which nobody waits for:
/// a name server takes its time. `None`: there are no hosts to look for.
///
/// What is not found stays where it was: a name server that is down moves nobody. Where an excepted host has more addresses than can be
/// kept the alarm rings, and no more is told.
pub(crate) fn follow(
    target: &ProcessIdentity,
    inside: u64,
    mut hosts: Hosts,
    alarm: Alarm,
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
                let Some(kept) = hosts.get_mut(&name) else { continue };
                let found = match found {
                    Err(lost) if lost.why == Why::Crowded && alarm.ring(&name, &lost.words) => return,
                    Err(lost) => lost.part,
                    Ok(found) => found,
                };
                let (new, fits) = new_ones(kept, found);
                if !fits && alarm.ring(&name, &format!("it has had more than {MOST_KEPT} addresses")) {
                    return;
                }
                let list = List {
                    name: list_name(&name),
                    addresses: new,
                };
                if !list.addresses.is_empty() && tell.send(list).is_err() {
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

/// Keeps of what was found what is new, as far as there is room. Gives that, and whether there was room for all.
fn new_ones(kept: &mut Vec<IpAddr>, found: BTreeSet<IpAddr>) -> (Vec<IpAddr>, bool) {
    let mut new: Vec<_> = found.into_iter().filter(|one| !kept.contains(one)).collect();
    let room = MOST_KEPT.saturating_sub(kept.len());
    let fits = new.len() <= room;
    new.truncate(room);
    kept.extend(&new);
    (new, fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(numbers: std::ops::Range<u32>) -> BTreeSet<IpAddr> {
        numbers.map(|number| IpAddr::from(number.to_be_bytes())).collect()
    }

    #[test]
    fn what_has_no_room_is_not_kept_and_is_told() {
        let mut kept = Vec::new();
        for at in 0..8 {
            let (new, fits) = new_ones(&mut kept, some(at * 32..(at + 1) * 32));
            assert!(fits && new.len() == 32);
        }
        let (new, fits) = new_ones(&mut kept, some(0..32));
        assert!(fits && new.is_empty(), "all are known");
        kept.truncate(250);
        let (new, fits) = new_ones(&mut kept, some(250..257));
        assert!(!fits && new.len() == 6);
        assert_eq!(kept.len(), 256);
    }

    #[test]
    fn the_alarm_rings_for_whom_it_is_about() {
        let [db, other] = ["db", "other"].map(|text| text.parse::<HostName>().unwrap());
        let alarm = Alarm::about(BTreeSet::from([db.clone()]));
        assert!(!alarm.ring(&other, "it has more than 32 addresses"));
        assert!(
            !alarm.rings() && alarm.check().is_ok(),
            "the dose is smaller, nobody is harmed"
        );
        assert!(alarm.clone().ring(&db, "it has more than 32 addresses"));
        assert!(alarm.rings());
        let problem = alarm.check().unwrap_err();
        assert_eq!(problem.code.id, "F002");
        assert_eq!(problem.what, "db is excepted, and it has more than 32 addresses");
    }
}
