//! What is made in the target's network, and how it is told from what others made.

use std::io;
use std::time::{Duration, Instant};

use fracas_core::record::Reverted;
use fracas_linux::netlink::{Link, Netlink};
use fracas_linux::traffic_control::{CLSACT, Cookie, Filter, Handle, Netem, ROOT, Side};
use serde::{Deserialize, Serialize};

use super::programs::Programs;
use crate::packet_worker::Fit;

/// All names of what is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The interface that packets are led to.
    pub(super) aside: String,
    /// What each filter of ours carries.
    pub(super) cookie: Cookie,
    pub(super) side: Side,
    /// The interfaces that they are led from.
    pub(super) devices: Vec<Device>,
}

/// An interface of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) name: String,
    /// Whether it had a place for filters before us.
    pub(super) clsact: bool,
}

/// What is there of it.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) ours: Vec<String>,
    /// Where something of somebody else's is in its place.
    pub(super) theirs: Vec<String>,
}

/// Before all others: where others have filters, ours is refused.
const PRIORITY: u16 = 1;
/// The filter for what measures, and the one for the target's own.
pub(super) const PROBES: u32 = 1;
pub(super) const OWN: u32 = 2;
const NETEM: Handle = Handle(1 << 16);
const HANDLE: Handle = Handle(0xffff << 16);
/// How long what waits may take to leave, before it goes with the interface.
const LET_GO: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(2);

/// The interfaces that this is about; or why they are none for it.
pub(super) fn devices(netlink: &mut Netlink, only: Option<&str>, side: Side) -> io::Result<Fit<Vec<Device>>> {
    let links = netlink.links()?;
    let fits = |link: &&Link| match only {
        Some(name) => link.name == name,
        // A queue of another fault is none of the target's.
        None => link.up && !link.loopback && !link.is("ifb"),
    };
    let chosen: Vec<&Link> = links.iter().filter(fits).collect();
    if only.is_none() {
        // What leaves by the upper one leaves by the lower one, too, and would be impaired twice.
        let stands = |link: &&&Link| link.master.is_some() || link.other.is_some_and(|on| on != 0) && !link.is("veth");
        if let Some(link) = chosen.iter().find(stands) {
            let why = format!("its interface {} is one with another one", link.name);
            return Ok(Err((why, "name one with `device`")));
        }
    }
    if chosen.is_empty() {
        return Ok(Err((
            "it has no interface that is up".to_owned(),
            "set one up, or choose another target",
        )));
    }
    let mut devices = Vec::new();
    for link in chosen {
        let holds = holder(netlink, link.index)?;
        if let Some(kind) = holds.as_ref().filter(|kind| *kind != "clsact") {
            let why = format!(
                "its interface {} has a qdisc {kind}, where ours would have to be",
                link.name
            );
            return Ok(Err((why, "write `mechanism: packet_queue`, or name another `device`")));
        }
        if !netlink.filters(link.index, side)?.is_empty() {
            let why = format!(
                "its interface {} has filters of somebody else's, which would not see what is led aside",
                link.name
            );
            return Ok(Err((why, "write `mechanism: packet_queue`, or name another `device`")));
        }
        devices.push(Device {
            index: link.index,
            name: link.name.clone(),
            clsact: holds.is_some(),
        });
    }
    Ok(Ok(devices))
}

/// What holds filters on a link: `clsact` or `ingress`.
fn holder(netlink: &mut Netlink, link: u32) -> io::Result<Option<String>> {
    let all = netlink.qdiscs(link)?;
    Ok(all.into_iter().find(|one| one.parent == CLSACT).map(|one| one.kind))
}

