//! `dns`: questions for names are answered in place of the name servers, wrongly, late or not at all.
//!
//! A worker takes what the target sends to name servers out of the kernel, reads the question, and lets go on what is none of its
//! business: it forwards nothing. See [`packet_worker`](crate::packet_worker) for how it leaves.

mod answering;
pub(crate) mod ask;
mod message;
mod meter;
mod rules;
mod worker;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use fracas_core::names::{Address, NamePattern};
use fracas_core::params::{self, Answer};
use fracas_core::problem::{Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::Target;
use fracas_linux::inside::Inside;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::{clock, intercept};
use serde::{Deserialize, Serialize};

use crate::beside::{FIRST_VICTIM, Job};
use crate::bounded::bounded_for;
use crate::impairment::{CAPABILITIES, obstacle};
use crate::packet_worker::{Fit, LEFT_ALONE, PacketWorker, has_loopback, lacking};
use crate::say::missed;
use crate::{Context, Fault, Needs, Resource, hosts};
use meter::Outcome;
use worker::Order;

pub use worker::names_worker_main;

/// See [`params::Dns`].
#[derive(Debug)]
pub(crate) struct Dns;

/// Where the worker is, and what nobody else may answer meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    worker: PacketWorker,
    names: Vec<NamePattern>,
    /// Whether answers are made up. Otherwise they are only late.
    answers: bool,
}

impl Fault for Dns {
    const NAME: &'static str = "dns";
    type Params = params::Dns;
    type Undo = Undo;

    fn undo_class(_: &params::Dns) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::Dns) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::Dns, target: &Target, cx: &Context) -> Result<Undo> {
        let delayed = !params.delay.0.is_zero();
        let look = move |there: &NetNamespace| match lacking(obstacle()?) {
            Err(unfit) => Ok(Err(unfit)),
            Ok(()) => there.within(|| fit(delayed)),
        };
        Ok(Undo {
            worker: PacketWorker::plan(Self::NAME, CAPABILITIES, target, cx, look).await?,
            names: params.names.clone(),
            answers: params.answer.is_some() || !params.addresses.is_empty(),
        })
    }

    fn change(params: &params::Dns, undo: &Undo) -> String {
        let servers = match params.servers.as_slice() {
            [] => "any name server".to_owned(),
            some => list(some),
        };
        let share = match params.probability.fraction() {
            share if share >= 1.0 => String::new(),
            _ => format!("{} of ", params.probability),
        };
        format!(
            "{} to {share}questions for {} to {servers}, by a queue and the table {} in network namespace {}, then both go",
            asked(params),
            list(&params.names),
            undo.worker.table,
            undo.worker.inside
        )
    }

    // They compose, but for those that would answer the same.
    fn resources(undo: &Undo) -> Vec<Resource> {
        let what = if undo.answers { "answer" } else { "time" };
        let inside = undo.worker.inside;
        let key = |name: &NamePattern| format!("the {what} to questions for {name} in network namespace {inside}");
        let resource = |name| Resource {
            key: key(name),
            object: None,
        };
        undo.names.iter().map(resource).collect()
    }

    async fn apply(params: &params::Dns, undo: &Undo, cx: &Context) -> Result<()> {
        let order = Order {
            inside: undo.worker.inside,
            table: undo.worker.table.clone(),
            params: params.clone(),
            seed: cx.seed.0,
            // What is stable between runs is the number of the injection, for a process is not.
            identity: format!("{} {}", Self::NAME, cx.injection),
            not_after: clock::boottime() + cx.at_most + LEFT_ALONE,
        };
        let job = Job {
            worker: worker::NAME,
            order: &order,
            // Without it names are answered as before: of all, it is the one that nobody misses.
            oom_score_adj: FIRST_VICTIM,
        };
        undo.worker.start(Self::NAME, job, cx).await
    }

    async fn measure(params: &params::Dns, undo: &Undo, cx: &Context) -> Result<Dose> {
        let what = || "dns cannot be measured".to_owned();
        let name = cx.trace_name();
        let mut ours: u64 = cx
            .nursery
            .word(&name)
            .and_then(|word| word.parse().ok())
            .unwrap_or_default();
        let (own, its) = (undo.worker.clone(), params.clone());
        let measured = bounded_for(meter::longest(params), &codes::FAULT_MEASURE, what, move || {
            let (Some(there), Some(files)) = (own.there()?, Inside::of(&own.process)?) else {
                return Ok(None);
            };
            let server = server(&files, &its.servers)?;
            let outcome = there.within(|| meter::measure(&own.table, server, &its, &mut ours))?;
            Ok(Some((outcome, ours)))
        });
        let Some((outcome, ours)) = measured.await? else {
            return Ok(missed(asked(params), "the target is gone"));
        };
        // The kernel counts our questions, too; only who has asked them knows how many they were.
        cx.nursery.take_word(&name, Some(ours.to_string()));
        match outcome {
            Outcome::Missed(why) => {
                // Whoever watches the worker knows better.
                let (_, said) = cx.nursery.goes_on(&name);
                Ok(missed(asked(params), if said.is_empty() { why } else { said }))
            }
            Outcome::Unmeasured(why) => Ok(Dose {
                asked: asked(params),
                delivered: why.clone(),
                landed: Landed::Unmeasured(why),
                effect: None,
            }),
            Outcome::Measured(measured) => {
                let (delivered, landed) = measured.judge(params);
                Ok(Dose {
                    asked: asked(params),
                    delivered,
                    landed,
                    effect: Some(format!("{} packets of the target's own", measured.own())),
                })
            }
        }
    }

    async fn revert(undo: &Undo, cx: &Context) -> Result<Reverted> {
        undo.worker.revert(cx).await
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        undo.worker.observe().await
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.worker.manual()
    }
}

