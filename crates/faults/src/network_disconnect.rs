//! `network_disconnect`: disables the target's ports of their bridges.
//!
//! A disabled port stays a part of its bridge and drops every frame, in both directions (`br_handle_frame` in net/bridge/br_input.c,
//! `should_deliver` in net/bridge/br_forward.c). The way back is one number, while a port that leaves its bridge loses its flags, its
//! VLANs, its cost and its entries in the tables, and its own end of the pair becomes an interface of the machine that answers for the
//! bridge's addresses (`arp_ignore` 0). Without a spanning tree protocol nobody but an administrator sets the state, and the kernel,
//! which enables a disabled port when its carrier comes back (`br_port_carrier_check` in net/bridge/br_if.c): what the kernel undoes
//! by itself was nobody's decision, and is as before.

mod find;
mod meter;
mod port;

use fracas_core::params;
use fracas_core::problem::{Problem, Result, codes};
use fracas_core::record::{Dose, Landed, Reverted, Seen, UndoClass};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::privileges::{self, Capability};
use fracas_linux::process;
use serde::{Deserialize, Serialize};

use crate::bounded::{bounded, deed};
use crate::say::{OrSay, gone, missed, refuse};
use crate::{Context, Fault, Needs, Resource, members};

use find::{Ground, Wanted};
use port::{Now, Port};

/// See [`params::NetworkDisconnect`].
#[derive(Debug)]
pub struct NetworkDisconnect;

/// The ports, and where they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The machine's boot: no port outlives it.
    boot: String,
    /// The network namespace that the ports are in, by its number.
    host: u64,
    /// The process by which the target's network namespace is found.
    process: ProcessIdentity,
    /// That namespace, by its number.
    inside: u64,
    ports: Vec<Port>,
}

/// What it cannot do without: links are changed, the target's namespace is entered, and frames are sent to see that none arrives.
pub const CAPABILITIES: &[Capability] = &[Capability::NetAdmin, Capability::SysAdmin, Capability::NetRaw];

impl Fault for NetworkDisconnect {
    const NAME: &'static str = "network_disconnect";
    type Params = params::NetworkDisconnect;
    type Undo = Undo;

    fn undo_class(_: &params::NetworkDisconnect) -> UndoClass {
        UndoClass::Exact
    }

    fn needs(_: &params::NetworkDisconnect) -> Needs {
        Needs {
            root: false,
            local: true,
            container: false,
        }
    }

    async fn plan(params: &params::NetworkDisconnect, target: &Target, cx: &Context) -> Result<Undo> {
        may(target)?;
        let wanted = match &params.network {
            Some(name) => Some(Wanted::by_name(name, target, cx).await?),
            None => None,
        };
        let process = target.process().clone();
        let what = || format!("the links of {target} cannot be looked at");
        let looked = {
            let process = process.clone();
            bounded(&codes::TARGET_READ, what, move || Ground::look(&process)).await?
        };
        let ground = looked.ok_or_else(|| gone(Self::NAME, target))?;
        let ports = find::ports(&ground, wanted.as_ref())
            .map_err(|refused| refuse(Self::NAME, target, refused.why).next(refused.next))?;
        for port in &ports {
            if port.shown()?.is_none() {
                let why = format!(
                    "/sys does not show port {}: it is that of another network namespace",
                    port.name
                );
                return Err(refuse(Self::NAME, target, why).next("run Fracas where /sys is the machine's own"));
            }
        }
        Ok(Undo {
            boot: boot(&codes::TARGET_READ)?,
            host: ground.host,
            process,
            inside: ground.inside,
            ports,
        })
    }

    fn change(_: &params::NetworkDisconnect, undo: &Undo) -> String {
        let ports: Vec<_> = undo.ports.iter().map(Port::change).collect();
        format!("{}, then enabled", ports.join("; "))
    }

    fn resources(undo: &Undo) -> Vec<Resource> {
        let of = |port: &Port| Resource {
            key: format!("port {} of network namespace {}", port.index, undo.host),
            object: Some(port.directory()),
        };
        undo.ports.iter().map(of).collect()
    }

    async fn apply(_: &params::NetworkDisconnect, undo: &Undo, cx: &Context) -> Result<()> {
        undo.is_here(&codes::FAULT_APPLY)?;
        // Its port outlives it by the moment that the kernel takes to clear a namespace away.
        if members::open(&undo.process)?.is_none() {
            return Err(gone(Self::NAME, &undo.process));
        }
        let failed = || format!("{} cannot be disabled", undo.names());
        let ports = undo.ports.clone();
        let outcome = deed(cx, failed, move || port::disable(&ports)).await?;
        match outcome {
            None => Ok(()),
            Some((port, Now::Gone)) => Err(gone(Self::NAME, port)),
            Some((port, now)) => Err(Problem::new(
                &codes::FAULT_APPLY,
                format!("{port} is {now} now, and was forwarding when it was planned"),
            )),
        }
    }

