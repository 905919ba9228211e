//! Faults on packets: `delay`, `loss`, `duplicate`, `corrupt`, `reorder` and `rate`, by a queue of packets.
//!
//! A worker takes the packets out of the kernel by a rule in the target's network namespace, and puts them back in its own time. Both
//! the queue and the table of rules are the kernel's only as long as the worker's sockets are open: when it ends, however it ends,
//! packets pass as before. So there is no way back to take but the worker's end, and what the ledger holds is how to find it.
//!
//! Several of these compose: each has a queue and a mark of its own, and a packet goes through all of them, in any order.

pub(crate) mod aim;
mod corrupt;
mod delay;
mod duplicate;
mod loss;
pub(crate) mod meter;
mod model;
pub(crate) mod range;
mod rate;
mod reorder;
pub(crate) mod rules;
pub(crate) mod verdict;
mod worker;

use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

use fracas_core::params::{Impairs, Traffic};
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_core::traffic::Direction;
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter;
use fracas_linux::netlink::Netlink;
use fracas_linux::privileges::Capability;
use fracas_linux::relay::{self, Troubles};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use corrupt::Corrupt;
pub(crate) use delay::Delay;
pub(crate) use duplicate::Duplicate;
pub(crate) use loss::Loss;
pub(crate) use rate::Rate;
pub(crate) use reorder::Reorder;
pub use worker::packet_queue_worker_main;

use crate::beside::{FIRST_VICTIM, Job};
use crate::bounded::bounded_for;
use crate::packet_worker::{Fit, LEFT_ALONE, PacketWorker, has_device, lacking};
use crate::say::{missed, refuse};
use crate::{Context, Fault, Needs, Resource, observers};
use meter::{Measured, Outcome};
use model::Model;
use verdict::Tally;
use worker::Order;

/// What one of these faults is, besides what all of them are.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The fault's name: its key in a document.
    const NAME: &'static str;
    /// What of packets it changes: two that change the same cannot be told apart by a meter.
    const CHANGES: &'static str = Self::NAME;
    /// Why it can do nothing about what comes in. `None`: it can.
    const NOT_IN: Option<&'static str> = None;
    /// Its parameters.
    type Params: Impairs + Serialize + DeserializeOwned + Send + Sync + Clone + 'static;
    fn model(params: &Self::Params) -> Model;
    /// What is asked, in words.
    fn asked(params: &Self::Params) -> String;
    /// Judges what was measured; `tally` is what was seen of its share so far, and gets what is seen now.
    fn judge(params: &Self::Params, measured: &Measured, tally: &mut Tally) -> (String, Landed);
    fn plan(params: &Self::Params) -> meter::Plan;
}

/// A fault on packets.
#[derive(Debug)]
pub(crate) struct Impairment<K>(PhantomData<K>);

/// What it cannot do without: the target's namespace is entered, rules are made there, and packets are sent in the target's name.
pub const CAPABILITIES: &[Capability] = &[Capability::NetAdmin, Capability::SysAdmin, Capability::NetRaw];
/// The faults that need a queue of packets.
pub const NAMES: [&str; 7] = [
    Delay::NAME,
    Loss::NAME,
    Duplicate::NAME,
    Corrupt::NAME,
    Reorder::NAME,
    Rate::NAME,
    crate::dns::Dns::NAME,
];
/// More than this share of what the target sends may not go otherwise than it was asked.
const OTHERWISE: f64 = 0.05;
/// More rules than this for one fault do not fit in one transaction, and make every packet slow.
const MOST_RULES: usize = 400;

impl<K: Kind> Fault for Impairment<K> {
    const NAME: &'static str = K::NAME;
    type Params = K::Params;
    type Undo = PacketWorker;