/// What is asked, in words.
fn asked(params: &params::Dns) -> String {
    let answer = match params.answer {
        Some(Answer::Nxdomain) => Some("NXDOMAIN".to_owned()),
        Some(Answer::Servfail) => Some("SERVFAIL".to_owned()),
        Some(Answer::Refused) => Some("REFUSED".to_owned()),
        Some(Answer::Timeout) => Some("no answer".to_owned()),
        None if params.addresses.is_empty() => None,
        None => Some(format!("the answer {}", list(&params.addresses))),
    };
    match (answer, params.delay) {
        (None, delay) => format!("a delay of {delay}"),
        (Some(answer), delay) if delay.0.is_zero() => answer,
        (Some(answer), delay) => format!("{answer} after {delay}"),
    }
}

fn list<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether names can be answered in this network; else why not, and what to do. No rule of others matters to what is not sent again.
fn fit(delayed: bool) -> io::Result<Fit> {
    let mut netlink = Netlink::route()?;
    // Answers come by it.
    if !has_loopback(&mut netlink)? {
        return Ok(Err((
            "its loopback device is down, by which answers come".to_owned(),
            "set it up, as every container engine does (ip link set lo up)",
        )));
    }
    if delayed && netlink.rule_marks()? & intercept::MARKS != 0 {
        return Ok(Err((
            "its routes are chosen by marks, among them those that Fracas gives to packets (ip rule)".to_owned(),
            "look at bits below 0x20000000 alone, with a mask",
        )));
    }
    Ok(Ok(Vec::new()))
}

/// The name server that the C library in the target asks first, of those that are meant.
fn server(files: &Inside, meant: &[Address]) -> io::Result<IpAddr> {
    let configured = hosts::servers(files)?;
    let is_meant = |server: &&IpAddr| meant.is_empty() || meant.contains(&Address(**server));
    let first = configured.iter().find(is_meant).copied();
    Ok(first
        .or_else(|| meant.first().map(|server| server.0))
        // Without any, it is the one on this machine (resolv.conf(5)).
        .unwrap_or(IpAddr::from([127, 0, 0, 1])))
}

/// How long whoever measures waits for an answer that is not late.
const SOON: Duration = Duration::from_millis(500);

/// Reads whatever it is, as a question, as an answer and as a file of the target's. For the fuzzer.
pub fn fuzz(bytes: &[u8]) {
    hosts::fuzz(&String::from_utf8_lossy(bytes));
    message::fuzz(bytes);
    ask::fuzz(bytes);
    answering::fuzz(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_said() {
        let base = params::Dns::new(vec![NamePattern::all()]);
        let delay = fracas_core::units::Span::millis(500);
        let with = |answer, delay| {
            asked(&params::Dns {
                answer,
                delay,
                ..base.clone()
            })
        };
        assert_eq!(with(None, delay), "a delay of 500ms");
        assert_eq!(with(Some(Answer::Nxdomain), delay), "NXDOMAIN after 500ms");
        assert_eq!(
            with(Some(Answer::Timeout), fracas_core::units::Span::default()),
            "no answer"
        );
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(
            asked(&params::Dns { addresses, ..base }),
            "the answer 192.0.2.1, 2001:db8::1"
        );
    }
}
