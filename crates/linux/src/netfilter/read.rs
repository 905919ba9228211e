//! Reading: which tables are there, what the rules of one have counted, and which queues any rule uses.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::table::{OWNER, number};
use super::{
    ELEMENT, EXPRESSION_DATA, EXPRESSION_NAME, Family, RULE_CHAIN, RULE_EXPRESSIONS, RULE_TABLE, RULE_USERDATA, header,
    kind,
};
use crate::error::{Context, invalid};
use crate::netlink::{Message, Netlink, Reply, attributes};

/// `struct nfgenmsg`.
const HEADER: usize = 4;

/// A table of packet rules, of anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Whose packets it sees.
    pub family: Family,
    /// Its name, which it has alone in its family.
    pub name: String,
    /// The kernel's flags (`NFT_TABLE_F_DORMANT` …).
    pub flags: u32,
    /// The netlink port of the socket that it belongs to; `None`: nobody's in particular.
    pub owner: Option<u32>,
}

/// The tables that iptables(8) has made in its older way in the network namespace of this thread: what their rules say is not read here.
pub fn older_tables() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in ["ip_tables_names", "ip6_tables_names"] {
        match std::fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
            Ok(text) => names.extend(text.lines().map(str::to_owned)),
            // A kernel without them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(|| format!("cannot read /proc/thread-self/net/{file}")),
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// What a rule has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// Packets that matched.
    pub packets: u64,
    /// Their bytes, from the header of IP on.
    pub bytes: u64,
}

/// A rule, as far as it is read.
#[derive(Debug, PartialEq, Eq)]
struct RuleInfo {
    family: Family,
    table: String,
    chain: String,
    /// Its number in a chain of ours.
    number: Option<usize>,
    counter: Option<Counter>,
    /// The first queue that it may give packets to, and how many follow.
    queues: Option<(u16, u16)>,
    /// Whether it asks who sent the packet: the user, the group, the control group or the socket.
    asks_for_sender: bool,
}

impl Netlink {
    /// All tables of packet rules in the namespace. For a connection made by [`Netlink::netfilter`]. What iptables(8) makes in its older
    /// way is no table here.
    ///
    /// # Errors
    /// `EINVAL` also from a kernel without nftables.
    pub fn tables(&mut self) -> io::Result<Vec<TableInfo>> {
        let what = || "cannot list the tables of packet rules".to_owned();
        let all = header(libc::AF_UNSPEC as u8);
        let replies = self
            .list(&Message::new(kind(libc::NFT_MSG_GETTABLE), 0, &all))
            .context(what)?;
        let tables = of_kind(&replies, libc::NFT_MSG_NEWTABLE);
        tables.map(|body| TableInfo::parse(body).context(what)).collect()
    }

    /// Whether there is a table by this name, in any family.
    pub fn has_table(&mut self, name: &str) -> io::Result<bool> {
        Ok(self.tables()?.iter().any(|table| table.name == name))
    }

    /// What the rules of the tables by this name of the families of IP have counted, by chain and number, as they were given to
    /// [`Table::make`](super::Table::make). A rule that is in two families has the sum. Nothing where there is no such table.
    pub fn rule_counters(&mut self, table: &str) -> io::Result<BTreeMap<(String, usize), Counter>> {
        let mut counters = BTreeMap::<_, Counter>::new();
        // Of several tables by one name the kernel lists the first only (`nf_tables_dump_rules`).
        for family in [Family::Inet, Family::Ip, Family::Ip6] {
            for rule in self.rules(family.number(), Some(table))? {
                // The kernel may be too old to leave out the others.
                if rule.table != table || rule.family != family {
                    continue;
                }
                if let (Some(number), Some(counter)) = (rule.number, rule.counter) {
                    let sum = counters.entry((rule.chain, number)).or_default();
                    sum.packets = sum.packets.saturating_add(counter.packets);
                    sum.bytes = sum.bytes.saturating_add(counter.bytes);
                }
            }
        }
        Ok(counters)
    }

