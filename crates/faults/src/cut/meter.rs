//! How much is not let through: packets of our own in both directions, seen before and behind the rules.
//!
//! What the target sends goes from its namespace, and is seen on its link or not ([`impairment::meter`]). What it is sent comes by the
//! other end of its pair of links, from the address of somebody whom the fault is about; it is seen on the target's link, before all
//! rules, and where programs are given what comes, behind them. All have wrong checksums, so that no program ever gets one.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use fracas_core::ids::is_trace_name;
use fracas_core::params::Ways;
use fracas_core::record::Landed;
use fracas_core::traffic::Protocol;
use fracas_linux::frames::{Address, Tap};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::Way;
use fracas_linux::netlink::Netlink;
use fracas_linux::packets::{Delivered, Probe, Tag, Watch};

use super::Undo;
use super::rules::PAST;
use crate::impairment::meter::{self as egress, Aim, Aims, OTHERS, Outcome, Plan, SIZE, SOON};
use crate::impairment::rules::Owned;
use crate::impairment::verdict::share;
use crate::network_disconnect::find::both_ends;

/// Of what is to be stopped altogether a few tell as much as many.
const FEW: u32 = 6;
/// How long it may take in all.
pub(super) const LONGEST: Duration = Duration::from_secs(12);
/// The hardware address from which what the target is sent comes: of nobody's, for it is one of those that everybody may give himself.
const NOBODY: Address = [0x02, 0xf7, 0xac, 0xa5, 0, 1];

/// What was seen.
pub(super) enum Seen {
    /// The fault is not there.
    Missed(String),
    Ways {
        ways: Vec<OneWay>,
        /// Packets of the target's own that were looked at since the fault is on.
        own: u64,
    },
}

/// What was seen of one way.
pub(super) struct OneWay {
    name: &'static str,
    /// Else why it cannot be told.
    seen: Result<Stopped, String>,
}

/// Of so many, so many were stopped.
pub(super) struct Stopped {
    of: u32,
    stopped: u32,
    /// Why somebody was hit whom it is not about.
    harmed: Option<String>,
    bystander: String,
}

/// Sends and watches. `sent` is how many packets were sent before, which the rules have counted, and becomes how many there are now.
pub(super) fn measure(there: &NetNamespace, undo: &Undo, sent: &mut u64) -> io::Result<Seen> {
    let (cut, table) = (&undo.cut, &undo.held.table);
    let tables = there.within(|| Netlink::netfilter()?.tables())?;
    if !tables.iter().any(|one| one.name == *table) {
        return Ok(Seen::Missed(format!("there is no table {table}")));
    }
    let alone = !tables.iter().any(|one| one.name != *table && is_trace_name(&one.name));
    let mut ways = Vec::new();
    let count = if cut.probability.fraction() < 1.0 {
        Plan::MOST
    } else {
        FEW
    };
    if cut.ways != Ways::Egress {
        let seen = into(there, undo, count, alone, sent)?;
        ways.push(OneWay { name: "into it", seen });
    }
    if cut.ways != Ways::Ingress {
        let plan = Plan::spread(count, Duration::ZERO).of_rules(PAST);
        let owned = Owned::from(cut.traffic());
        let seen = match egress::measure(there, table, &owned, &plan, sent)? {
            Outcome::Missed(why) => return Ok(Seen::Missed(why)),
            Outcome::Unmeasured(why) => Err(why),
            Outcome::Measured(measured) => Ok(Stopped {
                of: measured.sent(),
                stopped: measured.count(<[_]>::is_empty),
                harmed: measured.bystander_harmed(),
                bystander: measured.bystander_words(),
            }),
        };
        ways.push(OneWay {
            name: "out of it",
            seen,
        });
    }
    let counters = there.within(|| Netlink::netfilter()?.rule_counters(table))?;
    let counted: u64 = counters.values().map(|counter| counter.packets).sum();
    Ok(Seen::Ways {
        ways,
        own: counted.saturating_sub(*sent),
    })
}

impl Seen {
    pub(super) fn own(&self) -> u64 {
        match self {
            Self::Missed(_) => 0,
            Self::Ways { own, .. } => *own,
        }
    }

    /// What was delivered, in words, and whether it is this share.
    pub(super) fn judge(&self, asked: f64) -> (String, Landed) {
        let (ways, own) = match self {
            Self::Missed(why) => return (why.clone(), Landed::No(why.clone())),
            Self::Ways { ways, own } => (ways, own),
        };
        let mut words = Vec::new();
        let mut landed = Landed::Yes;
        // What is wrong counts before what cannot be told.
        let mut worse = |next: Landed| {
            if landed == Landed::Yes || matches!((&landed, &next), (Landed::Unmeasured(_), Landed::No(_))) {
                landed = next;
            }
        };
        for OneWay { name, seen } in ways {
            match seen {
                Err(why) => {
                    words.push(format!("{name}: {why}"));
                    worse(Landed::Unmeasured(format!("{name}: {why}")));
                }
                Ok(seen) => {
                    let (delivered, judged) = share("stopped", asked, seen.stopped, seen.of, 1.0);
                    words.push(format!("{name}: {delivered}; {}", seen.bystander));
                    worse(match judged {
                        Landed::No(why) => Landed::No(format!("{name}: {why}")),
                        judged => judged,
                    });
                    if let Some(why) = &seen.harmed {
                        worse(Landed::No(why.clone()));
                    }
                }
            }
        }
        if *own == 0 {
            worse(Landed::No(
                "no packet of the target's own was among those that it is about".to_owned(),
            ));
        }
        (words.join("; "), landed)
    }
}

