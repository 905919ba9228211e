//! `http`: a worker stands in front of a port of the target and does to its requests what a configuration of the proxy says.
//!
//! See [`fracas_linux::diversion`] for how connections come to it, and [`packet_worker`](crate::packet_worker) for how it leaves.

mod asked;
mod canary;
mod document;
mod meter;
mod parts;
mod worker;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use fracas_core::params;
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::relay;
use serde::{Deserialize, Serialize};

use crate::beside::{FIRST_VICTIM, Job};
use crate::bounded::bounded_for;
use crate::impairment::{CAPABILITIES, no_diversion};
use crate::packet_worker::{Fit, LEFT_ALONE, PacketWorker, has_loopback, lacking};
use crate::say::{OrSay, missed};
use crate::{Context, Fault, Needs, Resource};
use meter::{Known, Outcome};
use parts::Part;
use worker::Order;

pub use worker::http_worker_main;

/// See [`params::Http`].
#[derive(Debug)]
pub(crate) struct Http;

/// Where the worker is, and how it is asked what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    worker: PacketWorker,
    port: u16,
    /// What canaries say: nobody else's requests do.
    secret: String,
}

/// For requests that are under way when the fault ends.
const DRAIN: Duration = Duration::from_secs(params::Http::DRAIN);
/// How long the worker may take beyond that, before it is killed.
const LATE: Duration = Duration::from_secs(1);
/// In bytes, of chance.
const SECRET: usize = 16;

impl Fault for Http {
    const NAME: &'static str = "http";
    const DRAINS: bool = true;
    type Params = params::Http;
    type Undo = Undo;

    fn undo_class(_: &params::Http) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::Http) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::Http, target: &Target, cx: &Context) -> Result<Undo> {
        let look = |there: &NetNamespace| match lacking(no_diversion()?) {
            Err(unfit) => Ok(Err(unfit)),
            Ok(()) => there.within(fit),
        };
        Ok(Undo {
            worker: PacketWorker::plan(Self::NAME, CAPABILITIES, target, cx, look).await?,
            port: params.port,
            secret: secret().or_say(&codes::SYSTEM, || "the kernel gives no random numbers".to_owned())?,
        })
    }

    fn change(params: &params::Http, undo: &Undo) -> String {
        format!(
            "{} for requests to port {} in connections that are opened from then on, by a worker in front of it and the table {} in network \
             namespace {}, then both go",
            asked::words(&params.chaos),
            undo.port,
            undo.worker.table,
            undo.worker.inside
        )
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![Resource {
            key: format!(
                "the requests to port {} in network namespace {}",
                undo.port, undo.worker.inside
            ),
            object: None,
        }]
    }

    async fn apply(params: &params::Http, undo: &Undo, cx: &Context) -> Result<()> {
        let order = Order {
            inside: undo.worker.inside,
            table: undo.worker.table.clone(),
            params: params.clone(),
            seed: cx.seed.0,
            secret: undo.secret.clone(),
            not_after: clock::boottime() + cx.at_most + LEFT_ALONE,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            // Without it the port is as before, but for what is under way.
            oom_score_adj: FIRST_VICTIM,
        };
        undo.worker.start(Self::NAME, job, cx).await
    }

    async fn measure(params: &params::Http, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = asked::words(&params.chaos);
        let what = || "http cannot be measured".to_owned();
        let name = cx.trace_name();
        let mut known = cx
            .nursery
            .word(&name)
            .map_or_else(Known::default, |word| Known::read(&word));
        let (own, parts, injection) = (undo.clone(), Arc::new(Part::all(&params.chaos)), cx.injection);
        let its = Arc::clone(&parts);
        // Where nobody waits for it any more, as in a rollback, the thread sends nothing more.
        let wanted = Arc::new(());
        let waits = Arc::downgrade(&wanted);
        let (nursery, word) = (cx.nursery.clone(), name.clone());
        let measured = bounded_for(meter::LONGEST, &codes::FAULT_MEASURE, what, move || {
            let Some(there) = own.worker.there()? else {
                return Ok(None);
            };
            let is_wanted = || waits.strong_count() > 0;
            let outcome = there.within(|| meter::measure(&own, &its, injection, &mut known, &is_wanted));
            // Also where it failed: its connections are none of others.
            if is_wanted() {
                nursery.take_word(&word, Some(known.written()));
            }
            outcome.map(Some)
        });
        let measured = measured.await?;
        drop(wanted);
        let Some(outcome) = measured else {
            return Ok(missed(asked, "the target is gone"));
        };
        Ok(match outcome {
            Outcome::Missed(why) => {
                // Whoever watches the worker knows better.
                let (_, said) = cx.nursery.goes_on(&name);
                missed(asked, if said.is_empty() { why } else { said })
            }
            Outcome::Unmeasured(why) => Dose {
                asked,
                delivered: why.clone(),
                landed: Landed::Unmeasured(why),
                effect: None,
            },
            Outcome::Measured(measured) => {
                let (delivered, landed) = measured.judge(&parts, undo.port);
                Dose {
                    asked,
                    delivered,
                    landed,
                    effect: Some(measured.effect()),
                }
            }
        })
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.worker.revert_within(DRAIN + LATE, cx).await
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.worker.observe().await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.worker.manual()
    }
}

/// Whether there can be a worker in front of a port of this network; else why not, and what to do.
fn fit() -> io::Result<Fit> {
    let mut netlink = Netlink::route()?;
    if !has_loopback(&mut netlink)? {
        return Ok(Err((
            "its loopback device is down, by which requests are passed on".to_owned(),
            "set it up, as every container engine does (ip link set lo up)",
        )));
    }
    if netlink.rule_marks()? & relay::MARKS != 0 {
        return Ok(Err((
            "its routes are chosen by marks, among them those that Fracas gives to packets (ip rule)".to_owned(),
            "look at bits below 0x100000 alone, with a mask",
        )));
    }
    Ok(Ok(Vec::new()))
}

/// What nobody can guess.
fn secret() -> io::Result<String> {
    let mut bytes = [0; SECRET];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Reads whatever it is, as an answer to a request of ours. For the fuzzer.
pub fn fuzz(bytes: &[u8]) {
    canary::fuzz(bytes);
}
