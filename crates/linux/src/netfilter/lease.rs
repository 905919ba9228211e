//! The lease of a table: what its rules do they do only as long as somebody renews it.
//!
//! The kernel removes a table with the process that holds it, but a process that is stopped, or hangs, holds it all the same. So a table
//! may have a set whose elements the kernel forgets after a while (`NFT_SET_TIMEOUT`), and rules that ask whether a packet's version of IP
//! is in it: nobody's death or stop can keep them on for longer.

use std::io;
use std::time::Duration;

use super::table::Table;
use super::{ELEMENT, Family, SUBSYSTEM, header, kind};
use crate::error::{Context, errno};
use crate::netlink::{Message, Netlink, Transaction, attributes};

/// The name of the set.
pub(super) const SET: &str = "lease";
/// `NFTA_SET_TABLE`, `_NAME`, `_FLAGS`, `_KEY_TYPE`, `_KEY_LEN`, `_ID`.
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_ID: u16 = 10;
/// How `nft` shows the elements: as families of protocols (`TYPE_NFPROTO` in its include/datatype.h). The kernel does not look at it.
const TYPE_NFPROTO: u32 = 2;
/// `NFTA_SET_ELEM_LIST_TABLE`, `_SET`, `_ELEMENTS`.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
/// `NFTA_SET_ELEM_KEY`, `_TIMEOUT`, and `NFTA_DATA_VALUE`.
const ELEMENT_KEY: u16 = 1;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;

/// The message that makes the set.
pub(super) fn set(table: &str, family: Family) -> Message {
    let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
    Message::new(kind(libc::NFT_MSG_NEWSET), flags, &header(family.number()))
        .put_text(SET_TABLE, table)
        .put_text(SET_NAME, SET)
        .put_be32(SET_FLAGS, libc::NFT_SET_TIMEOUT as u32)
        .put_be32(SET_KEY_TYPE, TYPE_NFPROTO)
        .put_be32(SET_KEY_LENGTH, 1)
        .put_be32(SET_ID, 1)
}

/// A message about both elements.
fn elements(message: i32, flags: i32, table: &str, family: Family, lasts: Option<Duration>) -> Message {
    Message::new(kind(message), flags as u16, &header(family.number()))
        .put_text(LIST_TABLE, table)
        .put_text(LIST_SET, SET)
        .nest(LIST_ELEMENTS, |mut list| {
            for version in [Family::Ip, Family::Ip6] {
                list = list.nest(ELEMENT, |element| {
                    let key = [version.number()];
                    let element = element.nest(ELEMENT_KEY, |value| value.put(DATA_VALUE, &key));
                    match lasts {
                        Some(lasts) => element.put_be64(ELEMENT_TIMEOUT, lasts.as_millis() as u64),
                        None => element,
                    }
                });
            }
            list
        })
}

impl Table {
    /// Makes the lease last so long from now on, whether it has run out or not. Only for a table whose rules ask for it.
    pub fn renew(&mut self, lasts: Duration) -> io::Result<()> {
        let what = || format!("cannot renew the lease of the table {}", self.name);
        // Kernels before 6.12 do not change how long an element lasts: it is removed and made again in one go.
        let again = self.leases(true, lasts);
        match self.netlink.transact(again) {
            // It had run out.
            Err(error) if errno(&error) == Some(libc::ENOENT) => {
                let first = self.leases(false, lasts);
                self.netlink.transact(first).context(what)
            }
            renewed => renewed.context(what),
        }
    }

    fn leases(&self, again: bool, lasts: Duration) -> Transaction {
        let mut transaction = Transaction::new(SUBSYSTEM);
        for &family in self.families {
            if again {
                let message = elements(libc::NFT_MSG_DELSETELEM, 0, &self.name, family, None);
                transaction.push(format!("the former lease of {family}"), message);
            }
            let message = elements(
                libc::NFT_MSG_NEWSETELEM,
                libc::NLM_F_CREATE,
                &self.name,
                family,
                Some(lasts),
            );
            transaction.push(format!("the lease of {family}"), message);
        }
        transaction
    }
}

impl Netlink {
    /// Whether there is a table by this name with a lease that has not run out.
    pub fn has_lease(&mut self, table: &str) -> io::Result<bool> {
        for family in [Family::Inet, Family::Ip, Family::Ip6] {
            let message = Message::new(kind(libc::NFT_MSG_GETSETELEM), 0, &header(family.number()))
                .put_text(LIST_TABLE, table)
                .put_text(LIST_SET, SET);
            let replies = match self.list(&message) {
                Err(error) if errno(&error) == Some(libc::ENOENT) => continue,
                replies => replies.context(|| format!("cannot read the lease of the table {table}"))?,
            };
            // What has run out is not listed (`nf_tables_dump_setelem`).
            for reply in replies
                .iter()
                .filter(|reply| reply.kind == kind(libc::NFT_MSG_NEWSETELEM))
            {
                for attribute in attributes(super::read::split(&reply.body)?.1) {
                    let attribute = attribute?;
                    if attribute.kind == LIST_ELEMENTS && attribute.nested().next().is_some() {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}
