//! `partition`: no packet passes between the target and the others.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use fracas_core::params::{self, Connections, Refusal};
use fracas_core::problem::{Result, codes};
use fracas_core::target::{self, ProcessIdentity, Target};
use fracas_core::traffic::{Host, Peer};
use fracas_core::units::Percent;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::Netlink;
use fracas_linux::process;

use super::{Cut, Kind, Rules, Undo};
use crate::bounded::bounded;
use crate::say::{OrSay, gone, refuse};
use crate::{Context, observers, signal};

/// See [`params::Partition`].
pub(crate) type Partition = Rules<Kinds>;

/// What `partition` is.
#[derive(Debug)]
pub(crate) struct Kinds;

/// All of them stand in one order to the worker.
const MOST_ADDRESSES: usize = 128;

impl Kind for Kinds {
    const NAME: &'static str = "partition";
    type Params = params::Partition;

    async fn cut(params: &params::Partition, target: &Target, cx: &Context) -> Result<Cut> {
        let what = || format!("the networks of `{}` cannot be looked at", params.from);
        let mut others = cx.others.clone();
        for other in &mut others {
            renew(other, cx).await?;
        }
        let process = target.process().clone();
        let found = bounded(&codes::TARGET_READ, what, move || look(&process, &others)).await?;
        let addresses = match found {
            Found::Gone => return Err(gone(Self::NAME, target)),
            Found::Together(other) => {
                let why = format!("it shares a network namespace with {other} of `{}`", params.from);
                return Err(refuse(Self::NAME, target, why).next("choose two sets that have none in common"));
            }
            Found::Stopped(other) => {
                let why = format!(
                    "container {other} of `{}` does not run on this machine now",
                    params.from
                );
                return Err(refuse(Self::NAME, target, why).next("wait until it runs"));
            }
            Found::Addresses(addresses) => addresses,
        };
        if addresses.is_empty() || addresses.len() > MOST_ADDRESSES {
            let why = format!(
                "`{}` has {} addresses, and must have from 1 to {MOST_ADDRESSES}",
                params.from,
                addresses.len()
            );
            return Err(refuse(Self::NAME, target, why).next("see `fracas targets` for who they are"));
        }
        Ok(Cut {
            to: addresses.into_iter().map(peer).collect(),
            except: Vec::new(),
            ports: Vec::new(),
            device: None,
            ways: params.direction,
            action: Refusal::Drop,
            probability: Percent(100.0),
            connections: Connections::All,
            // Of a set in the machine's own network these are all addresses of the machine, also those from which it is measured.
            spared: observers::of(Self::NAME, target, cx, false).await?,
            include_observers: false,
        })
    }

    fn asked(params: &params::Partition) -> String {
        format!("partition from `{}`: no", params.from)
    }

    // Another one is about other addresses, or about the same in the same way: they compose.
    fn key(undo: &Undo) -> String {
        format!("the partition {}", undo.held.table)
    }
}

fn peer(address: IpAddr) -> Peer {
    Peer {
        host: Some(Host::from(address)),
        ports: None,
        protocol: None,
    }
}

/// What is found of the others.
enum Found {
    /// The target itself has ended.
    Gone,
    /// This one lives in the target's network namespace.
    Together(String),
    /// This container does not run.
    Stopped(String),
    Addresses(BTreeSet<IpAddr>),
}

/// Knows a container again that was started again since it was chosen: it has another first process, and maybe other addresses.
///
/// # Errors
/// What the engine refused. One that does not run stays as it was.
async fn renew(other: &mut Target, cx: &Context) -> Result<()> {
    if !signal::ended(other.process())? {
        return Ok(());
    }
    let target::Kind::Container(container) = &mut other.kind else {
        return Ok(());
    };
    let engine = cx.engines.at(&container.engine).await?;
    let found = engine.inspect(&container.id).await?;
    // A pid of an engine's on another machine is nobody here.
    let runs = found.filter(|found| engine.is_local() && found.state.running && !found.state.restarting);
    if let Some(pid) = runs.and_then(|found| found.state.pid) {
        let what = || format!("the first process of container {} cannot be looked at", container.name);
        if let Some(init) = process::identity(pid).or_say(&codes::TARGET_READ, what)? {
            container.init = init;
        }
    }
    Ok(())
}

/// Their addresses, as each one's namespace has them. A process that has ended sends nothing any more, and has none.
fn look(target: &ProcessIdentity, others: &[Target]) -> io::Result<Found> {
    let Some(own) = NetNamespace::of(target)? else {
        return Ok(Found::Gone);
    };
    let mut all = BTreeSet::new();
    for other in others {
        let Some(there) = NetNamespace::of(other.process())? else {
            if other.container().is_some() {
                return Ok(Found::Stopped(other.to_string()));
            }
            continue;
        };
        if there.inode() == own.inode() {
            return Ok(Found::Together(other.to_string()));
        }
        let addresses = there.within(|| {
            let mut netlink = Netlink::route()?;
            let loopback: Vec<u32> = netlink
                .links()?
                .iter()
                .filter(|link| link.loopback)
                .map(|link| link.index)
                .collect();
            let mut addresses = netlink.addresses()?;
            addresses.retain(|address| !loopback.contains(&address.link));
            Ok(addresses)
        })?;
        // What has a meaning on one link only is left alone by these rules.
        let leads_here = |address: &IpAddr| !matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        all.extend(addresses.into_iter().map(|one| one.address).filter(leads_here));
    }
    Ok(Found::Addresses(all))
}
