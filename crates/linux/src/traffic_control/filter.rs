//! Filters that send what they match to another link: `bpf` with the action `mirred` (net/sched/cls_bpf.c, net/sched/act_mirred.c).

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::program::Program;
use super::qdisc::{CLSACT, Handle};
use super::{header, split};
use crate::error::{Context, invalid};
use crate::netlink::{Attribute, Message, Netlink, attributes};

const KIND: &str = "bpf";
/// `TCA_BPF_ACT`, `TCA_BPF_OPS_LEN` and `TCA_BPF_OPS`.
const ACTIONS: u16 = 1;
const LENGTH: u16 = 4;
const INSTRUCTIONS: u16 = 5;
/// In an action: `TCA_ACT_KIND`, `TCA_ACT_OPTIONS` and `TCA_ACT_COOKIE`.
const ACTION_KIND: u16 = 1;
const ACTION_OPTIONS: u16 = 2;
const ACTION_STATISTICS: u16 = 4;
const ACTION_COOKIE: u16 = 6;
/// `TCA_STATS_BASIC`: `struct gnet_stats_basic`, bytes in eight bytes and packets in four.
const BASIC: u16 = 1;
/// `TCA_MIRRED_PARMS`: `struct tc_mirred`, seven numbers.
const MIRRED: &str = "mirred";
const MIRRED_PARAMETERS: u16 = 2;
const MIRRED_LENGTH: usize = 28;
/// `TC_ACT_STOLEN`: the packet goes nowhere else. `TCA_EGRESS_REDIR`: it leaves by the other link.
const STOLEN: u32 = 4;
const REDIRECT: u32 = 1;
/// `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS`.
const INGRESS: u32 = 0xfff2;
const EGRESS: u32 = 0xfff3;

/// On which side of a link a filter looks at packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What came in.
    Ingress,
    /// What is about to leave, before it waits in the link's own queue.
    Egress,
}

/// What the kernel keeps with an action for whoever made it, and shows to everybody: by this it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cookie(pub [u8; 16]);

impl fmt::Display for Cookie {
    /// As tc(8) writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A filter in the `clsact` of a link. One of another kind has no program, as far as is told here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The number of the link whose packets it looks at. Of a block of filters that several links share it is none
    /// (`TCM_IFINDEX_MAGIC_BLOCK`).
    pub link: u32,
    /// On which side.
    pub side: Side,
    /// Its place: lower ones are asked first. Several of one place are asked by their handles.
    pub priority: u16,
    /// Its number among those of its place.
    pub handle: u32,
    /// `bpf`, `u32`, `flower` …
    pub kind: String,
    /// What it looks for. `None`: it does so in another way.
    pub program: Option<Program>,
    /// The number of the link that packets are sent to, by the first action that does so. `None`: it does something else with them, as
    /// far as this kind of filter is known here.
    pub to: Option<u32>,
    /// Who made its action, of a `bpf` that has only one.
    pub cookie: Option<Cookie>,
    /// How many packets its action has met, each as it leaves: what is not cut up yet counts as often as it will be.
    pub packets: u64,
}

impl Side {
    fn parent(self) -> Handle {
        let minor = match self {
            Self::Ingress => INGRESS,
            Self::Egress => EGRESS,
        };
        Handle(CLSACT.0 & 0xffff_0000 | minor)
    }
}

impl Filter {
    /// Reads the body of an `RTM_NEWTFILTER` message, told when this side of a link was asked for. `None`: it says only that there are
    /// filters of a kind at a place.
    ///
    /// Filters of a block that several links share have the number of the block in the place of their parent (`tcf_fill_node` in
    /// net/sched/cls_api.c): they look at packets of this side, too.
    pub fn parse(body: &[u8], asked: Side) -> io::Result<Option<Self>> {
        let ([link, handle, parent, info], rest) = split(body)?;
        if handle == 0 {
            return Ok(None);
        }
        let side = [Side::Ingress, Side::Egress]
            .into_iter()
            .find(|side| side.parent() == Handle(parent))
            .unwrap_or(asked);
        let mut filter = Self {
            link,
            side,
            priority: (info >> 16) as u16,
            handle,
            kind: String::new(),
            program: None,
            to: None,
            cookie: None,
            packets: 0,
        };
        let mut options = None;
        for attribute in attributes(rest) {
            let attribute = attribute?;
            match attribute.kind {
                libc::TCA_KIND => filter.kind = attribute.text(),
                libc::TCA_OPTIONS => options = Some(attribute),
                _ => {}
            }
        }
        // What a kind of filter that is not known here has there means something else.
        if let (Some(options), Some(place)) = (options, place_of_actions(&filter.kind)) {
            filter.read_options(&options, place)?;
        }
        Ok(Some(filter))
    }

    fn read_options(&mut self, options: &Attribute<'_>, place: u16) -> io::Result<()> {
        let is_program = self.kind == KIND;
        for attribute in options.nested() {
            let attribute = attribute?;
            if attribute.kind == place {
                let actions: Vec<_> = attribute.nested().collect::<io::Result<_>>()?;
                for action in &actions {
                    self.read_action(action)?;
                }
                // What comes behind the first action is somebody else's idea: then it is not only a way to another link.
                if !is_program || actions.len() != 1 {
                    self.cookie = None;
                    self.packets = 0;
                }
            } else if is_program && attribute.kind == INSTRUCTIONS {
                self.program = Some(Program::parse(attribute.value)?);
            }
        }
        Ok(())
    }

