//! A table that is there as long as this process holds it.

use std::io;

use super::list::{self, List};
use super::read::Counter;
use super::rule::{Chain, Rule, Version};
use super::{Family, RULE_CHAIN, RULE_EXPRESSIONS, RULE_TABLE, RULE_USERDATA, SUBSYSTEM, header, kind, lease, write};
use crate::error::{Context, errno, invalid};
use crate::netlink::{Message, Netlink, Transaction};

/// The longest name of a table or chain of ours; the kernel takes 255 bytes (`NFT_NAME_MAXLEN`).
const LONGEST_NAME: usize = 64;
/// `NFTA_TABLE_NAME`, `NFTA_TABLE_FLAGS`, and `NFT_TABLE_F_OWNER`: since Linux 5.12.
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
pub(super) const OWNER: u32 = 2;
/// `NFTA_CHAIN_TABLE`, `_NAME`, `_HOOK`, `_POLICY`, `_TYPE`.
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
/// `NFTA_HOOK_HOOKNUM`, `_PRIORITY`.
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// What stands before a rule's number in its comment, and the type of the comment (`NFTNL_UDATA_RULE_COMMENT` in libnftnl).
pub(super) const COMMENT: &str = "fracas rule ";
const COMMENT_TYPE: u8 = 0;

/// How a rule can give packets to a queue: kernels have one or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueWay {
    /// The expression of nftables (`CONFIG_NFT_QUEUE`).
    Expression,
    /// The target of iptables (`CONFIG_NETFILTER_XT_TARGET_NFQUEUE`, `CONFIG_NFT_COMPAT`).
    Target,
}

/// A table of packet rules, in the network namespace in which it was made. It goes when this goes, and with the process.
#[derive(Debug)]
pub struct Table {
    pub(super) netlink: Netlink,
    pub(super) name: String,
    pub(super) families: &'static [Family],
    way: Option<QueueWay>,
    /// For each chain its name and which of its rules are counted.
    counted: Vec<(String, Vec<bool>)>,
}

