//! The hosts that a fault names: where they are in the target's view, when it is planned and while it is on.
//!
//! They are looked for as the C library in the target would: in its file of hosts, then by its name servers, asked from its network
//! namespace. These questions and their answers go past whatever Fracas has there. A name stands in the rules as a list of the kernel's
//! that grows, so that rules and their counters stay as they are: see [`List`].

mod files;
mod follow;
mod locate;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fracas_core::names::HostName;
use fracas_core::problem::{Result, codes};
use fracas_core::seed::Seed;
use fracas_core::target::{ProcessIdentity, Target};
use fracas_core::traffic::{Host, Peer};
use fracas_linux::inside::Inside;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::List;

use crate::bounded::bounded;
use crate::say::{gone, refuse};
pub(crate) use files::{fuzz, servers};
pub(crate) use follow::{Alarm, follow};
pub(crate) use locate::locate;

/// Hosts and where they are.
pub(crate) type Hosts = BTreeMap<HostName, Vec<IpAddr>>;
/// What has come of looking for some: of each either where it is, or why it was not found.
type Looked = BTreeMap<HostName, std::result::Result<BTreeSet<IpAddr>, Lost>>;

/// That it is not known where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    why: Why,
    words: String,
    /// Where it is surely, and more is not known. A fault may hit these, or leave them alone, but must not take them for all.
    part: BTreeSet<IpAddr>,
}

/// Why that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Somebody who must know says that it is nowhere.
    Nobody,
    /// Whoever was asked says that he cannot tell.
    Refused,
    /// Nobody has answered in time.
    Silent,
    /// It has more addresses than can be meant.
    Crowded,
}

impl Lost {
    fn new(why: Why, words: String) -> Self {
        Self {
            why,
            words,
            part: BTreeSet::new(),
        }
    }

    /// Whether it may be this host all the same, and no other is to be looked for in its place.
    fn is_it(&self) -> bool {
        !self.part.is_empty() || matches!(self.why, Why::Silent | Why::Crowded)
    }
}

/// So many names in one fault: all are looked for again and again.
const MOST_NAMES: usize = 16;
/// So many addresses of one name at once: all stand in one order to the worker.
const MOST_ADDRESSES: usize = 32;
/// How long looking for all of them may take.
const LOOKING: Duration = Duration::from_secs(5);
/// The same where it was found before, and something waits for it.
const AGAIN: Duration = Duration::from_millis(500);

/// The names among the hosts of these, each once.
pub(crate) fn names<'a>(peers: impl Iterator<Item = &'a Peer>) -> BTreeSet<HostName> {
    peers.filter_map(Peer::name).cloned().collect()
}

/// Those among them that are excepted from a fault: where these are must be known at any time, or it ends.
pub(crate) fn excepted(except: &[Peer]) -> BTreeSet<HostName> {
    names(except.iter())
}

/// The name of the list of a host: no name of a set has room for every name of a host.
pub(crate) fn list_name(name: &HostName) -> String {
    format!("host-{:016x}", Seed(0).draw("host", &name.to_string(), 0).0)
}

/// The lists of all of them.
pub(crate) fn lists(hosts: &Hosts) -> Vec<List> {
    let list = |(name, addresses): (&HostName, &Vec<IpAddr>)| List {
        name: list_name(name),
        addresses: addresses.clone(),
    };
    hosts.iter().map(list).collect()
}

/// The same with addresses in place of names. A name without any stays, and means nobody.
pub(crate) fn located(peers: &[Peer], hosts: &Hosts) -> Vec<Peer> {
    let mut all = Vec::new();
    for peer in peers {
        let addresses = peer.name().and_then(|name| hosts.get(name));
        match addresses.filter(|addresses| !addresses.is_empty()) {
            None => all.push(peer.clone()),
            Some(addresses) => all.extend(addresses.iter().map(|address| Peer {
                host: Some(Host::from(*address)),
                ..peer.clone()
            })),
        }
    }
    all
}

/// Where hosts are, for people; nothing where there are none.
pub(crate) fn words(hosts: &Hosts) -> String {
    let one = |(name, addresses): (&HostName, &Vec<IpAddr>)| format!("; {name} is at {} by now", joined(addresses));
    hosts.iter().map(one).collect::<Vec<_>>().concat()
}

fn joined<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    let all: Vec<String> = addresses.into_iter().map(IpAddr::to_string).collect();
    all.join(", ")
}