    fn read_action(&mut self, action: &Attribute<'_>) -> io::Result<()> {
        let (mut kind, mut options) = (String::new(), None);
        for attribute in action.nested() {
            let attribute = attribute?;
            match attribute.kind {
                ACTION_KIND => kind = attribute.text(),
                ACTION_OPTIONS => options = Some(attribute),
                ACTION_STATISTICS => self.packets = packets(&attribute)?,
                ACTION_COOKIE => self.cookie = attribute.value.try_into().ok().map(Cookie),
                _ => {}
            }
        }
        let (Some(options), MIRRED) = (options, kind.as_str()) else {
            return Ok(());
        };
        for attribute in options.nested() {
            let attribute = attribute?;
            if attribute.kind == MIRRED_PARAMETERS {
                let number = |at: usize| {
                    let bytes = attribute.value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                    let bytes = bytes.ok_or_else(|| invalid(format!("a mirred of {} bytes", attribute.value.len())));
                    bytes.map(u32::from_ne_bytes)
                };
                if number(20)? == REDIRECT && self.to.is_none() {
                    self.to = Some(number(24)?);
                }
            }
        }
        Ok(())
    }
}

impl Netlink {
    /// The filters on one side of a link, those of a block that it shares with others among them. None where the link has no `clsact`.
    pub fn filters(&mut self, link: u32, side: Side) -> io::Result<Vec<Filter>> {
        let what = || format!("cannot list the filters of link {link}");
        let fixed = header(link, 0, side.parent().0, 0);
        let replies = self
            .list(&Message::new(libc::RTM_GETTFILTER, 0, &fixed))
            .context(what)?;
        let all = replies.iter().filter(|reply| reply.kind == libc::RTM_NEWTFILTER);
        let all: io::Result<Vec<_>> = all.map(|reply| Filter::parse(&reply.body, side)).collect();
        Ok(all.context(what)?.into_iter().flatten().collect())
    }

    /// Adds a filter that sends what a program matches to another link.
    ///
    /// # Errors
    /// `EEXIST`: there is one with this number at this place. `EINVAL`: the link has no `clsact`. `ENOENT`: this kernel lacks one of
    /// the two, the filter or the action.
    pub fn add_redirect(
        &mut self,
        (link, side): (u32, Side),
        (priority, handle): (u16, u32),
        program: &Program,
        to: u32,
        cookie: Cookie,
    ) -> io::Result<()> {
        let fixed = header(link, handle, side.parent().0, place(priority));
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        // index, capabilities, what becomes of the packet, two counts, what is done, where to.
        let mirred: Vec<u8> = [0, 0, STOLEN, 0, 0, REDIRECT, to]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        debug_assert_eq!(mirred.len(), MIRRED_LENGTH);
        let message = Message::new(libc::RTM_NEWTFILTER, flags, &fixed)
            .put_text(libc::TCA_KIND, KIND)
            .nest(libc::TCA_OPTIONS, |options| {
                options
                    .put(LENGTH, &program.count().to_ne_bytes())
                    .put(INSTRUCTIONS, &program.bytes())
                    .nest(ACTIONS, |actions| {
                        // Their numbers are their order.
                        actions.nest(1, |action| {
                            action
                                .put_text(ACTION_KIND, MIRRED)
                                .put(ACTION_COOKIE, &cookie.0)
                                .nest(ACTION_OPTIONS, |options| options.put(MIRRED_PARAMETERS, &mirred))
                        })
                    })
            });
        self.request(message)
            .context(|| format!("cannot add the filter {handle} of priority {priority} to link {link}"))
            .map(drop)
    }

    /// Removes the filter with this number of this place.
    pub fn remove_filter(&mut self, (link, side): (u32, Side), (priority, handle): (u16, u32)) -> io::Result<()> {
        let fixed = header(link, handle, side.parent().0, place(priority));
        self.request(Message::new(libc::RTM_DELTFILTER, 0, &fixed).put_text(libc::TCA_KIND, KIND))
            .context(|| format!("cannot remove the filter {handle} of priority {priority} of link {link}"))
            .map(drop)
    }
}

/// Where a kind of filter has its actions: `TCA_BPF_ACT`, `TCA_CGROUP_ACT` and so on (include/uapi/linux/pkt_cls.h). `None`: it is not
/// known here.
fn place_of_actions(kind: &str) -> Option<u16> {
    match kind {
        KIND | "cgroup" => Some(ACTIONS),
        "matchall" => Some(2),
        "basic" | "flower" => Some(3),
        "fw" => Some(4),
        "u32" => Some(7),
        _ => None,
    }
}

/// What an action has counted.
fn packets(statistics: &Attribute<'_>) -> io::Result<u64> {
    for attribute in statistics.nested() {
        let attribute = attribute?;
        if attribute.kind == BASIC {
            let bytes = attribute.value.get(8..12).and_then(|bytes| bytes.try_into().ok());
            let bytes = bytes.ok_or_else(|| invalid(format!("statistics of {} bytes", attribute.value.len())))?;
            return Ok(u32::from_ne_bytes(bytes).into());
        }
    }
    Ok(0)
}

/// Priority and protocol: all of them, in network byte order.
fn place(priority: u16) -> u32 {
    u32::from(priority) << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}
