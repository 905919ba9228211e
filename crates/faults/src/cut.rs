//! Faults that packet rules alone make: `connection_drop` and `partition`.
//!
//! A worker holds a table of rules in the target's network namespace, which the kernel removes with the worker's socket. The rules stand
//! where the target sends and where it is given what it is sent, so that nobody else needs any; what is for others and only passes
//! through is left alone.

mod drop;
mod meter;
mod partition;
pub(crate) mod rules;
mod worker;

use std::io;
use std::marker::PhantomData;

use fracas_core::observer::Spared;
use fracas_core::params::{Connections, Refusal, Traffic, Ways};
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_core::traffic::{Direction, Peer, Protocol, Service};
use fracas_core::units::Percent;
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use drop::ConnectionDrop;
pub(crate) use partition::Partition;
pub use worker::packet_rules_worker_main;

use crate::beside::{FIRST_VICTIM, Job};
use crate::bounded::bounded_for;
use crate::impairment::{self, CAPABILITIES, no_rules};
use crate::packet_worker::{Fit, LEFT_ALONE, PacketWorker, has_device, lacking};
use crate::say::{missed, refuse};
use crate::{Context, Fault, Needs, Resource, hosts, observers};
use worker::Order;

/// The faults of this kind.
pub const NAMES: [&str; 2] = [ConnectionDrop::NAME, Partition::NAME];

/// What one of these faults is, besides what both are.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The fault's name: its key in a document.
    const NAME: &'static str;
    /// Its parameters.
    type Params: Serialize + DeserializeOwned + Send + Sync + Clone + 'static;
    /// What is not let through on this target.
    fn cut(params: &Self::Params, target: &Target, cx: &Context) -> impl Future<Output = Result<Cut>> + Send;
    /// What is asked, in words.
    fn asked(params: &Self::Params) -> String;
    /// What no other fault may have at the same time.
    fn key(undo: &Undo) -> String;
}

/// A fault that packet rules make.
#[derive(Debug)]
pub(crate) struct Rules<K>(PhantomData<K>);

/// What is not let through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cut {
    to: Vec<Peer>,
    except: Vec<Peer>,
    ports: Vec<Service>,
    device: Option<String>,
    ways: Ways,
    action: Refusal,
    probability: Percent,
    connections: Connections,
    /// What passes between the target and those who measure it, and whether they are hit, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spared: Vec<Spared>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    include_observers: bool,
}

/// Where the worker is, what it made, and against whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Undo {
    held: PacketWorker,
    cut: Cut,
}

/// More rules than this do not fit in one transaction, and make every packet slow.
const MOST_RULES: usize = 400;

impl Cut {
    /// With whom, in this direction.
    fn traffic(&self, direction: Direction) -> Traffic<'_> {
        Traffic {
            direction,
            to: &self.to,
            except: &self.except,
            ports: &self.ports,
            device: self.device.as_deref(),
            spared: observers::left_alone(&self.spared, self.include_observers),
        }
    }

    /// As this, of those that open a connection of TCP alone where these are meant. `None`: nobody is left with whom that could be.
    fn narrowed(mut self) -> Option<Self> {
        if self.connections == Connections::All {
            return Some(self);
        }
        if self.to.is_empty() {
            self.to.push(Peer {
                host: None,
                ports: None,
                protocol: None,
            });
        }
        self.to
            .retain(|peer| peer.protocol.is_none_or(|protocol| protocol == Protocol::Tcp));
        for peer in &mut self.to {
            peer.protocol = Some(Protocol::Tcp);
        }
        (!self.to.is_empty()).then_some(self)
    }

    /// With whom, in words.
    fn words(&self) -> String {
        let all = match self.connections {
            Connections::All => "",
            Connections::New => ", only what opens a connection",
        };
        let ways = match self.ways {
            Ways::Both => "both ways",
            Ways::Egress => "as it sends them",
            Ways::Ingress => "as it is sent them",
        };
        let traffic = self.traffic(Direction::Egress);
        format!("{}{all}, {ways}", impairment::rules::words(&traffic))
    }
}

