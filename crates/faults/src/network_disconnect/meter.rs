//! Whether anything passes: frames of our own, sent from the target to its bridge and from the bridge to the target.
//!
//! They carry no protocol of anybody's, need nobody who answers and leave no entry in any table that is not there already. A socket at
//! the port sees those that come from the target before the bridge decides about them: that they were on their way is seen, too.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fracas_linux::error::errno;
use fracas_linux::frames::{Address, Tap};
use fracas_linux::namespace::NetNamespace;
use fracas_linux::netlink::{Link, Netlink};

use super::Undo;
use super::port::Port;

/// So many in each direction through each port.
const FRAMES: u32 = 3;
/// How long the port may take to see what the target sent: it takes microseconds, unless the machine has better to do.
const ON_THE_WAY: Duration = Duration::from_secs(2);
/// How long something may take from the port to the other end.
const LATE: Duration = Duration::from_millis(50);
/// More frames than this are not of ours.
const MOST: u32 = 1000;

/// What passed, over all ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    sent: u32,
    /// From the target: seen at the port.
    reached: u32,
    /// From the target: seen by the bridge.
    out: u32,
    /// To the target: seen by it.
    into: u32,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, out, into, .. } = self;
        write!(f, "{out} of {sent} frames out of the target, {into} of {sent} into it")
    }
}

impl Passed {
    pub(super) fn got_through(&self) -> u32 {
        self.out + self.into
    }

    /// What makes sure that there was something to stop.
    pub(super) fn control(&self) -> String {
        format!(
            "{} of {} frames from the target reached its port",
            self.reached, self.sent
        )
    }
}

/// What no frame of another measurement begins with.
pub(super) fn mark(trace_name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("fracas {} {trace_name} {count} ", std::process::id())
}

/// Tries all ports. `None`: the target is gone.
pub(super) fn try_all(undo: &Undo, mark: &str) -> io::Result<Option<Passed>> {
    let there = NetNamespace::of(&undo.process)?.filter(|there| there.inode() == undo.inside);
    let Some(there) = there else { return Ok(None) };
    let mut passed = Passed::default();
    for port in &undo.ports {
        if !try_one(port, &there, mark, &mut passed)? {
            return Ok(None);
        }
    }
    Ok(Some(passed))
}

fn try_one(port: &Port, there: &NetNamespace, mark: &str, passed: &mut Passed) -> io::Result<bool> {
    let inside = there.within(|| end(port.inside))?;
    let bridge = end(port.bridge)?;
    let at_port = end(port.index)?;
    let (Some((inside, target)), Some((bridge, other)), Some((at_port, _))) = (inside, bridge, at_port) else {
        return Ok(false);
    };
    let mut silent = false;
    for number in 0..FRAMES {
        silent |= !sent(inside.send(target, other, format!("{mark}out {number} ").as_bytes()))?;
        // A bridge whose ports are all disabled has no carrier, and sends nothing.
        sent(bridge.send(other, target, format!("{mark}into {number} ").as_bytes()))?;
    }
    passed.sent += FRAMES;
    // A target that has set its own interface down sends nothing to wait for.
    passed.reached += count(&at_port, &format!("{mark}out "), if silent { LATE } else { ON_THE_WAY })?;
    passed.out += count(&bridge, &format!("{mark}out "), LATE)?;
    passed.into += count(&inside, &format!("{mark}into "), LATE)?;
    Ok(true)
}

/// A socket at a link of this thread's namespace, and the link's address. `None`: the link is gone.
fn end(index: u32) -> io::Result<Option<(Tap, Address)>> {
    let Some(link) = Netlink::route()?.link(index)? else {
        return Ok(None);
    };
    let address = hardware(&link)?;
    match Tap::open(index) {
        Err(error) if errno(&error) == Some(NO_DEVICE) => Ok(None),
        tap => Ok(Some((tap?, address))),
    }
}

fn hardware(link: &Link) -> io::Result<Address> {
    let address = link.address.as_slice().try_into();
    address.map_err(|_| io::Error::other(format!("link {} has no hardware address of six bytes", link.name)))
}

// Numbers that are the same on every architecture that Fracas runs on (include/uapi/asm-generic/errno.h).
const NO_DEVICE: i32 = 19;
const NETWORK_DOWN: i32 = 100;
const NO_BUFFER: i32 = 105;

/// Whether a frame went on its way: a link that is down, or has no carrier, takes none.
fn sent(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(error) if matches!(errno(&error), Some(NETWORK_DOWN | NO_BUFFER)) => Ok(false),
        result => result.map(|()| true),
    }
}

/// How many of the frames of this mark arrive within the time; ends early when all did.
fn count(tap: &Tap, mark: &str, limit: Duration) -> io::Result<u32> {
    let until = Instant::now() + limit;
    let mut seen = BTreeSet::new();
    for _ in 0..MOST {
        if seen.len() as u32 == FRAMES {
            break;
        }
        let Some(frame) = tap.receive(until.saturating_duration_since(Instant::now()))? else {
            break;
        };
        if let Some(number) = frame.strip_prefix(mark.as_bytes()) {
            seen.insert(number.split(|&byte| byte == b' ').next().map(<[u8]>::to_vec));
        }
    }
    Ok(seen.len() as u32)
}
