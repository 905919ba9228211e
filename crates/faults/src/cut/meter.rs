//! How much is not let through: packets of our own in both directions, sent as those that measure the faults on packets are.
//!
//! They have marks, or ports, by which the rules of these faults know them and all other rules of Fracas let them pass.

use std::io;
use std::time::Duration;

use fracas_core::params::Ways;
use fracas_core::record::Landed;
use fracas_core::traffic::Direction;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::Way;
use fracas_linux::netlink::Netlink;
use fracas_linux::packets::Watch;
use fracas_linux::raw::Raw;
use serde::{Deserialize, Serialize};

use super::Undo;
use super::rules::{OWN_PORT, PROBE};
use crate::hosts::{self, Hosts};
use crate::impairment::meter::{Aims, FOUND, GAP, Plan, SIZE, SOON, tag};
use crate::impairment::range::{Inlets, Range, Shot, Ways as Sent};
use crate::impairment::rules::Owned;
use crate::impairment::verdict::{Tally, share};

/// Of what is to be stopped altogether a few tell as much as many.
const FEW: u32 = 6;
/// How long it may take in all.
pub(super) const LONGEST: Duration = Duration::from_secs(15);

/// What is known of an injection from one measurement to the next.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Known {
    /// Packets of ours that the rules have counted.
    sent: u64,
    out: Tally,
    into: Tally,
}

/// What was seen.
pub(super) enum Seen {
    /// The fault is not there.
    Missed(String),
    Ways {
        ways: Vec<OneWay>,
        /// Packets of the target's own that were looked at since the fault is on.
        own: u64,
        /// What could not be seen of the hosts that it names.
        unsure: String,
    },
}

/// What was seen of one way.
pub(super) struct OneWay {
    name: &'static str,
    /// Else why it cannot be told.
    seen: Result<Stopped, String>,
}

/// How many were stopped.
pub(super) struct Stopped {
    tally: Tally,
    /// Why somebody was hit whom it is not about.
    harmed: Option<String>,
    bystander: String,
}

/// Sends and watches. To be called in the network namespace of Fracas.
pub(super) fn measure(there: &NetNamespace, undo: &Undo, known: &mut Known) -> io::Result<Seen> {
    let (cut, table) = (&undo.cut, &undo.held.table);
    let located = match hosts::locate(there, &undo.held, &hosts::excepted(&cut.except))? {
        Ok(located) => located,
        Err(why) => return Ok(Seen::Missed(why)),
    };
    if !there.within(|| Netlink::netfilter()?.has_table(table))? {
        return Ok(Seen::Missed(format!("there is no table {table}")));
    }
    // Looking for hosts makes it no longer.
    let limit = FOUND.saturating_sub(located.took);
    let mut ways = Vec::new();
    if cut.ways != Ways::Egress {
        let seen = one_way(there, undo, &located.hosts, Direction::Ingress, (limit, known))?;
        ways.push(OneWay { name: "into it", seen });
    }
    if cut.ways != Ways::Ingress {
        let seen = one_way(there, undo, &located.hosts, Direction::Egress, (limit, known))?;
        ways.push(OneWay {
            name: "out of it",
            seen,
        });
    }
    let counters = there.within(|| Netlink::netfilter()?.rule_counters(table))?;
    let counted: u64 = counters.values().map(|counter| counter.packets).sum();
    Ok(Seen::Ways {
        ways,
        own: counted.saturating_sub(known.sent),
        unsure: located.unsure,
    })
}

