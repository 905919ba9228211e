//! Where probes are sent and seen: out of the target, or into it.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use fracas_core::traffic::{Direction, Protocol};
use fracas_linux::clock;
use fracas_linux::frames::Address;
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netfilter::Way;
use fracas_linux::netlink::{Link, Netlink};
use fracas_linux::packets::{Content, Delivered, Inlet, Probe, Tag, Watch};
use fracas_linux::raw::Raw;
use fracas_linux::relay;

use super::aim::Packet;
use super::rules::numbers;

/// One packet.
#[derive(Debug, Default)]
pub(crate) struct Shot {
    pub(crate) sent: Duration,
    /// The target's interface by which it leaves, or comes.
    link: u32,
    pub(crate) arrivals: Vec<Arrival>,
}

/// A packet that was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) delay: Duration,
    pub(crate) at: Duration,
    pub(crate) intact: bool,
}

/// Whom it is about.
#[derive(Debug, Clone)]
pub(crate) struct Aim {
    pub(crate) packet: Packet,
    /// The target's own address.
    pub(crate) own: IpAddr,
    /// The target's interface by which it leaves, or comes.
    pub(crate) link: u32,
}

/// By which ways packets are sent into the target: the other ends of its pairs, which must be here.
#[derive(Debug)]
pub(crate) struct Inlets(Vec<(u32, Inlet)>);

impl Inlets {
    /// To be looked for from the network namespace of Fracas.
    pub(crate) fn find(there: &NetNamespace) -> io::Result<Self> {
        let ours = NetNamespace::ours()?;
        let (mut inside, mut here) = (there.within(Netlink::route)?, Netlink::route()?);
        let us = inside.namespace_number(&ours)?;
        let mut found = Vec::new();
        for link in inside.links()? {
            let address: Result<Address, _> = link.address.as_slice().try_into();
            let (Some(other), Ok(address)) = (link.other, address) else {
                continue;
            };
            let is_pair = |end: &Link| end.is("veth") && end.other == Some(link.index);
            let is_here = link.is("veth") && us.is_some() && link.other_namespace == us;
            if is_here && here.link(other)?.as_ref().is_some_and(is_pair) {
                found.push((link.index, Inlet::open(other, address)?));
            }
        }
        Ok(Self(found))
    }

    /// Whether there is one to this interface of the target.
    pub(crate) fn has(&self, link: u32) -> bool {
        self.0.iter().any(|(inside, _)| *inside == link)
    }

    fn send(&self, packet: &[u8], link: u32) -> io::Result<()> {
        match self.0.iter().find(|(inside, _)| *inside == link) {
            Some((_, inlet)) => inlet.send(packet),
            None => Err(io::Error::other("there is no way in")),
        }
    }
}

/// How packets are sent, and where they are seen.
pub(crate) enum Ways<'a> {
    /// Sent in the target's name with this mark, and seen by a socket behind all queues.
    Out { raw: Raw, watch: Watch, mark: u32 },
    /// Sent from outside, and seen when they are delivered.
    In { inlets: &'a Inlets, delivered: Delivered },
}

impl<'a> Ways<'a> {
    /// Out of the namespace of this thread; by `mark` packets pass all faults but the one that is measured.
    pub(crate) fn out(tag: Tag, mark: u32) -> io::Result<Self> {
        Ok(Self::Out {
            watch: Watch::open(None, Way::Out, tag)?,
            raw: Raw::open()?,
            mark,
        })
    }

    /// Into the namespace of this thread, to these.
    pub(crate) fn into(inlets: &'a Inlets, aims: &[Aim], tag: Tag) -> io::Result<Self> {
        let kinds: Vec<_> = aims
            .iter()
            .flat_map(|aim| {
                let numbers = numbers(Some(aim.packet.protocol), None).into_iter().flatten();
                numbers.map(|number| (aim.own, number))
            })
            .collect();
        Ok(Self::In {
            inlets,
            delivered: Delivered::open(&kinds, tag)?,
        })
    }
}

/// The numbers of packets to bystanders, and of those that go past all queues.
const OTHERS: u32 = 1 << 16;
const PAST: u32 = 1 << 17;

/// Where is shot and watched.
pub(crate) struct Range<'a> {
    ways: Ways<'a>,
    tag: Tag,
    /// Whether those of TCP open a connection, for rules that look at nothing else; or reset one that nobody has.
    opens: bool,
    pub(crate) matched: Vec<Shot>,
    pub(crate) others: Vec<Shot>,
    /// Those that go past all queues, each with its interface and whether it was seen.
    past: Vec<(u32, bool)>,
    /// What each to the matched carries behind the header of IP.
    contents: Vec<Vec<u8>>,
}

/// One that was seen.
struct Seen {
    number: u32,
    at: Duration,
    /// `None`: by whichever.
    link: Option<u32>,
    content: Vec<u8>,
}

impl<'a> Range<'a> {
    pub(crate) fn new(ways: Ways<'a>, tag: Tag) -> Self {
        Self {
            ways,
            tag,
            opens: false,
            matched: Vec::new(),
            others: Vec::new(),
            past: Vec::new(),
            contents: Vec::new(),
        }
    }

    /// As this, with packets of TCP that open a connection.
    pub(crate) fn opening(self) -> Self {
        Self { opens: true, ..self }
    }

    fn direction(&self) -> Direction {
        match self.ways {
            Ways::Out { .. } => Direction::Egress,
            Ways::In { .. } => Direction::Ingress,
        }
    }

