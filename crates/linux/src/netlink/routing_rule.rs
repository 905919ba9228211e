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
    /// Whether any rule of routing, of either version of IP, tells packets with this mark from those without a mark.
    pub fn rules_tell(&mut self, mark: u32) -> io::Result<bool> {
        Ok(self.asked_marks()?.into_iter().any(|asked| asked.tells(mark)))
    }

    /// Which bits of a packet's mark any rule of routing looks at, of both versions of IP.
    pub fn rule_marks(&mut self) -> io::Result<u32> {
        Ok(self.asked_marks()?.into_iter().fold(0, |bits, asked| bits | asked.mask))
    }

    /// What all rules ask of marks.
    fn asked_marks(&mut self) -> io::Result<Vec<Asked>> {
        let what = || "cannot list the rules of routing".to_owned();
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut fixed = [0; HEADER];
            fixed[0] = family as u8;
            let replies = match self.list(&Message::new(libc::RTM_GETRULE, 0, &fixed)) {
                // A kernel without such rules, or without IPv6.
                Err(error) if is_unknown(&error) => continue,
                replies => replies.context(what)?,
            };
            for reply in replies.iter().filter(|reply| reply.kind == libc::RTM_NEWRULE) {
                all.push(asked(reply.body.get(HEADER..).unwrap_or(&[])).context(what)?);
            }
        }
        Ok(all)
    }
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(
        crate::error::errno(error),
        Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT)
    )
}

/// What one rule asks of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    mark: u32,
    /// The bits that it looks at.
    mask: u32,
}

impl Asked {
    /// Whether it is another answer for this mark than for none (`fib_rule_match` in net/core/fib_rules.c). That a rule may be turned round
    /// changes nothing.
    fn tells(self, mark: u32) -> bool {
        let matches = |mark: u32| (self.mark ^ mark) & self.mask == 0;
        matches(mark) != matches(0)
    }
}

/// What one rule asks; without a mask it looks at all bits (`fib_nl2rule` in net/core/fib_rules.c).
fn asked(rule: &[u8]) -> io::Result<Asked> {
    let (mut mark, mut mask) = (None, None);
    for attribute in attributes(rule) {
        let attribute = attribute?;
        match attribute.kind {
            MARK => mark = Some(attribute.u32()?),
            MASK => mask = Some(attribute.u32()?),
            _ => {}
        }
    }
    let all = if mark.is_some() { u32::MAX } else { 0 };
    Ok(Asked {
        mark: mark.unwrap_or(0),
        mask: mask.unwrap_or(all),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a rule with these attributes asks.
    fn rule(attributes: &[(u16, u32)]) -> Asked {
        let bytes: Vec<u8> = attributes
            .iter()
            .flat_map(|(kind, value)| {
                let head = [8_u16.to_ne_bytes(), kind.to_ne_bytes()].concat();
                [head, value.to_ne_bytes().to_vec()].concat()
            })
            .collect();
        asked(&bytes).unwrap()
    }

    #[test]
    fn a_rule_tells_a_mark_from_none_by_the_bits_that_it_looks_at() {
        let ours = 0x1ff0_0000;
        assert_eq!(rule(&[]), Asked { mark: 0, mask: 0 });
        assert!(!rule(&[]).tells(ours), "it asks for no mark");
        // Neither packet has it, also with `not`, as those of WireGuard are.
        assert!(!rule(&[(MARK, 0x7)]).tells(ours));
        assert!(!rule(&[(MARK, 0x7), (MASK, 0xff)]).tells(ours));
        assert!(!rule(&[(MARK, 0), (MASK, 0xff)]).tells(ours));
        assert!(rule(&[(MARK, 0), (MASK, u32::MAX)]).tells(ours));
        assert!(rule(&[(MARK, ours)]).tells(ours));
        assert!(rule(&[(MARK, 0x10_0000), (MASK, 0x10_0000)]).tells(ours));
    }
}
