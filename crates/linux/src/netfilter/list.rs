//! Lists of addresses that rules ask: sets of the kernel's that grow while the rules stay as they are, and their counters with them.
//!
//! A list is two sets, for an address of either version is a key of another length.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::rule::{Match, Rule, Version, version_of};
use super::table::Table;
use super::{ELEMENT, Family, SUBSYSTEM, header, kind};
use crate::error::{Context, errno, invalid};
use crate::netlink::{Message, Netlink, Transaction, attributes};

/// Addresses by a name that rules ask for them by ([`Match::Listed`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its name in the table.
    pub name: String,
    /// What is in it.
    pub addresses: Vec<IpAddr>,
}

/// `NFTA_SET_TABLE`, `_NAME`, `_FLAGS`, `_KEY_TYPE`, `_KEY_LEN`, `_ID`.
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_ID: u16 = 10;
/// The first of their numbers in a transaction, behind that of the lease.
const FIRST_ID: u32 = 2;
/// How `nft` shows the elements (`TYPE_IPADDR` and `TYPE_IP6ADDR` in its include/datatype.h). The kernel does not look at it.
const TYPE_V4: u32 = 7;
const TYPE_V6: u32 = 8;
/// `NFTA_SET_ELEM_LIST_TABLE`, `_SET`, `_ELEMENTS`, `NFTA_SET_ELEM_KEY` and `NFTA_DATA_VALUE`.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const DATA_VALUE: u16 = 1;
/// So many elements in one message: an attribute is shorter than 64 KiB.
const AT_ONCE: usize = 512;

/// The name of the set of this version.
pub(super) fn set(list: &str, version: Version) -> String {
    match version {
        Version::V4 => format!("{list}-v4"),
        Version::V6 => format!("{list}-v6"),
    }
}

/// A table of one family has no sets for the other one.
fn versions(family: Family) -> &'static [Version] {
    match family {
        Family::Ip => &[Version::V4],
        Family::Ip6 => &[Version::V6],
        _ => &[Version::V4, Version::V6],
    }
}

/// The messages that make the sets, and fill them.
pub(super) fn make(transaction: &mut Transaction, table: &str, family: Family, lists: &[List]) {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    let mut ids = FIRST_ID..;
    for list in lists {
        for &version in versions(family) {
            let (key_type, length) = match version {
                Version::V4 => (TYPE_V4, 4),
                Version::V6 => (TYPE_V6, 16),
            };
            let message = Message::new(kind(libc::NFT_MSG_NEWSET), flags, &header(family.number()))
                .put_text(SET_TABLE, table)
                .put_text(SET_NAME, &set(&list.name, version))
                .put_be32(SET_FLAGS, 0)
                .put_be32(SET_KEY_TYPE, key_type)
                .put_be32(SET_KEY_LENGTH, length)
                .put_be32(SET_ID, ids.next().unwrap_or(u32::MAX));
            transaction.push(format!("the list {} of {family}", list.name), message);
        }
        fill(transaction, table, family, list);
    }
}

/// The messages that put addresses into the sets; those that are there already stay.
fn fill(transaction: &mut Transaction, table: &str, family: Family, list: &List) {
    for &version in versions(family) {
        let of: Vec<IpAddr> = list
            .addresses
            .iter()
            .copied()
            .filter(|address| version_of(*address) == version)
            .collect();
        for some in of.chunks(AT_ONCE) {
            let message = Message::new(
                kind(libc::NFT_MSG_NEWSETELEM),
                libc::NLM_F_CREATE as u16,
                &header(family.number()),
            )
            .put_text(LIST_TABLE, table)
            .put_text(LIST_SET, &set(&list.name, version))
            .nest(LIST_ELEMENTS, |mut elements| {
                for address in some {
                    elements = elements.nest(ELEMENT, |element| {
                        element.nest(ELEMENT_KEY, |value| value.put(DATA_VALUE, &octets(*address)))
                    });
                }
                elements
            });
            transaction.push(format!("addresses of the list {}", list.name), message);
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Refuses rules that ask for a list which nobody has given, and lists whose names are none.
pub(super) fn check(rules: &[&Rule], lists: &[List]) -> io::Result<()> {
    let mut names = BTreeSet::new();
    for list in lists {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let fits = list.name.starts_with(|c: char| c.is_ascii_alphabetic()) && list.name.len() <= LONGEST_NAME;
        if !fits || !list.name.chars().all(letters) || !names.insert(list.name.as_str()) {
            return Err(invalid(format!("{:?} is no name of a list, or of two", list.name)));
        }
    }
    let asked = rules.iter().flat_map(|rule| &rule.matches);
    for one in asked {
        if let Match::Listed { list, .. } = one
            && !names.contains(list.as_str())
        {
            return Err(invalid(format!(
                "a rule asks for the list {list:?}, which is not there"
            )));
        }
    }
    Ok(())
}

/// The longest name of a list.
const LONGEST_NAME: usize = 32;

impl Table {
    /// Puts addresses into a list that the table was made with. Those that are there already stay.
    pub fn add(&mut self, list: &List) -> io::Result<()> {
        if list.addresses.is_empty() {
            return Ok(());
        }
        let what = || format!("cannot add to the list {} of the table {}", list.name, self.name);
        let mut transaction = Transaction::new(SUBSYSTEM);
        for &family in self.families {
            fill(&mut transaction, &self.name, family, list);
        }
        self.netlink.transact(transaction).context(what)
    }
}

impl Netlink {
    /// What is in a list of the table by this name. Where there is no such list, nothing.
    pub fn listed(&mut self, table: &str, list: &str) -> io::Result<BTreeSet<IpAddr>> {
        let what = || format!("cannot read the list {list} of the table {table}");
        let mut found = BTreeSet::new();
        for family in [Family::Inet, Family::Ip, Family::Ip6] {
            for &version in versions(family) {
                let message = Message::new(kind(libc::NFT_MSG_GETSETELEM), 0, &header(family.number()))
                    .put_text(LIST_TABLE, table)
                    .put_text(LIST_SET, &set(list, version));
                let replies = match self.list(&message) {
                    Err(error) if errno(&error) == Some(libc::ENOENT) => continue,
                    replies => replies.context(what)?,
                };
                for reply in replies
                    .iter()
                    .filter(|reply| reply.kind == kind(libc::NFT_MSG_NEWSETELEM))
                {
                    parse(&reply.body, &mut found).context(what)?;
                }
            }
        }
        Ok(found)
    }
}

/// Reads the addresses in the body of an `NFT_MSG_NEWSETELEM` message.
fn parse(body: &[u8], found: &mut BTreeSet<IpAddr>) -> io::Result<()> {
    for attribute in attributes(super::read::split(body)?.1) {
        let attribute = attribute?;
        if attribute.kind != LIST_ELEMENTS {
            continue;
        }
        for element in attribute.nested() {
            for part in element?.nested() {
                let part = part?;
                if part.kind != ELEMENT_KEY {
                    continue;
                }
                for value in part.nested() {
                    let value = value?;
                    if value.kind == DATA_VALUE {
                        found.insert(address(value.value)?);
                    }
                }
            }
        }
    }
    Ok(())
}

fn address(bytes: &[u8]) -> io::Result<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes);
    sixteen
        .map(|sixteen| Ipv6Addr::from(sixteen).into())
        .map_err(|_| invalid(format!("an address of {} bytes", bytes.len())))
}

/// Reads whatever it is. For the fuzzer.
pub(super) fn fuzz(body: &[u8]) {
    let _refused = parse(body, &mut BTreeSet::new());
}