impl Place {
    /// The interfaces, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.devices.iter().map(|device| device.name.as_str()).collect();
        names.join(", ")
    }

    /// Makes it all. What was made is taken away again where something fails.
    pub(super) fn make(&self, netlink: &mut Netlink, netem: &Netem, programs: &Programs) -> io::Result<()> {
        for device in &self.devices {
            if netlink.link(device.index)?.is_none() {
                return Err(io::Error::other(format!("its interface {} is gone", device.name)));
            }
            let holds = holder(netlink, device.index)?;
            let as_planned = holds.as_deref() == device.clsact.then_some("clsact");
            if !as_planned || !netlink.filters(device.index, self.side)?.is_empty() {
                let has = holds.map_or_else(|| "no place for filters".to_owned(), |kind| format!("a {kind}"));
                let what = format!(
                    "its interface {} has {has}, with filters that were not planned for, or unlike then",
                    device.name
                );
                return Err(io::Error::other(what));
            }
        }
        // It is the lock: whoever is second here finds its name taken, and takes nothing away.
        let aside = netlink.make_ifb(&self.aside, self.address())?;
        let mut begun = 0;
        let made = self.fill(netlink, aside, (netem, programs), &mut begun);
        if made.is_err() {
            let part = Self {
                devices: self.devices[..begun].to_vec(),
                ..self.clone()
            };
            // What cannot be taken away now is taken away by the revert.
            let _later = part.clear(netlink);
        }
        made
    }

    /// `begun`: how many of the devices have something of ours.
    fn fill(
        &self,
        netlink: &mut Netlink,
        aside: u32,
        (netem, programs): (&Netem, &Programs),
        begun: &mut usize,
    ) -> io::Result<()> {
        netlink.without_own_address(aside)?;
        netlink.add_netem(aside, NETEM, ROOT, netem)?;
        netlink.set_up(aside, true)?;
        for device in &self.devices {
            if !device.clsact {
                netlink.add_clsact(device.index)?;
            }
            *begun += 1;
            let at = (device.index, self.side);
            netlink.add_redirect(at, (PRIORITY, PROBES), &programs.probes, aside, self.cookie)?;
            netlink.add_redirect(at, (PRIORITY, OWN), &programs.own, aside, self.cookie)?;
        }
        Ok(())
    }

    /// The interface that packets are led to, whatever its name is by now. `Err`: only its name is there, of somebody else's.
    pub(super) fn aside(&self, netlink: &mut Netlink) -> io::Result<Result<Option<Link>, String>> {
        let links = netlink.links()?;
        let has_name = links.iter().any(|link| link.name == self.aside);
        let ours = links
            .into_iter()
            .find(|link| link.is("ifb") && link.address == self.address());
        Ok(match ours {
            None if has_name => Err(format!(
                "the interface {} is somebody else's, or has been given another address",
                self.aside
            )),
            ours => Ok(ours),
        })
    }

    /// The hardware address of that interface: no other injection draws it. Of those that nobody sells (IEEE 802: administered locally),
    /// and of one link.
    fn address(&self) -> [u8; 6] {
        let [first, second, third, fourth, fifth, sixth, ..] = self.cookie.0;
        [first & 0xfc | 2, second, third, fourth, fifth, sixth]
    }

    /// Our filters on an interface.
    pub(super) fn filters(&self, netlink: &mut Netlink, device: &Device) -> io::Result<Vec<Filter>> {
        if netlink.link(device.index)?.is_none() {
            return Ok(Vec::new());
        }
        let mut found = netlink.filters(device.index, self.side)?;
        found.retain(|filter| filter.cookie == Some(self.cookie));
        Ok(found)
    }

    /// Takes away what is ours, and leaves what is not.
    pub(super) fn clear(&self, netlink: &mut Netlink) -> io::Result<Reverted> {
        let aside = self.aside(netlink)?;
        let is_there = matches!(aside, Ok(Some(_)));
        let (mut any, mut theirs) = (is_there, Vec::new());
        // Packets pass as before from here on, on all interfaces, before anything else is done.
        let mut led = Vec::new();
        for device in &self.devices {
            let filters = self.filters(netlink, device)?;
            for filter in &filters {
                netlink.remove_filter((device.index, self.side), (filter.priority, filter.handle))?;
            }
            led.push(!filters.is_empty());
        }
        if let Ok(Some(link)) = &aside {
            empty(netlink, link.index)?;
        }
        for (device, led) in self.devices.iter().zip(led) {
            any |= led;
            if device.clsact || holder(netlink, device.index)?.as_deref() != Some("clsact") {
                continue;
            }
            if has_filters(netlink, device)? {
                theirs.push(format!("{} has a clsact with filters of somebody else's", device.name));
            } else if is_there || led {
                // Filters with our cookie are the last proof that it is ours where somebody took the interface away.
                netlink.remove_qdisc(device.index, HANDLE, CLSACT)?;
            } else {
                theirs.push(format!("{} has an empty clsact that may be anybody's", device.name));
            }
        }
        match aside {
            Ok(Some(link)) => {
                let others = led_by(netlink, link.index)?;
                if others.is_empty() {
                    netlink.remove_link(link.index)?;
                } else {
                    // Without it they would drop what they match (`tcf_mirred_act` in net/sched/act_mirred.c). It lets all pass.
                    if has_netem(netlink, link.index)? {
                        netlink.remove_qdisc(link.index, NETEM, ROOT)?;
                    }
                    theirs.push(needed(&link, &others));
                }
            }
            Ok(None) => {}
            Err(other) => theirs.push(other),
        }
        Ok(if !theirs.is_empty() {
            Reverted::Foreign {
                before: format!("no clsact on {}", self.names()),
                ours: "a clsact with filters of Fracas".to_owned(),
                now: theirs.join("; "),
            }
        } else if any {
            Reverted::Restored
        } else {
            Reverted::AlreadyGone
        })
    }

    /// Looks what is there.
    pub(super) fn left(&self, netlink: &mut Netlink) -> io::Result<Left> {
        let mut left = Left::default();
        match self.aside(netlink)? {
            Ok(Some(link)) => {
                let others = led_by(netlink, link.index)?;
                if others.is_empty() || has_netem(netlink, link.index)? {
                    left.ours.push(format!("there is an interface {}", link.name));
                } else {
                    left.theirs.push(needed(&link, &others));
                }
            }
            Ok(None) => {}
            Err(other) => left.theirs.push(other),
        }
        for device in &self.devices {
            if !self.filters(netlink, device)?.is_empty() {
                left.ours.push(format!("there are filters of ours on {}", device.name));
            }
            if device.clsact || holder(netlink, device.index)?.as_deref() != Some("clsact") {
                continue;
            }
            left.theirs.push(if has_filters(netlink, device)? {
                format!("{} has a clsact with filters of somebody else's", device.name)
            } else {
                format!("{} has an empty clsact that may be anybody's", device.name)
            });
        }
        Ok(left)
    }

    /// As tc(8) and ip(8) take it away, in the namespace that this enters. Filters go only where one with our cookie is: others may have
    /// theirs under the same number. An empty `clsact` does nothing, and may be anybody's.
    pub(super) fn manual(&self, inside: &str) -> Vec<String> {
        let side = match self.side {
            Side::Ingress => "ingress",
            Side::Egress => "egress",
        };
        let mut commands = Vec::new();
        for Device { name, .. } in &self.devices {
            let ours = format!("{inside} tc filter show dev {name} {side} | grep -q {}", self.cookie);
            for handle in [PROBES, OWN] {
                commands.push(format!(
                    "{ours} && {inside} tc filter del dev {name} {side} protocol all pref {PRIORITY} handle {handle:#x} bpf"
                ));
            }
        }
        commands.push(format!("{inside} ip link del {}", self.aside));
        commands
    }
}