    fn undo_class(_: &K::Params) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &K::Params) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &K::Params, target: &Target, cx: &Context) -> Result<PacketWorker> {
        if let (Direction::Ingress, Some(why)) = (params.traffic().direction, K::NOT_IN) {
            return Err(refuse(K::NAME, target, why));
        }
        let spared = observers::of(K::NAME, target, cx).await?;
        let traffic = Traffic {
            spared: observers::left_alone(&spared, params.include_observers()),
            ..params.traffic()
        };
        match rules::count(&traffic) {
            (_, 0) => {
                let why = "nothing can be all that is asked: `to` and `ports` name no protocol in common";
                return Err(refuse(K::NAME, target, why));
            }
            (all, _) if all > MOST_RULES => {
                let why = format!(
                    "it takes {all} packet rules, more than {MOST_RULES}: each of `to` is combined with each of `ports`"
                );
                return Err(refuse(K::NAME, target, why).next("name fewer, or networks and ranges"));
            }
            _ => {}
        }
        let device = params.traffic().device.map(str::to_owned);
        let look = move |there: &NetNamespace| fit(there, device.as_deref());
        let held = PacketWorker::plan(K::NAME, CAPABILITIES, target, cx, look).await?;
        Ok(PacketWorker { spared, ..held })
    }

    fn change(params: &K::Params, undo: &PacketWorker) -> String {
        let who = rules::words(&params.traffic());
        let observers = observers::words(&undo.spared, params.include_observers());
        let unseen = if undo.unseen.is_empty() {
            String::new()
        } else {
            format!(
                "; what the rules of the older iptables there say ({}) is not known",
                undo.unseen.join(", ")
            )
        };
        format!(
            "{} for {who}, by a queue and the table {} in network namespace {}, then both go{observers}{unseen}",
            K::asked(params),
            undo.table,
            undo.inside
        )
    }

    // They compose, but for those whose doses could not be told apart.
    fn resources(undo: &PacketWorker) -> Vec<Resource> {
        vec![Resource {
            key: format!("the {} of packets in network namespace {}", K::CHANGES, undo.inside),
            object: None,
        }]
    }

    async fn apply(params: &K::Params, undo: &PacketWorker, cx: &Context) -> Result<()> {
        let order = Order {
            inside: undo.inside,
            table: undo.table.clone(),
            model: K::model(params),
            seed: cx.seed.0,
            // What is stable between runs is the number of the injection, for a process is not.
            identity: format!("{} {}", K::NAME, cx.injection),
            traffic: rules::Owned::from(traffic(params, undo)),
            not_after: clock::boottime() + cx.at_most + LEFT_ALONE,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            // Without it packets pass: of all, it is the one that nobody misses.
            oom_score_adj: FIRST_VICTIM,
        };
        undo.start(K::NAME, job, cx).await
    }

    async fn measure(params: &K::Params, undo: &PacketWorker, cx: &Context) -> Result<Dose> {
        let asked = K::asked(params);
        let plan = K::plan(params);
        let what = || format!("{} cannot be measured", K::NAME);
        let (own, traffic) = (undo.clone(), rules::Owned::from(traffic(params, undo)));
        let name = cx.trace_name();
        let measured = bounded_for(plan.longest(), &codes::FAULT_MEASURE, what, move || {
            let Some(there) = own.there()? else { return Ok(None) };
            meter::measure(&there, &own.table, &traffic, &plan).map(Some)
        });
        let Some(outcome) = measured.await? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let mut known = Known::of(&name, cx);
        known.hear(undo, cx)?;
        let measured = match outcome {
            Outcome::Measured(measured) => measured,
            Outcome::Missed(why) => {
                let (_, said) = cx.nursery.goes_on(&name);
                let why = if said.is_empty() { why } else { said };
                return Ok(missed(asked, why));
            }
            Outcome::Unmeasured(why) => {
                return Ok(Dose {
                    asked,
                    delivered: why.clone(),
                    landed: Landed::Unmeasured(why),
                    effect: None,
                });
            }
        };
        let (delivered, mut landed) = K::judge(params, &measured, &mut known.tally);
        known.keep(&name, cx);
        if landed == Landed::Yes
            && let Some(why) = measured.bystander_harmed()
        {
            landed = Landed::No(why);
        }
        // Whatever its share: what nobody sends is not hit.
        if !matches!(landed, Landed::No(_)) && measured.own() == 0 {
            landed = Landed::No("no packet of the target's own was among those that it is about".to_owned());
        }
        if landed == Landed::Yes
            && let Some(why) = known.too_much(measured.came())
        {
            landed = Landed::No(why);
        }
        Ok(Dose {
            asked,
            delivered: format!("{delivered}; {}", measured.bystander_words()),
            landed,
            effect: Some(format!(
                "{} packets of the target's own{}",
                measured.own(),
                known.trouble()
            )),
        })
    }

    async fn revert(undo: &PacketWorker, cx: &Context) -> Result<Reverted> {
        undo.revert(cx).await
    }

    async fn observe(undo: &PacketWorker, _: &Context) -> Result<Seen> {
        undo.observe().await
    }

    fn manual(undo: &PacketWorker) -> Vec<String> {
        undo.manual()
    }
}

/// Which packets, but for those of whoever measures.
fn traffic<'a>(params: &'a impl Impairs, undo: &'a PacketWorker) -> Traffic<'a> {
    Traffic {
        spared: observers::left_alone(&undo.spared, params.include_observers()),
        ..params.traffic()
    }
}

/// What is known of an injection from one measurement to the next.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    tally: Tally,
    troubles: Troubles,
}

impl Known {
    fn of(name: &str, cx: &Context) -> Self {
        let word = cx.nursery.word(name);
        word.and_then(|word| serde_json::from_str(&word).ok())
            .unwrap_or_default()
    }

    /// Takes what the worker has told of its troubles since.
    fn hear(&mut self, undo: &PacketWorker, cx: &Context) -> Result<()> {
        for pid in undo.beside.processes()?.unwrap_or_default() {
            let told = cx.nursery.told_by(pid);
            let lines = told.split(|byte| *byte == b'\n');
            if let Some(last) = lines.filter_map(|line| serde_json::from_slice(line).ok()).next_back() {
                self.troubles = last;
            }
        }
        Ok(())
    }

    fn keep(&self, name: &str, cx: &Context) {
        cx.nursery.take_word(name, serde_json::to_string(self).ok());
    }