    async fn measure(_: &params::NetworkDisconnect, undo: &Undo, cx: &Context) -> Result<Dose> {
        let asked = match undo.ports.len() {
            1 => "1 port disabled".to_owned(),
            more => format!("{more} ports disabled"),
        };
        undo.is_here(&codes::FAULT_MEASURE)?;
        // What /sys shows is read from the port itself, and not by netlink.
        let mut states = Vec::new();
        for port in &undo.ports {
            match port.shown()? {
                None => return Ok(missed(asked, format!("{port} is gone"))),
                Some(state) if state == port.ours => states.push(format!("{} {state}", port.name)),
                Some(state) => return Ok(missed(asked, format!("{port} is {state}"))),
            }
        }
        let what = || format!("frames through {} cannot be sent", undo.names());
        let (of, mark) = (undo.clone(), meter::mark(&cx.trace_name()));
        let Some(passed) = bounded(&codes::FAULT_MEASURE, what, move || meter::try_all(&of, &mark)).await? else {
            return Ok(missed(asked, "the target is gone"));
        };
        let landed = if passed.got_through() == 0 {
            Landed::Yes
        } else {
            Landed::No(format!("{} frames got through", passed.got_through()))
        };
        Ok(Dose {
            asked,
            delivered: format!("{}; {passed}", states.join(", ")),
            landed,
            effect: Some(passed.control()),
        })
    }

    async fn revert(undo: &Undo, _: &Context) -> Result<Reverted> {
        if !undo.is_of_this_boot(&codes::FAULT_REVERT)? {
            return Ok(Reverted::AlreadyGone);
        }
        undo.is_here(&codes::FAULT_REVERT)?;
        let failed = || format!("{} cannot be enabled", undo.names());
        let ports = undo.ports.clone();
        bounded(&codes::FAULT_REVERT, failed, move || port::enable_all(&ports)).await
    }

    async fn observe(undo: &Undo, _: &Context) -> Result<Seen> {
        if !undo.is_of_this_boot(&codes::FAULT_OBSERVE)? {
            return Ok(Seen::TargetGone);
        }
        undo.is_here(&codes::FAULT_OBSERVE)?;
        let what = || format!("{} cannot be looked at", undo.names());
        let ports = undo.ports.clone();
        let seen = bounded(&codes::FAULT_OBSERVE, what, move || {
            let mut netlink = Netlink::route()?;
            ports.iter().map(|port| port.now(&mut netlink)).collect()
        });
        let seen: Vec<Now> = seen.await?;
        let with = || undo.ports.iter().zip(&seen);
        if let Some((port, now)) = with().find(|(port, now)| port.is_foreign(now)) {
            return Ok(Seen::Foreign(port.words(now)));
        }
        let ours: Vec<_> = with()
            .filter(|(port, now)| port.is_ours(now))
            .map(|(port, _)| port.to_string())
            .collect();
        Ok(if !ours.is_empty() {
            Seen::Ours(format!("{} is disabled", ours.join(", ")))
        } else if seen.iter().all(|now| *now == Now::Gone) {
            Seen::TargetGone
        } else {
            Seen::Original
        })
    }

    fn manual(undo: &Undo) -> Vec<String> {
        undo.ports.iter().map(Port::manual).collect()
    }
}

impl Undo {
    fn names(&self) -> String {
        let names: Vec<_> = self.ports.iter().map(Port::to_string).collect();
        names.join(", ")
    }

    fn is_of_this_boot(&self, code: &'static fracas_core::problem::Code) -> Result<bool> {
        Ok(boot(code)? == self.boot)
    }

    /// Refuses to look for the ports in another namespace, where others have their numbers.
    fn is_here(&self, code: &'static fracas_core::problem::Code) -> Result<()> {
        let here = NetNamespace::ours().or_say(code, || "the network namespace of Fracas cannot be told".to_owned())?;
        if here.inode() == self.host {
            return Ok(());
        }
        let what = format!(
            "{} is in network namespace {}, and Fracas runs in {}",
            self.names(),
            self.host,
            here.inode()
        );
        Err(Problem::new(code, what).next("run it in the namespace in which the fault was planned, with nsenter(1)"))
    }
}

fn boot(code: &'static fracas_core::problem::Code) -> Result<String> {
    process::boot_id().or_say(code, || "the machine's boot cannot be told".to_owned())
}

/// Refuses before anything is looked at what could not be done.
fn may(target: &Target) -> Result<()> {
    let missing = privileges::missing(CAPABILITIES)
        .or_say(&codes::SYSTEM, || "the privileges of Fracas cannot be read".to_owned())?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|one| one.name()).collect();
    let names = names.join(", ");
    let what = format!("{} on {target} needs {names}", NetworkDisconnect::NAME);
    Err(Problem::new(&codes::FAULT_NEEDS, what).next(format!("run as root, or grant {names}")))
}
