//! How much was delivered: packets of our own, sent from the target's network namespace in the target's name, and seen by a socket behind
//! all queues.
//!
//! They go to somebody the fault is about, and to a bystander. None needs an answer: each has a wrong checksum, so that no program ever
//! gets one, and may take one link only. They meet the same rules as the target's own packets, and nothing of the worker but its effect
//! is seen here.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use fracas_core::ids::is_trace_name;
use fracas_core::traffic::Protocol;
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::Way;
use fracas_linux::netlink::{Netlink, Route, RouteKind};
use fracas_linux::packets::{Content, Probe, Tag, Watch};
use fracas_linux::raw::{self, Raw};
use fracas_linux::relay;

use super::aim::{self, Packet};
use super::rules::Owned;
use super::verdict::millis;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    count: u32,
    /// Between two.
    gap: Duration,
    /// How many bytes each has.
    size: usize,
    /// How long the last one may take that comes.
    within: Duration,
    /// Whether those of TCP open a connection: what does is the only thing that some rules look at.
    opens: bool,
    /// The mark of what no fault of this kind takes.
    past: u32,
}

/// What has come of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Measured(Measured),
    /// The fault is not there, or nobody's.
    Missed(String),
    /// It cannot be told; why.
    Unmeasured(String),
}

/// What became of the packets.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    matched: Vec<Shot>,
    /// `None`: the fault is about everybody.
    bystander: Option<Vec<Shot>>,
    /// Whether no other fault of ours is on packets here: it may hit the bystander, as it should.
    alone: bool,
    size: usize,
    /// Packets of the target's own that the rules have matched since the fault is on.
    own: u64,
}

/// One packet.
#[derive(Debug, Default)]
struct Shot {
    sent: Duration,
    /// By which interface it leaves.
    link: u32,
    arrivals: Vec<Arrival>,
}

/// A packet that was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) delay: Duration,
    at: Duration,
    pub(crate) intact: bool,
}

/// So many a second, not more.
const GAP: Duration = Duration::from_millis(50);
/// As long as a ping.
pub(crate) const SIZE: usize = 84;
/// How long something may take that is not delayed, on a machine that has something else to do.
pub(crate) const SOON: Duration = Duration::from_millis(500);
/// How long a neighbour may take to be found: the kernel asks for it once a second (`NEIGH_VAR_RETRANS_TIME` in net/ipv4/arp.c).
const FOUND: Duration = Duration::from_millis(2500);
/// A bystander that comes later than this was hit.
const BYSTANDER: Duration = Duration::from_millis(5);
/// The numbers of packets to bystanders, and of the one that goes past all queues.
pub(crate) const OTHERS: u32 = 1 << 16;
const PAST: u32 = 1 << 17;
/// So many are tried, to find one that can be reached.
const TRIED: usize = 4;
/// A meter that takes longer is not listened to any more.
const LONGEST_WAIT: Duration = Duration::from_millis(3500);
/// How long another fault of ours may delay what is measured.
const OTHER_DELAY: Duration = Duration::from_secs(3);
/// Names of hosts are asked for by nobody here: these addresses are somebody's far away, and only the way to them is asked for.
const AFAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

impl Plan {
    /// As many as can be sent in a second.
    pub(crate) const MOST: u32 = 20;

    /// One after the other, each of which may take so long.
    pub(crate) fn spread(count: u32, delay: Duration) -> Self {
        Self {
            count,
            gap: GAP,
            size: SIZE,
            within: (delay + SOON).min(LONGEST_WAIT),
            opens: false,
            past: relay::MARKS,
        }
    }

    /// All at once, of this size; so long may they take together.
    pub(crate) fn train(count: u32, size: usize, takes: Duration) -> Self {
        Self {
            count,
            gap: Duration::ZERO,
            size,
            within: takes + SOON,
            opens: false,
            past: relay::MARKS,
        }
    }

    /// As this, for a fault that is no queue: it does not take what has this mark, and looks at what opens a connection.
    pub(crate) fn of_rules(self, past: u32) -> Self {
        Self {
            opens: true,
            past,
            ..self
        }
    }