/// What the target is sent.
fn into(
    there: &NetNamespace,
    undo: &Undo,
    count: u32,
    alone: bool,
    sent: &mut u64,
) -> io::Result<Result<Stopped, String>> {
    let aims = match there.within(|| Aims::take(&Owned::from(undo.cut.traffic())))? {
        Ok(aims) => aims,
        Err(why) => return Ok(Err(why)),
    };
    // Sockets of IPv4 see what is ours alone.
    let first = aims.matched.iter().find(|aim| aim.from.is_ipv4());
    let Some(matched) = first.or_else(|| aims.matched.first()) else {
        return Ok(Err("there is no way to anybody that it is about".to_owned()));
    };
    let Some((inside, outside)) = both_ends(&undo.held.process, matched.link)? else {
        return Ok(Err("the other end of its link is not here".to_owned()));
    };
    let Ok(hardware) = Address::try_from(inside.address.as_slice()) else {
        return Ok(Err(format!("{} has no hardware address of six bytes", inside.name)));
    };
    let other = aims.others.iter().find(|aim| aim.link == matched.link);
    let tag = egress::tag(&undo.held.table);
    let outside = Tap::open(outside.index)?;
    let mut gate = Gate {
        watch: there.within(|| Watch::open(Some(matched.link), Way::In, tag))?,
        arrived: Vec::new(),
    };
    let mut inner = there.within(|| open(matched, tag))?;
    let mut others = other.map(|aim| there.within(|| open(aim, tag))).transpose()?;
    for number in 0..count {
        outside.send_packet(NOBODY, hardware, &bytes(matched, tag, number)?)?;
        if let Some(aim) = other {
            outside.send_packet(NOBODY, hardware, &bytes(aim, tag, OTHERS + number)?)?;
        }
    }
    let all = count as usize * if other.is_some() { 2 } else { 1 };
    gate.wait(all)?;
    let given = given(&mut inner, 0..OTHERS, count)?;
    let of = gate.count(0..OTHERS);
    *sent += u64::from(of);
    if of == 0 {
        return Ok(Err("nothing that is sent to it arrives".to_owned()));
    }
    let (harmed, bystander) = match &mut others {
        None => (None, "it is about everybody".to_owned()),
        Some(_) if !alone => (None, "bystanders have other faults of Fracas".to_owned()),
        Some(socket) => {
            let (arrived, given) = (
                gate.count(OTHERS..u32::MAX),
                self::given(socket, OTHERS..u32::MAX, count)?,
            );
            let lost = arrived.saturating_sub(given);
            let why = format!("{lost} of {arrived} packets that it is not about were stopped on their way in");
            ((lost > 0).then_some(why), format!("{lost} of {arrived} of bystanders"))
        }
    };
    Ok(Ok(Stopped {
        of,
        stopped: of.saturating_sub(given),
        harmed,
        bystander,
    }))
}

/// Where what is sent to the target arrives.
struct Gate {
    watch: Watch,
    /// The number of each.
    arrived: Vec<u32>,
}

impl Gate {
    /// Waits until so many have arrived, not for long.
    fn wait(&mut self, count: usize) -> io::Result<()> {
        let until = Instant::now() + SOON;
        loop {
            while let Some(seen) = self.watch.receive()? {
                self.arrived.push(seen.number);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.arrived.len() >= count {
                return Ok(());
            }
            self.watch.wait(left)?;
        }
    }

    fn count(&self, numbers: Range<u32>) -> u32 {
        self.arrived.iter().filter(|number| numbers.contains(number)).count() as u32
    }
}

/// How many were given to programs. What has arrived is given or stopped before anything else happens on that processor; a little later
/// it is both done and told.
fn given(socket: &mut Delivered, numbers: Range<u32>, most: u32) -> io::Result<u32> {
    const LATE: Duration = Duration::from_millis(50);
    let until = Instant::now() + LATE;
    let mut count = 0;
    while count < most && Instant::now() < until {
        match socket.receive()? {
            Some(number) => count += u32::from(numbers.contains(&number)),
            None => std::thread::yield_now(),
        }
    }
    Ok(count)
}

fn open(aim: &Aim, tag: Tag) -> io::Result<Delivered> {
    let number = match (aim.packet.protocol, aim.from.is_ipv4()) {
        (Protocol::Tcp, _) => 6,
        (Protocol::Udp, _) => 17,
        (Protocol::Icmp, true) => 1,
        (Protocol::Icmp, false) => 58,
    };
    Delivered::open(aim.from, number, tag)
}

/// A packet from whom one would be sent to.
fn bytes(aim: &Aim, tag: Tag, number: u32) -> io::Result<Vec<u8>> {
    let (own, theirs) = aim.packet.ports;
    let probe = Probe {
        from: aim.packet.to,
        to: aim.from,
        content: egress::content_of(aim.packet.protocol, (theirs, own), true),
        hops: 1,
        tag,
        number,
        length: SIZE,
        // Of ICMP for IPv6 no socket is given what is wrong (`rawv6_rcv`).
        sound: aim.packet.protocol == Protocol::Icmp && !aim.from.is_ipv4(),
    };
    probe.bytes()
}