impl<K: Kind> Fault for Rules<K> {
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
        let cut = K::cut(params, target, cx).await?.narrowed();
        let Some(cut) = cut.filter(|cut| rules::count(cut).1 > 0) else {
            let why = "nothing can be all that is asked: `to`, `ports` and `connections` name no protocol in common";
            return Err(refuse(K::NAME, target, why));
        };
        let (all, _) = rules::count(&cut);
        if all > MOST_RULES {
            let why = format!(
                "it takes {all} packet rules, more than {MOST_RULES}: each of the others is combined with each of the ports"
            );
            return Err(refuse(K::NAME, target, why).next("name fewer, or networks and ranges"));
        }
        let (device, ways) = (cut.device.clone(), cut.ways);
        let look = move |there: &NetNamespace| fit(there, device.as_deref(), ways);
        let held = PacketWorker::plan(K::NAME, CAPABILITIES, target, cx, look).await?;
        let names = hosts::names(cut.to.iter().chain(&cut.except));
        let hosts = hosts::find(K::NAME, target, held.inside, names).await?;
        let held = PacketWorker { hosts, ..held };
        Ok(Undo { held, cut })
    }

    fn change(params: &K::Params, undo: &Undo) -> String {
        let PacketWorker { table, inside, .. } = &undo.held;
        format!(
            "{} {}, by the table {table} in network namespace {inside}, then it goes{}{}",
            K::asked(params),
            undo.cut.words(),
            hosts::words(&undo.held.hosts),
            observers::words(&undo.cut.spared, undo.cut.include_observers)
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![Resource {
            key: format!("{} in network namespace {}", K::key(undo), undo.held.inside),
            object: None,
        }]
    }

    async fn apply(_: &K::Params, undo: &Undo, cx: &Context) -> Result<()> {
        let order = Order {
            inside: undo.held.inside,
            table: undo.held.table.clone(),
            cut: undo.cut.clone(),
            hosts: undo.held.hosts.clone(),
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
        undo.held.beside.start(K::NAME, job, cx).await.map(drop)
    }

    async fn measure(params: &K::Params, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = K::asked(params);
        let what = || format!("{} cannot be measured", K::NAME);
        let name = cx.trace_name();
        let own = undo.clone();
        let word = cx.nursery.word(&name);
        let mut known: meter::Known = word
            .and_then(|word| serde_json::from_str(&word).ok())
            .unwrap_or_default();
        let measured = bounded_for(meter::LONGEST, &codes::FAULT_MEASURE, what, move || {
            let Some(there) = own.held.there()? else {
                return Ok(None);
            };
            let seen = meter::measure(&there, &own, &mut known)?;
            Ok(Some((seen, known)))
        });
        let Some((seen, known)) = measured.await? else {
            return Ok(missed(asked, "the target is gone"));
        };
        // The rules count our packets, too; only who has sent them knows how many they were.
        cx.nursery.take_word(&name, serde_json::to_string(&known).ok());
        let (delivered, landed) = seen.judge(undo.cut.probability.fraction());
        Ok(Dose {
            asked,
            delivered,
            effect: (landed == Landed::Yes)
                .then(|| format!("{} packets of the target's own{}", seen.own(), seen.unsure())),
            landed,
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.held.revert(cx).await
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.held.observe().await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.held.manual()
    }
}

/// Whether rules can stop packets in this network. No packet rule of others matters: what ours let through meets them as before. Nor do
/// packets of the target's get a mark; but those that measure what it sends have one, and must go by the same way.
fn fit(there: &NetNamespace, device: Option<&str>, ways: Ways) -> io::Result<Fit> {
    if let Err(unfit) = lacking(no_rules()?) {
        return Ok(Err(unfit));
    }
    if ways != Ways::Ingress && there.within(|| Netlink::route()?.rules_tell(rules::PROBE))? {
        return Ok(Err((
            "its routes are chosen by marks, among them those that Fracas gives to the packets that measure (ip rule)"
                .to_owned(),
            "look at bits below 0x100000 alone, with a mask",
        )));
    }
    Ok(has_device(there, device)?.map(|()| Vec::new()))
}