    /// As this, of another size.
    pub(crate) fn of(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// How long it may take altogether.
    pub(crate) fn longest(&self) -> Duration {
        self.gap * self.count + self.within * 2 + Duration::from_secs(10)
    }
}

/// Sends and watches. `sent` is how many packets were sent before, which the rules have counted, and becomes how many there are now.
pub(crate) fn measure(
    there: &NetNamespace,
    table: &str,
    traffic: &Owned,
    plan: &Plan,
    sent: &mut u64,
) -> io::Result<Outcome> {
    there.within(|| {
        let tables = Netlink::netfilter()?.tables()?;
        if !tables.iter().any(|one| one.name == table) {
            return Ok(Outcome::Missed(format!("there is no table {table}")));
        }
        let alone = !tables.iter().any(|one| one.name != table && is_trace_name(&one.name));
        let aims = match Aims::take(traffic)? {
            Ok(aims) => aims,
            Err(why) => return Ok(Outcome::Unmeasured(why)),
        };
        let tag = tag(table);
        let mut range = Range {
            plan: *plan,
            watch: Watch::open(None, Way::Out, tag)?,
            raw: Raw::open()?,
            tag,
            matched: Vec::new(),
            others: Vec::new(),
            past: Vec::new(),
            contents: Vec::new(),
        };
        // Whoever is next may have to be found first, and that the way is open is seen, too.
        for (number, aim) in (0..).zip(aims.matched.iter().chain(&aims.others)) {
            range.try_out(number, aim, plan.size)?;
        }
        let count = aims.matched.len();
        range.watch_until(FOUND, |range| {
            range.is_open(0) && (count..count + aims.others.len()).all(|at| range.is_open(at))
        })?;
        let Some(matched) = (0..count).find(|at| range.is_open(*at)).map(|at| &aims.matched[at]) else {
            let to = aims
                .matched
                .first()
                .map_or_else(String::new, |aim| aim.packet.to.to_string());
            return Ok(Outcome::Unmeasured(format!(
                "nothing gets out towards {to}: nobody answers there for the next link"
            )));
        };
        let bystander = (0..aims.others.len())
            .find(|at| range.is_open(count + at))
            .map(|at| &aims.others[at]);
        for number in 0..plan.count {
            range.shoot(matched, number, plan.size)?;
            if let Some(other) = bystander {
                range.shoot(other, OTHERS + number, SIZE)?;
            }
            if !plan.gap.is_zero() {
                range.watch_until(plan.gap, |_| false)?;
            }
        }
        *sent += u64::from(plan.count);
        let all = |shots: &[Shot]| shots.iter().all(|shot| !shot.arrivals.is_empty());
        let within = if alone { plan.within } else { plan.within + OTHER_DELAY };
        range.watch_until(within, |range| all(&range.matched) && all(&range.others))?;
        let counters = Netlink::netfilter()?.rule_counters(table)?;
        let counted: u64 = counters.values().map(|counter| counter.packets).sum();
        Ok(Outcome::Measured(Measured {
            matched: range.matched,
            bystander: bystander.is_some().then_some(range.others),
            alone,
            size: plan.size,
            own: counted.saturating_sub(*sent),
        }))
    })
}

/// To whom it goes.
pub(crate) struct Aims {
    pub(crate) matched: Vec<Aim>,
    pub(crate) others: Vec<Aim>,
}

pub(crate) struct Aim {
    pub(crate) packet: Packet,
    /// The target's own address.
    pub(crate) from: IpAddr,
    /// By which interface it leaves.
    pub(crate) link: u32,
}

impl Aims {
    /// Finds them; else why there are none.
    pub(crate) fn take(traffic: &Owned) -> io::Result<Result<Self, String>> {
        let mut netlink = Netlink::route()?;
        let device = match &traffic.device {
            None => None,
            Some(name) => match netlink.link_by_name(name)? {
                None => return Ok(Err(format!("there is no interface {name} any more"))),
                Some(link) => Some(link.index),
            },
        };
        let near = near(&mut netlink, device)?;
        let of = traffic.traffic();
        let mut leaving = |packets: Vec<Packet>| -> io::Result<Vec<Aim>> {
            let mut found: Vec<Aim> = Vec::new();
            for packet in packets {
                if found.len() >= TRIED {
                    break;
                }
                // One protocol to each is enough.
                if found.iter().any(|aim| aim.packet.to == packet.to) {
                    continue;
                }
                let Some(route) = netlink.route_to(packet.to, 0, device)? else {
                    continue;
                };
                if let Some((from, link)) = leaves(&route) {
                    found.push(Aim { packet, from, link });
                }
            }
            Ok(found)
        };
        let matched = leaving(aim::matched(&of, &near))?;
        if matched.is_empty() {
            return Ok(Err("there is no way to anybody that it is about".to_owned()));
        }
        let others = leaving(aim::bystanders(&of, &near))?;
        Ok(Ok(Self { matched, others }))
    }
}

/// From which address and by which interface a packet leaves; `None`: it does not.
fn leaves(route: &Route) -> Option<(IpAddr, u32)> {
    (route.kind == RouteKind::Unicast).then_some(())?;
    Some((route.source?, route.link?))
}

/// Addresses that surely have a next link: of gateways, and of the first neighbour in each network.
fn near(netlink: &mut Netlink, device: Option<u32>) -> io::Result<Vec<IpAddr>> {
    let mut near = Vec::new();
    for afar in AFAR {
        let route = netlink.route_to(afar, 0, device)?;
        near.extend(route.and_then(|route| route.gateway));
    }
    let loopback: Vec<u32> = netlink
        .links()?
        .iter()
        .filter(|link| link.loopback)
        .map(|link| link.index)
        .collect();
    for own in netlink.addresses()? {
        let elsewhere = device.is_some_and(|device| device != own.link) || loopback.contains(&own.link);
        if !elsewhere && own.usable {
            near.extend(aim::neighbours(own.address, own.bits));
        }
    }
    Ok(near)
}

/// Where is shot and watched.
struct Range {
    plan: Plan,
    watch: Watch,
    raw: Raw,
    tag: Tag,
    matched: Vec<Shot>,
    others: Vec<Shot>,
    /// Those that go past all queues, each with whether it was seen.
    past: Vec<(u32, bool)>,
    /// What each to the matched carries behind the header of IP.
    contents: Vec<Vec<u8>>,
}

impl Range {
    /// Sends one that no relay takes, to see whether anything gets there.
    fn try_out(&mut self, number: u32, aim: &Aim, length: usize) -> io::Result<()> {
        self.past.push((aim.link, false));
        let bytes = self.probe(aim, PAST + number, length)?;
        // A rule of somebody's lets no such packet out, or there is no room at this moment: then another one is tried.
        let _another = self.raw.send(&bytes, self.plan.past, Some(aim.link));
        Ok(())
    }

