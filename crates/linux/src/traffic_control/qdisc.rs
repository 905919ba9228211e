//! Qdiscs: what a link sends from.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::netem::Netem;
use super::{header, split};
use crate::error::{Context, invalid};
use crate::netlink::{Attribute, Message, Netlink, attributes};

/// `TC_H_ROOT`: the parent of what a link sends from.
pub const ROOT: Handle = Handle(0xffff_ffff);
/// `TC_H_CLSACT`: the parent of what holds filters beside that. `ingress`, which is older, has the same place.
pub const CLSACT: Handle = Handle(0xffff_fff1);

/// `TCA_STATS2`, and in it `TCA_STATS_QUEUE`: `struct gnet_stats_queue`, of whose numbers the first is how many wait and the third how
/// many were lost.
const STATISTICS: u16 = 7;
const QUEUE: u16 = 3;

/// The number of a qdisc or a class: `major:minor`, where a qdisc has the minor 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// The number of a class; with the minor 0 that of a qdisc.
    pub fn new(major: u16, minor: u16) -> Self {
        Self(u32::from(major) << 16 | u32::from(minor))
    }
}

impl fmt::Display for Handle {
    /// As tc(8) writes it: hexadecimal, without the minor of a qdisc.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (*self, self.0 >> 16, self.0 & 0xffff) {
            (ROOT, ..) => f.write_str("root"),
            (CLSACT, ..) => f.write_str("clsact"),
            (_, major, 0) => write!(f, "{major:x}:"),
            (_, major, minor) => write!(f, "{major:x}:{minor:x}"),
        }
    }
}

/// A qdisc of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Qdisc {
    /// The number of the link.
    pub link: u32,
    /// Its own number. 0 for what the kernel gave the link by itself.
    pub handle: Handle,
    /// [`ROOT`], [`CLSACT`], or the class that it belongs to.
    pub parent: Handle,
    /// `netem`, `htb`, `clsact` …
    pub kind: String,
    /// How it is set, where that is known here.
    pub options: Options,
    /// How many packets wait in it.
    pub waiting: u32,
    /// How many it has lost, because it should or for want of room. The number begins again behind the largest.
    pub lost: u32,
}

/// How a qdisc is set.
#[derive(Debug, Clone, PartialEq)]
pub enum Options {
    /// Not known here.
    Other,
    /// As this.
    Netem(Netem),
}

impl Qdisc {
    /// Reads the body of an `RTM_NEWQDISC` message.
    pub fn parse(body: &[u8]) -> io::Result<Self> {
        let ([link, handle, parent, _], rest) = split(body)?;
        let (mut kind, mut options, mut queue) = (String::new(), None, (0, 0));
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                libc::TCA_KIND => kind = attribute.text(),
                libc::TCA_OPTIONS => options = Some(attribute.value),
                STATISTICS => queue = waiting_and_lost(&attribute)?,
                _ => {}
            }
        }
        Ok(Self {
            link,
            handle: Handle(handle),
            parent: Handle(parent),
            options: match options {
                Some(bytes) if kind == Netem::KIND => Options::Netem(Netem::parse(bytes)?),
                _ => Options::Other,
            },
            kind,
            waiting: queue.0,
            lost: queue.1,
        })
    }
}

fn waiting_and_lost(statistics: &Attribute<'_>) -> io::Result<(u32, u32)> {
    for attribute in statistics.nested() {
        let attribute = attribute?;
        if attribute.kind == QUEUE {
            let number = |at: usize| {
                let bytes = attribute.value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                let bytes =
                    bytes.ok_or_else(|| invalid(format!("a queue's numbers of {} bytes", attribute.value.len())));
                bytes.map(u32::from_ne_bytes)
            };
            return Ok((number(0)?, number(8)?));
        }
    }
    Ok((0, 0))
}

impl Netlink {
    /// The qdiscs of a link.
    pub fn qdiscs(&mut self, link: u32) -> io::Result<Vec<Qdisc>> {
        let what = || format!("cannot list the queues of link {link}");
        let replies = self
            .list(&Message::new(libc::RTM_GETQDISC, 0, &header(link, 0, 0, 0)))
            .context(what)?;
        let all = replies.iter().filter(|reply| reply.kind == libc::RTM_NEWQDISC);
        let all: io::Result<Vec<_>> = all.map(|reply| Qdisc::parse(&reply.body)).collect();
        // The kernel lists those of every link, whichever is asked for (`tc_dump_qdisc` in net/sched/sch_api.c).
        Ok(all
            .context(what)?
            .into_iter()
            .filter(|qdisc| qdisc.link == link)
            .collect())
    }

    /// Adds a place for filters beside what the link sends from. The kernel stops the link for a moment, as for every qdisc.
    ///
    /// # Errors
    /// `EEXIST`: there is one, or an `ingress`.
    pub fn add_clsact(&mut self, link: u32) -> io::Result<()> {
        let handle = Handle::new(0xffff, 0);
        let message = added(link, handle, CLSACT).put_text(libc::TCA_KIND, "clsact");
        self.request(message)
            .context(|| format!("cannot add clsact to link {link}"))
            .map(drop)
    }

    /// Adds a netem, where there is none with a number. What the kernel gave the link by itself is put aside and comes back after it.
    ///
    /// # Errors
    /// `EEXIST`: there is a qdisc that somebody made. `ENOENT`: this kernel has no netem.
    pub fn add_netem(&mut self, link: u32, handle: Handle, parent: Handle, netem: &Netem) -> io::Result<()> {
        self.request(netem.put(added(link, handle, parent)))
            .context(|| format!("cannot add the netem {handle} to link {link}"))
            .map(drop)
    }

    /// Removes the qdisc with this number and this parent, and with it all that is below it.
    pub fn remove_qdisc(&mut self, link: u32, handle: Handle, parent: Handle) -> io::Result<()> {
        let fixed = header(link, handle.0, parent.0, 0);
        self.request(Message::new(libc::RTM_DELQDISC, 0, &fixed))
            .context(|| format!("cannot remove the queue {handle} of link {link}"))
            .map(drop)
    }
}

fn added(link: u32, handle: Handle, parent: Handle) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Message::new(libc::RTM_NEWQDISC, flags as u16, &header(link, handle.0, parent.0, 0))
}
