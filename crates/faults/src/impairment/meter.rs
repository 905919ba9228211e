//! How much was delivered: packets of our own, sent from the target's network namespace in the target's name, and seen by a socket behind
//! all queues.
//!
//! They go to somebody the fault is about, and to a bystander. None needs an answer: each has a wrong checksum, so that no program ever
//! gets one, and may take one link only. They meet the same rules as the target's own packets, and nothing of what impairs them but the
//! effect is seen here. Marks tell them from the target's own, and lead them past the other faults of Fracas.
//!
//! Besides, the kernel has counted the target's own packets, before the queue and behind it: of shares that says more than any probe.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use fracas_core::traffic::{Direction, Protocol};
use fracas_linux::clock;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::{Netlink, Route, RouteKind};
use fracas_linux::packets::Tag;

use super::aim::{self, Packet};
use super::range::{Aim, Arrival, Inlets, Range, Shot, Ways};
use super::rules::Owned;
use super::verdict::{Tally, millis};

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
    /// How long neighbours may take to be found.
    found: Duration,
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
    bystander: Bystander,
    size: usize,
    /// Bytes before those of a probe that are looked at, which a wrong bit may hit as well.
    unseen: usize,
    /// What the kernel has counted of the target's own packets.
    counted: Counted,
}

/// What a meter asks of what impairs packets. In the target's network namespace.
pub(crate) trait Gauge: Sync {
    /// A name that nothing else has.
    fn name(&self) -> &str;

    /// How probes meet this fault alone; else why it is not there.
    fn probes(&self) -> io::Result<Result<Probes, String>>;

    /// What the kernel has counted.
    fn count(&self) -> io::Result<Counted>;
}

/// What probes are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probes {
    /// Of what is sent: by this mark it meets one fault and no other.
    pub(crate) mark: u32,
    /// Of what comes in: by this port of the target.
    pub(crate) port: u16,
    /// Whether a wrong bit may be one of the headers of the link and of IP.
    pub(crate) with_headers: bool,
}

/// What the kernel has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// Packets of the target's own that were matched since the fault is on; several that are not cut up yet may be one.
    pub(crate) own: u64,
    /// What became of them, where that is counted.
    pub(crate) flow: Flow,
    /// Those that were lost for want of room, or because they should.
    pub(crate) lost: u64,
}

/// Somebody the fault is not about.
#[derive(Debug, Default)]
enum Bystander {
    /// There is none: it is about everybody.
    #[default]
    Nobody,
    /// Nothing gets there.
    Unreachable,
    Shot(Vec<Shot>),
}

/// Packets of the target's own that came to the queue since the fault is on, and that came out of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flow {
    /// Before the others were counted, without those that waited.
    pub(crate) came_before: u64,
    pub(crate) went: u64,
    pub(crate) came_after: u64,
}

/// So many a second, not more.
pub(crate) const GAP: Duration = Duration::from_millis(50);
/// As long as a ping.
pub(crate) const SIZE: usize = 84;
/// How long something may take that is not delayed, on a machine that has something else to do.
pub(crate) const SOON: Duration = Duration::from_millis(500);
/// How long a neighbour may take to be found: the kernel asks for it once a second (`NEIGH_VAR_RETRANS_TIME` in net/ipv4/arp.c).
pub(crate) const FOUND: Duration = Duration::from_millis(2500);
/// A bystander that comes later than this was hit.
const BYSTANDER: Duration = Duration::from_millis(5);
/// So many of a train are a part of it.
const PART: usize = 8;
/// What tells a probe from all other packets, and its number.
const MARK: usize = 16;
/// The header of Ethernet, which virtual links have, too.
const LINK: usize = 14;
/// So many are tried, to find one that can be reached.
const TRIED: usize = 4;
/// A meter that takes longer is not listened to any more.
const LONGEST_WAIT: Duration = Duration::from_millis(3500);
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
            found: FOUND,
        }
    }

    /// All at once, of this size; so long may they take together.
    pub(crate) fn train(count: u32, size: usize, takes: Duration) -> Self {
        Self {
            count,
            gap: Duration::ZERO,
            size,
            within: takes + SOON,
            found: FOUND,
        }
    }

    /// As this, of another size.
    pub(crate) fn of(self, size: usize) -> Self {
        Self { size, ..self }
    }

    /// As this, in no more time altogether where something before it took so long.
    pub(crate) fn after(self, took: Duration) -> Self {
        Self {
            found: self.found.saturating_sub(took),
            ..self
        }
    }

    /// How long it may take altogether.
    pub(crate) fn longest(&self) -> Duration {
        self.found + self.gap * self.count + self.within * 2 + Duration::from_secs(8)
    }
}