/// One way to make a table, tried in this order.
type Attempt = (&'static [Family], QueueWay);

const BOTH: &[Family] = &[Family::Inet];
const EACH: &[Family] = &[Family::Ip, Family::Ip6];

impl Table {
    /// Makes a table of the family `inet` with these chains, in the network namespace of this thread; where the kernel cannot have these
    /// rules there, a table of this name in each of `ip` and `ip6`. All is there when this returns, or nothing.
    ///
    /// Queues must be listened to before: a packet that comes to a queue while its listener is still setting it up is lost.
    ///
    /// # Errors
    /// What cannot be a table; `EEXIST` where one of this name is there, `EPERM` where that one belongs to a socket, too; what the kernel
    /// refused, by the rule that it refused. A kernel before 5.12 refuses the table, for it knows no owners.
    pub fn make(name: &str, chains: &[Chain]) -> io::Result<Self> {
        Self::make_with(name, chains, &[])
    }

    /// As [`Table::make`], with these lists, which its rules may ask.
    ///
    /// # Errors
    /// As [`Table::make`].
    pub fn make_with(name: &str, chains: &[Chain], lists: &[List]) -> io::Result<Self> {
        let what = || format!("cannot make the table {name} of packet rules");
        check(name, chains, lists).context(what)?;
        let queues = chains.iter().flat_map(|chain| &chain.rules).any(Rule::queues);
        let attempts: &[Attempt] = if queues {
            &[
                (BOTH, QueueWay::Expression),
                (BOTH, QueueWay::Target),
                (EACH, QueueWay::Expression),
                (EACH, QueueWay::Target),
            ]
        } else {
            &[(BOTH, QueueWay::Expression), (EACH, QueueWay::Expression)]
        };
        Self::by_one_of(attempts, name, chains, lists)
            .context(what)
            .map(|table| Self {
                way: table.way.filter(|_| queues),
                ..table
            })
    }

    /// As [`Table::make`], with one way to give packets to queues and without a second family.
    pub(super) fn make_by(way: QueueWay, name: &str, chains: &[Chain]) -> io::Result<Self> {
        check(name, chains, &[])?;
        Self::by_one_of(&[(BOTH, way)], name, chains, &[])
    }

    /// As [`Table::make`], in these families, by whichever way to give packets to queues there is.
    #[cfg(test)]
    pub(super) fn make_in(families: &[Family], name: &str, chains: &[Chain]) -> io::Result<Self> {
        Self::make_in_with(families, name, chains, &[])
    }

    #[cfg(test)]
    pub(super) fn make_in_with(families: &[Family], name: &str, chains: &[Chain], lists: &[List]) -> io::Result<Self> {
        let families = if families == BOTH { BOTH } else { EACH };
        Self::by_one_of(
            &[(families, QueueWay::Expression), (families, QueueWay::Target)],
            name,
            chains,
            lists,
        )
    }

    fn by_one_of(attempts: &[Attempt], name: &str, chains: &[Chain], lists: &[List]) -> io::Result<Self> {
        let mut refused = Vec::new();
        for &(families, way) in attempts {
            // A socket for each: what a refused transaction leaves in it is nobody's.
            let mut netlink = Netlink::netfilter()?;
            match netlink.transact(transaction(name, chains, lists, families, way)?) {
                Ok(()) => {
                    let chains = chains.iter();
                    let counted = chains.map(|chain| (chain.name.clone(), counted(chain)));
                    return Ok(Self {
                        netlink,
                        name: name.to_owned(),
                        families,
                        way: Some(way),
                        counted: counted.collect(),
                    });
                }
                Err(error) if is_unknown(&error) => refused.push(error),
                Err(error) => return Err(error),
            }
        }
        let last = refused.pop().unwrap_or_else(|| invalid("there is no way to make it"));
        if refused.is_empty() {
            return Err(last);
        }
        let others: Vec<String> = refused.iter().map(ToString::to_string).collect();
        Err(last).context(|| format!("in none of {} ways: {}", refused.len() + 1, others.join("; ")))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The families that have a table of this name of ours: one, or two.
    pub fn families(&self) -> &[Family] {
        self.families
    }

    /// How its rules give packets to queues; `None`: none of them does.
    pub fn queue_way(&self) -> Option<QueueWay> {
        self.way
    }

    /// Removes all of its rules. The chains stay: as long as they do, what waits in a queue because of a rule goes on waiting, while the
    /// end of a chain drops it (`nf_queue_nf_hook_drop` in net/netfilter/nf_queue.c).
    pub fn clear(&mut self) -> io::Result<()> {
        let what = || format!("cannot remove the rules of the table {}", self.name);
        let mut transaction = Transaction::new(SUBSYSTEM);
        for family in self.families {
            let message = Message::new(kind(libc::NFT_MSG_DELRULE), 0, &header(family.number()));
            transaction.push(
                format!("the rules of {family}"),
                message.put_text(RULE_TABLE, &self.name),
            );
        }
        self.netlink.transact(transaction).context(what)
    }

    /// What its rules have counted so far: for each chain and each of its rules, as they were given; `None` for one that does not count.
    /// A rule that is in two families has the sum.
    ///
    /// # Errors
    /// Also if a rule is not there (any more).
    pub fn counters(&mut self) -> io::Result<Vec<Vec<Option<Counter>>>> {
        let what = || format!("cannot read the counters of the table {}", self.name);
        let found = self.netlink.rule_counters(&self.name).context(what)?;
        let chain = |(chain, rules): &(String, Vec<bool>)| {
            let rule = |(number, counted): (usize, &bool)| {
                if !counted {
                    return Ok(None);
                }
                let counter = found.get(&(chain.clone(), number)).copied().map(Some);
                counter.ok_or_else(|| invalid(format!("rule {number} of the chain {chain} is not there")))
            };
            rules.iter().enumerate().map(rule).collect::<io::Result<Vec<_>>>()
        };
        self.counted.iter().map(chain).collect::<io::Result<_>>().context(what)
    }
}

/// What a kernel says to what it does not have: an unknown expression or target is `ENOENT` (`nft_expr_type_get`), a family, flag or a
/// combination of them one of the others.
fn is_unknown(error: &io::Error) -> bool {
    let unknown = [
        libc::ENOENT,
        libc::EOPNOTSUPP,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
        libc::EINVAL,
    ];
    errno(error).is_some_and(|number| unknown.contains(&number))
}

fn counted(chain: &Chain) -> Vec<bool> {
    chain.rules.iter().map(|rule| rule.counted).collect()
}

fn transaction(
    name: &str,
    chains: &[Chain],
    lists: &[List],
    families: &[Family],
    way: QueueWay,
) -> io::Result<Transaction> {
    let mut transaction = Transaction::new(SUBSYSTEM);
    for &family in families {
        let head = header(family.number());
        transaction.push(
            format!("the table {family} {name}"),
            Message::new(kind(libc::NFT_MSG_NEWTABLE), CREATE, &head)
                .put_text(TABLE_NAME, name)
                .put_be32(TABLE_FLAGS, OWNER),
        );
        // Before the rules that ask for it.
        if chains.iter().flat_map(|chain| &chain.rules).any(Rule::asks_for_lease) {
            transaction.push(format!("the lease of {family}"), lease::set(name, family));
        }
        list::make(&mut transaction, name, family, lists);
        for chain in chains {
            transaction.push(
                format!("the chain {}", chain.name),
                Message::new(kind(libc::NFT_MSG_NEWCHAIN), CREATE, &head)
                    .put_text(CHAIN_TABLE, name)
                    .put_text(CHAIN_NAME, &chain.name)
                    .nest(CHAIN_HOOK, |hook| {
                        hook.put_be32(HOOK_NUMBER, u32::from(chain.hook.number()))
                            .put_be32(HOOK_PRIORITY, chain.priority as u32)
                    })
                    .put_be32(CHAIN_POLICY, libc::NF_ACCEPT as u32)
                    .put_text(CHAIN_TYPE, "filter"),
            );
        }
        for chain in chains {
            for (number, rule) in chain.rules.iter().enumerate() {
                // A table of one family has no rules about packets of the other.
                let strange = match rule.version()? {
                    Some(Version::V4) => family == Family::Ip6,
                    Some(Version::V6) => family == Family::Ip,
                    None => false,
                };
                if strange {
                    continue;
                }
                let flags = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
                transaction.push(
                    format!("rule {number} of the chain {}", chain.name),
                    Message::new(kind(libc::NFT_MSG_NEWRULE), flags, &head)
                        .put_text(RULE_TABLE, name)
                        .put_text(RULE_CHAIN, &chain.name)
                        .nest(RULE_EXPRESSIONS, |list| write::rule(list, rule, family, way))
                        .put(RULE_USERDATA, &comment(number)),
                );
            }
        }
    }
    Ok(transaction)
}

/// The number of a rule, as `nft` shows it and we find it again.
fn comment(number: usize) -> Vec<u8> {
    let text = format!("{COMMENT}{number}\0");
    [&[COMMENT_TYPE, text.len() as u8], text.as_bytes()].concat()
}

/// The number in the comment of a rule; `None`: it is none of ours.
pub(super) fn number(userdata: &[u8]) -> Option<usize> {
    let [COMMENT_TYPE, length, text @ ..] = userdata else {
        return None;
    };
    let text = text.get(..usize::from(*length))?.strip_suffix(&[0])?;
    std::str::from_utf8(text).ok()?.strip_prefix(COMMENT)?.parse().ok()
}

fn check(name: &str, chains: &[Chain], lists: &[List]) -> io::Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in std::iter::once(name).chain(chains.iter().map(|chain| chain.name.as_str())) {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= LONGEST_NAME;
        if !fits || !name.chars().all(letters) {
            return Err(invalid(format!(
                "{name:?} is no name of a table or chain of ours: a letter, then up to {} letters, digits, `_`, `-` and `.`",
                LONGEST_NAME - 1
            )));
        }
    }
    for chain in chains {
        if !seen.insert(&chain.name) {
            return Err(invalid(format!("two chains by the name {}", chain.name)));
        }
        for (number, rule) in chain.rules.iter().enumerate() {
            rule.version()
                .context(|| format!("rule {number} of the chain {}", chain.name))?;
        }
    }
    let rules: Vec<&Rule> = chains.iter().flat_map(|chain| &chain.rules).collect();
    list::check(&rules, lists)
}
