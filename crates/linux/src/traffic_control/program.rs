//! Programs of classic BPF that say whether a packet is like any of several lists of [`Match`]es (net/core/filter.c, bpf(4) of the BSDs).
//!
//! Everything is read from where the kernel knows IP to begin (`SKF_NET_OFF`), so that the link may have any header of its own or none.
//! What cannot be read makes the kernel leave the program with 0: a packet that is too short for a port is not matched, and nothing that
//! comes behind in the program is asked. So lists that look at ports come last, and each asks its protocol first.

use std::io;
use std::net::IpAddr;

use crate::error::invalid;
use crate::netfilter::{Match, Side, Version};

/// `BPF_MAXINSNS`. A comparison reaches 255 steps, which no list has.
const MOST: usize = 4096;
/// Of `struct sock_filter`.
const INSTRUCTION: usize = 8;
/// What a filter of this kind returns for a match: -1, "the class that the filter has" (`cls_bpf_classify`).
const MATCHED: u32 = u32::MAX;

const NET: u32 = libc::SKF_NET_OFF as u32;
const PROTOCOL: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
const MARK: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_MARK) as u32;

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const LOAD_HALF_FROM_X: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const SHIFT_LEFT: u32 = libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K;
const A_TO_X: u32 = libc::BPF_MISC | libc::BPF_TAX;
const SET_X: u32 = libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_LESS_NOT: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const IF_MORE: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const IF_ANY: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// One step: what, how far to jump if so and if not, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    code: u16,
    yes: u8,
    no: u8,
    number: u32,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    steps: Vec<Step>,
}

/// A list of matches on its way to become steps: every comparison that fails leaves it.
#[derive(Debug, Default)]
struct List {
    steps: Vec<Step>,
    /// The steps that leave when they are true, and those that leave when they are not.
    leave_if: Vec<usize>,
    leave_unless: Vec<usize>,
}

impl Program {
    /// A program for the packets that are like one list of `these` and like none of `except`.
    ///
    /// # Errors
    /// A match that only rules of netfilter can look at, or more than fits into a program.
    pub fn matching(these: &[Vec<Match>], except: &[Vec<Match>]) -> io::Result<Self> {
        let mut steps = Vec::new();
        for (lists, verdict) in [(except, 0), (these, MATCHED)] {
            let mut lists: Vec<&Vec<Match>> = lists.iter().collect();
            lists.sort_by_key(|list| list.iter().any(|one| matches!(one, Match::Port { .. })));
            for list in lists {
                steps.extend(one_list(list, verdict)?);
            }
        }
        steps.push(step(RETURN, 0));
        if steps.len() > MOST {
            let count = steps.len();
            return Err(invalid(format!("a program of {count} steps: the kernel takes {MOST}")));
        }
        Ok(Self { steps })
    }

    /// How many steps it has.
    pub(super) fn count(&self) -> u16 {
        self.steps.len() as u16
    }

    /// As the kernel takes and shows it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let bytes = |step: &Step| {
            let mut bytes = [0; INSTRUCTION];
            bytes[..2].copy_from_slice(&step.code.to_ne_bytes());
            (bytes[2], bytes[3]) = (step.yes, step.no);
            bytes[4..].copy_from_slice(&step.number.to_ne_bytes());
            bytes
        };
        self.steps.iter().flat_map(bytes).collect()
    }

    /// Reads what the kernel shows.
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let (chunks, rest) = bytes.as_chunks::<INSTRUCTION>();
        if !rest.is_empty() {
            return Err(invalid(format!("a program of {} bytes", bytes.len())));
        }
        let read = |chunk: &[u8; INSTRUCTION]| Step {
            code: u16::from_ne_bytes([chunk[0], chunk[1]]),
            yes: chunk[2],
            no: chunk[3],
            number: u32::from_ne_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]),
        };
        Ok(Self {
            steps: chunks.iter().map(read).collect(),
        })
    }
}

fn step(code: u32, number: u32) -> Step {
    Step {
        code: code as u16,
        yes: 0,
        no: 0,
        number,
    }
}

/// The steps of one list: to the verdict, or on to what follows.
fn one_list(matches: &[Match], verdict: u32) -> io::Result<Vec<Step>> {
    // What is cheap and what the rest depends on comes first.
    let version = matches.iter().find_map(|one| match one {
        Match::Version(version) => Some(*version),
        Match::Address {
            network: IpAddr::V4(_), ..
        } => Some(Version::V4),
        Match::Address {
            network: IpAddr::V6(_), ..
        } => Some(Version::V6),
        _ => None,
    });
    let layered = matches
        .iter()
        .any(|one| matches!(one, Match::Protocol(_) | Match::Port { .. }));
    match version {
        Some(version) => list_of(version, matches, verdict),
        // Where protocol and ports lie depends on the version: both are asked one after the other.
        None if layered => Ok([
            list_of(Version::V4, matches, verdict)?,
            list_of(Version::V6, matches, verdict)?,
        ]
        .concat()),
        None => {
            let mut list = List::default();
            for one in matches {
                list.of_any_version(one)?;
            }
            list.finish(verdict)
        }
    }
}

