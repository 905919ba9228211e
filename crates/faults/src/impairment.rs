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
mod watch;
mod worker;

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fracas_core::params::Impairs;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::traffic::Direction;
use fracas_linux::cgroup::Controller;
use fracas_linux::clock;
use fracas_linux::namespace::{self, NetNamespace};
use fracas_linux::netfilter;
use fracas_linux::netlink::Netlink;
use fracas_linux::privileges::{self, Capability};
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

use crate::beside::{Beside, FIRST_VICTIM, Job};
use crate::bounded::{bounded, bounded_for};
use crate::say::{OrSay, gone, missed, refuse};
use crate::{Context, Fault, Needs, Resource};
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

/// Where the worker is, and what it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    /// The process by which the target's network namespace is found.
    process: ProcessIdentity,
    /// That namespace, by its number.
    pub(crate) inside: u64,
    /// The table of rules in it.
    pub(crate) table: String,
    /// The tables of others there whose rules were not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unseen: Vec<String>,
    pub(crate) beside: Beside,
}

/// What it cannot do without: the target's namespace is entered, rules are made there, and packets are sent in the target's name.
pub const CAPABILITIES: &[Capability] = &[Capability::NetAdmin, Capability::SysAdmin, Capability::NetRaw];
/// The faults on packets.
pub const NAMES: [&str; 6] = [
    Delay::NAME,
    Loss::NAME,
    Duplicate::NAME,
    Corrupt::NAME,
    Reorder::NAME,
    Rate::NAME,
];
/// The worker is there to be found; neither its time nor its memory is the target's.
const CONTROLLERS: [Controller; 1] = [Controller::Blkio];
/// How long the worker may take to let go of what it holds, before it is killed.
const LET_GO: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(2);
/// How long after its longest duration a worker goes by itself that nobody has ended.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// More than this share of what the target sends may not go otherwise than it was asked.
const OTHERWISE: f64 = 0.05;
/// More rules than this for one fault do not fit in one transaction, and make every packet slow.
const MOST_RULES: usize = 400;

impl<K: Kind> Fault for Impairment<K> {
    const NAME: &'static str = K::NAME;
    type Params = K::Params;
    type Undo = Undo;

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

    async fn plan(params: &K::Params, target: &Target, cx: &Context) -> Result<Undo> {
        if let (Direction::Ingress, Some(why)) = (params.traffic().direction, K::NOT_IN) {
            return Err(refuse(K::NAME, target, why));
        }
        match rules::count(&params.traffic()) {
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
        Undo::find(K::NAME, By::Queue, target, params.traffic().device, cx).await
    }

    fn change(params: &K::Params, undo: &Undo) -> String {
        let who = rules::words(&params.traffic());
        let unseen = if undo.unseen.is_empty() {
            String::new()
        } else {
            format!(
                "; what the rules of the older iptables there say ({}) is not known",
                undo.unseen.join(", ")
            )
        };
        format!(
            "{} for {who}, by a queue and the table {} in network namespace {}, then both go{unseen}",
            K::asked(params),
            undo.table,
            undo.inside
        )
    }

    // They compose, but for those whose doses could not be told apart.
    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![Resource {
            key: format!("the {} of packets in network namespace {}", K::CHANGES, undo.inside),
            object: None,
        }]
    }

    async fn apply(params: &K::Params, undo: &Undo, cx: &Context) -> Result<()> {
        let order = Order {
            inside: undo.inside,
            table: undo.table.clone(),
            model: K::model(params),
            seed: cx.seed.0,
            // What is stable between runs is the number of the injection, for a process is not.
            identity: format!("{} {}", K::NAME, cx.injection),
            traffic: rules::Owned::from(params.traffic()),
            not_after: clock::boottime() + cx.at_most + LEFT_ALONE,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            // Without it packets pass: of all, it is the one that nobody misses.
            oom_score_adj: FIRST_VICTIM,
        };
        // What was seen of the same fault on a former life of the target says nothing of this one.
        cx.nursery.take_word(&cx.trace_name(), None);
        undo.beside.start(K::NAME, job, cx).await?;
        let watched = undo.clone();
        cx.nursery
            .later(cx.trace_name(), move |note| watch::until_unserved(watched, note));
        Ok(())
    }