/// From which interfaces filters lead to a link, whoever made them.
fn led_by(netlink: &mut Netlink, to: u32) -> io::Result<Vec<String>> {
    let mut from = Vec::new();
    for link in netlink.links()? {
        for side in [Side::Ingress, Side::Egress] {
            let filters = netlink.filters(link.index, side)?;
            if filters.iter().any(|filter| filter.to == Some(to)) {
                from.push(link.name.clone());
            }
        }
    }
    Ok(from)
}

fn has_netem(netlink: &mut Netlink, link: u32) -> io::Result<bool> {
    let all = netlink.qdiscs(link)?;
    Ok(all.iter().any(|one| one.parent == ROOT && one.handle == NETEM))
}

fn needed(aside: &Link, from: &[String]) -> String {
    format!(
        "filters of somebody else's lead from {} to our interface {}, which lets all pass and stays",
        from.join(", "),
        aside.name
    )
}

fn has_filters(netlink: &mut Netlink, device: &Device) -> io::Result<bool> {
    for side in [Side::Ingress, Side::Egress] {
        if !netlink.filters(device.index, side)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits until nothing waits on the interface, for as long as it may.
#[expect(
    clippy::disallowed_methods,
    reason = "it polls with a limit, in a thread that may block"
)]
fn empty(netlink: &mut Netlink, link: u32) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < LET_GO && waiting(netlink, link)? > 0 {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// How many packets wait on the interface.
fn waiting(netlink: &mut Netlink, link: u32) -> io::Result<u32> {
    Ok(netlink.qdiscs(link)?.iter().map(|queue| queue.waiting).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let device = |index, clsact| Device {
            index,
            name: format!("eth{index}"),
            clsact,
        };
        Place {
            aside: "frc0".to_owned(),
            cookie: Cookie([0xab; 16]),
            side: Side::Egress,
            devices: vec![device(0, false), device(1, true)],
        }
    }

    #[test]
    fn by_hand_only_filters_with_our_cookie_are_removed_and_no_clsact() {
        let commands = place().manual("nsenter --net=/proc/7/ns/net");
        assert_eq!(commands.len(), 5);
        assert_eq!(commands[4], "nsenter --net=/proc/7/ns/net ip link del frc0");
        for command in &commands[..4] {
            let (asks, removes) = command.split_once(" && ").unwrap();
            assert!(asks.ends_with(&format!("| grep -q {}", "ab".repeat(16))), "{command}");
            assert!(removes.contains("tc filter del"), "{command}");
        }
        assert!(!commands.concat().contains("clsact"), "{commands:?}");
    }

    #[test]
    fn the_address_is_that_of_one_link_and_administered_locally() {
        assert_eq!(place().address(), [0xaa, 0xab, 0xab, 0xab, 0xab, 0xab]);
    }
}