fn one_way(
    there: &NetNamespace,
    undo: &Undo,
    hosts: &Hosts,
    direction: Direction,
    (limit, known): (Duration, &mut Known),
) -> io::Result<Result<Stopped, String>> {
    let inlets = match direction {
        Direction::Egress => None,
        Direction::Ingress => Some(Inlets::find(there)?),
    };
    let traffic = Owned::from(undo.cut.traffic(direction)).located(hosts);
    let count = if undo.cut.probability.fraction() < 1.0 {
        Plan::MOST
    } else {
        FEW
    };
    there.within(|| {
        let aims = match Aims::take(&traffic, OWN_PORT, inlets.as_ref())? {
            Ok(aims) => aims,
            Err(why) => return Ok(Err(why)),
        };
        let tag = tag(&undo.held.table);
        let all = [&aims.matched[..], &aims.others].concat();
        let sent = match &inlets {
            None => Sent::Out {
                raw: Raw::open()?,
                watch: Watch::open(None, Way::Out, tag)?,
                mark: PROBE,
            },
            Some(inlets) => Sent::into(inlets, &all, tag)?,
        };
        let mut range = Range::new(sent, tag).opening();
        // Whoever is next may have to be found first, and that the way is open is seen, too.
        for aim in &all {
            range.try_out(aim, SIZE)?;
        }
        let first = aims.matched.len();
        range.watch_until(limit, |range| {
            range.is_open(0) && (first..all.len()).all(|at| range.is_open(at))
        })?;
        let Some(matched) = (0..first).find(|at| range.is_open(*at)).map(|at| &aims.matched[at]) else {
            return Ok(Err(
                "nothing passes between it and anybody that it is about, also without the fault".to_owned(),
            ));
        };
        let bystander = (first..all.len()).find(|at| range.is_open(*at)).map(|at| &all[at]);
        for _ in 0..count {
            range.shoot(matched, SIZE)?;
            if let Some(other) = bystander {
                range.shoot_past(other, SIZE)?;
            }
            range.watch_until(GAP, |_| false)?;
        }
        let came = |shots: &[Shot]| shots.iter().all(|shot| !shot.arrivals.is_empty());
        range.watch_until(SOON, |range| came(&range.matched) && came(&range.others))?;
        known.sent += u64::from(count);
        let lost = |shots: &[Shot]| shots.iter().filter(|shot| shot.arrivals.is_empty()).count() as u64;
        let tally = match direction {
            Direction::Egress => &mut known.out,
            Direction::Ingress => &mut known.into,
        };
        tally.add(lost(&range.matched), range.matched.len() as u64);
        let (others, harmed) = (range.others.len(), lost(&range.others));
        Ok(Ok(Stopped {
            tally: *tally,
            harmed: (harmed > 0).then(|| format!("{harmed} of {others} packets that it is not about were stopped")),
            bystander: match bystander {
                Some(_) => format!("{harmed} of {others} of bystanders"),
                None if aims.others.is_empty() => "it is about everybody".to_owned(),
                None => "no bystander can be reached".to_owned(),
            },
        }))
    })
}

impl Seen {
    pub(super) fn own(&self) -> u64 {
        match self {
            Self::Missed(_) => 0,
            Self::Ways { own, .. } => *own,
        }
    }

    pub(super) fn unsure(&self) -> &str {
        match self {
            Self::Missed(_) => "",
            Self::Ways { unsure, .. } => unsure,
        }
    }

    /// What was delivered, in words, and whether it is this share.
    pub(super) fn judge(&self, asked: f64) -> (String, Landed) {
        let (ways, own) = match self {
            Self::Missed(why) => return (why.clone(), Landed::No(why.clone())),
            Self::Ways { ways, own, .. } => (ways, own),
        };
        let mut words = Vec::new();
        let mut landed = Landed::Yes;
        // What is wrong counts before what cannot be told.
        let mut worse = |next: Landed| {
            if landed == Landed::Yes || matches!((&landed, &next), (Landed::Unmeasured(_), Landed::No(_))) {
                landed = next;
            }
        };
        for OneWay { name, seen } in ways {
            match seen {
                Err(why) => {
                    words.push(format!("{name}: {why}"));
                    worse(Landed::Unmeasured(format!("{name}: {why}")));
                }
                Ok(seen) => {
                    let (delivered, judged) = share("stopped", asked, seen.tally, None, 1.0);
                    words.push(format!("{name}: {delivered}; {}", seen.bystander));
                    worse(match judged {
                        Landed::No(why) => Landed::No(format!("{name}: {why}")),
                        judged => judged,
                    });
                    if let Some(why) = &seen.harmed {
                        worse(Landed::No(why.clone()));
                    }
                }
            }
        }
        if *own == 0 {
            worse(Landed::No(
                "no packet of the target's own was among those that it is about".to_owned(),
            ));
        }
        (words.join("; "), landed)
    }
}
