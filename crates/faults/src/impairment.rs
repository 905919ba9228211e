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
mod rate;
mod reorder;
pub(crate) mod rules;
pub(crate) mod verdict;
mod worker;

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fracas_core::params::Impairs;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::cgroup::Controller;
use fracas_linux::clock;
use fracas_linux::namespace::{self, NetNamespace};
use fracas_linux::netfilter;
use fracas_linux::netlink::Netlink;
use fracas_linux::privileges::{self, Capability};
use fracas_linux::relay;
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
use worker::Order;

/// What one of these faults is, besides what all of them are.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The fault's name: its key in a document.
    const NAME: &'static str;
    /// What of packets it changes: two that change the same cannot be told apart by a meter.
    const CHANGES: &'static str = Self::NAME;
    /// Its parameters.
    type Params: Impairs + Serialize + DeserializeOwned + Send + Sync + Clone + 'static;
    fn model(params: &Self::Params) -> Model;
    /// What is asked, in words.
    fn asked(params: &Self::Params) -> String;
    fn judge(params: &Self::Params, measured: &Measured) -> (String, Landed);
    fn plan(params: &Self::Params) -> meter::Plan;
}

/// A fault on packets.
#[derive(Debug)]
pub(crate) struct Impairment<K>(PhantomData<K>);

/// Where the worker is, and what it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    /// The process by which the target's network namespace is found.
    pub(crate) process: ProcessIdentity,
    /// That namespace, by its number.
    pub(crate) inside: u64,
    /// The table of rules in it.
    pub(crate) table: String,
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
        format!(
            "{} for {who}, by a queue and the table {} in network namespace {}, then both go",
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
        undo.beside.start(K::NAME, job, cx).await.map(drop)
    }

    async fn measure(params: &K::Params, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = K::asked(params);
        let plan = K::plan(params);
        let what = || format!("{} cannot be measured", K::NAME);
        let (own, traffic) = (undo.clone(), rules::Owned::from(params.traffic()));
        let name = cx.trace_name();
        let mut sent: u64 = cx
            .nursery
            .word(&name)
            .and_then(|word| word.parse().ok())
            .unwrap_or_default();
        let measured = bounded_for(plan.longest(), &codes::FAULT_MEASURE, what, move || {
            let Some(there) = own.there()? else { return Ok(None) };
            let outcome = meter::measure(&there, &own.table, &traffic, &plan, &mut sent)?;
            Ok(Some((outcome, sent)))
        });
        let Some((outcome, sent)) = measured.await? else {
            return Ok(missed(asked, "the target is gone"));
        };
        // The rules count our packets, too; only who has sent them knows how many they were.
        cx.nursery.take_word(&name, Some(sent.to_string()));
        let measured = match outcome {
            Outcome::Measured(measured) => measured,
            Outcome::Missed(why) => return Ok(missed(asked, why)),
            Outcome::Unmeasured(why) => {
                return Ok(Dose {
                    asked,
                    delivered: why.clone(),
                    landed: Landed::Unmeasured(why),
                    effect: None,
                });
            }
        };
        let (delivered, mut landed) = K::judge(params, &measured);
        if landed == Landed::Yes
            && let Some(why) = measured.bystander_harmed()
        {
            landed = Landed::No(why);
        }
        if landed == Landed::Yes && measured.own() == 0 {
            landed = Landed::No("no packet of the target's own was among those that it is about".to_owned());
        }
        Ok(Dose {
            asked,
            delivered: format!("{delivered}; {}", measured.bystander_words()),
            landed,
            effect: Some(format!("{} packets of the target's own", measured.own())),
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

impl Undo {
    /// Where a worker will be, and its table. Reads only.
    ///
    /// # Errors
    /// F001 when the target's network is none for it, T004 when the target is gone, T003 when it cannot be looked at.
    pub(crate) async fn find(fault: &str, by: By, target: &Target, device: Option<&str>, cx: &Context) -> Result<Self> {
        let process = target.process().clone();
        Ok(Self {
            inside: inside(fault, by, target, device).await?,
            process,
            table: cx.trace_name(),
            beside: Beside::find_in(&CONTROLLERS, fault, target, cx)?,
        })
    }

    pub(crate) async fn revert(&self, cx: &Context) -> Result<Reverted> {
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

/// The number of the target's network namespace, if the fault may be put on there.
///
/// # Errors
/// As [`Undo::find`].
pub(crate) async fn inside(fault: &str, by: By, target: &Target, device: Option<&str>) -> Result<u64> {
    may(fault, target)?;
    let what = || format!("the network of {target} cannot be looked at");
    let (process, device) = (target.process().clone(), device.map(str::to_owned));
    let look = move || Ground::look(&process, by, device.as_deref());
    match bounded(&codes::TARGET_READ, what, look).await? {
        Ground::Own(inode) => Ok(inode),
        Ground::Gone => Err(gone(fault, target)),
        Ground::Unfit(why, next) => Err(refuse(fault, target, why).next(next)),
    }
}

/// Where a target's network is.
enum Ground {
    /// In a namespace of its own, with this number.
    Own(u64),
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
        if by == By::Queue && there.within(|| Netlink::route()?.rule_marks())? & relay::MARKS != 0 {
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
        Ok(Self::Own(there.inode()))
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