    fn is_open(&self, number: usize) -> bool {
        self.past.get(number).is_some_and(|(_, seen)| *seen)
    }

    fn probe(&self, aim: &Aim, number: u32, length: usize) -> io::Result<Vec<u8>> {
        let probe = Probe {
            from: aim.from,
            to: aim.packet.to,
            content: content_of(aim.packet.protocol, aim.packet.ports, self.plan.opens),
            hops: 1,
            tag: self.tag,
            number,
            length,
            sound: false,
        };
        probe.bytes()
    }

    fn shoot(&mut self, aim: &Aim, number: u32, length: usize) -> io::Result<()> {
        let bytes = self.probe(aim, number, length)?;
        let sent = clock::wall();
        match self.raw.send(&bytes, 0, Some(aim.link)) {
            // It does not arrive, as is asked.
            Err(error) if self.plan.opens && raw::is_stopped(&error) => {}
            sent => sent?,
        }
        let shot = Shot {
            sent,
            link: aim.link,
            arrivals: Vec::new(),
        };
        if number >= OTHERS {
            self.others.push(shot);
        } else {
            self.matched.push(shot);
            self.contents.push(content(&bytes).to_vec());
        }
        Ok(())
    }

    /// Takes note of what is seen, for so long or until it is enough.
    fn watch_until(&mut self, limit: Duration, enough: impl Fn(&Self) -> bool) -> io::Result<()> {
        let until = Instant::now() + limit;
        loop {
            while let Some(seen) = self.watch.receive()? {
                let number = seen.number as usize;
                if seen.number >= PAST {
                    if let Some((link, open)) = self.past.get_mut(number - PAST as usize) {
                        *open |= *link == seen.link;
                    }
                    continue;
                }
                let intact = self
                    .contents
                    .get(number)
                    .is_some_and(|sent| sent == content(&seen.bytes));
                let shot = match seen.number {
                    OTHERS.. => self.others.get_mut(number - OTHERS as usize),
                    _ => self.matched.get_mut(number),
                };
                // Also what another interface carries on is seen there, and an answer of the kernel's that quotes it.
                if let Some(shot) = shot.filter(|shot| shot.link == seen.link) {
                    shot.arrivals.push(Arrival {
                        delay: seen.at.saturating_sub(shot.sent),
                        at: seen.at,
                        intact,
                    });
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || enough(self) {
                return Ok(());
            }
            self.watch.wait(left)?;
        }
    }
}

/// What a packet of this protocol pretends to be.
pub(crate) fn content_of(protocol: Protocol, (from, to): (u16, u16), opens: bool) -> Content {
    match protocol {
        Protocol::Udp => Content::Udp { from, to },
        Protocol::Tcp if opens => Content::Syn { from, to },
        Protocol::Tcp => Content::Tcp { from, to },
        Protocol::Icmp => Content::Echo { identifier: from },
    }
}

/// What is behind the header of IP.
fn content(packet: &[u8]) -> &[u8] {
    let header = if packet.first().is_some_and(|byte| byte >> 4 == 4) {
        20
    } else {
        40
    };
    packet.get(header..).unwrap_or_default()
}

/// What nobody else's packets end with, nor those of another measurement.
pub(crate) fn tag(table: &str) -> Tag {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) ^ u64::from(std::process::id()) << 32;
    let draw = fracas_core::seed::Seed(clock::boottime().as_nanos() as u64).draw("tag", table, count);
    let mut tag = [0; 12];
    tag[..4].copy_from_slice(b"frac");
    tag[4..].copy_from_slice(&draw.0.to_be_bytes());
    Tag(tag)
}

impl Measured {
    /// How many were sent.
    pub(crate) fn sent(&self) -> u32 {
        self.matched.len() as u32
    }