    /// What the worker did otherwise than it was asked.
    fn trouble(&self) -> String {
        let Troubles {
            hurried,
            unsent,
            missed,
            lapses,
        } = self.troubles;
        [
            (hurried, "went on at once, for too many waited"),
            (unsent, "could not be sent again, and were lost"),
            (missed, "found no room in the queue, and went on at once"),
            (lapses, "times the queue was not served, and packets passed it by"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("; {count} {what}"))
        .collect::<Vec<_>>()
        .concat()
    }

    /// Why so much went otherwise that what was asked was not delivered.
    fn too_much(&self, came: u64) -> Option<String> {
        let Troubles {
            hurried,
            unsent,
            missed,
            ..
        } = self.troubles;
        let otherwise = hurried + unsent + missed;
        (otherwise as f64 > came as f64 * OTHERWISE).then(|| {
            format!(
                "of {came} packets of the target's own{}",
                self.trouble().replacen(';', ",", 1)
            )
        })
    }
}

/// The tables of others in a network that cannot be read, or why it is none for these faults.
fn fit(there: &NetNamespace, device: Option<&str>) -> io::Result<Fit> {
    if let Err(unfit) = lacking(obstacle()?) {
        return Ok(Err(unfit));
    }
    if there.within(|| Netlink::route()?.rule_marks())? & (relay::MARKS | relay::PROBE) != 0 {
        return Ok(Err((
            "its routes are chosen by marks, among them those that Fracas gives to packets (ip rule)".to_owned(),
            "look at bits below 0x100000 alone, with a mask",
        )));
    }
    if there.within(|| Netlink::netfilter()?.rules_ask_for_sender())? {
        return Ok(Err((
            "its packet rules ask for the user, group or control group of whoever sends, which packets lose that are sent again"
                .to_owned(),
            "choose another target, or rules that ask for something else",
        )));
    }
    if let Err(unfit) = has_device(there, device)? {
        return Ok(Err(unfit));
    }
    there.within(netfilter::older_tables).map(Ok)
}

/// What this kernel can do with packets. It is found out once, in a namespace that is made for it.
fn possible() -> io::Result<&'static netfilter::Possible> {
    static POSSIBLE: OnceLock<netfilter::Possible> = OnceLock::new();
    match POSSIBLE.get() {
        Some(possible) => Ok(possible),
        None => {
            let found = netfilter::possible()?;
            Ok(POSSIBLE.get_or_init(|| found))
        }
    }
}

/// What this kernel lacks to stop packets by rules.
pub fn no_rules() -> io::Result<Option<String>> {
    let possible = possible()?;
    let lacking = [
        (
            possible.owner,
            "tables of packet rules that go with their owner (Linux 5.12)",
        ),
        (possible.refusal, "rules that drop by chance and reject"),
    ];
    Ok(lacks(&lacking))
}

/// What this kernel lacks to end connections.
pub fn no_resets() -> io::Result<Option<String>> {
    let can = Netlink::sockets()?.can_end_connections()?;
    Ok(lacks(&[(can, "way to end connections (CONFIG_INET_DIAG_DESTROY)")]))
}

fn lacks(needed: &[(bool, &str)]) -> Option<String> {
    let lacking: Vec<_> = needed.iter().filter(|(has, _)| !has).map(|(_, what)| *what).collect();
    (!lacking.is_empty()).then(|| format!("this kernel has no {}", lacking.join(", no ")))
}

/// What this kernel lacks to queue packets.
pub fn obstacle() -> io::Result<Option<String>> {
    let possible = possible()?;
    let lacking = [
        (
            possible.owner,
            "tables of packet rules that go with their owner (Linux 5.12)",
        ),
        (possible.lease, "sets of packet rules that forget (nft_set_hash)"),
        (possible.queue.is_some(), "rules that queue packets"),
        (possible.bypass, "queues that are passed by where nobody listens"),
        (possible.listen, "queues that can be listened to"),
    ];
    Ok(lacks(&lacking))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_otherwise_is_said_and_too_much_of_it_is_no_dose() {
        let known = |hurried, lapses| Known {
            troubles: Troubles {
                hurried,
                lapses,
                ..Troubles::default()
            },
            ..Known::default()
        };
        assert_eq!(known(0, 0).trouble(), "");
        assert_eq!(known(0, 0).too_much(0), None);
        let said = known(5, 1).trouble();
        assert_eq!(
            said,
            "; 5 went on at once, for too many waited; 1 times the queue was not served, and packets passed it by"
        );
        assert_eq!(known(5, 1).too_much(100), None);
        let why = known(6, 0).too_much(100).unwrap();
        assert_eq!(
            why,
            "of 100 packets of the target's own, 6 went on at once, for too many waited"
        );
        // As the worker tells it, and the guardian keeps it.
        let line = serde_json::to_vec(&known(6, 0).troubles).unwrap();
        assert_eq!(serde_json::from_slice::<Troubles>(&line).unwrap(), known(6, 0).troubles);
    }
}
