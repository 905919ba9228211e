//! Who measures a target, as packets of its own: what a fault on packets leaves alone, so that it does not blind what judges it.

use std::io;
use std::net::IpAddr;

use fracas_core::observer::{Observer, Spared};
use fracas_core::problem::{Result, codes};
use fracas_core::target::{ProcessIdentity, Target};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;

use crate::Context;
use crate::bounded::bounded;
use crate::say::{gone, refuse};

/// Each is a rule that every packet of the target is compared with.
const MOST: usize = 64;
/// Between those who ask the same.
const AND: &str = " and ";

/// What passes between the target and those who measure it. Reads only.
///
/// # Errors
/// T003 where the target's addresses cannot be read, T004 where it is gone, F001 where those who measure are too many to be left
/// alone; whoever is `included` costs no rule.
pub(crate) async fn of(fault: &str, target: &Target, cx: &Context, included: bool) -> Result<Vec<Spared>> {
    if cx.observers.is_empty() {
        return Ok(Vec::new());
    }
    let what = || format!("the addresses of {target} cannot be read");
    let process = target.process().clone();
    let Some(own) = bounded(&codes::TARGET_READ, what, move || addresses(&process)).await? else {
        return Err(gone(fault, target));
    };
    let spared = all(&cx.observers, &own);
    if !included && spared.len() > MOST {
        let why = format!(
            "it is measured from {} addresses and ports, more than {MOST}",
            spared.len()
        );
        let next = "ask it by fewer probes, or blind them with `include_observers: true` where the fault has it";
        return Err(refuse(fault, target, why).next(next));
    }
    Ok(spared)
}

/// Each address and port once: two probes may ask the same, and are named together.
fn all(observers: &[Observer], own: &[IpAddr]) -> Vec<Spared> {
    let mut found: Vec<Spared> = Vec::new();
    for one in observers.iter().flat_map(|observer| observer.spared(own)) {
        let same = |other: &&mut Spared| other.address == one.address && other.port == one.port;
        match found.iter_mut().find(same) {
            Some(other) if other.who.split(AND).any(|who| who == one.who) => {}
            Some(other) => other.who = format!("{}{AND}{}", other.who, one.who),
            None => found.push(one),
        }
    }
    found
}

fn addresses(process: &ProcessIdentity) -> io::Result<Option<Vec<IpAddr>>> {
    let Some(there) = NetNamespace::of(process)? else {
        return Ok(None);
    };
    let all = there.within(|| Netlink::route()?.addresses())?;
    // Whoever asks `127.0.0.1` asks himself.
    let others = all.into_iter().map(|one| one.address).filter(|own| !own.is_loopback());
    Ok(Some(others.collect()))
}

/// What a plan says of them.
pub(crate) fn words(spared: &[Spared], included: bool) -> String {
    if spared.is_empty() {
        return String::new();
    }
    let names: Vec<_> = spared.iter().map(Spared::to_string).collect();
    let names = names.join(", ");
    if included {
        format!("; it blinds {names}")
    } else {
        format!("; left alone: {names}")
    }
}

/// Those whom the fault leaves alone.
pub(crate) fn left_alone(spared: &[Spared], included: bool) -> &[Spared] {
    if included { &[] } else { spared }
}