/// Looks for hosts, as far as the plan of a fault needs them: in this network namespace of the target's.
///
/// # Errors
/// F001 where there are too many of them, or one is not found; T004 where the target is gone.
pub(crate) async fn find(fault: &str, target: &Target, inside: u64, names: BTreeSet<HostName>) -> Result<Hosts> {
    if names.is_empty() {
        return Ok(Hosts::new());
    }
    if names.len() > MOST_NAMES {
        let why = format!("it has {} names of hosts, more than {MOST_NAMES}", names.len());
        return Err(refuse(fault, target, why).next("name fewer, or networks"));
    }
    let process = target.process().clone();
    let what = || format!("the hosts that {fault} of {target} names cannot be looked for");
    let looked = bounded(&codes::TARGET_READ, what, move || {
        look(&process, inside, &names, LOOKING)
    });
    let Some(looked) = looked.await? else {
        return Err(gone(fault, target));
    };
    let mut hosts = Hosts::new();
    for (name, found) in looked {
        match found {
            Ok(found) => hosts.insert(name, found.into_iter().collect()),
            Err(lost) => {
                let why = format!(
                    "the host `{name}` of `to` or `except` has no address that can be meant: {}",
                    lost.words
                );
                let next = "write a name that programs in the target can look for, or an address";
                return Err(refuse(fault, target, why).next(next));
            }
        };
    }
    Ok(hosts)
}

/// Looks for all of them. `None`: the target is gone, or lives in another network namespace by now.
pub(crate) fn look(
    process: &ProcessIdentity,
    inside: u64,
    names: &BTreeSet<HostName>,
    limit: Duration,
) -> io::Result<Option<Looked>> {
    let until = Instant::now() + limit;
    let (Some(there), Some(own)) = (NetNamespace::of(process)?, Inside::of(process)?) else {
        return Ok(None);
    };
    if there.inode() != inside {
        return Ok(None);
    }
    let known = files::Known::read(&own, names)?;
    let looked = there.within(|| {
        let find = |name: &HostName| (name.clone(), known.find(name, until).and_then(not_too_many));
        Ok(names.iter().map(find).collect())
    });
    looked.map(Some)
}

/// Looks for hosts where they are now, besides where they were. Gives those that were not found.
///
/// # Errors
/// The target cannot be looked at.
pub(crate) fn look_again(process: &ProcessIdentity, inside: u64, hosts: &mut Hosts) -> io::Result<BTreeSet<HostName>> {
    let mut lost = BTreeSet::new();
    if hosts.is_empty() {
        return Ok(lost);
    }
    let names = hosts.keys().cloned().collect();
    for (name, found) in look(process, inside, &names, AGAIN)?.unwrap_or_default() {
        let found = found.unwrap_or_else(|next| {
            lost.insert(name.clone());
            next.part
        });
        let all = hosts.entry(name).or_default();
        let new: Vec<IpAddr> = found.into_iter().filter(|one| !all.contains(one)).collect();
        all.extend(new);
    }
    Ok(lost)
}

fn not_too_many(found: BTreeSet<IpAddr>) -> std::result::Result<BTreeSet<IpAddr>, Lost> {
    if found.len() > MOST_ADDRESSES {
        return Err(Lost {
            why: Why::Crowded,
            words: format!("it has more than {MOST_ADDRESSES} addresses"),
            part: found,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(texts: &[&str]) -> Vec<Peer> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn hosts(all: &[(&str, &[&str])]) -> Hosts {
        let one = |(name, addresses): &(&str, &[&str])| {
            let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
            (name.parse().unwrap(), addresses)
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn addresses_stand_where_names_stood() {
        let said = peers(&["db:5432/tcp", "10.0.0.0/8", "other", "*:53"]);
        let known = hosts(&[("db", &["10.0.0.9", "2001:db8::7"]), ("other", &[])]);
        let expected = peers(&[
            "10.0.0.9:5432/tcp",
            "[2001:db8::7]:5432/tcp",
            "10.0.0.0/8",
            "other",
            "*:53",
        ]);
        assert_eq!(located(&said, &known), expected, "who is nowhere is not everybody");
        let all: Vec<String> = names(said.iter().chain(&said))
            .iter()
            .map(HostName::to_string)
            .collect();
        assert_eq!(all, ["db", "other"]);
    }

    #[test]
    fn a_list_has_a_name_of_its_own_that_fits() {
        let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
        let named = |text: &str| list_name(&text.parse().unwrap());
        assert!(named(&long).len() <= 32);
        assert_eq!(named("DB"), named("db"));
        assert_ne!(named("db"), named("db."));
    }

    #[test]
    fn more_addresses_than_can_be_meant_are_refused() {
        let some = |count: u32| (0..count).map(|number| IpAddr::from(number.to_be_bytes())).collect();
        assert!(not_too_many(some(32)).is_ok());
        let lost = not_too_many(some(33)).unwrap_err();
        assert!(
            lost.why == Why::Crowded && lost.words.contains("more than 32"),
            "{lost:?}"
        );
    }

    #[test]
    fn what_was_found_is_kept_in_the_ledger() {
        let known = hosts(&[("db.example.", &["10.0.0.9", "2001:db8::7"])]);
        let text = serde_json::to_string(&known).unwrap();
        assert_eq!(text, r#"{"db.example.":["10.0.0.9","2001:db8::7"]}"#);
        assert_eq!(serde_json::from_str::<Hosts>(&text).unwrap(), known);
        assert_eq!(words(&known), "; db.example. is at 10.0.0.9, 2001:db8::7 by now");
    }
}
