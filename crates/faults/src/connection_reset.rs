//! `connection_reset`: open connections are ended, once or again and again.
//!
//! The kernel ends them, as if the target's own programs had aborted them. The first time is in apply; further ones are a task of the
//! guardian, as those of `process_kill`: they end with it, with the revert, or after their count. What is looked at afterwards is the
//! kernel's table of connections, a file, by which some that were open before are known by the numbers of their sockets.

use std::collections::BTreeSet;
use std::io;

use fracas_core::observer::Spared;
use fracas_core::params;
use fracas_core::params::Traffic;
use fracas_core::problem::{Code, Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::traffic::{Direction, Host, Protocol};
use fracas_linux::connections::Connection;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process;
use serde::{Deserialize, Serialize};

use crate::bounded::{bounded, deed};
use crate::hosts::{self, Hosts};
use crate::impairment::aim::{Packet, hits};
use crate::impairment::{CAPABILITIES, no_resets, rules};
use crate::packet_worker::{Fit, inside, lacking};
use crate::say::{gone, missed, refuse};
use crate::{Context, Fault, Needs, Note, Resource, observers, signal};

/// See [`params::ConnectionReset`].
#[derive(Debug)]
pub struct ConnectionReset;

/// Where connections are ended, and some of those that are open before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The process by which the target's network namespace is found.
    process: ProcessIdentity,
    /// That namespace, by its number.
    inside: u64,
    /// How many connections match.
    matching: usize,
    /// The sockets of some of them.
    matched: BTreeSet<u64>,
    /// The sockets of some that do not.
    others: BTreeSet<u64>,
    /// What passes between the target and those who measure it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spared: Vec<Spared>,
    /// Where the hosts were that it names.
    #[serde(default, skip_serializing_if = "Hosts::is_empty")]
    hosts: Hosts,
}

/// How often at most.
const MOST: u32 = 1000;
/// So many are looked at: the ledger has room for more, and nobody learns more from them.
const LOOKED_AT: usize = 64;
/// Fewer others than this may all end by themselves in the same moment.
const ENOUGH: usize = 3;

impl Fault for ConnectionReset {
    const NAME: &'static str = "connection_reset";
    type Params = params::ConnectionReset;
    type Undo = Undo;

    fn undo_class(_: &params::ConnectionReset) -> UndoClass {
        UndoClass::None
    }