    /// The queues that any rule of nftables may give packets to, whether anybody listens there or not.
    pub fn queues_of_rules(&mut self) -> io::Result<BTreeSet<u16>> {
        let rules = self.rules(libc::AF_UNSPEC as u8, None)?;
        let ranges = rules.iter().filter_map(|rule| rule.queues);
        Ok(ranges
            .flat_map(|(first, more)| first..=first.saturating_add(more))
            .collect())
    }

    /// The first queue that a rule of the table by this name gives packets to. `None`: there is no such table, or none of its rules does.
    pub fn queue_of_table(&mut self, table: &str) -> io::Result<Option<u16>> {
        for family in [Family::Inet, Family::Ip, Family::Ip6] {
            let rules = self.rules(family.number(), Some(table))?;
            // The kernel may be too old to leave out the others.
            let mut own = rules.iter().filter(|rule| rule.table == table);
            if let Some((first, _)) = own.find_map(|rule| rule.queues) {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Whether any rule of nftables in the namespace asks who sent a packet: what is sent again has another sender. Rules that iptables(8)
    /// made in its older way are not seen.
    pub fn rules_ask_for_sender(&mut self) -> io::Result<bool> {
        let rules = self.rules(libc::AF_UNSPEC as u8, None)?;
        Ok(rules.iter().any(|rule| rule.asks_for_sender))
    }

    fn rules(&mut self, family: u8, table: Option<&str>) -> io::Result<Vec<RuleInfo>> {
        let what = || "cannot list packet rules".to_owned();
        let mut message = Message::new(kind(libc::NFT_MSG_GETRULE), 0, &header(family));
        if let Some(table) = table {
            message = message.put_text(RULE_TABLE, table);
        }
        let replies = self.list(&message).context(what)?;
        let rules = of_kind(&replies, libc::NFT_MSG_NEWRULE);
        rules.map(|body| RuleInfo::parse(body).context(what)).collect()
    }
}

fn of_kind(replies: &[Reply], message: i32) -> impl Iterator<Item = &[u8]> {
    let kind = kind(message);
    let found = replies.iter().filter(move |reply| reply.kind == kind);
    found.map(|reply| reply.body.as_slice())
}

/// The family and the attributes of a message.
pub(super) fn split(body: &[u8]) -> io::Result<(Family, &[u8])> {
    match body.split_first_chunk::<HEADER>() {
        Some((header, rest)) => Ok((Family::from_number(header[0]), rest)),
        None => Err(invalid(format!("a message of {} bytes about packet rules", body.len()))),
    }
}

impl TableInfo {
    /// Reads the body of an `NFT_MSG_NEWTABLE` message.
    fn parse(body: &[u8]) -> io::Result<Self> {
        let (family, rest) = split(body)?;
        let (mut name, mut flags, mut owner) = (None, 0, None);
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                1 => name = Some(attribute.text()),
                2 => flags = attribute.be32()?,
                7 => owner = Some(attribute.be32()?),
                _ => {}
            }
        }
        Ok(Self {
            family,
            name: name.ok_or_else(|| invalid("a table without a name"))?,
            flags,
            owner,
        })
    }

    /// Whether it belongs to a socket.
    pub fn is_owned(&self) -> bool {
        self.flags & OWNER != 0
    }
}

impl RuleInfo {
    /// Reads the body of an `NFT_MSG_NEWRULE` message.
    fn parse(body: &[u8]) -> io::Result<Self> {
        let (family, rest) = split(body)?;
        let mut rule = Self {
            family,
            table: String::new(),
            chain: String::new(),
            number: None,
            counter: None,
            queues: None,
            asks_for_sender: false,
        };
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                RULE_TABLE => rule.table = attribute.text(),
                RULE_CHAIN => rule.chain = attribute.text(),
                RULE_USERDATA => rule.number = number(attribute.value),
                RULE_EXPRESSIONS => {
                    for expression in attribute.nested() {
                        let expression = expression?;
                        if expression.kind == ELEMENT {
                            rule.expression(expression.value)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(rule)
    }

    fn expression(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut name, mut data) = (String::new(), &[][..]);
        for attribute in attributes(bytes) {
            let attribute = attribute?;
            match attribute.kind {
                EXPRESSION_NAME => name = attribute.text(),
                EXPRESSION_DATA => data = attribute.value,
                _ => {}
            }
        }
        match name.as_str() {
            "counter" => self.counter = Some(Counter::parse(data)?),
            "queue" => self.queues = queue(data)?,
            "target" => self.queues = queue_target(data)?.or(self.queues),
            "socket" => self.asks_for_sender = true,
            "meta" => self.asks_for_sender |= is_of_sender(data)?,
            "match" => {
                let name = first_text(data)?;
                self.asks_for_sender |= matches!(name.as_str(), "owner" | "cgroup" | "socket");
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the expression `meta` reads `NFT_META_SKUID`, `_SKGID` or `_CGROUP`: its key is attribute 2.
fn is_of_sender(data: &[u8]) -> io::Result<bool> {
    for attribute in attributes(data) {
        let attribute = attribute?;
        if attribute.kind == 2 {
            return Ok(matches!(attribute.be32()?, 10 | 11 | 23));
        }
    }
    Ok(false)
}

/// The name of a match of iptables, attribute 1.
fn first_text(data: &[u8]) -> io::Result<String> {
    for attribute in attributes(data) {
        let attribute = attribute?;
        if attribute.kind == 1 {
            return Ok(attribute.text());
        }
    }
    Ok(String::new())
}

impl Counter {
    fn parse(data: &[u8]) -> io::Result<Self> {
        let mut counter = Self::default();
        for attribute in attributes(data) {
            let attribute = attribute?;
            match attribute.kind {
                1 => counter.bytes = attribute.be64()?,
                2 => counter.packets = attribute.be64()?,
                _ => {}
            }
        }
        Ok(counter)
    }
}

/// The queues of the expression `queue`; `None`: the packet itself says which.
fn queue(data: &[u8]) -> io::Result<Option<(u16, u16)>> {
    let (mut first, mut count) = (None, 1);
    for attribute in attributes(data) {
        let attribute = attribute?;
        match attribute.kind {
            1 => first = Some(attribute.be16()?),
            2 => count = attribute.be16()?,
            _ => {}
        }
    }
    Ok(first.map(|first| (first, count.saturating_sub(1))))
}

/// The queues of a target of iptables; `None`: it is another target. Its number stands first and, since its revision 1, how many there
/// are (include/uapi/linux/netfilter/xt_NFQUEUE.h).
fn queue_target(data: &[u8]) -> io::Result<Option<(u16, u16)>> {
    let (mut name, mut revision, mut info) = (String::new(), 0, &[][..]);
    for attribute in attributes(data) {
        let attribute = attribute?;
        match attribute.kind {
            1 => name = attribute.text(),
            2 => revision = attribute.be32()?,
            3 => info = attribute.value,
            _ => {}
        }
    }
    let number = |at: usize| Some(u16::from_ne_bytes(*info.get(at..)?.first_chunk()?));
    let Some(first) = number(0).filter(|_| name == "NFQUEUE") else {
        return Ok(None);
    };
    let count = if revision == 0 { 1 } else { number(2).unwrap_or(1) };
    Ok(Some((first, count.saturating_sub(1))))
}

/// Reads whatever it is, in every way that there is here. For the fuzzer.
pub(crate) fn fuzz(body: &[u8]) {
    let _refused = (TableInfo::parse(body), RuleInfo::parse(body));
    super::list::fuzz(body);
    let _none = number(body);
}