/// Sends and watches. To be called in the network namespace of Fracas.
pub(crate) fn measure(there: &NetNamespace, gauge: &dyn Gauge, traffic: &Owned, plan: &Plan) -> io::Result<Outcome> {
    let inlets = match traffic.direction {
        Direction::Egress => None,
        Direction::Ingress => Some(Inlets::find(there)?),
    };
    there.within(|| {
        let probes = match gauge.probes()? {
            Ok(probes) => probes,
            Err(why) => return Ok(Outcome::Missed(why)),
        };
        let aims = match Aims::take(traffic, probes.port, inlets.as_ref())? {
            Ok(aims) => aims,
            Err(why) => return Ok(Outcome::Unmeasured(why)),
        };
        let tag = tag(gauge.name());
        let all_aims = [&aims.matched[..], &aims.others].concat();
        let ways = match &inlets {
            None => Ways::out(tag, probes.mark)?,
            Some(inlets) => Ways::into(inlets, &all_aims, tag)?,
        };
        let mut range = Range::new(ways, tag);
        // Whoever is next may have to be found first, and that the way is open is seen, too.
        for aim in &all_aims {
            range.try_out(aim, plan.size)?;
        }
        let count = aims.matched.len();
        range.watch_until(plan.found, |range| {
            range.is_open(0) && (count..all_aims.len()).all(|at| range.is_open(at))
        })?;
        let Some(matched) = (0..count).find(|at| range.is_open(*at)).map(|at| &aims.matched[at]) else {
            let peer = aims
                .matched
                .first()
                .map_or_else(String::new, |aim| aim.packet.peer.to_string());
            return Ok(Outcome::Unmeasured(match traffic.direction {
                Direction::Egress => format!("nothing gets out towards {peer}: nobody answers there for the next link"),
                Direction::Ingress => format!("nothing from {peer} is delivered, also what the fault is not about"),
            }));
        };
        let bystander = (0..aims.others.len())
            .find(|at| range.is_open(count + at))
            .map(|at| &aims.others[at]);
        shoot_all(&mut range, matched, bystander, plan)?;
        let all = |shots: &[Shot]| shots.iter().all(|shot| !shot.arrivals.is_empty());
        range.watch_until(plan.within, |range| all(&range.matched) && all(&range.others))?;
        if range.lost()? > 0 {
            return Ok(Outcome::Unmeasured(
                "there was no room for all probes that came".to_owned(),
            ));
        }
        Ok(Outcome::Measured(Measured {
            matched: range.matched,
            bystander: match bystander {
                Some(_) => Bystander::Shot(range.others),
                None if aims.others.is_empty() => Bystander::Nobody,
                None => Bystander::Unreachable,
            },
            size: plan.size,
            unseen: if probes.with_headers {
                LINK + header(&matched.packet)
            } else {
                0
            },
            counted: gauge.count()?,
        }))
    })
}

/// To whom it goes.
pub(crate) struct Aims {
    pub(crate) matched: Vec<Aim>,
    pub(crate) others: Vec<Aim>,
}

impl Aims {
    /// Finds them; else why there are none.
    pub(crate) fn take(traffic: &Owned, own_port: u16, inlets: Option<&Inlets>) -> io::Result<Result<Self, String>> {
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
                if found.iter().any(|aim| aim.packet.peer == packet.peer) {
                    continue;
                }
                let Some(route) = netlink.route_to(packet.peer, 0, device)? else {
                    continue;
                };
                // Of what comes in, a mere ping is nobody's to tell from the target's own.
                let is_way = |link| inlets.is_none_or(|inlets| inlets.has(link) && packet.protocol != Protocol::Icmp);
                if let Some((own, link)) = leaves(&route).filter(|(_, link)| is_way(*link)) {
                    found.push(Aim { packet, own, link });
                }
            }
            Ok(found)
        };
        let matched = leaving(aim::matched(&of, &near, own_port))?;
        if matched.is_empty() {
            return Ok(Err(match traffic.direction {
                Direction::Egress => "there is no way to anybody that it is about".to_owned(),
                Direction::Ingress => {
                    "nothing can be sent in that it is about: the other end of the target's interface is not a pair's here"
                        .to_owned()
                }
            }));
        }
        let others = leaving(aim::bystanders(&of, &near, own_port))?;
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