    /// How many of them came in this way.
    pub(crate) fn count(&self, is: impl Fn(&[Arrival]) -> bool) -> u32 {
        self.matched.iter().filter(|shot| is(&shot.arrivals)).count() as u32
    }

    /// How late each came that came.
    pub(crate) fn delays(&self) -> Vec<Duration> {
        let first = self.matched.iter().filter_map(|shot| shot.arrivals.first());
        first.map(|arrival| arrival.delay).collect()
    }

    /// How many bytes came behind the first of those that came, and within which time. `None`: fewer than two came.
    pub(crate) fn train(&self) -> Option<(u64, Duration)> {
        let mut times: Vec<_> = self
            .matched
            .iter()
            .filter_map(|shot| shot.arrivals.first())
            .map(|one| one.at)
            .collect();
        times.sort_unstable();
        let (first, last) = (times.first()?, times.last()?);
        (times.len() > 1).then(|| ((times.len() as u64 - 1) * self.size as u64, last.saturating_sub(*first)))
    }

    /// Why the fault hit somebody that it is not about.
    pub(crate) fn bystander_harmed(&self) -> Option<String> {
        let shots = self.bystander.as_ref().filter(|_| self.alone)?;
        let lost = shots.iter().filter(|shot| shot.arrivals.is_empty()).count();
        if lost > 0 {
            return Some(format!(
                "{lost} of {} packets that it is not about were lost",
                shots.len()
            ));
        }
        let late = bystander_delay(shots);
        (late > BYSTANDER).then(|| format!("packets that it is not about came {} late", millis(late)))
    }

    pub(crate) fn bystander_words(&self) -> String {
        match &self.bystander {
            None => "it is about everybody".to_owned(),
            Some(_) if !self.alone => "bystanders have other faults of Fracas".to_owned(),
            Some(shots) => format!("{} on bystanders", millis(bystander_delay(shots))),
        }
    }

    /// Whether it hit anything of the target's own.
    pub(crate) fn own(&self) -> u64 {
        self.own
    }
}

/// The one in the middle.
fn bystander_delay(shots: &[Shot]) -> Duration {
    let mut delays: Vec<_> = shots
        .iter()
        .filter_map(|shot| shot.arrivals.first())
        .map(|one| one.delay)
        .collect();
    delays.sort_unstable();
    delays.get(delays.len() / 2).copied().unwrap_or_default()
}
