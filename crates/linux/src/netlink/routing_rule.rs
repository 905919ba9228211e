//! Rules of routing that look at marks (ip-rule(8), include/uapi/linux/fib_rules.h).

use std::io;

use super::attribute::attributes;
use super::message::Message;
use super::socket::Netlink;
use crate::error::Context;

/// `struct fib_rule_hdr`, and of its attributes `FRA_FWMARK` and `FRA_FWMASK`.
const HEADER: usize = 12;
const MARK: u16 = 10;
const MASK: u16 = 16;

impl Netlink {
    /// Which bits of a packet's mark any rule of routing looks at, of both versions of IP.
    pub fn rule_marks(&mut self) -> io::Result<u32> {
        let what = || "cannot list the rules of routing".to_owned();
        let mut bits = 0;
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut fixed = [0; HEADER];
            fixed[0] = family as u8;
            let replies = match self.list(&Message::new(libc::RTM_GETRULE, 0, &fixed)) {
                // A kernel without such rules, or without IPv6.
                Err(error) if is_unknown(&error) => continue,
                replies => replies.context(what)?,
            };
            for reply in replies.iter().filter(|reply| reply.kind == libc::RTM_NEWRULE) {
                bits |= looks_at(reply.body.get(HEADER..).unwrap_or(&[])).context(what)?;
            }
        }
        Ok(bits)
    }
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(
        crate::error::errno(error),
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
    )
}

/// The bits that one rule looks at; without a mask all of them (`fib_nl2rule` in net/core/fib_rules.c).
pub(super) fn looks_at(rule: &[u8]) -> io::Result<u32> {
    let (mut mark, mut mask) = (None, None);
    for attribute in attributes(rule) {
        let attribute = attribute?;
        match attribute.kind {
            MARK => mark = Some(attribute.u32()?),
            MASK => mask = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok(match (mark, mask) {
        (_, Some(mask)) => mask,
        (Some(_), None) => u32::MAX,
        (None, None) => 0,
    })
}