    fn needs(_: &params::ConnectionReset) -> Needs {
        Needs {
            root: true,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::ConnectionReset, target: &Target, cx: &Context) -> Result<Undo> {
        if !(1..=MOST).contains(&params.count) {
            let why = format!("a count of {} is not between 1 and {MOST}", params.count);
            return Err(refuse(Self::NAME, target, why));
        }
        let (inside, _) = inside(Self::NAME, CAPABILITIES, target, fit).await?;
        let spared = observers::of(Self::NAME, target, cx, params.include_observers).await?;
        let names = hosts::names(params.to.iter().chain(&params.except));
        let hosts = hosts::find(Self::NAME, target, inside, names).await?;
        let process = target.process().clone();
        let what = || format!("the connections of {target} cannot be looked at");
        let (own, own_spared, own_process) = (at(params, &hosts), spared.clone(), process.clone());
        let look = move || {
            let Some(there) = NetNamespace::of(&own_process)?.filter(|there| there.inode() == inside) else {
                return Ok(None);
            };
            let all = there.within(|| Netlink::sockets()?.connections())?;
            Ok(Some(
                all.into_iter()
                    .filter(leads_out)
                    .partition::<Vec<_>, _>(|one| matches(&own, &own_spared, one)),
            ))
        };
        let Some((matched, others)) = bounded(&codes::TARGET_READ, what, look).await? else {
            return Err(gone(Self::NAME, target));
        };
        let numbers = |all: &[Connection]| {
            let held = all.iter().map(|one| u64::from(one.inode)).filter(|inode| *inode != 0);
            held.take(LOOKED_AT).collect()
        };
        Ok(Undo {
            process,
            inside,
            matching: matched.len(),
            matched: numbers(&matched),
            others: numbers(&others),
            spared,
            hosts,
        })
    }

    fn change(params: &params::ConnectionReset, undo: &Undo) -> String {
        let more = if params.count > 1 {
            format!(", {} times every {}", params.count, params.interval)
        } else {
            String::new()
        };
        let who = rules::words(&traffic(params, &[]));
        let who = who.strip_prefix("packets ").unwrap_or(&who);
        format!(
            "reset of {} open connections {who}, in network namespace {}{more}; nothing brings them back{}{}",
            undo.matching,
            undo.inside,
            hosts::words(&undo.hosts),
            observers::words(&undo.spared, params.include_observers)
        )
    }

    // Two of them reset what they reset: neither is hindered by the other.
    fn resources(undo: &Undo) -> Vec<Resource> {
        vec![Resource {
            key: format!("the open connections in network namespace {}", undo.inside),
            object: None,
        }]
    }

    async fn apply(params: &params::ConnectionReset, undo: &Undo, cx: &Context) -> Result<()> {
        if cx.nursery.goes_on(&cx.trace_name()).0 {
            let what = format!("{} of {} goes on already", Self::NAME, undo.process);
            return Err(Problem::new(&codes::FAULT_APPLY, what));
        }
        // What was reset on a former life of the target says nothing of this one.
        cx.nursery.take_word(&cx.trace_name(), None);
        if once(params, undo, cx).await?.is_none() {
            return Err(gone(Self::NAME, &undo.process));
        }
        if params.count > 1 {
            let (params, undo, own) = (params.clone(), undo.clone(), cx.clone());
            cx.nursery.later(cx.trace_name(), move |note| async move {
                repeat(&params, &undo, &own, &note).await;
            });
        }
        Ok(())
    }

    async fn measure(_: &params::ConnectionReset, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = format!("reset of {} open connections", undo.matching);
        let Some(open) = open(undo, &codes::FAULT_MEASURE).await? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let left = undo.matched.intersection(&open).count();
        let ended = undo.others.difference(&open).count();
        let landed = if undo.matched.is_empty() {
            Landed::No("no connection was open that it is about".to_owned())
        } else if left > 0 {
            Landed::No(format!("{left} of {} are still open", undo.matched.len()))
        } else if reset(cx) == Some(0) {
            Landed::No("none of them could be reset: they had ended by themselves".to_owned())
        } else if ended > 0 && ended == undo.others.len() {
            let why = format!("all of {ended} connections that it is not about ended, too");
            if ended < ENOUGH {
                Landed::Unmeasured(format!("{why}, and so few may have ended by themselves"))
            } else {
                Landed::No(why)
            }
        } else {
            Landed::Yes
        };
        let (_, said) = cx.nursery.goes_on(&cx.trace_name());
        Ok(Dose {
            asked,
            delivered: format!(
                "{} of {} that were looked at have ended; {ended} of {} that it is not about",
                undo.matched.len() - left,
                undo.matched.len(),
                undo.others.len()
            ),
            landed,
            effect: Some(said).filter(|said| !said.is_empty()),
        })
    }

    async fn revert(_: &Undo, cx: &Context) -> Result<Reverted> {
        Ok(if cx.nursery.end(&cx.trace_name()).await {
            Reverted::Restored
        } else {
            Reverted::AlreadyGone
        })
    }

    async fn observe(undo: &Undo, cx: &Context) -> Result<Seen> {
        if cx.nursery.goes_on(&cx.trace_name()).0 {
            return Ok(Seen::Ours(format!("further resets for {} are to come", undo.process)));
        }
        if signal::ended(&undo.process)? {
            return Ok(Seen::TargetGone);
        }
        let Some(open) = open(undo, &codes::FAULT_OBSERVE).await? else {
            return Ok(Seen::TargetGone);
        };
        // No setting, rule or process of ours is left; but what was open before is not as before.
        let ended = undo.matched.difference(&open).count();
        Ok(if ended == 0 {
            Seen::Original
        } else {
            let of = undo.matched.len();
            Seen::Claimed(format!(
                "{ended} of {of} connections that were looked at have ended; Fracas brings none back"
            ))
        })
    }

    fn manual(_: &Undo) -> Vec<String> {
        Vec::new()
    }
}

/// The sockets of all connections that are open, by the kernel's table. `None`: the target is gone.
async fn open(undo: &Undo, code: &'static Code) -> Result<Option<BTreeSet<u64>>> {
    let what = || "the open connections cannot be read".to_owned();
    let process = undo.process.clone();
    bounded(code, what, move || {
        let open = process::established(&format!("/proc/{}", process.pid))?;
        // If it lives now, the pid was its own while the table was read.
        let lives = process::identity(process.pid)?.as_ref() == Some(&process);
        Ok(open.filter(|_| lives))
    })
    .await
}

/// Which connections, as packets of the target's own have it.
fn traffic<'a>(params: &'a params::ConnectionReset, spared: &'a [Spared]) -> Traffic<'a> {
    Traffic {
        direction: Direction::Egress,
        to: &params.to,
        except: &params.except,
        ports: &params.ports,
        device: None,
        spared: observers::left_alone(spared, params.include_observers),
    }
}

/// The same parameters, with addresses in place of names.
fn at(params: &params::ConnectionReset, hosts: &Hosts) -> params::ConnectionReset {
    params::ConnectionReset {
        to: hosts::located(&params.to, hosts),
        except: hosts::located(&params.except, hosts),
        ..params.clone()
    }
}

/// Whether connections can be ended here.
fn fit(_: &NetNamespace) -> io::Result<Fit> {
    Ok(lacking(no_resets()?).map(|()| Vec::new()))
}

fn leads_out(connection: &Connection) -> bool {
    !connection.remote.ip().is_loopback()
}

fn matches(params: &params::ConnectionReset, spared: &[Spared], connection: &Connection) -> bool {
    let packet = Packet {
        peer: connection.remote.ip(),
        protocol: Protocol::Tcp,
        ports: (connection.local.port(), connection.remote.port()),
    };
    leads_out(connection) && hits(&traffic(params, spared), &packet)
}

/// How many were reset so far. `None`: it is not known, for another guardian did it.
fn reset(cx: &Context) -> Option<usize> {
    cx.nursery.word(&cx.trace_name())?.parse().ok()
}

/// Ends all that match now: how many were ended, which is noted. `None`: the target is gone.
async fn once(params: &params::ConnectionReset, undo: &Undo, cx: &Context) -> Result<Option<usize>> {
    let what = || format!("the connections of {} cannot be reset", undo.process);
    let (params, spared, process, inside) = (params.clone(), undo.spared.clone(), undo.process.clone(), undo.inside);
    let mut hosts = undo.hosts.clone();
    let ended = deed(cx, what, move || {
        let lost = hosts::look_again(&process, inside, &mut hosts)?;
        // What is reset stays reset: nobody is hit who may be one of those.
        let excepted = params.except.iter().find_map(|peer| match &peer.host {
            Some(Host::Name(name)) if lost.contains(name) => Some(name),
            _ => None,
        });
        if let Some(name) = excepted {
            let why = format!("nothing is reset: where {name} is, which is excepted, cannot be found out now");
            return Err(io::Error::other(why));
        }
        let params = at(&params, &hosts);
        let Some(there) = NetNamespace::of(&process)?.filter(|there| there.inode() == inside) else {
            return Ok(None);
        };
        let mut sockets = there.within(Netlink::sockets)?;
        let mut count = 0;
        for connection in sockets.connections()? {
            if matches(&params, &spared, &connection) && sockets.end(&connection)? {
                count += 1;
            }
        }
        Ok(Some(count))
    })
    .await?;
    if let Some(count) = ended {
        let all = reset(cx).unwrap_or_default() + count;
        cx.nursery.take_word(&cx.trace_name(), Some(all.to_string()));
    }
    Ok(ended)
}

/// The resets after the first.
async fn repeat(params: &params::ConnectionReset, undo: &Undo, cx: &Context, note: &Note) {
    let mut done = 1_u32;
    note.say(format!("1 of {} times", params.count));
    for _ in 1..params.count {
        tokio::time::sleep(params.interval.0).await;
        let last = match once(params, undo, cx).await {
            Ok(Some(count)) => {
                done += 1;
                format!("connections reset the last time: {count}")
            }
            Ok(None) => return note.say(format!("{done} of {} times; the target is gone", params.count)),
            Err(problem) => format!("the last failed: {}", problem.line()),
        };
        note.say(format!("{done} of {} times; {last}", params.count));
    }
}