    async fn measure(params: &K::Params, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = K::asked(params);
        let plan = K::plan(params);
        let what = || format!("{} cannot be measured", K::NAME);
        let (own, traffic) = (undo.clone(), rules::Owned::from(params.traffic()));
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

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.revert(cx).await
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.observe().await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.beside.manual()
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
    fn hear(&mut self, undo: &Undo, cx: &Context) -> Result<()> {
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

impl Undo {
    /// Where a worker will be, and its table. Reads only.
    ///
    /// # Errors
    /// F001 when the target's network is none for it, T004 when the target is gone, T003 when it cannot be looked at.
    pub(crate) async fn find(fault: &str, by: By, target: &Target, device: Option<&str>, cx: &Context) -> Result<Self> {
        let (inside, unseen) = inside(fault, by, target, device).await?;
        Ok(Self {
            process: target.process().clone(),
            inside,
            table: cx.trace_name(),
            unseen,
            beside: Beside::find_in(&CONTROLLERS, fault, target, cx)?,
        })
    }

    pub(crate) async fn revert(&self, cx: &Context) -> Result<Reverted> {
        cx.nursery.end(&cx.trace_name()).await;
        // Whoever started the worker hangs up on it: then it sends on what it holds before it ends.
        for pid in self.beside.processes()?.unwrap_or_default() {
            cx.nursery.hang_up(pid);
        }
        let begun = Instant::now();
        while begun.elapsed() < LET_GO && self.beside.processes()?.is_some() {
            cx.nursery.reap();
            tokio::time::sleep(PAUSE).await;
        }
        self.beside.revert(cx).await
    }

    pub(crate) async fn observe(&self) -> Result<Seen> {
        let worker = self.beside.observe()?;
        if matches!(worker, Seen::Ours(_)) {
            return Ok(worker);
        }
        let what = || format!("the table {} cannot be looked for", self.table);
        let own = self.clone();
        let found = bounded(&codes::FAULT_OBSERVE, what, move || {
            let Some(there) = own.there()? else { return Ok(None) };
            there.within(|| Netlink::netfilter()?.has_table(&own.table)).map(Some)
        });
        Ok(match found.await? {
            None => Seen::TargetGone,
            Some(true) => Seen::Ours(format!(
                "there is a table {} in network namespace {}",
                self.table, self.inside
            )),
            Some(false) => worker,
        })
    }

    /// The target's namespace. `None`: the target is gone, or lives in another one by now.
    pub(crate) fn there(&self) -> std::io::Result<Option<NetNamespace>> {
        Ok(NetNamespace::of(&self.process)?.filter(|there| there.inode() == self.inside))
    }
}

/// What is done to packets there, and so what must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// They are queued and sent again.
    Queue,
    /// They are let through or not.
    Rules,
    /// Nothing: connections are ended.
    Sockets,
}

/// The number of the target's network namespace, if the fault may be put on there, and the tables of others that cannot be read.
///
/// # Errors
/// As [`Undo::find`].
pub(crate) async fn inside(fault: &str, by: By, target: &Target, device: Option<&str>) -> Result<(u64, Vec<String>)> {
    may(fault, target)?;
    let what = || format!("the network of {target} cannot be looked at");
    let (process, device) = (target.process().clone(), device.map(str::to_owned));
    let look = move || Ground::look(&process, by, device.as_deref());
    match bounded(&codes::TARGET_READ, what, look).await? {
        Ground::Own(inode, unseen) => Ok((inode, unseen)),
        Ground::Gone => Err(gone(fault, target)),
        Ground::Unfit(why, next) => Err(refuse(fault, target, why).next(next)),
    }
}

/// Where a target's network is.
enum Ground {
    /// In a namespace of its own, with this number and these tables of others that cannot be read.
    Own(u64, Vec<String>),
    Gone,
    /// Why it is none for these faults, and what to do.
    Unfit(String, &'static str),
}

impl Ground {
    fn look(process: &ProcessIdentity, by: By, device: Option<&str>) -> std::io::Result<Self> {
        let Some(there) = NetNamespace::of(process)? else {
            return Ok(Self::Gone);
        };
        if namespace::is_around_us(&there)? {
            return Ok(Self::Unfit(
                "it shares the machine's network, and everybody else there would be hit with it".to_owned(),
                "choose a target with a network namespace of its own",
            ));
        }
        let obstacle = match by {
            By::Queue => obstacle()?,
            By::Rules => no_rules()?,
            By::Sockets => no_resets()?,
        };
        if let Some(why) = obstacle {
            return Ok(Self::Unfit(why, "see `fracas doctor` for what this kernel has"));
        }
        if by == By::Queue && there.within(|| Netlink::route()?.rule_marks())? & (relay::MARKS | relay::PROBE) != 0 {
            return Ok(Self::Unfit(
                "its routes are chosen by marks, among them those that Fracas gives to packets (ip rule)".to_owned(),
                "look at bits below 0x100000 alone, with a mask",
            ));
        }
        if by == By::Queue && there.within(|| Netlink::netfilter()?.rules_ask_for_sender())? {
            return Ok(Self::Unfit(
                "its packet rules ask for the user, group or control group of whoever sends, which packets lose that are sent again"
                    .to_owned(),
                "choose another target, or rules that ask for something else",
            ));
        }
        if let Some(name) = device {
            let mut netlink = there.within(Netlink::route)?;
            if netlink.link_by_name(name)?.is_none() {
                let names: Vec<_> = netlink.links()?.into_iter().map(|link| link.name).collect();
                let why = format!("it has no interface {name:?}, but {}", names.join(", "));
                return Ok(Self::Unfit(why, "name one of those"));
            }
        }
        let unseen = match by {
            By::Queue => there.within(netfilter::older_tables)?,
            By::Rules | By::Sockets => Vec::new(),
        };
        Ok(Self::Own(there.inode(), unseen))
    }
}

/// What this kernel can do with packets. It is found out once, in a namespace that is made for it.
fn possible() -> std::io::Result<&'static netfilter::Possible> {
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
pub fn no_rules() -> std::io::Result<Option<String>> {
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
pub fn no_resets() -> std::io::Result<Option<String>> {
    let can = Netlink::sockets()?.can_end_connections()?;
    Ok(lacks(&[(can, "way to end connections (CONFIG_INET_DIAG_DESTROY)")]))
}

fn lacks(needed: &[(bool, &str)]) -> Option<String> {
    let lacking: Vec<_> = needed.iter().filter(|(has, _)| !has).map(|(_, what)| *what).collect();
    (!lacking.is_empty()).then(|| format!("this kernel has no {}", lacking.join(", no ")))
}

/// What this kernel lacks to queue packets.
pub fn obstacle() -> std::io::Result<Option<String>> {
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

/// Refuses before anything is looked at what could not be done.
fn may(fault: &str, target: &Target) -> Result<()> {
    let missing = privileges::missing(CAPABILITIES)
        .or_say(&codes::SYSTEM, || "the privileges of Fracas cannot be read".to_owned())?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|one| one.name()).collect();
    let names = names.join(", ");
    let what = format!("{fault} on {target} needs {names}");
    Err(Problem::new(&codes::FAULT_NEEDS, what).next(format!("run as root, or grant {names}")))
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