fn list_of(version: Version, matches: &[Match], verdict: u32) -> io::Result<Vec<Step>> {
    let mut list = List::default();
    let number = match version {
        Version::V4 => libc::ETH_P_IP,
        Version::V6 => libc::ETH_P_IPV6,
    };
    list.load(LOAD_HALF, PROTOCOL);
    list.unless(IF_EQUAL, number as u32);
    // Ports are behind what is known to be TCP or UDP.
    let is_port = |one: &&Match| matches!(one, Match::Port { .. });
    for one in matches.iter().filter(|one| !is_port(one)) {
        match one {
            Match::Version(other) if *other == version => {}
            Match::Version(_) => return Err(invalid("a packet of two versions of IP")),
            Match::Address { side, network, bits } => list.address(version, *side, *network, *bits)?,
            Match::Protocol(protocol) => {
                list.load(LOAD_BYTE, NET + if version == Version::V4 { 9 } else { 6 });
                list.unless(IF_EQUAL, u32::from(*protocol));
            }
            other => list.of_any_version(other)?,
        }
    }
    if matches.iter().any(|one| is_port(&one)) {
        if !matches.iter().any(|one| matches!(one, Match::Protocol(6 | 17))) {
            return Err(invalid("ports without TCP or UDP"));
        }
        list.find_ports(version);
        for one in matches {
            if let Match::Port { side, first, last } = one {
                list.port(*side, *first, *last);
            }
        }
    }
    list.finish(verdict)
}

impl List {
    fn load(&mut self, code: u32, number: u32) {
        self.steps.push(step(code, number));
    }

    /// Leaves unless the comparison is true.
    fn unless(&mut self, code: u32, number: u32) {
        self.leave_unless.push(self.steps.len());
        self.load(code, number);
    }

    /// Leaves if the comparison is true.
    fn when(&mut self, code: u32, number: u32) {
        self.leave_if.push(self.steps.len());
        self.load(code, number);
    }

    fn of_any_version(&mut self, one: &Match) -> io::Result<()> {
        let (mask, value, is) = match *one {
            Match::Mark { mask, value } => (mask, value, true),
            Match::NotMark { mask, value } => (mask, value, false),
            ref other => return Err(invalid(format!("a filter cannot look at {other:?}"))),
        };
        self.load(LOAD_WORD, MARK);
        self.load(AND, mask);
        if is {
            self.unless(IF_EQUAL, value);
        } else {
            self.when(IF_EQUAL, value);
        }
        Ok(())
    }

    fn address(&mut self, version: Version, side: Side, network: IpAddr, bits: u8) -> io::Result<()> {
        let (octets, source, destination) = match (network, version) {
            (IpAddr::V4(address), Version::V4) => (address.octets().to_vec(), 12, 16),
            (IpAddr::V6(address), Version::V6) => (address.octets().to_vec(), 8, 24),
            _ => return Err(invalid("an address of another version of IP than the packet")),
        };
        if usize::from(bits) > octets.len() * 8 {
            return Err(invalid(format!("{network}/{bits} is no network")));
        }
        let start = match side {
            Side::Source => source,
            Side::Destination => destination,
        };
        let mut left = u32::from(bits);
        for (index, word) in octets.as_chunks::<4>().0.iter().enumerate() {
            let taken = left.min(32);
            left -= taken;
            let Some(mask) = u32::MAX.checked_shl(32 - taken).filter(|_| taken > 0) else {
                break;
            };
            self.load(LOAD_WORD, NET + start + 4 * index as u32);
            if mask != u32::MAX {
                self.load(AND, mask);
            }
            self.unless(IF_EQUAL, u32::from_be_bytes(*word) & mask);
        }
        Ok(())
    }

    /// Leaves X with the length of the header of IP. A fragment behind the first has no ports, and in IPv6 nothing that comes between IP
    /// and TCP or UDP is known: the protocol would not be theirs.
    fn find_ports(&mut self, version: Version) {
        match version {
            Version::V4 => {
                self.load(LOAD_HALF, NET + 6);
                self.when(IF_ANY, 0x1fff);
                self.load(LOAD_BYTE, NET);
                self.load(AND, 0x0f);
                self.load(SHIFT_LEFT, 2);
                self.load(A_TO_X, 0);
            }
            Version::V6 => self.load(SET_X, 40),
        }
    }

    fn port(&mut self, side: Side, first: u16, last: u16) {
        let offset = match side {
            Side::Source => 0,
            Side::Destination => 2,
        };
        self.load(LOAD_HALF_FROM_X, NET + offset);
        if first == last {
            self.unless(IF_EQUAL, first.into());
        } else {
            self.unless(IF_LESS_NOT, first.into());
            self.when(IF_MORE, last.into());
        }
    }

    /// The steps with the verdict at their end; whoever leaves goes behind it.
    fn finish(mut self, verdict: u32) -> io::Result<Vec<Step>> {
        let verdict_at = self.steps.len();
        self.steps.push(step(RETURN, verdict));
        let far = |at: usize| u8::try_from(verdict_at - at).map_err(|_| invalid("a list of too many matches"));
        for at in self.leave_unless {
            self.steps[at].no = far(at)?;
        }
        for at in self.leave_if {
            self.steps[at].yes = far(at)?;
        }
        Ok(self.steps)
    }
}
