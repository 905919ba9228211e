//! Faults on packets: `delay`, `loss`, `duplicate`, `corrupt`, `reorder` and `rate`, by one of two mechanisms.
//!
//! Either a worker takes the packets out of the kernel and puts them back in its own time ([`packet_queue`]), or filters of the kernel's
//! lead them through a queue of its own ([`kernel_queue`]). What is asked and how it is measured is the same for both.

pub(crate) mod aim;
mod corrupt;
mod delay;
mod duplicate;
mod kernel_queue;
mod known;
mod loss;
pub(crate) mod meter;
mod model;
mod packet_queue;
mod possible;
pub(crate) mod range;
mod rate;
mod reorder;
pub(crate) mod rules;
pub(crate) mod verdict;
mod way;
mod worker;

use std::marker::PhantomData;

use fracas_core::params::{Impairs, Traffic};
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_core::traffic::Direction;
use fracas_linux::privileges::Capability;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use corrupt::Corrupt;
pub(crate) use delay::Delay;
pub(crate) use duplicate::Duplicate;
pub(crate) use loss::Loss;
pub use possible::{no_diversion, no_kernel_queue, no_resets, no_rules, obstacle};
pub(crate) use rate::Rate;
pub(crate) use reorder::Reorder;
pub use worker::packet_queue_worker_main;

use crate::bounded::bounded_for;
use crate::say::{missed, refuse};
use crate::{Context, Fault, Needs, Resource, observers};
use known::Known;
use meter::{Measured, Outcome};
use model::Model;
use rules::Owned;
use verdict::Tally;
use way::Way;

/// What one of these faults is, besides what all of them are.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The fault's name: its key in a document.
    const NAME: &'static str;
    /// What of packets it changes: two that change the same cannot be told apart by a meter.
    const CHANGES: &'static str = Self::NAME;
    /// Why it can do nothing about what comes in. `None`: it can.
    const NOT_IN: Option<&'static str> = None;
    /// Whether it loses packets, so that of those that are lost none is one too many.
    const LOSES: bool = false;
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

/// What it cannot do without: the target's namespace is entered, rules or filters are made there, and packets are sent in the target's name.
pub const CAPABILITIES: &[Capability] = &[Capability::NetAdmin, Capability::SysAdmin, Capability::NetRaw];
/// The faults that either mechanism makes.
pub const BY_EITHER: [&str; 6] = [
    Delay::NAME,
    Loss::NAME,
    Duplicate::NAME,
    Corrupt::NAME,
    Reorder::NAME,
    Rate::NAME,
];
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
/// More rules than this for one fault do not fit in one transaction, and make every packet slow.
const MOST_RULES: usize = 400;

impl<K: Kind> Fault for Impairment<K> {
    const NAME: &'static str = K::NAME;
    type Params = K::Params;
    type Undo = Way;

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

    async fn plan(params: &K::Params, target: &Target, cx: &Context) -> Result<Way> {
        if let (Direction::Ingress, Some(why)) = (params.traffic().direction, K::NOT_IN) {
            return Err(refuse(K::NAME, target, why));
        }
        let spared = observers::of(K::NAME, target, cx, params.include_observers()).await?;
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
        let asked = (params.mechanism(), Owned::from(traffic), K::model(params));
        Way::plan(K::NAME, target, asked, spared, cx).await
    }

    fn change(params: &K::Params, undo: &Way) -> String {
        let who = rules::words(&params.traffic());
        let observers = observers::words(undo.spared(), params.include_observers());
        format!("{} for {who}, {}{observers}", K::asked(params), undo.change())
    }

    // They compose, but for those whose doses could not be told apart.
    fn resources(undo: &Way) -> Vec<Resource> {
        undo.resources(K::CHANGES)
    }

    async fn apply(params: &K::Params, undo: &Way, cx: &Context) -> Result<()> {
        undo.apply::<K>(traffic(params, undo).into(), K::model(params), cx)
            .await
    }

    async fn measure(params: &K::Params, undo: &Way, cx: &Context) -> Result<Dose> {
        let asked = K::asked(params);
        let plan = K::plan(params);
        let what = || format!("{} cannot be measured", K::NAME);
        let (own, traffic) = (undo.clone(), Owned::from(traffic(params, undo)));
        let name = cx.trace_name();
        let measured = bounded_for(plan.longest(), &codes::FAULT_MEASURE, what, move || {
            own.measure(&traffic, &plan)
        });
        let Some((outcome, unsure)) = measured.await? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let mut known = Known::of(&name, cx);
        if let Way::Packets(worker) = undo {
            known.hear(worker, cx)?;
        }
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
        if !K::LOSES {
            known.crowded = measured.lost();
        }
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
                "{} packets of the target's own, by {undo}{}{unsure}",
                measured.own(),
                known.trouble()
            )),
        })
    }

    async fn revert(undo: &Way, cx: &Context) -> Result<Reverted> {
        undo.revert(cx).await
    }

    async fn observe(undo: &Way, _: &Context) -> Result<Seen> {
        undo.observe().await
    }

    fn manual(undo: &Way) -> Vec<String> {
        undo.manual()
    }
}

/// Which packets, but for those of whoever measures.
fn traffic<'a>(params: &'a impl Impairs, undo: &'a Way) -> Traffic<'a> {
    Traffic {
        spared: observers::left_alone(undo.spared(), params.include_observers()),
        ..params.traffic()
    }
}