    /// Sends one that no relay takes, to see whether anything gets there.
    pub(crate) fn try_out(&mut self, aim: &Aim, length: usize) -> io::Result<()> {
        let number = PAST + self.past.len() as u32;
        self.past.push((aim.link, false));
        let mut aim = aim.clone();
        if self.direction() == Direction::Ingress {
            // That of another relay's probes, which this one lets pass.
            let first = *relay::PROBE_PORTS.start();
            aim.packet.ports.0 = if aim.packet.ports.0 == first { first + 1 } else { first };
        }
        let bytes = self.probe(&aim, number, length)?;
        // A rule of somebody's lets no such packet out, or there is no room at this moment: then another one is tried.
        let _another = match &self.ways {
            Ways::Out { raw, .. } => raw.send(&bytes, relay::PROBE | relay::MARKS, Some(aim.link)),
            Ways::In { inlets, .. } => inlets.send(&bytes, aim.link),
        };
        Ok(())
    }

    pub(crate) fn is_open(&self, number: usize) -> bool {
        self.past.get(number).is_some_and(|(_, seen)| *seen)
    }

    fn probe(&self, aim: &Aim, number: u32, length: usize) -> io::Result<Vec<u8>> {
        let (own, other) = aim.packet.ports;
        let ((from, from_port), (to, to_port)) = match self.direction() {
            Direction::Egress => ((aim.own, own), (aim.packet.peer, other)),
            Direction::Ingress => ((aim.packet.peer, other), (aim.own, own)),
        };
        let probe = Probe {
            from,
            to,
            content: match aim.packet.protocol {
                Protocol::Udp => Content::Udp {
                    from: from_port,
                    to: to_port,
                },
                Protocol::Tcp if self.opens => Content::Syn {
                    from: from_port,
                    to: to_port,
                },
                Protocol::Tcp => Content::Tcp {
                    from: from_port,
                    to: to_port,
                },
                Protocol::Icmp => Content::Echo { identifier: own },
            },
            hops: 1,
            tag: self.tag,
            number,
            length,
            sound: false,
        };
        probe.bytes()
    }

    /// Sends one to somebody the fault is about.
    pub(crate) fn shoot(&mut self, aim: &Aim, length: usize) -> io::Result<()> {
        let number = self.matched.len() as u32;
        let bytes = self.probe(aim, number, length)?;
        self.contents.push(content(&bytes).to_vec());
        let shot = self.send(&bytes, aim)?;
        self.matched.push(shot);
        Ok(())
    }

    /// Sends one to a bystander.
    pub(crate) fn shoot_past(&mut self, aim: &Aim, length: usize) -> io::Result<()> {
        let number = OTHERS + self.others.len() as u32;
        let bytes = self.probe(aim, number, length)?;
        let shot = self.send(&bytes, aim)?;
        self.others.push(shot);
        Ok(())
    }

    fn send(&self, bytes: &[u8], aim: &Aim) -> io::Result<Shot> {
        let sent = clock::wall();
        let done = match &self.ways {
            Ways::Out { raw, mark, .. } => raw.send(bytes, *mark, Some(aim.link)),
            Ways::In { inlets, .. } => inlets.send(bytes, aim.link),
        };
        match done {
            // A rule of somebody's drops it: it is lost, as another's would be.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done?,
        }
        Ok(Shot {
            sent,
            link: aim.link,
            arrivals: Vec::new(),
        })
    }

    /// How many found no room where they are seen.
    pub(crate) fn lost(&mut self) -> io::Result<u64> {
        match &mut self.ways {
            Ways::Out { watch, .. } => watch.lost(),
            // Their sockets have room for more than are ever sent.
            Ways::In { .. } => Ok(0),
        }
    }

    /// Takes note of what is seen, for so long or until it is enough.
    pub(crate) fn watch_until(&mut self, limit: Duration, enough: impl Fn(&Self) -> bool) -> io::Result<()> {
        let until = Instant::now() + limit;
        loop {
            while let Some(seen) = self.receive()? {
                self.take(&seen);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || enough(self) {
                return Ok(());
            }
            match &self.ways {
                Ways::Out { watch, .. } => watch.wait(left)?,
                Ways::In { delivered, .. } => delivered.wait(left)?,
            }
        }
    }

    fn receive(&mut self) -> io::Result<Option<Seen>> {
        Ok(match &mut self.ways {
            Ways::Out { watch, .. } => watch.receive()?.map(|seen| Seen {
                number: seen.number,
                at: seen.at,
                link: Some(seen.link),
                content: content(&seen.bytes).to_vec(),
            }),
            Ways::In { delivered, .. } => delivered.receive()?.map(|seen| Seen {
                number: seen.number,
                at: seen.at,
                link: None,
                content: seen.content,
            }),
        })
    }

    fn take(&mut self, seen: &Seen) {
        // Also what another interface carries on is seen there, and an answer of the kernel's that quotes it.
        let here = |link: u32| seen.link.is_none_or(|by| by == link);
        let number = seen.number as usize;
        let intact = self.contents.get(number).is_some_and(|sent| *sent == seen.content);
        let shot = match seen.number {
            PAST.. => {
                if let Some((link, open)) = self.past.get_mut(number - PAST as usize) {
                    *open |= here(*link);
                }
                return;
            }
            OTHERS.. => self.others.get_mut(number - OTHERS as usize),
            _ => self.matched.get_mut(number),
        };
        if let Some(shot) = shot.filter(|shot| here(shot.link)) {
            shot.arrivals.push(Arrival {
                delay: seen.at.saturating_sub(shot.sent),
                at: seen.at,
                intact,
            });
        }
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
