//! What this kernel has of it, tried in a network namespace that goes with the trial.

use std::io;
use std::path::Path;

use super::filter::{Cookie, Side};
use super::netem::Netem;
use super::program::Program;
use super::qdisc::{Handle, ROOT};
use crate::error::errno;
use crate::kernel;
use crate::namespace::NetNamespace;
use crate::netlink::Netlink;

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible {
    /// Queues that delay, lose and spoil.
    pub netem: bool,
    /// A place for filters beside what a link sends from.
    pub clsact: bool,
    /// Filters by programs that send what they match to another link.
    pub redirect: bool,
    /// Links to send it to. Not tried where there are modules: who loads its own gets two of them in the machine's own network. `None`: it
    /// is not known, for this kernel has modules, and the list of them is not to be seen here.
    pub ifb: Option<bool>,
}

/// Finds it out. The kernel loads modules for what is tried, as for whoever uses it.
///
/// # Errors
/// What the kernel refused for another reason than that it does not have it.
pub fn possible() -> io::Result<Possible> {
    NetNamespace::make()?.within(|| {
        let mut netlink = Netlink::route()?;
        let links = netlink.links()?;
        let Some(link) = links.iter().find(|link| link.loopback).map(|link| link.index) else {
            return Err(io::Error::other("a new network namespace has no loopback device"));
        };
        let netem = has(netlink.add_netem(link, Handle::new(1, 0), ROOT, &Netem::default()))?;
        let clsact = has(netlink.add_clsact(link))?;
        let program = Program::matching(&[vec![]], &[])?;
        let at = (link, Side::Egress);
        Ok(Possible {
            netem,
            clsact,
            redirect: clsact && has(netlink.add_redirect(at, (1, 1), &program, link, Cookie([0; 16])))?,
            ifb: match has_module("ifb")? {
                // A kernel without modules has no such file (CONFIG_MODULES, proc_modules(5)), and loads none for a trial.
                None if !Path::new("/proc/modules").exists() => Some(has(netlink.make_ifb("tried", [2; 6]).map(drop))?),
                known => known,
            },
        })
    })
}

/// What is not there is refused by `ENOENT` where it is a module, and by `EOPNOTSUPP` where it is a part.
fn has(tried: io::Result<()>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(error) if matches!(errno(&error), Some(libc::ENOENT | libc::EOPNOTSUPP)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a module is in the kernel, or could be loaded. `None`: there is no list of modules here.
fn has_module(name: &str) -> io::Result<Option<bool>> {
    if Path::new("/sys/module").join(name).exists() {
        return Ok(Some(true));
    }
    let folder = Path::new("/lib/modules").join(kernel::release()?);
    let mut known = None;
    for list in ["modules.builtin", "modules.dep"] {
        match std::fs::read_to_string(folder.join(list)) {
            Ok(text) => known = Some(known == Some(true) || text.lines().any(|line| is_of(line, name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}

/// Whether a line is about a module: `kernel/drivers/net/ifb.ko.xz: ...` (modules.dep(5)).
fn is_of(line: &str, name: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split('.').next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed;

    #[test]
    fn a_module_is_known_by_its_file() {
        for (line, is) in [
            ("kernel/drivers/net/ifb.ko: kernel/a.ko", true),
            ("kernel/drivers/net/ifb.ko.xz:", true),
            ("kernel/drivers/net/ifb.ko", true),
            ("kernel/drivers/net/ifbx.ko: kernel/drivers/net/ifb.ko", false),
            ("", false),
        ] {
            assert_eq!(is_of(line, "ifb"), is, "{line}");
        }
    }

    #[test]
    fn what_is_possible_is_what_can_be_done() {
        if !testbed::may() {
            return;
        }
        let found = possible().unwrap();
        assert!(found.clsact && found.redirect, "{found:?}");
        let mut netlink = NetNamespace::make().unwrap().within(Netlink::route).unwrap();
        // A kernel without it says so (`rtnl_newlink` in net/core/rtnetlink.c).
        if let Some(ifb) = found.ifb {
            assert_eq!(ifb, netlink.make_ifb("aside", [2; 6]).is_ok());
        }
    }
}