/// Sends all of a plan.
fn shoot_all(range: &mut Range<'_>, matched: &Aim, bystander: Option<&Aim>, plan: &Plan) -> io::Result<()> {
    for _ in 0..plan.count {
        range.shoot(matched, plan.size)?;
        if plan.gap.is_zero() {
            // Nothing comes between the packets of a train.
            continue;
        }
        if let Some(other) = bystander {
            range.shoot_past(other, SIZE)?;
        }
        range.watch_until(plan.gap, |_| false)?;
    }
    if let Some(other) = bystander.filter(|_| plan.gap.is_zero()) {
        for _ in 0..Plan::MOST.min(plan.count) {
            range.shoot_past(other, SIZE)?;
        }
    }
    Ok(())
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
    pub(crate) fn sent(&self) -> u64 {
        self.matched.len() as u64
    }

    /// How long it took to send them.
    pub(crate) fn sending(&self) -> Duration {
        let sent = |shot: Option<&Shot>| shot.map_or(Duration::ZERO, |shot| shot.sent);
        sent(self.matched.last()).saturating_sub(sent(self.matched.first()))
    }

    /// How many of them came in this way.
    pub(crate) fn count(&self, is: impl Fn(&[Arrival]) -> bool) -> u64 {
        self.matched.iter().filter(|shot| is(&shot.arrivals)).count() as u64
    }

    /// How many of the target's own packets were lost, of those that came.
    pub(crate) fn own_lost(&self) -> Tally {
        let Flow { came_before, went, .. } = self.counted.flow;
        Tally {
            seen: came_before.saturating_sub(went),
            of: came_before,
        }
    }

    /// How many of the target's own packets went twice, of those that came.
    pub(crate) fn own_twice(&self) -> Tally {
        let Flow { came_after, went, .. } = self.counted.flow;
        Tally {
            seen: went.saturating_sub(came_after).min(came_after),
            of: came_after,
        }
    }

    /// How late each came that came.
    pub(crate) fn delays(&self) -> Vec<Duration> {
        let first = self.matched.iter().filter_map(|shot| shot.arrivals.first());
        first.map(|arrival| arrival.delay).collect()
    }

    /// How many bytes came behind the first of those that came, and within which time. `None`: fewer than two came.
    pub(crate) fn train(&self) -> Option<(u64, Duration)> {
        self.part(&self.arrivals())
    }

    /// The same of the fastest part of it.
    pub(crate) fn fastest(&self) -> Option<(u64, Duration)> {
        let all = self.arrivals();
        let parts = all.windows(PART.min(all.len().max(1)));
        parts.filter_map(|part| self.part(part)).min_by_key(|(_, time)| *time)
    }

    fn part(&self, times: &[Duration]) -> Option<(u64, Duration)> {
        let (first, last) = (times.first()?, times.last()?);
        (times.len() > 1).then(|| ((times.len() as u64 - 1) * self.size as u64, last.saturating_sub(*first)))
    }

    /// When each came that came.
    fn arrivals(&self) -> Vec<Duration> {
        let first = self.matched.iter().filter_map(|shot| shot.arrivals.first());
        let mut times: Vec<_> = first.map(|one| one.at).collect();
        times.sort_unstable();
        times
    }

    /// Why the fault hit somebody that it is not about.
    pub(crate) fn bystander_harmed(&self) -> Option<String> {
        let Bystander::Shot(shots) = &self.bystander else {
            return None;
        };
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
            Bystander::Nobody => "it is about everybody".to_owned(),
            Bystander::Unreachable => "no bystander could be reached".to_owned(),
            Bystander::Shot(shots) => format!("{} on bystanders", millis(bystander_delay(shots))),
        }
    }

    /// How many of the target's own have come to be impaired, each as it leaves.
    pub(crate) fn came(&self) -> u64 {
        self.counted.flow.came_after.max(self.counted.own)
    }

    /// How many packets of the target's own it has hit; several that were not cut up yet may be one.
    pub(crate) fn own(&self) -> u64 {
        self.counted.own
    }

    /// How many were lost for want of room, or because they should.
    pub(crate) fn lost(&self) -> u64 {
        self.counted.lost
    }

    /// The share of wrong bits that are seen in probes that come: not those of the headers. In what ends a probe none is, for then it is
    /// not known again.
    pub(crate) fn seen_of_wrong(&self) -> f64 {
        let known = self.size.saturating_sub(MARK).max(1) as f64;
        let unseen = self.unseen as f64;
        // Of what a probe has behind its headers, `unseen` counts the header of IP, too.
        let all = known + if self.unseen > 0 { LINK as f64 } else { 0.0 };
        1.0 - unseen / all
    }
}

/// How long the header of IP is.
fn header(packet: &Packet) -> usize {
    if packet.peer.is_ipv4() { 20 } else { 40 }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn came_at(micros: impl Iterator<Item = u64>) -> Measured {
        let shot = |micros| {
            let mut shot = Shot::default();
            shot.arrivals.push(Arrival {
                delay: Duration::ZERO,
                at: Duration::from_micros(micros),
                intact: true,
            });
            shot
        };
        Measured {
            matched: micros.map(shot).collect(),
            size: 1000,
            ..Measured::default()
        }
    }

    #[test]
    fn the_fastest_part_of_a_train_knows_nothing_of_a_pause() {
        let even = came_at((0..100).map(|number| number * 80));
        let part = Some((7000, Duration::from_micros(560)));
        assert_eq!(even.train(), Some((99_000, Duration::from_micros(7920))));
        assert_eq!(even.fastest(), part);
        // A pause of 100 ms in the middle of it.
        let paused = came_at((0..100).map(|number| number * 80 + if number < 50 { 0 } else { 100_000 }));
        assert_eq!(paused.train(), Some((99_000, Duration::from_micros(107_920))));
        assert_eq!(paused.fastest(), part);
        assert_eq!(came_at(0..1).fastest(), None);
        assert_eq!(came_at(0..2).fastest(), Some((1000, Duration::from_micros(1))));
    }
}
